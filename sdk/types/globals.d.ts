// SPDX-License-Identifier: Apache-2.0
//
// The globals of a Limpet function, and only those: what is not declared here does not exist there.
// Use with "lib": ["ES2024"] (no "DOM"), see sdk/README.md. Signatures follow the WHATWG standards.

// --- basic types -----------------------------------------------------------------------------------

type BufferSource = ArrayBufferView | ArrayBuffer;
type BlobPart = BufferSource | Blob | string;
type BodyInit = ReadableStream | Blob | BufferSource | FormData | URLSearchParams | string;
type HeadersInit = Headers | Record<string, string> | Iterable<readonly [string, string]> | [string, string][];
type RequestInfo = Request | string | URL;
type FormDataEntryValue = File | string;

// --- errors, events, abort -------------------------------------------------------------------------

declare class DOMException extends Error {
    constructor(message?: string, name?: string | { name?: string; cause?: unknown });
    readonly name: string;
    readonly message: string;
    readonly code: number;
}

interface EventInit {
    bubbles?: boolean;
    cancelable?: boolean;
    composed?: boolean;
}

declare class Event {
    constructor(type: string, init?: EventInit);
    static readonly NONE: 0;
    static readonly CAPTURING_PHASE: 1;
    static readonly AT_TARGET: 2;
    static readonly BUBBLING_PHASE: 3;
    readonly type: string;
    readonly target: EventTarget | null;
    readonly currentTarget: EventTarget | null;
    readonly srcElement: EventTarget | null;
    readonly eventPhase: number;
    readonly bubbles: boolean;
    readonly cancelable: boolean;
    readonly composed: boolean;
    readonly defaultPrevented: boolean;
    readonly isTrusted: boolean;
    readonly timeStamp: number;
    cancelBubble: boolean;
    returnValue: boolean;
    composedPath(): EventTarget[];
    preventDefault(): void;
    stopPropagation(): void;
    stopImmediatePropagation(): void;
}

interface CustomEventInit<T = unknown> extends EventInit {
    detail?: T;
}

declare class CustomEvent<T = unknown> extends Event {
    constructor(type: string, init?: CustomEventInit<T>);
    readonly detail: T;
}

interface ErrorEventInit extends EventInit {
    message?: string;
    filename?: string;
    lineno?: number;
    colno?: number;
    error?: any;
}

declare class ErrorEvent extends Event {
    constructor(type: string, init?: ErrorEventInit);
    readonly message: string;
    readonly filename: string;
    readonly lineno: number;
    readonly colno: number;
    readonly error: any;
}

declare class PromiseRejectionEvent extends Event {
    constructor(type: string, init: EventInit & { promise: Promise<any>; reason?: any });
    readonly promise: Promise<any>;
    readonly reason: any;
}

interface MessageEventInit<T = any> extends EventInit {
    data?: T;
    origin?: string;
    lastEventId?: string;
    source?: MessagePort | null;
    ports?: MessagePort[];
}

declare class MessageEvent<T = any> extends Event {
    constructor(type: string, init?: MessageEventInit<T>);
    readonly data: T;
    readonly origin: string;
    readonly lastEventId: string;
    readonly source: MessagePort | null;
    readonly ports: readonly MessagePort[];
}

declare class CloseEvent extends Event {
    constructor(type: string, init?: EventInit & { wasClean?: boolean; code?: number; reason?: string });
    readonly wasClean: boolean;
    readonly code: number;
    readonly reason: string;
}

interface EventSourceInit {
    withCredentials?: boolean;
    /** Who is asked instead of fetch(). */
    fetcher?: { fetch(request: Request): Response | Promise<Response> };
}

/** Events of a server, over fetch(); it connects again when the stream ends. */
declare class EventSource extends EventTarget {
    constructor(url: string | URL, init?: EventSourceInit);
    /** Reads a stream that is there already, once. */
    static from(stream: ReadableStream): EventSource;
    static readonly CONNECTING: 0;
    static readonly OPEN: 1;
    static readonly CLOSED: 2;
    readonly url: string;
    readonly withCredentials: boolean;
    readonly readyState: number;
    readonly CONNECTING: 0;
    readonly OPEN: 1;
    readonly CLOSED: 2;
    onopen: ((event: Event) => unknown) | null;
    onmessage: ((event: MessageEvent) => unknown) | null;
    onerror: ((event: Event) => unknown) | null;
    close(): void;
}

declare class ExtendableEvent extends Event {
    constructor(type: string, init?: EventInit);
    /** As ctx.waitUntil(). */
    waitUntil(promise: unknown): void;
}

/** Of a module without exports that listens for "fetch". */
declare class FetchEvent extends ExtendableEvent {
    constructor(type: string, init: EventInit & { request: Request });
    readonly request: Request;
    /** Once, and while the listener runs: give it a promise. */
    respondWith(response: Response | PromiseLike<Response>): void;
    passThroughOnException(): void;
}

interface EventListenerObject {
    handleEvent(event: Event): void;
}
type EventListener = (event: Event) => void;
type EventListenerOrEventListenerObject = EventListener | EventListenerObject;

