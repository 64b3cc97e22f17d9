// SPDX-License-Identifier: Apache-2.0
//
// KV namespaces: what `env.NAME` is for a binding of kind "kv". The host reads and stores (src/host/op_kv.c); here are
// the shapes, checks and messages of Workers KV. In a workflow, outside of steps, puts and deletes are a part of its
// commit.

import { native } from "./native.ts";

const KEY_BYTES_MAX = 512, VALUE_BYTES_MAX = 25 * 1024 * 1024, METADATA_BYTES_MAX = 1024, KEYS_MAX = 100, LIST_MAX = 1000;
const TTL_MIN = 60, CACHE_TTL_MIN = 30;
const PUT = 0, DELETE = 1, ADD = 2;
const ANY = -1;

type Type = "text" | "json" | "arrayBuffer" | "stream";
type GetOptions = { type?: Type; cacheTtl?: number };
type PutOptions = {
    expiration?: number; expirationTtl?: number; metadata?: unknown; ifVersion?: number | null;
};
interface Found {
    value: Uint8Array<ArrayBuffer>;
    metadata: string;
    version: number;
}

const encode = (text: string): Uint8Array<ArrayBuffer> => native.utf8Encode(text);

function fail(what: string, status: number, why: string): Error {
    return new Error(`KV ${what} failed: ${status} ${why}`);
}

/** As the host is given it. */
function checkKey(what: string, key: unknown): string {
    const name = String(key);
    if (name === "") {
        throw new TypeError("Key name cannot be empty.");
    }
    if (name === "." || name === "..") {
        throw new TypeError(`"${name}" is not allowed as a key name.`);
    }
    // A character takes three bytes at most.
    const bytes = name.length * 3 > KEY_BYTES_MAX ? encode(name).length : 0;
    if (bytes > KEY_BYTES_MAX) {
        throw fail(what, 414, `UTF-8 encoded length of ${bytes} exceeds key length limit of ${KEY_BYTES_MAX}.`);
    }
    return name;
}

function typeOf(options: Type | GetOptions | undefined): Type {
    const cacheTtl = typeof options === "object" ? options?.cacheTtl : undefined;
    if (cacheTtl !== undefined && !(cacheTtl >= CACHE_TTL_MIN)) {
        throw fail("GET", 400, `Invalid cache_ttl of ${cacheTtl}. Cache TTL must be at least ${CACHE_TTL_MIN}.`);
    }
    return (typeof options === "string" ? options : options?.type) ?? "text";
}

/** What an answer of the host has for each key. */
async function ask(binding: string, keys: string[]): Promise<(Found | undefined)[]> {
    const names = keys.map(encode);
    const packed = new Uint8Array(names.reduce((sum, name) => sum + 4 + name.length, 4));
    const view = new DataView(packed.buffer);
    let at = 4;
    view.setUint32(0, keys.length, true);
    for (const name of names) {
        view.setUint32(at, name.length, true);
        packed.set(name, at + 4);
        at += 4 + name.length;
    }
    const bytes = await native.kvGet(binding, packed);
    const answer = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    at = 0;
    return keys.map(() => {
        at += 4;
        if (answer.getUint32(at - 4, true) === 0) {
            return undefined;
        }
        const version = answer.getFloat64(at, true);
        const metadataLength = answer.getUint32(at + 16, true), metadataAt = at + 20;
        const valueAt = metadataAt + metadataLength + 4, length = answer.getUint32(valueAt - 4, true);
        at = valueAt + length;
        const metadata = metadataLength > 0 ? native.utf8Decode(bytes.subarray(metadataAt, metadataAt + metadataLength)) : "";
        return { version, metadata, value: bytes.subarray(valueAt, at) };
    });
}

function valueOf(found: Found, type: Type): unknown {
    const { value } = found;
    switch (type) {
        case "text":
            return native.utf8Decode(value);
        case "json":
            return JSON.parse(native.utf8Decode(value));
        case "arrayBuffer":
            return value.slice().buffer;
        case "stream":
            return new Response(value).body;
        default:
            throw new TypeError(
                `Unknown response type. Possible types are "text", "arrayBuffer", "json", and "stream".`,
            );
    }
}

