// SPDX-License-Identifier: Apache-2.0
//
// https://fetch.spec.whatwg.org/

type BodyInit = ReadableStream | Blob | BufferSource | FormData | URLSearchParams | string;
type HeadersInit = Headers | Record<string, string> | Iterable<readonly [string, string]> | [string, string][];
type RequestInfo = Request | string | URL;

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
    /** With status 101: one end of a WebSocketPair, or the webSocket of a response that is passed on. */
    webSocket?: WebSocket | null;
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
    /** Of an answer 101 to a request with the header "Upgrade: websocket". */
    readonly webSocket: WebSocket | null;
    clone(): Response;
}

declare function fetch(input: RequestInfo, init?: RequestInit): Promise<Response>;
