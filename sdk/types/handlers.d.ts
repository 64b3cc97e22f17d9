// SPDX-License-Identifier: Apache-2.0
//
// What a module may export, as types to check it with: `export default { … } satisfies ExportedHandler`.

/**
 * The environment as handlers get it: the value of each variable that is set, by name. Strings, or what a
 * project's file has in JSON; `limpet types` declares those of a project.
 */
interface Env {
    readonly [name: string]: any;
}

interface ExecutionContext<Props = any> {
    /** Keeps the request's isolate until the promise settles, after the answer has left. */
    waitUntil(promise: Promise<unknown>): void;
    passThroughOnException(): void;
    /** What the binding says that it was called by. */
    readonly props: Props;
    /** The module's own entrypoints, called as others call them; with `{ props }` one that sees these. */
    readonly exports: Record<string, any>;
}

/** What a service binding is: another function of the namespace. */
declare abstract class Fetcher {
    fetch(input: RequestInfo | URL, init?: RequestInit): Promise<Response>;
}

/** A service binding with the methods of a class: `Service<typeof import("../auth/src/index").Admin>`. */
type Service<C extends abstract new (...args: any[]) => object> = Fetcher & {
    readonly [K in Exclude<keyof InstanceType<C>, "fetch">]: InstanceType<C>[K] extends (...values: infer V) => infer R
        ? (...values: V) => Promise<Awaited<R>> : Promise<Awaited<InstanceType<C>[K]>>;
};

type KVType = "text" | "json" | "arrayBuffer" | "stream";

interface KVNamespaceGetOptions<T extends KVType | undefined = KVType> {
    type?: T;
    cacheTtl?: number;
}

interface KVNamespaceGetWithMetadataResult<V, M> {
    value: V | null;
    metadata: M | null;
    cacheStatus: string | null;
    /** (+) For `ifVersion`; null: there is no such key. */
    version: number | null;
}

interface KVNamespacePutOptions {
    /** Seconds since 1970, at least 60 seconds ahead. */
    expiration?: number;
    /** Seconds, at least 60. */
    expirationTtl?: number;
    /** JSON of at most 1024 bytes. */
    metadata?: unknown;
}

interface KVNamespaceListKey<M = unknown, K extends string = string> {
    name: K;
    expiration?: number;
    metadata?: M;
}

type KVNamespaceListResult<M = unknown, K extends string = string> =
    | { list_complete: false; keys: KVNamespaceListKey<M, K>[]; cursor: string; cacheStatus: string | null }
    | { list_complete: true; keys: KVNamespaceListKey<M, K>[]; cacheStatus: string | null };

type KVValue<T> = T extends "arrayBuffer" ? ArrayBuffer : T extends "stream" ? ReadableStream<Uint8Array> : string;

/** A KV namespace that the module is bound to: docs/kv.md. */
declare abstract class KVNamespace<K extends string = string> {
    get<V = unknown>(key: K, options: "json" | KVNamespaceGetOptions<"json">): Promise<V | null>;
    get<T extends KVType = "text">(key: K, options?: T | KVNamespaceGetOptions<T>): Promise<KVValue<T> | null>;
    get<V = unknown>(keys: K[], options: "json" | KVNamespaceGetOptions<"json">): Promise<Map<string, V | null>>;
    get(keys: K[], options?: "text" | KVNamespaceGetOptions<"text">): Promise<Map<string, string | null>>;
    getWithMetadata<V = unknown, M = unknown>(
        key: K, options: "json" | KVNamespaceGetOptions<"json">,
    ): Promise<KVNamespaceGetWithMetadataResult<V, M>>;
    getWithMetadata<M = unknown, T extends KVType = "text">(
        key: K, options?: T | KVNamespaceGetOptions<T>,
    ): Promise<KVNamespaceGetWithMetadataResult<KVValue<T>, M>>;
    getWithMetadata<M = unknown>(
        keys: K[], options?: "text" | KVNamespaceGetOptions<"text">,
    ): Promise<Map<string, KVNamespaceGetWithMetadataResult<string, M>>>;
    put(
        key: K, value: string | ArrayBuffer | ArrayBufferView | ReadableStream, options?: KVNamespacePutOptions,
    ): Promise<void>;
    /** (+) Only if the value there has this version, or, with null, if there is none: its new version; null: it was
     *  another one. */
    put(
        key: K, value: string | ArrayBuffer | ArrayBufferView | ReadableStream,
        options: KVNamespacePutOptions & { ifVersion: number | null },
    ): Promise<number | null>;
    delete(key: K): Promise<void>;
    delete(key: K, options: { ifVersion: number | null }): Promise<boolean>;
    list<M = unknown>(
        options?: { prefix?: string | null; limit?: number; cursor?: string | null },
    ): Promise<KVNamespaceListResult<M, K>>;
    /** (+) Adds to the whole number that is there, 0 if none: the sum. */
    increment(key: K, by?: number): Promise<number>;
}

interface R2Conditional {
    etagMatches?: string;
    etagDoesNotMatch?: string;
    uploadedBefore?: Date;
    uploadedAfter?: Date;
    secondsGranularity?: boolean;
}

interface R2HTTPMetadata {
    contentType?: string;
    contentLanguage?: string;
    contentDisposition?: string;
    contentEncoding?: string;
    cacheControl?: string;
    cacheExpiry?: Date;
}

