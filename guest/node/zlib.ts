// SPDX-License-Identifier: Apache-2.0
//
// node:zlib on the host's codecs, which work at their usual levels: options about level, memory and strategy are checked and
// change nothing but the size. Dictionaries are not there.

import { native } from "limpet:internal";
import { Buffer } from "./buffer.ts";
import { coded, invalidArgType, outOfRange, unavailable } from "./internal/errors.ts";
import { nextTick } from "./internal/tick.ts";
import { validateFunction, validateInteger } from "./internal/validate.ts";
import { codes, constants } from "./internal/zlib-constants.ts";
import Stream from "./stream.ts";

export { codes, constants };

/** The numbers of op CODEC_NEW. */
const DEFLATE = 0, RAW = 1, GZIP = 2, BROTLI = 3, ZSTD = 4;
const PIECE_BYTES = 64 * 1024;

function bytesOf(data: any): Uint8Array {
    if (typeof data === "string") {
        return Buffer.from(data);
    }
    if (ArrayBuffer.isView(data)) {
        return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
    }
    if (data instanceof ArrayBuffer || (typeof SharedArrayBuffer === "function" && data instanceof SharedArrayBuffer)) {
        return new Uint8Array(data as ArrayBuffer);
    }
    throw invalidArgType("buffer", ["string", "Buffer", "TypedArray", "DataView", "ArrayBuffer"], data);
}

function failure(code: string, errno: number, message: string): Error {
    return Object.assign(new Error(message), { code, errno });
}

/** zlib's words for a stream that begins like this and cannot be read. */
function dataError(format: number, head: Uint8Array): Error {
    if (format === BROTLI) {
        return Object.assign(new TypeError("Decompression failed"), { code: "ERR__ERROR_FORMAT_PADDING_1", errno: -2 });
    }
    if (format === ZSTD) {
        return failure("ZSTD_error_prefix_unknown", -10, "Unknown frame descriptor");
    }
    const isHeadBad = format === GZIP ? head.length >= 2 && (head[0] !== 0x1f || head[1] !== 0x8b)
        : format === DEFLATE && head.length >= 2 && ((head[0]! & 15) !== 8 || (head[0]! * 256 + head[1]!) % 31 !== 0);
    return failure("Z_DATA_ERROR", -3, isHeadBad ? "incorrect header check" : "invalid stored block lengths");
}

