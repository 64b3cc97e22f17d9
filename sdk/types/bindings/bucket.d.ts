// SPDX-License-Identifier: Apache-2.0
//
// R2 buckets that are bound to the code (docs/buckets.md).

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