interface EventListenerOptions {
    capture?: boolean;
}
interface AddEventListenerOptions extends EventListenerOptions {
    once?: boolean;
    passive?: boolean;
    signal?: AbortSignal;
}

declare class EventTarget {
    constructor();
    addEventListener(
        type: string, callback: EventListenerOrEventListenerObject | null,
        options?: AddEventListenerOptions | boolean,
    ): void;
    removeEventListener(
        type: string, callback: EventListenerOrEventListenerObject | null,
        options?: EventListenerOptions | boolean,
    ): void;
    dispatchEvent(event: Event): boolean;
}

declare class AbortSignal extends EventTarget {
    private constructor();
    static abort(reason?: any): AbortSignal;
    static timeout(milliseconds: number): AbortSignal;
    static any(signals: Iterable<AbortSignal>): AbortSignal;
    readonly aborted: boolean;
    readonly reason: any;
    onabort: ((this: AbortSignal, event: Event) => any) | null;
    throwIfAborted(): void;
}

declare class AbortController {
    constructor();
    readonly signal: AbortSignal;
    abort(reason?: any): void;
}

/** Tells listeners for "error"; logged unless one of them calls preventDefault(). */
declare function reportError(error: unknown): void;

interface GlobalEventMap {
    error: ErrorEvent;
    unhandledrejection: PromiseRejectionEvent;
    rejectionhandled: PromiseRejectionEvent;
    fetch: FetchEvent;
}
declare function addEventListener<K extends keyof GlobalEventMap>(
    type: K, callback: (event: GlobalEventMap[K]) => any, options?: AddEventListenerOptions | boolean,
): void;
declare function addEventListener(
    type: string, callback: EventListenerOrEventListenerObject | null, options?: AddEventListenerOptions | boolean,
): void;
declare function removeEventListener<K extends keyof GlobalEventMap>(
    type: K, callback: (event: GlobalEventMap[K]) => any, options?: EventListenerOptions | boolean,
): void;
declare function removeEventListener(
    type: string, callback: EventListenerOrEventListenerObject | null, options?: EventListenerOptions | boolean,
): void;
declare function dispatchEvent(event: Event): boolean;
declare var onerror: ((message: string, source: string, line: number, column: number, error: any) => any) | null;
declare var onunhandledrejection: ((event: PromiseRejectionEvent) => any) | null;
declare var onrejectionhandled: ((event: PromiseRejectionEvent) => any) | null;

// --- messages --------------------------------------------------------------------------------------

type Transferable = ArrayBuffer | MessagePort;

declare class MessagePort extends EventTarget {
    private constructor();
    onmessage: ((this: MessagePort, event: MessageEvent) => any) | null;
    onmessageerror: ((this: MessagePort, event: MessageEvent) => any) | null;
    postMessage(message: any, transfer: Transferable[]): void;
    postMessage(message: any, options?: { transfer?: Transferable[] }): void;
    start(): void;
    close(): void;
}

declare class MessageChannel {
    constructor();
    readonly port1: MessagePort;
    readonly port2: MessagePort;
}

/** Reaches channels of the same name in the same isolate. */
declare class BroadcastChannel extends EventTarget {
    constructor(name: string);
    readonly name: string;
    onmessage: ((this: BroadcastChannel, event: MessageEvent) => any) | null;
    onmessageerror: ((this: BroadcastChannel, event: MessageEvent) => any) | null;
    postMessage(message: any): void;
    close(): void;
}

// --- URL -------------------------------------------------------------------------------------------

declare class URL {
    constructor(url: string | URL, base?: string | URL);
    static canParse(url: string | URL, base?: string | URL): boolean;
    static parse(url: string | URL, base?: string | URL): URL | null;
    /** A URL that fetch() of the same isolate knows until it is revoked. */
    static createObjectURL(blob: Blob): string;
    static revokeObjectURL(url: string): void;
    href: string;
    readonly origin: string;
    protocol: string;
    username: string;
    password: string;
    host: string;
    hostname: string;
    port: string;
    pathname: string;
    search: string;
    readonly searchParams: URLSearchParams;
    hash: string;
    toString(): string;
    toJSON(): string;
}

interface URLPatternInit {
    protocol?: string;
    username?: string;
    password?: string;
    hostname?: string;
    port?: string;
    pathname?: string;
    search?: string;
    hash?: string;
    baseURL?: string;
}

interface URLPatternComponentResult {
    input: string;
    groups: Record<string, string | undefined>;
}

interface URLPatternResult {
    inputs: (string | URLPatternInit)[];
    protocol: URLPatternComponentResult;
    username: URLPatternComponentResult;
    password: URLPatternComponentResult;
    hostname: URLPatternComponentResult;
    port: URLPatternComponentResult;
    pathname: URLPatternComponentResult;
    search: URLPatternComponentResult;
    hash: URLPatternComponentResult;
}

declare class URLPattern {
    constructor(input?: string | URLPatternInit, options?: { ignoreCase?: boolean });
    constructor(input: string | URLPatternInit, baseURL: string, options?: { ignoreCase?: boolean });
    test(input?: string | URLPatternInit, baseURL?: string): boolean;
    exec(input?: string | URLPatternInit, baseURL?: string): URLPatternResult | null;
    readonly protocol: string;
    readonly username: string;
    readonly password: string;
    readonly hostname: string;
    readonly port: string;
    readonly pathname: string;
    readonly search: string;
    readonly hash: string;
    readonly hasRegExpGroups: boolean;
}

