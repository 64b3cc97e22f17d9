// SPDX-License-Identifier: Apache-2.0
//
// The one door to the engine's C half: typed access to `__limpet`, whose contract is written in
// guest/engine/README.md. The engine removes that global once this bundle is evaluated, so nothing
// else may look it up: import `native` from here.

import type { AbortSignal } from "./abort.ts";
import type { URLSearchParams } from "./search-params.ts";

/** scheme_end, username_start, username_end, password_start, password_end, host_start, host_end,
 *  path_start, path_end, port, query_start, fragment_start: offsets into href; origin: its length where
 *  href begins with it; href; and room for two things of url.ts. */
export type UrlRecord = [
    number, number, number, number, number, number, number, number, number, number, number, number,
    string | number, string, URLSearchParams | undefined, boolean,
];

export type SqlValue = null | undefined | boolean | number | bigint | string | ArrayBuffer
    | ArrayBufferView;

export interface SqlResult {
    columns: string[];
    rows: unknown[][];
    changes: number;
    lastRowId: number | bigint;
}

/** Of one of several statements. */
export interface PackedResult extends SqlResult {
    rowsRead: number;
    rowsWritten: number;
    isWriting: boolean;
    statements: number;
}

/** Whom the fetch() of a service asks: the name of a binding, or "" for the module itself and then which export
 *  with which props (JSON); how many redirects it has followed, and what it was called with. */
export type ServiceTarget = [
    service: string, entrypoint: string, props: string, hops: number, input: unknown, init: RequestInit | undefined,
];

export interface Hooks {
    streamFromSource(source: number): unknown;
    streamFromBytes(bytes: Uint8Array): unknown;
    streamTakeSource(stream: unknown): number;
    streamReadAll(stream: unknown): Promise<Uint8Array>;
    streamToSink(stream: unknown, sink: number): Promise<void>;
    isStream(value: unknown): boolean;
    streamState(stream: unknown): number;
    bodyFromObject(value: unknown): [unknown, string | null] | undefined;
    makeBlob(bytes: Uint8Array, type: string, isHeader: boolean): unknown;
    parseFormData(bytes: Uint8Array, contentType: string): unknown;
    platformParts(value: object): string | [Uint8Array, string, string?, number?] | undefined;
    makeFile(bytes: Uint8Array, type: string, name: string, lastModified: number): unknown;
    makeSignal(): unknown;
    followSignal(signal: unknown): unknown;
    abortSignal(signal: unknown, reason: unknown): void;
    isSignal(value: unknown): boolean;
    workflowsOf(namespace: object): string;
    workflowStart(name: string, input: unknown, info: never, env: unknown, context: unknown): unknown;
    workflowCancel(): void;
    workflowError(kind: number, detail: string): Error;
    stepOptions(options: unknown): number[];
    errorPack(error: unknown, isShort: boolean): [unknown, string, boolean];
    errorUnpack(packed: unknown): unknown;
    duration(value: unknown): number;
    inspect(value: unknown): string;
    errorUncaught(error: unknown): boolean;
    rejectionUnhandled(promise: Promise<unknown>, reason: unknown): boolean;
    rejectionHandled(promise: Promise<unknown>, reason: unknown): void;
    fetchListener(): unknown;
    fetchLocal(request: Request): Response;
    bindingOf(kind: string, name: string): object;
    entrypointsOf(namespace: object): number;
    entrypointFetch(name: string, request: Request, env: unknown, context: unknown): unknown;
    methodCall(
        name: string, method: string, what: number, values: Uint8Array<ArrayBuffer>, env: unknown, context: unknown,
    ): Promise<Uint8Array>;
    actorFetch(request: Request, env: unknown, context: unknown): unknown;
    actorCall(
        name: string, method: string, what: number, values: Uint8Array<ArrayBuffer>, env: unknown, context: unknown,
    ): Promise<Uint8Array>;
    contextExports(): object;
    serviceRedirect(response: Response, request: Request, target: ServiceTarget): Response | Promise<Response>;
    socketFetched(socket: number, response: Response): object;
    socketRespond(socket: unknown, dispatch: number, headers: Uint8Array<ArrayBuffer>): Promise<void> | undefined;
}