const metadataOf = (found: Found): unknown => found.metadata === "" ? null : JSON.parse(found.metadata);

function checkKeys(keys: unknown[], type: Type): string[] {
    if (type !== "text" && type !== "json") {
        throw fail("GET_BULK", 400, `"${type}" is not a valid type. Use "json" or "text"`);
    }
    if (keys.length === 0 || keys.length > KEYS_MAX) {
        throw fail("GET_BULK", 400, keys.length === 0 ? "You must request at least one key" : `You can request a maximum of ${KEYS_MAX} keys`);
    }
    return keys.map((key) => checkKey("GET_BULK", key));
}

function expirationOf(options: PutOptions | undefined): number {
    const ttl = options?.expirationTtl ?? undefined, at = options?.expiration ?? undefined;
    const now = Math.floor(Date.now() / 1000);
    if (ttl !== undefined) {
        const seconds = Math.trunc(Number(ttl));
        if (!(seconds > 0)) {
            throw fail("PUT", 400, `Invalid expiration_ttl of ${ttl}. Please specify integer greater than 0.`);
        }
        if (seconds < TTL_MIN) {
            throw fail("PUT", 400, `Invalid expiration_ttl of ${ttl}. Expiration TTL must be at least ${TTL_MIN}.`);
        }
        return now + seconds;
    }
    if (at === undefined) {
        return 0;
    }
    const seconds = Math.trunc(Number(at));
    if (!(seconds > now)) {
        throw fail(
            "PUT", 400,
            `Invalid expiration of ${at}. Please specify integer greater than the current number of seconds since the UNIX epoch.`,
        );
    }
    if (seconds < now + TTL_MIN) {
        throw fail("PUT", 400, `Invalid expiration of ${at}. Expiration times must be at least ${TTL_MIN} seconds in the future.`);
    }
    return seconds;
}

async function bytesOf(value: unknown): Promise<string | ArrayBuffer | ArrayBufferView> {
    if (typeof value === "string" || value instanceof ArrayBuffer || ArrayBuffer.isView(value)) {
        return value;
    }
    if (value instanceof ReadableStream) {
        return new Response(value).arrayBuffer();
    }
    throw new TypeError("KV put() accepts only strings, ArrayBuffers, ArrayBufferViews, and ReadableStreams as values.");
}

const lengthOf = (value: string | ArrayBuffer | ArrayBufferView): number =>
    typeof value !== "string" ? value.byteLength : value.length * 3 <= VALUE_BYTES_MAX ? 0 : encode(value).length;

function versionOf(ifVersion: number | null | undefined): number {
    if (ifVersion === undefined) {
        return ANY;
    }
    const version = ifVersion ?? 0;
    if (!Number.isSafeInteger(version) || version < 0) {
        throw new TypeError("ifVersion is the version of a value, or null: there must be none");
    }
    return version;
}

const isConflict = (error: unknown): boolean => (error as { code?: string } | null)?.code === "conflict";

const ours = Symbol();

export class KVNamespace {
    #binding: string;

    constructor(caller?: typeof ours, binding = "") {
        if (caller !== ours) {
            throw new TypeError("Illegal constructor");
        }
        this.#binding = binding;
    }