declare class URLSearchParams {
    constructor(init?: Iterable<readonly [string, string]> | string[][] | Record<string, string> | string | URLSearchParams);
    readonly size: number;
    append(name: string, value: string): void;
    delete(name: string, value?: string): void;
    get(name: string): string | null;
    getAll(name: string): string[];
    has(name: string, value?: string): boolean;
    set(name: string, value: string): void;
    sort(): void;
    forEach(fn: (value: string, name: string, params: URLSearchParams) => void, thisArg?: any): void;
    entries(): IterableIterator<[string, string]>;
    keys(): IterableIterator<string>;
    values(): IterableIterator<string>;
    [Symbol.iterator](): IterableIterator<[string, string]>;
    toString(): string;
}

// --- text, binary data -----------------------------------------------------------------------------

declare class TextEncoder {
    constructor();
    readonly encoding: "utf-8";
    encode(input?: string): Uint8Array<ArrayBuffer>;
    encodeInto(source: string, destination: Uint8Array): { read: number; written: number };
}

interface TextDecoderOptions {
    fatal?: boolean;
    ignoreBOM?: boolean;
}

declare class TextDecoder {
    constructor(label?: string, options?: TextDecoderOptions);
    readonly encoding: string;
    readonly fatal: boolean;
    readonly ignoreBOM: boolean;
    decode(input?: BufferSource, options?: { stream?: boolean }): string;
}

declare class TextEncoderStream {
    constructor();
    readonly encoding: "utf-8";
    readonly readable: ReadableStream<Uint8Array<ArrayBuffer>>;
    readonly writable: WritableStream<string>;
}

declare class TextDecoderStream {
    constructor(label?: string, options?: TextDecoderOptions);
    readonly encoding: string;
    readonly fatal: boolean;
    readonly ignoreBOM: boolean;
    readonly readable: ReadableStream<string>;
    readonly writable: WritableStream<BufferSource>;
}

declare function atob(data: string): string;
declare function btoa(data: string): string;
declare function structuredClone<T>(value: T, options?: { transfer?: Transferable[] }): T;

interface BlobPropertyBag {
    type?: string;
    endings?: "transparent" | "native";
}

declare class Blob {
    constructor(parts?: Iterable<BlobPart>, options?: BlobPropertyBag);
    readonly size: number;
    readonly type: string;
    slice(start?: number, end?: number, type?: string): Blob;
    stream(): ReadableStream<Uint8Array<ArrayBuffer>>;
    text(): Promise<string>;
    arrayBuffer(): Promise<ArrayBuffer>;
    bytes(): Promise<Uint8Array<ArrayBuffer>>;
}

declare class File extends Blob {
    constructor(
        parts: Iterable<BlobPart>, name: string, options?: BlobPropertyBag & { lastModified?: number },
    );
    readonly name: string;
    readonly lastModified: number;
    readonly webkitRelativePath: string;
}

declare class FormData {
    constructor();
    append(name: string, value: string): void;
    append(name: string, value: Blob, fileName?: string): void;
    delete(name: string): void;
    get(name: string): FormDataEntryValue | null;
    getAll(name: string): FormDataEntryValue[];
    has(name: string): boolean;
    set(name: string, value: string): void;
    set(name: string, value: Blob, fileName?: string): void;
    forEach(fn: (value: FormDataEntryValue, name: string, form: FormData) => void, thisArg?: any): void;
    entries(): IterableIterator<[string, FormDataEntryValue]>;
    keys(): IterableIterator<string>;
    values(): IterableIterator<FormDataEntryValue>;
    [Symbol.iterator](): IterableIterator<[string, FormDataEntryValue]>;
}

// --- streams ---------------------------------------------------------------------------------------

interface QueuingStrategy<T = any> {
    highWaterMark?: number;
    size?: (chunk: T) => number;
}

interface UnderlyingDefaultSource<R = any> {
    type?: undefined;
    start?(controller: ReadableStreamDefaultController<R>): any;
    pull?(controller: ReadableStreamDefaultController<R>): void | PromiseLike<void>;
    cancel?(reason?: any): void | PromiseLike<void>;
}

interface UnderlyingByteSource {
    type: "bytes";
    autoAllocateChunkSize?: number;
    start?(controller: ReadableByteStreamController): any;
    pull?(controller: ReadableByteStreamController): void | PromiseLike<void>;
    cancel?(reason?: any): void | PromiseLike<void>;
}

interface StreamPipeOptions {
    preventClose?: boolean;
    preventAbort?: boolean;
    preventCancel?: boolean;
    signal?: AbortSignal;
}

interface ReadableWritablePair<R = any, W = any> {
    readable: ReadableStream<R>;
    writable: WritableStream<W>;
}

type ReadableStreamReadResult<T> = { done: false; value: T } | { done: true; value: T | undefined };

