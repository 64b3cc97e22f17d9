// SPDX-License-Identifier: Apache-2.0
//
// R2 buckets: what `env.NAME` is for a binding of kind "bucket". The host keeps objects (src/bucket) and is asked by
// requests of their own, so that bodies stream and workflows record what they see; here are the shapes of Workers R2.

import { native } from "../native.ts";

const KEYS_MAX = 1000, LIST_MAX = 1000, METADATA_BYTES_MAX = 8192;

type Body = ReadableStream | ArrayBuffer | ArrayBufferView | string | Blob | null;
type Sums = Record<string, string>;

interface Conditions {
    etagMatches?: string;
    etagDoesNotMatch?: string;
    uploadedBefore?: Date;
    uploadedAfter?: Date;
    secondsGranularity?: boolean;
}

interface HttpMetadata {
    contentType?: string;
    contentLanguage?: string;
    contentDisposition?: string;
    contentEncoding?: string;
    cacheControl?: string;
    cacheExpiry?: Date;
}

interface Row {
    key: string;
    version: string;
    size: number;
    etag: string;
    uploaded: number;
    metadata: { http: HttpMetadata & { cacheExpiry?: string | Date }; custom: Record<string, string>; sums: Sums };
    range?: { offset: number; length: number };
}

const HTTP_HEADERS: [keyof HttpMetadata, string][] = [
    ["contentType", "content-type"], ["contentLanguage", "content-language"],
    ["contentDisposition", "content-disposition"], ["contentEncoding", "content-encoding"],
    ["cacheControl", "cache-control"],
];
const SUMS = ["md5", "sha1", "sha256", "sha384", "sha512"];
/** Numbers that R2's errors have. */
const CODES: Record<string, number> = {
    invalid: 10005, not_found: 10007, too_large: 100100, conflict: 10031, limit_disk: 10013,
};

const ours = Symbol();

function need(caller: unknown): void {
    if (caller !== ours) {
        throw new TypeError("Illegal constructor");
    }
}

const hexOf = (bytes: Uint8Array): string => Array.from(bytes, (b) => b.toString(16).padStart(2, "0")).join("");

function bytesOfHex(text: string): ArrayBuffer {
    const bytes = new Uint8Array(text.length / 2);
    for (let at = 0; at < bytes.length; at++) {
        bytes[at] = parseInt(text.slice(2 * at, 2 * at + 2), 16);
    }
    return bytes.buffer;
}

class R2Checksums {
    declare md5?: ArrayBuffer;
    declare sha1?: ArrayBuffer;
    declare sha256?: ArrayBuffer;
    declare sha384?: ArrayBuffer;
    declare sha512?: ArrayBuffer;
    constructor(sums: Sums) {
        for (const name of SUMS) {
            if (sums[name] !== undefined) {
                this[name as "md5"] = bytesOfHex(sums[name]);
            }
        }
    }
    toJSON(): Sums {
        const json: Sums = {};
        for (const name of SUMS) {
            const bytes = this[name as "md5"];
            if (bytes) {
                json[name] = hexOf(new Uint8Array(bytes));
            }
        }
        return json;
    }
}

class R2Object {
    readonly key: string;
    readonly version: string;
    readonly size: number;
    readonly etag: string;
    readonly httpEtag: string;
    readonly uploaded: Date;
    readonly checksums: R2Checksums;
    readonly httpMetadata: HttpMetadata;
    readonly customMetadata: Record<string, string>;
    readonly range?: { offset: number; length: number };
    readonly storageClass = "Standard";

    constructor(caller: unknown, row: Row) {
        need(caller);
        const { http, custom, sums } = row.metadata;
        this.key = row.key;
        this.version = row.version;
        this.size = row.size;
        this.etag = row.etag;
        this.httpEtag = `"${row.etag}"`;
        this.uploaded = new Date(row.uploaded);
        this.checksums = new R2Checksums(sums);
        this.httpMetadata = { ...http };
        if (http.cacheExpiry !== undefined) {
            this.httpMetadata.cacheExpiry = new Date(http.cacheExpiry);
        }
        this.customMetadata = custom;
        if (row.range) {
            this.range = row.range;
        }
    }
    writeHttpMetadata(headers: Headers): void {
        for (const [member, header] of HTTP_HEADERS) {
            const value = this.httpMetadata[member];
            if (value !== undefined) {
                headers.set(header, value as string);
            }
        }
        if (this.httpMetadata.cacheExpiry) {
            headers.set("expires", this.httpMetadata.cacheExpiry.toUTCString());
        }
    }
}