    async get(key: string | string[], options?: Type | GetOptions): Promise<unknown> {
        const type = typeOf(options);
        if (Array.isArray(key)) {
            const names = checkKeys(key, type);
            const found = await ask(this.#binding, names);
            return new Map(names.map((name, at) => [name, found[at] ? valueOf(found[at], type) : null]));
        }
        const [found] = await ask(this.#binding, [checkKey("GET", key)]);
        return found ? valueOf(found, type) : null;
    }

    async getWithMetadata(key: string | string[], options?: Type | GetOptions): Promise<unknown> {
        const type = typeOf(options);
        const of = (found: Found | undefined) => ({
            value: found ? valueOf(found, type) : null, metadata: found ? metadataOf(found) : null,
            cacheStatus: null, version: found?.version ?? null,
        });
        if (Array.isArray(key)) {
            const names = checkKeys(key, type);
            const found = await ask(this.#binding, names);
            return new Map(names.map((name, at) => [name, of(found[at])]));
        }
        return of((await ask(this.#binding, [checkKey("GET", key)]))[0]);
    }

    async put(key: string, value: unknown, options?: PutOptions): Promise<number | null | undefined> {
        const name = checkKey("PUT", key), ifVersion = versionOf(options?.ifVersion);
        const expires = expirationOf(options);
        const metadata = options?.metadata === undefined || options.metadata === null ? "" : JSON.stringify(options.metadata) ?? "";
        const metadataBytes = metadata.length * 3 > METADATA_BYTES_MAX ? encode(metadata).length : 0;
        if (metadataBytes > METADATA_BYTES_MAX) {
            throw fail("PUT", 413, `Metadata length of ${metadataBytes} exceeds limit of ${METADATA_BYTES_MAX}.`);
        }
        const content = await bytesOf(value);
        const length = lengthOf(content);
        if (length > VALUE_BYTES_MAX) {
            throw fail("PUT", 413, `Value length of ${length} exceeds limit of ${VALUE_BYTES_MAX}.`);
        }
        if (ifVersion === ANY && native.kvRecord(this.#binding, name, PUT, content, metadata, expires)) {
            return undefined;
        }
        const stored = native.kvWrite(this.#binding, name, PUT, content, metadata, expires, ifVersion);
        if (ifVersion === ANY) {
            await stored;
            return undefined;
        }
        return orNull(stored);
    }

    async delete(key: string, options?: { ifVersion?: number | null }): Promise<boolean | undefined> {
        const name = checkKey("DELETE", key), ifVersion = versionOf(options?.ifVersion);
        if (ifVersion === ANY) {
            if (!native.kvRecord(this.#binding, name, DELETE, "", "", 0)) {
                await native.kvWrite(this.#binding, name, DELETE, "", "", 0, ANY);
            }
            return undefined;
        }
        return await orNull(native.kvWrite(this.#binding, name, DELETE, "", "", 0, ifVersion)) !== null;
    }

    async list(
        options?: { prefix?: string | null; limit?: number | null; cursor?: string | null },
    ): Promise<unknown> {
        const limit = options?.limit ?? LIST_MAX, prefix = String(options?.prefix ?? ""), cursor = options?.cursor || "";
        if (!(limit >= 1)) {
            throw fail("GET", 400, `Invalid key_count_limit of ${limit}. Please specify an integer greater than 0.`);
        }
        if (limit > LIST_MAX) {
            throw fail("GET", 400, `Invalid key_count_limit of ${limit}. Please specify an integer less than ${LIST_MAX}.`);
        }
        const answer = await native.kvList(this.#binding, prefix, keyOf(cursor), limit) as {
            keys: { name: string }[]; list_complete: boolean; cursor?: string; cacheStatus: null;
        };
        if (!answer.list_complete) {
            answer.cursor = cursorOf(answer.keys.at(-1)!.name);
        }
        answer.cacheStatus = null;
        return answer;
    }

    /** Adds to the whole number that is there, 0 if none: what it is then. */
    async increment(key: string, by = 1): Promise<number> {
        const name = checkKey("PUT", key);
        if (!Number.isSafeInteger(by)) {
            throw new TypeError("increment() adds a whole number");
        }
        return native.kvWrite(this.#binding, name, ADD, String(by), "", 0, ANY);
    }

    get [Symbol.toStringTag](): string {
        return "KvNamespace";
    }
}

async function orNull(stored: Promise<number>): Promise<number | null> {
    try {
        return await stored;
    } catch (error) {
        if (isConflict(error)) {
            return null;
        }
        throw error;
    }
}

const cursorOf = (key: string): string => btoa(native.latin1Decode(encode(key)));

function keyOf(cursor: string): string {
    try {
        const text = atob(cursor);
        return native.utf8Decode(Uint8Array.from(text, (c) => c.charCodeAt(0)));
    } catch {
        throw fail("GET", 400, "Invalid cursor.");
    }
}

export const kvNamespace = (name: string): KVNamespace => new KVNamespace(ours, name);