declare class ReadableStream<R = any> {
    constructor(source: UnderlyingByteSource, strategy?: { highWaterMark?: number });
    constructor(source?: UnderlyingDefaultSource<R>, strategy?: QueuingStrategy<R>);
    static from<R>(items: Iterable<R> | AsyncIterable<R>): ReadableStream<R>;
    readonly locked: boolean;
    cancel(reason?: any): Promise<void>;
    getReader(options: { mode: "byob" }): ReadableStreamBYOBReader;
    getReader(): ReadableStreamDefaultReader<R>;
    pipeThrough<T>(pair: ReadableWritablePair<T, R>, options?: StreamPipeOptions): ReadableStream<T>;
    pipeTo(destination: WritableStream<R>, options?: StreamPipeOptions): Promise<void>;
    tee(): [ReadableStream<R>, ReadableStream<R>];
    values(options?: { preventCancel?: boolean }): AsyncIterableIterator<R>;
    [Symbol.asyncIterator](options?: { preventCancel?: boolean }): AsyncIterableIterator<R>;
}

declare class ReadableStreamDefaultReader<R = any> {
    constructor(stream: ReadableStream<R>);
    readonly closed: Promise<undefined>;
    read(): Promise<ReadableStreamReadResult<R>>;
    cancel(reason?: any): Promise<void>;
    releaseLock(): void;
}

declare class ReadableStreamBYOBReader {
    constructor(stream: ReadableStream<Uint8Array>);
    readonly closed: Promise<undefined>;
    read<T extends ArrayBufferView>(view: T, options?: { min?: number }): Promise<ReadableStreamReadResult<T>>;
    readAtLeast<T extends ArrayBufferView>(min: number, view: T): Promise<ReadableStreamReadResult<T>>;
    cancel(reason?: any): Promise<void>;
    releaseLock(): void;
}

declare class ReadableStreamDefaultController<R = any> {
    private constructor();
    readonly desiredSize: number | null;
    close(): void;
    enqueue(chunk?: R): void;
    error(reason?: any): void;
}

declare class ReadableByteStreamController {
    private constructor();
    readonly byobRequest: ReadableStreamBYOBRequest | null;
    readonly desiredSize: number | null;
    close(): void;
    enqueue(chunk: ArrayBufferView): void;
    error(reason?: any): void;
}

declare class ReadableStreamBYOBRequest {
    private constructor();
    readonly view: Uint8Array<ArrayBuffer> | null;
    respond(bytesWritten: number): void;
    respondWithNewView(view: ArrayBufferView): void;
}

interface UnderlyingSink<W = any> {
    type?: undefined;
    start?(controller: WritableStreamDefaultController): any;
    write?(chunk: W, controller: WritableStreamDefaultController): void | PromiseLike<void>;
    close?(): void | PromiseLike<void>;
    abort?(reason?: any): void | PromiseLike<void>;
}

declare class WritableStream<W = any> {
    constructor(sink?: UnderlyingSink<W>, strategy?: QueuingStrategy<W>);
    readonly locked: boolean;
    abort(reason?: any): Promise<void>;
    close(): Promise<void>;
    getWriter(): WritableStreamDefaultWriter<W>;
}

declare class WritableStreamDefaultWriter<W = any> {
    constructor(stream: WritableStream<W>);
    readonly closed: Promise<undefined>;
    readonly desiredSize: number | null;
    readonly ready: Promise<undefined>;
    abort(reason?: any): Promise<void>;
    close(): Promise<void>;
    releaseLock(): void;
    write(chunk?: W): Promise<void>;
}

declare class WritableStreamDefaultController {
    private constructor();
    readonly signal: AbortSignal;
    error(reason?: any): void;
}

interface Transformer<I = any, O = any> {
    readableType?: undefined;
    writableType?: undefined;
    start?(controller: TransformStreamDefaultController<O>): any;
    transform?(chunk: I, controller: TransformStreamDefaultController<O>): void | PromiseLike<void>;
    flush?(controller: TransformStreamDefaultController<O>): void | PromiseLike<void>;
    cancel?(reason?: any): void | PromiseLike<void>;
}

declare class TransformStream<I = any, O = any> {
    constructor(
        transformer?: Transformer<I, O>, writableStrategy?: QueuingStrategy<I>,
        readableStrategy?: QueuingStrategy<O>,
    );
    readonly readable: ReadableStream<O>;
    readonly writable: WritableStream<I>;
}

declare class TransformStreamDefaultController<O = any> {
    private constructor();
    readonly desiredSize: number | null;
    enqueue(chunk?: O): void;
    error(reason?: any): void;
    terminate(): void;
}

declare class ByteLengthQueuingStrategy implements QueuingStrategy<ArrayBufferView> {
    constructor(init: { highWaterMark: number });
    readonly highWaterMark: number;
    readonly size: (chunk: ArrayBufferView) => number;
}

declare class CountQueuingStrategy implements QueuingStrategy {
    constructor(init: { highWaterMark: number });
    readonly highWaterMark: number;
    readonly size: () => 1;
}

/** Passes bytes on as they are. */
declare class IdentityTransformStream extends TransformStream<BufferSource, Uint8Array<ArrayBuffer>> {
    constructor();
}

/** The same; another number of bytes than announced is a TypeError on both sides. */
declare class FixedLengthStream extends TransformStream<BufferSource, Uint8Array<ArrayBuffer>> {
    constructor(expectedLength: number | bigint);
}