/** One codec of the host's. */
class Coder {
    #codec: number | undefined;
    #format: number;
    #isDecoder: boolean;
    #isOver = false;
    #head = new Uint8Array(0);
    constructor(format: number, isDecoder: boolean) {
        this.#format = format;
        this.#isDecoder = isDecoder;
    }
    get isOver(): boolean {
        return this.#isOver;
    }
    /** Gives it bytes; each piece that comes out goes to put. How many it has not taken, since the stream ended before. */
    run(bytes: Uint8Array, isLast: boolean, put: (piece: any) => void): number {
        if (this.#isOver) {
            return bytes.length;
        }
        if (bytes.length === 0 && !isLast) {
            return 0;
        }
        if (this.#head.length < 2 && bytes.length) {
            this.#head = bytes.slice(0, 2);
        }
        this.#codec ??= native.codecNew(this.#format, this.#isDecoder);
        let at = 0;
        for (;;) {
            const piece = bytes.subarray(at, at + PIECE_BYTES);
            const ends = isLast && at + piece.length === bytes.length;
            let result;
            try {
                result = native.codecRun(this.#codec!, piece as any, ends);
            } catch (error) {
                this.#codec = undefined;
                this.#isOver = true;
                if ((error as any).code !== "invalid") {
                    throw error;
                }
                if (this.#isDecoder && ends && /end|truncat|short|incomplete/i.test((error as Error).message)) {
                    throw failure("Z_BUF_ERROR", -5, "unexpected end of file");
                }
                throw dataError(this.#format, this.#head);
            }
            const [taken, isOver, out] = result;
            if (out) {
                put(Buffer.from(out.buffer, out.byteOffset, out.byteLength));
            }
            at += taken;
            if (isOver) {
                this.#isOver = true;
                this.end();
                return bytes.length - at;
            }
            if (!(out && out.length >= PIECE_BYTES) && at >= bytes.length) {
                return 0;
            }
        }
    }
    end(): void {
        if (this.#codec !== undefined) {
            native.codecEnd(this.#codec);
            this.#codec = undefined;
        }
        this.#isOver = true;
    }
}

interface Kind {
    name: string;
    format: number;
    isDecoder: boolean;
    detects?: boolean; // Unzip: gzip or deflate
}

const kinds: Kind[] = [
    { name: "Deflate", format: DEFLATE, isDecoder: false }, { name: "Inflate", format: DEFLATE, isDecoder: true },
    { name: "Gzip", format: GZIP, isDecoder: false }, { name: "Gunzip", format: GZIP, isDecoder: true },
    { name: "DeflateRaw", format: RAW, isDecoder: false }, { name: "InflateRaw", format: RAW, isDecoder: true },
    { name: "Unzip", format: GZIP, isDecoder: true, detects: true },
    { name: "BrotliCompress", format: BROTLI, isDecoder: false }, { name: "BrotliDecompress", format: BROTLI, isDecoder: true },
    { name: "ZstdCompress", format: ZSTD, isDecoder: false }, { name: "ZstdDecompress", format: ZSTD, isDecoder: true },
];

function checkOptions(options: any, kind: Kind): any {
    options ??= {};
    const check = (name: string, min: number, max: number): void => {
        const value = options[name];
        if (value === undefined || Number.isNaN(value)) {
            return;
        }
        if (typeof value !== "number") {
            throw invalidArgType(`options.${name}`, "number", value);
        }
        if (!Number.isFinite(value)) {
            throw outOfRange(`options.${name}`, "a finite number", value);
        }
        if (value < min || value > max) {
            throw outOfRange(`options.${name}`, `>= ${min} and <= ${max}`, value);
        }
    };
    check("chunkSize", 64, Infinity);
    check("maxOutputLength", 1, 2 ** 53);
    if (kind.format <= GZIP) {
        check("flush", 0, 5);
        check("finishFlush", 0, 5);
        check("windowBits", kind.isDecoder ? 0 : 8, 15);
        check("level", -1, 9);
        check("memLevel", 1, 9);
        check("strategy", 0, 4);
    }
    if (options.dictionary !== undefined) {
        throw unavailable("options.dictionary", "the host's codecs have no dictionaries");
    }
    return options;
}

/** Codes a whole. */
function all(kind: Kind, data: any, options: any): any {
    const bytes = bytesOf(data);
    options = checkOptions(options, kind);
    const max = options.maxOutputLength ?? 2 ** 31 - 1;
    const parts: any[] = [];
    let length = 0, left = bytes;
    const format = kind.detects && !(bytes[0] === 0x1f && bytes[1] === 0x8b) ? DEFLATE : kind.format;
    for (;;) {
        const coder = new Coder(format, kind.isDecoder);
        try {
            const isWhole = !(kind.isDecoder && options.finishFlush === constants.Z_SYNC_FLUSH);
            const rest = coder.run(left, isWhole, (piece) => {
                parts.push(piece);
                length += piece.length;
                if (length > max) {
                    throw coded(RangeError, "ERR_BUFFER_TOO_LARGE", `Cannot create a Buffer larger than ${max} bytes`);
                }
            });
            if (kind.isDecoder && !coder.isOver) {
                if (options.finishFlush === constants.Z_SYNC_FLUSH) {
                    break;
                }
                throw failure("Z_BUF_ERROR", -5, "unexpected end of file");
            }
            left = left.subarray(left.length - rest);
        } finally {
            coder.end();
        }
        if (!(kind.isDecoder && format === GZIP && left.length >= 2 && left[0] === 0x1f && left[1] === 0x8b)) {
            break; // what follows is no further member
        }
    }
    const out = parts.length === 1 ? parts[0] : Buffer.concat(parts);
    return options.info ? { buffer: out, engine: new (classes[kind.name])(options) } : out;
}

/* ---- streams ---- */

const classes: Record<string, any> = {};

/** What all of them are instances of. */
function ZlibBase(this: any, options: any, kind: Kind): void {
    Stream.Transform.call(this, { ...options, highWaterMark: options?.highWaterMark, transform: undefined, flush: undefined, final: undefined });
    this.bytesWritten = 0;
    this._kind = kind;
    this._coder = undefined;
    this._finishFlush = options?.finishFlush;
    this._maxOutput = options?.maxOutputLength;
    this._closed = false;
    this._isEnded = false;
    this._members = 0;
}
Object.setPrototypeOf(ZlibBase.prototype, Stream.Transform.prototype);
Object.setPrototypeOf(ZlibBase, Stream.Transform);

/** Gives bytes to the stream's codec; a gzip file may have several members, and garbage behind them, which is passed over. */
function run(stream: any, bytes: Uint8Array, isLast: boolean): void {
    const kind: Kind = stream._kind;
    for (let left = bytes; !stream._isEnded;) {
        if (!stream._coder) {
            const isGzip = left[0] === 0x1f && (left.length < 2 || left[1] === 0x8b);
            if (kind.isDecoder && left.length === 0) {
                return;
            }
            if (stream._members > 0 && !isGzip) {
                stream._isEnded = true;
                return;
            }
            stream._coder = new Coder(kind.detects && !isGzip ? DEFLATE : kind.format, kind.isDecoder);
        }
        const rest = stream._coder.run(left, isLast, (piece: any) => stream.push(piece));
        if (!stream._coder.isOver) {
            return;
        }
        left = left.subarray(left.length - rest);
        stream._coder = undefined;
        stream._members++;
        stream._isEnded = !kind.isDecoder || kind.format !== GZIP;
    }
}

Object.assign(ZlibBase.prototype, {
    _transform(this: any, chunk: any, encoding: any, callback: any): void {
        try {
            const bytes = typeof chunk === "string" ? Buffer.from(chunk, encoding) : bytesOf(chunk);
            this.bytesWritten += bytes.length;
            run(this, bytes, false);
        } catch (error) {
            callback(error);
            return;
        }
        callback();
    },
    _flush(this: any, callback: any): void {
        const { isDecoder } = this._kind;
        try {
            const isCut = isDecoder && this._finishFlush === constants.Z_SYNC_FLUSH;
            if (!isCut && (this._coder || !isDecoder)) {
                run(this, new Uint8Array(0), true);
                if (isDecoder && this._coder) {
                    throw failure("Z_BUF_ERROR", -5, "unexpected end of file");
                }
            }
        } catch (error) {
            callback(error);
            return;
        }
        callback();
    },
    _destroy(this: any, error: any, callback: any): void {
        this._coder?.end();
        this._coder = undefined;
        this._closed = true;
        callback(error);
    },
    flush(this: any, kind: any, callback?: any): void {
        if (typeof kind === "function") {
            callback = kind;
        }
        if (this.writableLength === 0) {
            callback && nextTick(callback);
        } else {
            this.write(Buffer.alloc(0), "", callback);
        }
    },
    close(this: any, callback?: any): void {
        if (callback) {
            Stream.finished(this, () => callback());
        }
        this.destroy();
    },
    reset(this: any): void {
        this._coder?.end();
        this._coder = undefined;
        this._isEnded = false;
        this._members = 0;
    },
    params(this: any, level: any, strategy: any, callback: any): void {
        nextTick(callback);
    },
});

for (const kind of kinds) {
    const Class: any = { [kind.name]: function (this: any, options?: any): any {
        if (!(this instanceof Class)) {
            return new Class(options);
        }
        (ZlibBase as any).call(this, checkOptions(options, kind), kind);
        return this;
    } }[kind.name];
    Object.setPrototypeOf(Class.prototype, ZlibBase.prototype);
    Object.setPrototypeOf(Class, ZlibBase);
    classes[kind.name] = Class;
}

export const { Deflate, Inflate, Gzip, Gunzip, DeflateRaw, InflateRaw, Unzip, BrotliCompress, BrotliDecompress, ZstdCompress, ZstdDecompress } = classes;

const make = (kind: Kind): any => (options?: any): any => new (classes[kind.name])(options);
const now = (kind: Kind): any => (data: any, options?: any): any => all(kind, data, options);
const later = (kind: Kind): any => (data: any, options: any, callback?: any): void => {
    if (typeof options === "function") {
        [options, callback] = [{}, options];
    }
    validateFunction(callback, "callback");
    bytesOf(data);
    checkOptions(options, kind);
    setImmediate(() => {
        let result: any;
        try {
            result = all(kind, data, options);
        } catch (error) {
            callback(error);
            return;
        }
        callback(null, result);
    });
};
const named = (name: string): Kind => kinds.find((kind) => kind.name === name)!;

export const createDeflate = make(named("Deflate")), deflate = later(named("Deflate")), deflateSync = now(named("Deflate"));
export const createInflate = make(named("Inflate")), inflate = later(named("Inflate")), inflateSync = now(named("Inflate"));
export const createGzip = make(named("Gzip")), gzip = later(named("Gzip")), gzipSync = now(named("Gzip"));
export const createGunzip = make(named("Gunzip")), gunzip = later(named("Gunzip")), gunzipSync = now(named("Gunzip"));
export const createDeflateRaw = make(named("DeflateRaw")), deflateRaw = later(named("DeflateRaw")), deflateRawSync = now(named("DeflateRaw"));
export const createInflateRaw = make(named("InflateRaw")), inflateRaw = later(named("InflateRaw")), inflateRawSync = now(named("InflateRaw"));
export const createUnzip = make(named("Unzip")), unzip = later(named("Unzip")), unzipSync = now(named("Unzip"));
export const createBrotliCompress = make(named("BrotliCompress")), brotliCompress = later(named("BrotliCompress")), brotliCompressSync = now(named("BrotliCompress"));
export const createBrotliDecompress = make(named("BrotliDecompress")), brotliDecompress = later(named("BrotliDecompress")), brotliDecompressSync = now(named("BrotliDecompress"));
export const createZstdCompress = make(named("ZstdCompress")), zstdCompress = later(named("ZstdCompress")), zstdCompressSync = now(named("ZstdCompress"));
export const createZstdDecompress = make(named("ZstdDecompress")), zstdDecompress = later(named("ZstdDecompress")), zstdDecompressSync = now(named("ZstdDecompress"));

const table = new Uint32Array(256);
for (let n = 0; n < 256; n++) {
    let c = n;
    for (let k = 0; k < 8; k++) {
        c = c & 1 ? 0xedb88320 ^ c >>> 1 : c >>> 1;
    }
    table[n] = c;
}

export function crc32(data: any, value = 0): number {
    if (typeof data !== "string" && !ArrayBuffer.isView(data)) {
        throw invalidArgType("data", ["Buffer", "TypedArray", "DataView", "string"], data);
    }
    validateInteger(value, "value", 0, 2 ** 32 - 1);
    let c = value ^ -1;
    for (const byte of bytesOf(data)) {
        c = table[(c ^ byte) & 255]! ^ c >>> 8;
    }
    return (c ^ -1) >>> 0;
}

const all_: any = {
    codes, constants, crc32, ...classes,
    createDeflate, deflate, deflateSync, createInflate, inflate, inflateSync, createGzip, gzip, gzipSync, createGunzip, gunzip,
    gunzipSync, createDeflateRaw, deflateRaw, deflateRawSync, createInflateRaw, inflateRaw, inflateRawSync, createUnzip, unzip,
    unzipSync, createBrotliCompress, brotliCompress, brotliCompressSync, createBrotliDecompress, brotliDecompress,
    brotliDecompressSync, createZstdCompress, zstdCompress, zstdCompressSync, createZstdDecompress, zstdDecompress,
    zstdDecompressSync,
};
for (const [name, value] of Object.entries(constants)) {
    if (/^Z_|^(DEFLATE|INFLATE|GZIP|GUNZIP|DEFLATERAW|INFLATERAW|UNZIP)$/.test(name)) {
        Object.defineProperty(all_, name, { value, enumerable: false });
    }
}
export default all_;
