// SPDX-License-Identifier: Apache-2.0
//
// KV namespaces (docs/kv.md).

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