/** "br" and "zstd" are not in the standard; Node has them too. */
type CompressionFormat = "deflate" | "deflate-raw" | "gzip" | "br" | "zstd";

declare class CompressionStream {
    constructor(format: CompressionFormat);
    readonly readable: ReadableStream<Uint8Array<ArrayBuffer>>;
    readonly writable: WritableStream<BufferSource>;
}

/** Data that is damaged, ends early or goes on after its end is a TypeError on both sides. */
declare class DecompressionStream {
    constructor(format: CompressionFormat);
    readonly readable: ReadableStream<Uint8Array<ArrayBuffer>>;
    readonly writable: WritableStream<BufferSource>;
}

// --- fetch -----------------------------------------------------------------------------------------

declare class Headers {
    constructor(init?: HeadersInit);
    append(name: string, value: string): void;
    delete(name: string): void;
    get(name: string): string | null;
    getSetCookie(): string[];
    /** Only of "set-cookie". */
    getAll(name: "set-cookie" | (string & {})): string[];
    has(name: string): boolean;
    set(name: string, value: string): void;
    forEach(fn: (value: string, name: string, headers: Headers) => void, thisArg?: any): void;
    entries(): IterableIterator<[string, string]>;
    keys(): IterableIterator<string>;
    values(): IterableIterator<string>;
    [Symbol.iterator](): IterableIterator<[string, string]>;
}

interface Body {
    readonly body: ReadableStream<Uint8Array<ArrayBuffer>> | null;
    readonly bodyUsed: boolean;
    arrayBuffer(): Promise<ArrayBuffer>;
    blob(): Promise<Blob>;
    bytes(): Promise<Uint8Array<ArrayBuffer>>;
    formData(): Promise<FormData>;
    json<T = any>(): Promise<T>;
    text(): Promise<string>;
}

type RequestRedirect = "follow" | "error" | "manual";

interface RequestInit {
    method?: string;
    headers?: HeadersInit;
    body?: BodyInit | null;
    redirect?: RequestRedirect;
    cache?: "default" | "no-store" | "reload" | "no-cache" | "force-cache" | "only-if-cached";
    signal?: AbortSignal | null;
    /** Needed by the standard with a stream as body, and accepted here. */
    duplex?: "half";
}

interface Request extends Body {}
declare class Request {
    constructor(input: RequestInfo, init?: RequestInit);
    readonly method: string;
    readonly url: string;
    readonly headers: Headers;
    readonly redirect: RequestRedirect;
    readonly signal: AbortSignal;
    clone(): Request;
}

type ResponseType = "basic" | "cors" | "default" | "error" | "opaque" | "opaqueredirect";

interface ResponseInit {
    status?: number;
    statusText?: string;
    headers?: HeadersInit;
}

interface Response extends Body {}
declare class Response {
    constructor(body?: BodyInit | null, init?: ResponseInit);
    static error(): Response;
    static json(data: any, init?: ResponseInit): Response;
    static redirect(url: string | URL, status?: number): Response;
    readonly type: ResponseType;
    readonly url: string;
    readonly redirected: boolean;
    readonly status: number;
    readonly ok: boolean;
    readonly statusText: string;
    readonly headers: Headers;
    clone(): Response;
}

declare function fetch(input: RequestInfo, init?: RequestInit): Promise<Response>;

// --- crypto ----------------------------------------------------------------------------------------

type HashAlgorithm = "SHA-1" | "SHA-256" | "SHA-384" | "SHA-512" | (string & {});
type HashAlgorithmIdentifier = HashAlgorithm | { name: HashAlgorithm };
type AlgorithmIdentifier = string | { name: string };
type KeyType = "secret" | "public" | "private";
type KeyFormat = "raw" | "pkcs8" | "spki" | "jwk";
type KeyUsage = "encrypt" | "decrypt" | "sign" | "verify" | "deriveKey" | "deriveBits" | "wrapKey" | "unwrapKey";
type NamedCurve = "P-256" | "P-384" | "P-521" | (string & {});

/** What an algorithm's dictionary may have; which members one needs is the standard's affair. AES-CBC, AES-CTR,
 *  AES-GCM, AES-KW, HMAC, RSASSA-PKCS1-v1_5, RSA-PSS, RSA-OAEP, ECDSA, ECDH, Ed25519, X25519, HKDF, PBKDF2. */
interface CryptoAlgorithmParams {
    name: string;
    hash?: HashAlgorithmIdentifier;
    length?: number;
    modulusLength?: number;
    publicExponent?: Uint8Array;
    namedCurve?: NamedCurve;
    iv?: BufferSource;
    counter?: BufferSource;
    additionalData?: BufferSource;
    tagLength?: number;
    label?: BufferSource;
    saltLength?: number;
    salt?: BufferSource;
    info?: BufferSource;
    iterations?: number;
    public?: CryptoKey;
}
type CryptoAlgorithm = string | CryptoAlgorithmParams;

interface JsonWebKey {
    kty?: string;
    use?: string;
    key_ops?: string[];
    alg?: string;
    ext?: boolean;
    crv?: string;
    x?: string;
    y?: string;
    d?: string;
    n?: string;
    e?: string;
    p?: string;
    q?: string;
    dp?: string;
    dq?: string;
    qi?: string;
    k?: string;
}