interface R2Checksums {
    readonly md5?: ArrayBuffer;
    readonly sha1?: ArrayBuffer;
    readonly sha256?: ArrayBuffer;
    readonly sha384?: ArrayBuffer;
    readonly sha512?: ArrayBuffer;
    toJSON(): Record<string, string>;
}

type R2Range =
    | { offset: number; length?: number } | { offset?: number; length: number } | { suffix: number };

interface R2GetOptions {
    onlyIf?: R2Conditional | Headers;
    range?: R2Range | Headers;
}

interface R2MultipartOptions {
    httpMetadata?: R2HTTPMetadata | Headers;
    customMetadata?: Record<string, string>;
}

interface R2PutOptions extends R2MultipartOptions {
    onlyIf?: R2Conditional | Headers;
    /** One of these: hexadecimal, or bytes. */
    md5?: string | ArrayBuffer | ArrayBufferView;
    sha1?: string | ArrayBuffer | ArrayBufferView;
    sha256?: string | ArrayBuffer | ArrayBufferView;
    sha384?: string | ArrayBuffer | ArrayBufferView;
    sha512?: string | ArrayBuffer | ArrayBufferView;
}

interface R2ListOptions {
    prefix?: string;
    delimiter?: string;
    cursor?: string;
    startAfter?: string;
    limit?: number;
    include?: ("httpMetadata" | "customMetadata")[];
}

type R2Objects =
    & { objects: R2Object[]; delimitedPrefixes: string[] }
    & ({ truncated: true; cursor: string } | { truncated: false });

interface R2UploadedPart {
    partNumber: number;
    etag: string;
}

interface R2Object {
    readonly key: string;
    readonly version: string;
    readonly size: number;
    readonly etag: string;
    readonly httpEtag: string;
    readonly uploaded: Date;
    readonly checksums: R2Checksums;
    readonly httpMetadata?: R2HTTPMetadata;
    readonly customMetadata?: Record<string, string>;
    readonly range?: R2Range;
    readonly storageClass: string;
    writeHttpMetadata(headers: Headers): void;
}

interface R2ObjectBody extends R2Object {
    readonly body: ReadableStream<Uint8Array>;
    readonly bodyUsed: boolean;
    arrayBuffer(): Promise<ArrayBuffer>;
    bytes(): Promise<Uint8Array>;
    text(): Promise<string>;
    json<T = unknown>(): Promise<T>;
    blob(): Promise<Blob>;
}

type R2Value = ReadableStream | ArrayBuffer | ArrayBufferView | string | Blob;

interface R2MultipartUpload {
    readonly key: string;
    readonly uploadId: string;
    uploadPart(partNumber: number, value: R2Value): Promise<R2UploadedPart>;
    abort(): Promise<void>;
    complete(parts: R2UploadedPart[]): Promise<R2Object>;
}

/** A bucket that the module is bound to: docs/buckets.md. */
declare abstract class R2Bucket {
    head(key: string): Promise<R2Object | null>;
    get(key: string, options: R2GetOptions & { onlyIf: R2Conditional | Headers }): Promise<R2ObjectBody | R2Object | null>;
    get(key: string, options?: R2GetOptions): Promise<R2ObjectBody | null>;
    put(
        key: string, value: R2Value | null, options: R2PutOptions & { onlyIf: R2Conditional | Headers },
    ): Promise<R2Object | null>;
    put(key: string, value: R2Value | null, options?: R2PutOptions): Promise<R2Object>;
    delete(keys: string | string[]): Promise<void>;
    list(options?: R2ListOptions): Promise<R2Objects>;
    createMultipartUpload(key: string, options?: R2MultipartOptions): Promise<R2MultipartUpload>;
    resumeMultipartUpload(key: string, uploadId: string): R2MultipartUpload;
}

type FetchHandler<E = Env> =
    (request: Request, env: E, ctx: ExecutionContext) => Response | Promise<Response>;

/** The default export of a module in the style of Workers. */
interface ExportedHandler<E = Env> {
    fetch?: FetchHandler<E>;
    /** At the times of a schedule: docs/schedules.md. */
    scheduled?: ScheduledHandler<E>;
    /** Messages of a queue: docs/queues.md. */
    queue?: QueueHandler<E>;
}

type QueueHandler<E = Env, T = any> =
    (batch: MessageBatch<T>, env: E, ctx: ExecutionContext) => void | Promise<void>;

interface ScheduledController {
    /** The expression, "" if the schedule has none. */
    readonly cron: string;
    /** When it was due, in milliseconds; the same for each try. */
    readonly scheduledTime: number;
    readonly type: string;
    /** If this throws it is not called again. */
    noRetry(): void;
}

type ScheduledHandler<E = Env> =
    (controller: ScheduledController, env: E, ctx: ExecutionContext) => void | Promise<void>;

/** A default export that is a function may also return a value, which is sent as JSON. */
type FunctionHandler<E = Env> = (request: Request, env: E, ctx: ExecutionContext) => unknown;

/** A default export that is a workflow in the style of Cloudflare, without a class. */
interface ExportedWorkflow<T = any> {
    run(
        event: Readonly<import("cloudflare:workers").WorkflowEvent<T>>,
        step: import("cloudflare:workers").WorkflowStep,
    ): unknown;
}