export interface Native {
    log(level: number, text: string): void;
    clock(which: 0 | 1): number;
    random(length: number): Uint8Array<ArrayBuffer>;
    kvGet(binding: string, keys: Uint8Array<ArrayBuffer>): Promise<Uint8Array<ArrayBuffer>>;
    kvList(binding: string, prefix: string, after: string, limit: number): Promise<unknown>;
    queueSend(binding: string, messages: Uint8Array): Promise<void>;
    kvWrite(
        binding: string, key: string, what: number, value: string | ArrayBuffer | ArrayBufferView, metadata: string,
        expires: number, ifVersion: number,
    ): Promise<number>;
    kvRecord(
        binding: string, key: string, what: number, value: string | ArrayBuffer | ArrayBufferView, metadata: string,
        expires: number,
    ): number;
    envGet(name: string): string | undefined;
    envList(): [string, string][];
    urlParse(input: string, base?: string): UrlRecord | undefined;
    urlSet(href: string, part: number, value: string): UrlRecord | undefined;
    intl(what: number, request: string): string;
    stackMap(stack: string): string;
    urlPattern(what: number, texts: (string | undefined)[]): string[] | undefined;
    digest(algorithm: number, ...parts: (ArrayBuffer | ArrayBufferView)[]): ArrayBuffer;
    codecNew(format: number, isDecoder: boolean): number;
    codecSet(codec: number, settings: Int32Array, dictionary: Uint8Array): void;
    /** flush: enum coder_flush (src/coding/coder.h). */
    codecRun(
        codec: number, data: ArrayBuffer | ArrayBufferView, flush: boolean | number,
    ): [taken: number, isOver: boolean, bytes: Uint8Array<ArrayBuffer> | undefined];
    codecEnd(codec: number): void;
    htmlSelector(selector: string): void;
    htmlNew(encoding: string, handlers: Uint8Array): number;
    htmlRun(html: number, data: Uint8Array, isLast: boolean): Uint8Array<ArrayBuffer>;
    htmlAsk(html: number, what: number, flags: number, id: number, a: string | Uint8Array, b: string): Uint8Array<ArrayBuffer>;
    htmlEnd(html: number): void;
    crypto(
        fn: number, hash: number, a: number, b: number,
        key?: Uint8Array, salt?: Uint8Array, info?: Uint8Array, data?: Uint8Array,
    ): ArrayBuffer | Promise<ArrayBuffer>;
    cryptoWait(
        fn: number, hash: number, a: number, b: number,
        key?: Uint8Array, salt?: Uint8Array, info?: Uint8Array, data?: Uint8Array,
    ): ArrayBuffer;
    cipher(
        mode: number, isDecryption: number, bits: number,
        key: Uint8Array, iv: Uint8Array | undefined, aad: Uint8Array | undefined, data: Uint8Array,
    ): ArrayBuffer | Promise<ArrayBuffer>;
    equalBytes(a: ArrayBuffer | ArrayBufferView, b: ArrayBuffer | ArrayBufferView): boolean;
    sqlExec(sql: string, params: SqlValue[]): SqlResult;
    sqlPack(flags: number, statements: [sql: string, params: SqlValue[]][]): Uint8Array<ArrayBuffer>;
    sqlUnpack(bytes: Uint8Array): { duration: number; size: number; commit: number; results: PackedResult[] };
    rateLimit(binding: string, key: string): number;
    d1Run(binding: string, request: Uint8Array): Promise<Uint8Array<ArrayBuffer>>;
    sqlTransaction(action: 0 | 1 | 2): void;
    fetchWait(
        method: string, url: string, headers: [string, string][],
        body?: string | ArrayBuffer | ArrayBufferView,
    ): [number, string, [string, string][], Uint8Array<ArrayBuffer>];
    sleepWait(ms: number): void;

    timer(ms: number, fn: () => void): number;
    cancel(op: number): void;
    streamRead(source: number, max: number): Promise<Uint8Array<ArrayBuffer> | undefined>;
    streamWrite(sink: number, chunk: string | ArrayBuffer | ArrayBufferView): Promise<void>;
    streamClose(source: number): void;
    streamEnd(sink: number, failed: 0 | 1): void;
    tcpConnect(host: string, port: number, secure: 0 | 1): Promise<Uint8Array<ArrayBuffer>>;
    tcpStartTls(source: number, host: string): Promise<void>;