interface KeyAlgorithm {
    name: string;
    hash?: { name: string };
    length?: number;
    namedCurve?: string;
    modulusLength?: number;
    publicExponent?: Uint8Array;
}

declare class CryptoKey {
    private constructor();
    readonly type: KeyType;
    readonly extractable: boolean;
    readonly algorithm: KeyAlgorithm;
    readonly usages: KeyUsage[];
}

interface CryptoKeyPair {
    publicKey: CryptoKey;
    privateKey: CryptoKey;
}

declare class SubtleCrypto {
    private constructor();
    digest(algorithm: HashAlgorithmIdentifier, data: BufferSource): Promise<ArrayBuffer>;
    generateKey(
        algorithm: "Ed25519" | "X25519" | { name: "Ed25519" | "X25519" } | CryptoAlgorithmParams & ({ modulusLength: number } | { namedCurve: NamedCurve }),
        extractable: boolean, usages: readonly KeyUsage[],
    ): Promise<CryptoKeyPair>;
    generateKey(
        algorithm: CryptoAlgorithmParams & ({ length: number } | { hash: HashAlgorithmIdentifier }), extractable: boolean,
        usages: readonly KeyUsage[],
    ): Promise<CryptoKey>;
    generateKey(
        algorithm: CryptoAlgorithm, extractable: boolean, usages: readonly KeyUsage[],
    ): Promise<CryptoKey | CryptoKeyPair>;
    importKey(
        format: "jwk", key: JsonWebKey, algorithm: CryptoAlgorithm, extractable: boolean, usages: readonly KeyUsage[],
    ): Promise<CryptoKey>;
    importKey(
        format: Exclude<KeyFormat, "jwk">, key: BufferSource, algorithm: CryptoAlgorithm, extractable: boolean,
        usages: readonly KeyUsage[],
    ): Promise<CryptoKey>;
    importKey(
        format: KeyFormat, key: BufferSource | JsonWebKey, algorithm: CryptoAlgorithm, extractable: boolean,
        usages: readonly KeyUsage[],
    ): Promise<CryptoKey>;
    exportKey(format: "jwk", key: CryptoKey): Promise<JsonWebKey>;
    exportKey(format: Exclude<KeyFormat, "jwk">, key: CryptoKey): Promise<ArrayBuffer>;
    exportKey(format: KeyFormat, key: CryptoKey): Promise<ArrayBuffer | JsonWebKey>;
    sign(algorithm: CryptoAlgorithm, key: CryptoKey, data: BufferSource): Promise<ArrayBuffer>;
    verify(
        algorithm: CryptoAlgorithm, key: CryptoKey, signature: BufferSource, data: BufferSource,
    ): Promise<boolean>;
    encrypt(algorithm: CryptoAlgorithm, key: CryptoKey, data: BufferSource): Promise<ArrayBuffer>;
    decrypt(algorithm: CryptoAlgorithm, key: CryptoKey, data: BufferSource): Promise<ArrayBuffer>;
    deriveBits(algorithm: CryptoAlgorithm, baseKey: CryptoKey, length?: number | null): Promise<ArrayBuffer>;
    deriveKey(
        algorithm: CryptoAlgorithm, baseKey: CryptoKey, derivedKeyAlgorithm: CryptoAlgorithm, extractable: boolean,
        usages: readonly KeyUsage[],
    ): Promise<CryptoKey>;
    wrapKey(
        format: KeyFormat, key: CryptoKey, wrappingKey: CryptoKey, wrapAlgorithm: CryptoAlgorithm,
    ): Promise<ArrayBuffer>;
    unwrapKey(
        format: KeyFormat, wrappedKey: BufferSource, unwrappingKey: CryptoKey, unwrapAlgorithm: CryptoAlgorithm,
        unwrappedKeyAlgorithm: CryptoAlgorithm, extractable: boolean, usages: readonly KeyUsage[],
    ): Promise<CryptoKey>;
    /** Of buffers of the same length (else a TypeError): equal, in a time that does not tell where they differ? */
    timingSafeEqual(a: BufferSource, b: BufferSource): boolean;
}

/** Digests what is written to it: `await body.pipeTo(stream); await stream.digest`. */
interface DigestStream extends WritableStream<string | BufferSource> {
    readonly digest: Promise<ArrayBuffer>;
    readonly bytesWritten: number;
}

declare class Crypto {
    private constructor();
    readonly subtle: SubtleCrypto;
    readonly DigestStream: { new (algorithm: HashAlgorithmIdentifier): DigestStream; prototype: DigestStream };
    getRandomValues<T extends ArrayBufferView>(array: T): T;
    randomUUID(): `${string}-${string}-${string}-${string}-${string}`;
}
declare var crypto: Crypto;

// --- timers, console, the rest ---------------------------------------------------------------------

declare function setTimeout<A extends any[]>(fn: (...args: A) => void, ms?: number, ...args: A): number;
declare function setInterval<A extends any[]>(fn: (...args: A) => void, ms?: number, ...args: A): number;
declare function clearTimeout(id?: number): void;
declare function clearInterval(id?: number): void;
/** Runs soon, after promises that are due. */
declare function setImmediate<A extends any[]>(fn: (...args: A) => void, ...args: A): number;
declare function clearImmediate(id?: number): void;
declare function queueMicrotask(fn: () => void): void;