class R2ObjectBody extends R2Object {
    #response: Response;

    constructor(caller: unknown, row: Row, response: Response) {
        super(caller, row);
        this.#response = response;
    }
    get body(): ReadableStream {
        return this.#response.body ?? new Blob([]).stream();
    }
    get bodyUsed(): boolean {
        return this.#response.bodyUsed;
    }
    arrayBuffer(): Promise<ArrayBuffer> {
        return this.#response.arrayBuffer();
    }
    async bytes(): Promise<Uint8Array> {
        return new Uint8Array(await this.#response.arrayBuffer());
    }
    text(): Promise<string> {
        return this.#response.text();
    }
    json<T>(): Promise<T> {
        return this.#response.json() as Promise<T>;
    }
    async blob(): Promise<Blob> {
        return new Blob([await this.#response.arrayBuffer()], { type: this.httpMetadata.contentType ?? "" });
    }
}

// --- what is asked ---------------------------------------------------------------------------------

function failure(what: string, code: string, message: string): Error {
    const number = CODES[code] ?? 10001;
    return Object.assign(new Error(`${what}: ${message} (${number})`), { code: number, kind: code });
}

async function ask(
    bucket: string, what: string, method: string, query: Record<string, string | number>, headers: Headers, body?: Body, more = "",
): Promise<Response> {
    const text = Object.entries(query).map(([name, value]) => `${name}=${encodeURIComponent(value)}`).join("&") + more;
    const init: RequestInit = { method, headers };
    if (body !== undefined && body !== null) {
        Object.assign(init, { body, duplex: "half" });
    }
    let response: Response;
    try {
        response = await native.fetchBucket(new Request(`https://bucket/?${text}`, init), bucket);
    } catch (error) {
        const { code, message } = error as { code?: string; message?: string };
        throw code === "invalid" || code === "not_found" || code === "forbidden" ? failure(what, code, String(message)) : error;
    }
    const refused = response.headers.get("limpet-error");
    if (refused !== null) {
        const [code, message] = refused.split(" ") as [string, string];
        throw failure(what, code, decodeURIComponent(message));
    }
    return response;
}

const rowOf = (response: Response): Row => JSON.parse(decodeURIComponent(response.headers.get("limpet-object")!)) as Row;

function httpMetadataOf(value: HttpMetadata | Headers | undefined): string {
    if (value === undefined || value === null) {
        return "";
    }
    const http: Record<string, string> = {};
    for (const [member, header] of HTTP_HEADERS) {
        const text = value instanceof Headers ? value.get(header) : value[member];
        if (text !== undefined && text !== null) {
            http[member] = String(text);
        }
    }
    const expiry = value instanceof Headers ? value.get("expires") : value.cacheExpiry;
    if (expiry !== undefined && expiry !== null) {
        http.cacheExpiry = new Date(expiry).toISOString();
    }
    return encodeURIComponent(JSON.stringify(http));
}

function customMetadataOf(what: string, value: Record<string, string> | undefined): string {
    if (value === undefined || value === null) {
        return "";
    }
    const custom: Record<string, string> = {};
    for (const [name, text] of Object.entries(value)) {
        custom[name] = String(text);
    }
    const json = JSON.stringify(custom);
    if (native.utf8Encode(json).length > METADATA_BYTES_MAX) {
        throw failure(what, "too_large", `Your metadata headers exceed the maximum allowed metadata size of ${METADATA_BYTES_MAX} bytes.`);
    }
    return encodeURIComponent(json);
}

const quoted = (etag: string): string => etag === "*" ? etag : `"${etag}"`;

function setConditions(headers: Headers, onlyIf: Conditions | Headers | undefined): void {
    if (onlyIf === undefined || onlyIf === null) {
        return;
    }
    if (onlyIf instanceof Headers) {
        for (const name of ["if-match", "if-none-match"]) {
            const value = onlyIf.get(name);
            if (value !== null) {
                headers.set(name, value);
            }
        }
        const since = Date.parse(onlyIf.get("if-modified-since") ?? ""), before = Date.parse(onlyIf.get("if-unmodified-since") ?? "");
        if (!Number.isNaN(since)) {
            headers.set("limpet-after", String(since + 999));
        }
        if (!Number.isNaN(before)) {
            headers.set("limpet-before", String(before + 1000));
        }
        return;
    }
    if (onlyIf.etagMatches !== undefined) {
        headers.set("if-match", quoted(onlyIf.etagMatches));
    }
    if (onlyIf.etagDoesNotMatch !== undefined) {
        headers.set("if-none-match", quoted(onlyIf.etagDoesNotMatch));
    }
    const coarse = (date: Date): number => onlyIf.secondsGranularity ? Math.floor(date.getTime() / 1000) * 1000 : date.getTime();
    if (onlyIf.uploadedBefore !== undefined) {
        headers.set("limpet-before", String(coarse(onlyIf.uploadedBefore)));
    }
    if (onlyIf.uploadedAfter !== undefined) {
        headers.set("limpet-after", String(coarse(onlyIf.uploadedAfter) + (onlyIf.secondsGranularity ? 999 : 0)));
    }
}

function rangeOf(range: { offset?: number; length?: number; suffix?: number } | Headers): string | null {
    if (range instanceof Headers) {
        return range.get("range");
    }
    const { offset, length, suffix } = range;
    for (const value of [offset, length, suffix]) {
        if (value !== undefined && !(Number.isSafeInteger(value) && value >= 0)) {
            throw new RangeError(`Invalid range: ${value} is no whole number`);
        }
    }
    if (suffix !== undefined) {
        if (offset !== undefined || length !== undefined) {
            throw new TypeError("Suffix is incompatible with offset or length.");
        }
        return `bytes=-${suffix}`;
    }
    const from = offset ?? 0;
    if (length === 0) {
        throw new RangeError("Invalid range: length is 0");
    }
    return `bytes=${from}-${length === undefined ? "" : from + length - 1}`;
}

function sumsOf(options: Record<string, unknown>): string {
    const given = SUMS.filter((name) => options[name] !== undefined && options[name] !== null);
    if (given.length > 1) {
        throw new TypeError("You cannot specify multiple hashing algorithms.");
    }
    const name = given[0];
    if (name === undefined) {
        return "";
    }
    const value = options[name];
    const hex = typeof value === "string" ? value.toLowerCase()
        : hexOf(value instanceof ArrayBuffer ? new Uint8Array(value)
            : new Uint8Array((value as Uint8Array).buffer as ArrayBuffer, (value as Uint8Array).byteOffset, (value as Uint8Array).byteLength));
    return `${name}=${hex}`;
}

function bodyOf(value: unknown): Body {
    if (value === null || typeof value === "string" || value instanceof ArrayBuffer || ArrayBuffer.isView(value) || value instanceof Blob
        || value instanceof ReadableStream) {
        return value as Body;
    }
    throw new TypeError("put() accepts strings, ArrayBuffers, ArrayBufferViews, Blobs, ReadableStreams and null");
}

function setMetadata(
    what: string, headers: Headers,
    options: { httpMetadata?: HttpMetadata | Headers; customMetadata?: Record<string, string> } | undefined,
): void {
    const http = httpMetadataOf(options?.httpMetadata), custom = customMetadataOf(what, options?.customMetadata);
    if (http !== "") {
        headers.set("limpet-http", http);
    }
    if (custom !== "") {
        headers.set("limpet-custom", custom);
    }
}

class R2MultipartUpload {
    readonly key: string;
    readonly uploadId: string;
    #bucket: string;

    constructor(caller: unknown, bucket: string, key: string, uploadId: string) {
        need(caller);
        this.#bucket = bucket;
        this.key = key;
        this.uploadId = uploadId;
    }
    async uploadPart(partNumber: number, value: Body): Promise<{ partNumber: number; etag: string }> {
        const query = { op: "part", upload: this.uploadId, number: partNumber };
        const response = await ask(this.#bucket, "uploadPart", "PUT", query, new Headers(), bodyOf(value));
        const part = await response.json() as { partNumber: number; etag: string };
        return { partNumber: part.partNumber, etag: part.etag };
    }
    async abort(): Promise<void> {
        await ask(this.#bucket, "abortMultipartUpload", "DELETE", { op: "upload", upload: this.uploadId }, new Headers());
    }
    async complete(parts: { partNumber: number; etag: string }[]): Promise<R2Object> {
        const sorted = parts.map(({ partNumber, etag }) => ({ partNumber, etag })).sort((a, b) => a.partNumber - b.partNumber);
        const query = { op: "complete", upload: this.uploadId };
        return new R2Object(
            ours, rowOf(await ask(this.#bucket, "completeMultipartUpload", "POST", query, new Headers(), JSON.stringify(sorted))),
        );
    }
}

class R2Bucket {
    #name: string;

    constructor(caller: unknown, name: string) {
        need(caller);
        this.#name = name;
    }

    async head(key: string): Promise<R2Object | null> {
        const response = await ask(this.#name, "head", "HEAD", { op: "object", key: String(key) }, new Headers());
        return response.status === 404 ? null : new R2Object(ours, rowOf(response));
    }

    async get(
        key: string,
        options?: { onlyIf?: Conditions | Headers; range?: { offset?: number; length?: number; suffix?: number } | Headers },
    ): Promise<R2Object | R2ObjectBody | null> {
        const headers = new Headers();
        setConditions(headers, options?.onlyIf);
        const range = options?.range ? rangeOf(options.range) : null;
        if (range !== null) {
            headers.set("range", range);
        }
        const response = await ask(this.#name, "get", "GET", { op: "object", key: String(key) }, headers);
        if (response.status === 404) {
            return null;
        }
        if (response.status === 416) {
            throw Object.assign(new Error("get: The requested range is not satisfiable (10039)"), { code: 10039 });
        }
        const row = rowOf(response);
        if (response.status >= 300) {
            void response.body?.cancel();
            return new R2Object(ours, row);
        }
        return new R2ObjectBody(ours, row, response);
    }

    async put(
        key: string, value: Body,
        options?: { onlyIf?: Conditions | Headers; httpMetadata?: HttpMetadata | Headers; customMetadata?: Record<string, string> },
    ): Promise<R2Object | null> {
        const headers = new Headers();
        setConditions(headers, options?.onlyIf);
        setMetadata("put", headers, options);
        const sums = options ? sumsOf(options as Record<string, unknown>) : "";
        if (sums !== "") {
            headers.set("limpet-sums", sums);
        }
        const response = await ask(this.#name, "put", "PUT", { op: "object", key: String(key) }, headers, bodyOf(value));
        return response.status === 412 ? null : new R2Object(ours, rowOf(response));
    }

    async delete(keys: string | string[]): Promise<void> {
        const list = Array.isArray(keys) ? keys : [keys];
        if (list.length > KEYS_MAX) {
            throw failure("delete", "invalid", `At most ${KEYS_MAX} keys can be deleted in one call.`);
        }
        await Promise.all(list.map((key) => ask(this.#name, "delete", "DELETE", { op: "object", key: String(key) }, new Headers())));
    }

    async list(
        options: { prefix?: string; delimiter?: string; cursor?: string; startAfter?: string; limit?: number; include?: string[] } = {},
    ): Promise<unknown> {
        const limit = options.limit ?? LIST_MAX;
        if (!(limit >= 1 && limit <= LIST_MAX)) {
            throw failure("list", "invalid", `MaxKeys params must be positive integer <= ${LIST_MAX}.`);
        }
        const query = {
            op: "list", prefix: options.prefix ?? "", delimiter: options.delimiter ?? "", after: options.startAfter ?? "", limit,
        };
        const cursor = options.cursor ?? "";
        if (!/^[\w.~%-]*$/.test(cursor)) {
            throw failure("list", "invalid", "The cursor is none of this bucket's.");
        }
        const response = await ask(this.#name, "list", "GET", query, new Headers(), undefined, cursor === "" ? "" : `&cursor=${cursor}`);
        const answer = await response.json() as { objects: Row[]; prefixes: string[]; cursor?: string };
        return {
            objects: answer.objects.map((row) => new R2Object(ours, row)),
            truncated: answer.cursor !== undefined,
            ...(answer.cursor === undefined ? {} : { cursor: answer.cursor }),
            delimitedPrefixes: answer.prefixes,
        };
    }

    async createMultipartUpload(
        key: string, options?: { httpMetadata?: HttpMetadata | Headers; customMetadata?: Record<string, string> },
    ): Promise<R2MultipartUpload> {
        const headers = new Headers();
        setMetadata("createMultipartUpload", headers, options);
        const response = await ask(this.#name, "createMultipartUpload", "POST", { op: "upload", key: String(key) }, headers);
        const { uploadId } = await response.json() as { uploadId: string };
        return new R2MultipartUpload(ours, this.#name, String(key), uploadId);
    }

    resumeMultipartUpload(key: string, uploadId: string): R2MultipartUpload {
        return new R2MultipartUpload(ours, this.#name, String(key), String(uploadId));
    }

    get [Symbol.toStringTag](): string {
        return "R2Bucket";
    }
}

export default { bucket: (name: string): R2Bucket => new R2Bucket(ours, name) };