    /** The env object that handlers are given. */
    environment(): Record<string, unknown>;
    /** Keeps the request that runs, as its ctx.waitUntil() does. */
    waitUntil(promise: unknown): void;
    serviceFetch(target: ServiceTarget, input: unknown, init?: unknown): Promise<Response>;
    serviceCall(
        service: string, entrypoint: string, props: string, method: string, what: 0 | 1, values: Uint8Array,
    ): Promise<Uint8Array<ArrayBuffer>>;

    workflowStart(binding: string, workflow: string, key: string, input: string): Promise<{ id: string; isNew: boolean }>;
    executionStatus(binding: string, key: string, waitMs: number): Promise<unknown>;
    executionTell(binding: string, key: string, verb: number, name: string, data: string): Promise<void>;
    actorId(binding: string, exported: string, what: 0 | 1 | 2, text: string): string;
    actorSelf(): { class: string; id: string; name: string };
    actorControl(what: number, message: string): void;
    storeGet(keys: Uint8Array): Uint8Array<ArrayBuffer>;
    storePut(pairs: Uint8Array): void;
    storeDelete(keys: Uint8Array): number;
    storeList(start: Uint8Array, end: Uint8Array, isReverse: 0 | 1, limit: number): Uint8Array<ArrayBuffer>;
    storeClear(): void;
    storeSize(): number;
    storeSync(): Promise<void>;
    storeCall(id: string, isAnswered: 0 | 1, answer: Uint8Array): Uint8Array<ArrayBuffer>;
    alarmGet(): string;
    alarmSet(dueMs: number, attempts: number, tells: 0 | 1): void;
    socketRespond(dispatch: number, headers: Uint8Array, socket: number): number;
    socketNext(socket: number): Promise<Uint8Array<ArrayBuffer>>;
    socketSend(socket: number, isText: number, data: string | ArrayBuffer | ArrayBufferView): number;
    socketClose(socket: number, code: number, reason: string): void;
    socketBuffered(socket: number): number;

    step(name: string, options: object, body: (context: { attempt: number }) => unknown): Promise<unknown>;
    sleep(ms: number | string, options?: { signal?: AbortSignal }): Promise<void>;
    eventWait(name: string, timeout: number, signal?: AbortSignal): Promise<unknown>;
    waitOf(promise: unknown): number;
    withdraw(wait: number, reason: unknown): void;
    childStart(workflow: string, input: string, key: string): string;
    childResult(execution: string, signal?: AbortSignal): Promise<unknown>;
    childCancel(execution: string): void;
    signal(execution: string, name: string, data: string): void;
    progress(json: string): void;
    scope(): number;
    inScope<T>(scope: number, fn: () => T): T;

    setHooks(hooks: Partial<Hooks>): void;
    defineModule(name: string, exports: object | string): void;
    frame(): unknown;
    setFrame(frame: unknown): void;
    fetchCache(request: Request, name: string): Promise<Response>;
    fetchBucket(request: Request, name: string): Promise<Response>;
    require(name: string): unknown;
    lazyGlobals(modules: Record<string, string>): void;
    removeGlobals(...names: string[]): void;
    info(): { functionName: string; executionId: string };
    reportError(prefix: string, error: unknown): void;
    promiseState(value: unknown): [0 | 1 | 2, unknown] | undefined;
    proxyTarget(value: unknown): object | undefined;
    wasm(what: number, a: number, b: number, data: Uint8Array): Uint8Array<ArrayBuffer>;
    wasmSetup(functionOf: (what: number | string) => unknown, numberOf: (fn: unknown) => number): void;
    wasmCompile(bytes: Uint8Array, waits: boolean): number | Promise<number>;
    wasmFunction(number: number, params: Uint8Array, results: Uint8Array): unknown;
    wasmImport(fn: unknown, params: Uint8Array, results: Uint8Array): number;
    wasmBuffer(memory: number): ArrayBuffer;
    wasmMoved(memory: number): void;
    wasmEncode(type: number, value: unknown): Uint8Array<ArrayBuffer>;
    wasmDecode(type: number, bytes: Uint8Array): unknown;
    serialize(value: unknown): Uint8Array<ArrayBuffer>;
    deserialize(bytes: ArrayBuffer | ArrayBufferView): unknown;
    utf8Encode(text: string): Uint8Array<ArrayBuffer>;
    utf8Decode(bytes: ArrayBuffer | ArrayBufferView): string;
    latin1Decode(bytes: ArrayBuffer | ArrayBufferView): string;
}

export const native: Native = (globalThis as unknown as { __limpet: Native }).__limpet;