interface Console {
    assert(condition?: boolean, ...data: any[]): void;
    count(label?: string): void;
    countReset(label?: string): void;
    debug(...data: any[]): void;
    dir(value?: any, options?: { depth?: number | null; showHidden?: boolean }): void;
    dirxml(...data: any[]): void;
    error(...data: any[]): void;
    group(...data: any[]): void;
    groupCollapsed(...data: any[]): void;
    groupEnd(): void;
    info(...data: any[]): void;
    log(...data: any[]): void;
    table(data?: any, columns?: string[]): void;
    time(label?: string): void;
    timeEnd(label?: string): void;
    timeLog(label?: string, ...data: any[]): void;
    trace(...data: any[]): void;
    warn(...data: any[]): void;
}
declare var console: Console;

declare class Scheduler {
    private constructor();
    postTask<T>(
        callback: () => T,
        options?: { priority?: "user-blocking" | "user-visible" | "background"; signal?: AbortSignal; delay?: number },
    ): Promise<Awaited<T>>;
    yield(): Promise<void>;
    wait(ms: number, options?: { signal?: AbortSignal }): Promise<void>;
}
declare var scheduler: Scheduler;

declare class PerformanceEntry {
    protected constructor();
    readonly name: string;
    readonly entryType: string;
    readonly startTime: number;
    readonly duration: number;
    toJSON(): any;
}
interface PerformanceMarkOptions {
    detail?: any;
    startTime?: number;
}
declare class PerformanceObserverEntryList {
    protected constructor();
    getEntries(): PerformanceEntry[];
    getEntriesByType(type: string): PerformanceEntry[];
    getEntriesByName(name: string, type?: string): PerformanceEntry[];
}
declare class PerformanceObserver {
    constructor(callback: (
        this: PerformanceObserver, list: PerformanceObserverEntryList, observer: PerformanceObserver, options: { droppedEntriesCount: number },
    ) => void);
    static readonly supportedEntryTypes: readonly string[];
    /** Either several types, or one, of which earlier entries may be wanted too. */
    observe(options: { entryTypes: string[] } | { type: string; buffered?: boolean }): void;
    disconnect(): void;
    takeRecords(): PerformanceEntry[];
}
declare class PerformanceMark extends PerformanceEntry {
    constructor(name: string, options?: PerformanceMarkOptions);
    readonly detail: any;
}
declare class PerformanceMeasure extends PerformanceEntry {
    private constructor();
    readonly detail: any;
}
interface PerformanceMeasureOptions {
    detail?: any;
    start?: number | string;
    end?: number | string;
    duration?: number;
}

declare class Performance extends EventTarget {
    private constructor();
    /** Milliseconds since the dispatch began. */
    now(): number;
    readonly timeOrigin: number;
    mark(name: string, options?: PerformanceMarkOptions): PerformanceMark;
    measure(name: string, startMark?: string, endMark?: string): PerformanceMeasure;
    measure(name: string, options: PerformanceMeasureOptions): PerformanceMeasure;
    clearMarks(name?: string): void;
    clearMeasures(name?: string): void;
    getEntries(): PerformanceEntry[];
    getEntriesByName(name: string, type?: string): PerformanceEntry[];
    getEntriesByType(type: string): PerformanceEntry[];
    toJSON(): any;
}
declare var performance: Performance;

declare class Navigator {
    private constructor();
    readonly userAgent: "Limpet";
    readonly language: string;
    readonly languages: readonly string[];
    readonly onLine: boolean;
    readonly hardwareConcurrency: number;
    readonly platform: string;
    sendBeacon(url: string | URL, data?: BodyInit | null): boolean;
}
declare var navigator: Navigator;

declare var self: typeof globalThis;

// ---- what Workers add ----

declare namespace HTMLRewriterTypes {
    interface ContentOptions {
        /** The content is markup; else it is text, and escaped. */
        html?: boolean;
    }
    type Content = string | ReadableStream | Response;
    interface Element {
        tagName: string;
        readonly attributes: IterableIterator<[name: string, value: string]>;
        readonly removed: boolean;
        readonly namespaceURI: string;
        getAttribute(name: string): string | null;
        hasAttribute(name: string): boolean;
        setAttribute(name: string, value: string): this;
        removeAttribute(name: string): this;
        before(content: Content, options?: ContentOptions): this;
        after(content: Content, options?: ContentOptions): this;
        prepend(content: Content, options?: ContentOptions): this;
        append(content: Content, options?: ContentOptions): this;
        replace(content: Content, options?: ContentOptions): this;
        setInnerContent(content: Content, options?: ContentOptions): this;
        remove(): this;
        removeAndKeepContent(): this;
        onEndTag(handler: (tag: EndTag) => void | Promise<void>): void;
    }
    interface EndTag {
        name: string;
        before(content: Content, options?: ContentOptions): this;
        after(content: Content, options?: ContentOptions): this;
        remove(): this;
    }
    interface Comment {
        text: string;
        readonly removed: boolean;
        before(content: string, options?: ContentOptions): this;
        after(content: string, options?: ContentOptions): this;
        replace(content: string, options?: ContentOptions): this;
        remove(): this;
    }
    interface Text {
        readonly text: string;
        readonly lastInTextNode: boolean;
        readonly removed: boolean;
        before(content: Content, options?: ContentOptions): this;
        after(content: Content, options?: ContentOptions): this;
        replace(content: Content, options?: ContentOptions): this;
        remove(): this;
    }
    interface Doctype {
        readonly name: string | null;
        readonly publicId: string | null;
        readonly systemId: string | null;
    }
    interface DocumentEnd {
        append(content: string, options?: ContentOptions): this;
    }
    interface ElementHandlers {
        element?(element: Element): void | Promise<void>;
        comments?(comment: Comment): void | Promise<void>;
        text?(text: Text): void | Promise<void>;
    }
    interface DocumentHandlers {
        doctype?(doctype: Doctype): void | Promise<void>;
        comments?(comment: Comment): void | Promise<void>;
        text?(text: Text): void | Promise<void>;
        end?(end: DocumentEnd): void | Promise<void>;
    }
}

/** Rewrites HTML as it streams by. */
declare class HTMLRewriter {
    on(selector: string, handlers: HTMLRewriterTypes.ElementHandlers): this;
    onDocument(handlers: HTMLRewriterTypes.DocumentHandlers): this;
    transform(response: Response): Response;
}

interface CacheQueryOptions {
    ignoreMethod?: boolean;
}

declare class Cache {
    private constructor();
    put(request: Request | string | URL, response: Response): Promise<void>;
    match(request: Request | string | URL, options?: CacheQueryOptions): Promise<Response | undefined>;
    delete(request: Request | string | URL, options?: CacheQueryOptions): Promise<boolean>;
}

declare class CacheStorage {
    private constructor();
    readonly default: Cache;
    open(name: string): Promise<Cache>;
}

/** Responses that code keeps; they may be gone at any time. */
declare var caches: CacheStorage;

/** What is known of how a request came. */
interface IncomingRequestCf {
    readonly httpProtocol: "HTTP/1.0" | "HTTP/1.1" | "HTTP/2";
    /** Empty without TLS. */
    readonly tlsVersion: "" | "TLSv1.2" | "TLSv1.3";
    readonly clientAcceptEncoding?: string;
    readonly [name: string]: unknown;
}
interface Request {
    /** Undefined for requests that code made without one. */
    readonly cf?: IncomingRequestCf | any;
}
interface RequestInit {
    cf?: object | null;
}

declare class WorkerGlobalScope extends EventTarget {
    private constructor();
}
declare class ServiceWorkerGlobalScope extends WorkerGlobalScope {}
declare var origin: string;
declare var Cloudflare: { readonly compatibilityFlags: Readonly<Record<string, boolean>> };

/** docs/webassembly.md */
declare namespace WebAssembly {
    type ValueType = "i32" | "i64" | "f32" | "f64" | "v128" | "anyfunc" | "externref";
    type ImportExportKind = "function" | "table" | "memory" | "global" | "tag";
    type Exports = Record<string, any>;
    type Imports = Record<string, Record<string, any>>;

    class Module {
        constructor(bytes: ArrayBuffer | ArrayBufferView);
        static exports(module: Module): { name: string; kind: ImportExportKind }[];
        static imports(module: Module): { module: string; name: string; kind: ImportExportKind }[];
        static customSections(module: Module, sectionName: string): ArrayBuffer[];
    }
    class Instance {
        constructor(module: Module, importObject?: Imports);
        readonly exports: Exports;
    }
    class Memory {
        constructor(descriptor: { initial: number; maximum?: number; shared?: boolean });
        readonly buffer: ArrayBuffer;
        grow(delta: number): number;
    }
    class Table {
        constructor(descriptor: { element: "anyfunc" | "externref"; initial: number; maximum?: number }, value?: unknown);
        readonly length: number;
        get(index: number): any;
        set(index: number, value?: unknown): void;
        grow(delta: number, value?: unknown): number;
    }
    class Global {
        constructor(descriptor: { value: ValueType; mutable?: boolean }, v?: unknown);
        value: any;
        valueOf(): any;
    }
    class CompileError extends Error {}
    class LinkError extends Error {}
    class RuntimeError extends Error {}

    interface Instantiated {
        module: Module;
        instance: Instance;
    }
    function validate(bytes: ArrayBuffer | ArrayBufferView): boolean;
    function compile(bytes: ArrayBuffer | ArrayBufferView): Promise<Module>;
    function compileStreaming(source: Response | Promise<Response>): Promise<Module>;
    function instantiate(bytes: ArrayBuffer | ArrayBufferView, importObject?: Imports): Promise<Instantiated>;
    function instantiate(module: Module, importObject?: Imports): Promise<Instance>;
    function instantiateStreaming(source: Response | Promise<Response>, importObject?: Imports): Promise<Instantiated>;
}

declare module "*.wasm" {
    const module: WebAssembly.Module;
    export default module;
}
declare module "*.wasm?module" {
    const module: WebAssembly.Module;
    export default module;
}
