// SPDX-License-Identifier: Apache-2.0
//
// node:zlib on the host's codecs (op CODEC_NEW and its kin).

import { native } from "limpet:internal";
import { Buffer } from "./buffer.ts";
import { coded, invalidArgType, outOfRange } from "./internal/errors.ts";
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

/** enum coder_flush (src/coding/coder.h). */
const NO_FLUSH = 0, FINISH = 1, SYNC = 2, FULL = 3, PARTIAL = 4, BLOCK = 5;
/** Of Z_NO_FLUSH and on; brotli's and zstd's are 0: process, 1: flush, 2: finish. */
const zlibFlushes = [NO_FLUSH, PARTIAL, SYNC, FULL, FINISH, BLOCK], otherFlushes = [NO_FLUSH, SYNC, FINISH];
/** enum coder_setting. */
const LEVEL = 0, STRATEGY = 1, WINDOW = 2, MEMORY = 3;

interface Settings {
    values: number[]; // pairs
    dictionary: Uint8Array;
}

const zstdCodes: Record<string, [string, number]> = {
    "Unknown frame descriptor": ["ZSTD_error_prefix_unknown", -10], "Data corruption detected": ["ZSTD_error_corruption_detected", -20],
    "Restored data doesn't match checksum": ["ZSTD_error_checksum_wrong", -22], "Src size is incorrect": ["ZSTD_error_srcSize_wrong", -72],
};

/** Node's error for what the host says of data: the library's own words stand at the end of its text, in brackets. */
function dataError(format: number, text: string): Error {
    const reason = /\(([^()]*)\)$/.exec(text)?.[1] ?? "";
    if (format === BROTLI) {
        const name = reason.startsWith("_") ? reason : `_ERROR_FORMAT_${reason || "PADDING_1"}`;
        return Object.assign(new TypeError("Decompression failed"), { code: `ERR_${name}`, errno: -2 });
    }
    if (format === ZSTD) {
        const [code, errno] = zstdCodes[reason] ?? ["ZSTD_error_corruption_detected", -20];
        return failure(code, errno, reason || "Data corruption detected");
    }
    return /^(Missing|Bad) dictionary$/.test(reason) ? failure("Z_NEED_DICT", constants.Z_NEED_DICT!, reason)
        : failure("Z_DATA_ERROR", constants.Z_DATA_ERROR!, reason || "invalid stored block lengths");
}

/** One codec of the host's. */
class Coder {
    #codec: number | undefined;
    #format: number;
    #isDecoder: boolean;
    #isOver = false;
    #settings: Settings;
    constructor(format: number, isDecoder: boolean, settings: Settings) {
        this.#format = format;
        this.#isDecoder = isDecoder;
        this.#settings = settings;
    }
    get isOver(): boolean {
        return this.#isOver;
    }
    #open(): number {
        if (this.#codec === undefined) {
            this.#codec = native.codecNew(this.#format, this.#isDecoder);
            const { values, dictionary } = this.#settings;
            if (values.length || dictionary.length) {
                native.codecSet(this.#codec, new Int32Array(values), dictionary);
            }
        }
        return this.#codec;
    }
    /** Level and strategy of what follows. */
    change(values: number[]): void {
        native.codecSet(this.#open(), new Int32Array(values), new Uint8Array(0));
    }
    /** Gives it bytes; each piece that comes out goes to put. How many it has not taken, since the stream ended before. */
    run(bytes: Uint8Array, flush: number, put: (piece: any) => void): number {
        if (this.#isOver) {
            return bytes.length;
        }
        if (bytes.length === 0 && flush === NO_FLUSH) {
            return 0;
        }
        this.#open();
        let at = 0;
        for (;;) {
            const piece = bytes.subarray(at, at + PIECE_BYTES);
            const isEnd = at + piece.length === bytes.length;
            let result;
            try {
                result = native.codecRun(this.#codec!, piece as any, isEnd ? flush : NO_FLUSH);
            } catch (error) {
                this.#codec = undefined;
                this.#isOver = true;
                const { code, message } = error as any;
                if (code !== "invalid") {
                    throw error;
                }
                throw / it ends early$/.test(message) ? failure("Z_BUF_ERROR", -5, "unexpected end of file") : dataError(this.#format, message);
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

function checkNumber(name: string, value: any, min: number, max: number): number | undefined {
    if (value === undefined || Number.isNaN(value)) {
        return undefined;
    }
    if (typeof value !== "number") {
        throw invalidArgType(name, "number", value);
    }
    if (!Number.isFinite(value)) {
        throw outOfRange(name, "a finite number", value);
    }
    if (value < min || value > max) {
        throw outOfRange(name, `>= ${min} and <= ${max}`, value);
    }
    return value;
}

const BROTLI_PARAM_MAX = 9, ZSTD_LEVEL_PARAM = 100;

/** Parameters of brotli and zstd: of these the quality or level is used. */
function checkParams(params: any, kind: Kind, values: number[]): void {
    if (params !== undefined && params !== null && typeof params !== "object") {
        throw invalidArgType("options.params", "Object", params);
    }
    const [name, level] = kind.format === BROTLI ? ["Brotli", constants.BROTLI_PARAM_QUALITY!] : ["ZSTD", ZSTD_LEVEL_PARAM];
    for (const [key, value] of Object.entries<any>(params ?? {})) {
        const number = Number(key);
        if (!Number.isInteger(number) || number < 0 || (kind.format === BROTLI && number > BROTLI_PARAM_MAX)) {
            throw coded(RangeError, `ERR_${name.toUpperCase()}_INVALID_PARAM`, `${key} is not a valid ${name} parameter`);
        }
        if (typeof value !== "number" && typeof value !== "boolean") {
            throw invalidArgType("options.params[key]", "number", value);
        }
        if (number === level && !kind.isDecoder) {
            values.push(LEVEL, Number(value));
        }
    }
}

/** Options that were checked, and what the host is told of them. */
function settingsOf(options: any, kind: Kind): Settings {
    options = typeof options === "object" && options !== null ? options : {};
    const values: number[] = [];
    const take = (setting: number, name: string, min: number, max: number): void => {
        const value = checkNumber(`options.${name}`, options[name], min, max);
        if (value !== undefined && (setting === WINDOW || !kind.isDecoder)) {
            values.push(setting, value);
        }
    };
    const flushMax = kind.format <= GZIP ? constants.Z_BLOCK! : otherFlushes.length - 1 + (kind.format === BROTLI ? 1 : 0);
    checkNumber("options.chunkSize", options.chunkSize, 64, Infinity);
    checkNumber("options.flush", options.flush, 0, flushMax);
    checkNumber("options.finishFlush", options.finishFlush, 0, flushMax);
    checkNumber("options.maxOutputLength", options.maxOutputLength, 1, 2 ** 53);
    let dictionary = new Uint8Array(0);
    if (kind.format > GZIP) {
        checkParams(options.params, kind, values);
    } else {
        const mayBeZero = kind.isDecoder && kind.format !== RAW;
        if (options.windowBits === null || (options.windowBits === 0 && mayBeZero)) {
            values.push(...kind.isDecoder && kind.format !== RAW ? [WINDOW, 0] : []);
        } else {
            take(WINDOW, "windowBits", 8, 15);
        }
        take(LEVEL, "level", -1, 9);
        take(MEMORY, "memLevel", 1, 9);
        take(STRATEGY, "strategy", 0, 4);
        if (options.dictionary !== undefined && options.dictionary !== null) {
            if (!ArrayBuffer.isView(options.dictionary) && !(options.dictionary instanceof ArrayBuffer)) {
                throw invalidArgType("options.dictionary", ["Buffer", "TypedArray", "DataView", "ArrayBuffer"], options.dictionary);
            }
            dictionary = kind.format === GZIP ? dictionary : bytesOf(options.dictionary).slice();
        }
    }
    return { values, dictionary };
}

const flushOf = (kind: Kind, flag: number): number => (kind.format <= GZIP ? zlibFlushes : otherFlushes)[flag] ?? SYNC;

const tooLarge = (max: number): Error => coded(RangeError, "ERR_BUFFER_TOO_LARGE", `Cannot create a Buffer larger than ${max} bytes`);

/** A decoder that is not asked to finish takes what ends early for what there is. */
const isCutAllowed = (kind: Kind, finishFlush: number | undefined): boolean => kind.isDecoder && finishFlush !== undefined
    && finishFlush !== (kind.format <= GZIP ? constants.Z_FINISH : 2);

/** Codes a whole. */
function all(kind: Kind, data: any, options: any): any {
    const bytes = bytesOf(data);
    const settings = settingsOf(options, kind);
    options ??= {};
    const max = options.maxOutputLength ?? 2 ** 31 - 1;
    const parts: any[] = [];
    let length = 0, left = bytes;
    const format = kind.detects && !(bytes[0] === 0x1f && bytes[1] === 0x8b) ? DEFLATE : kind.format;
    for (;;) {
        const coder = new Coder(format, kind.isDecoder, settings);
        try {
            const isCut = isCutAllowed(kind, options.finishFlush);
            const finish = kind.isDecoder ? FINISH : flushOf(kind, options.finishFlush ?? (kind.format <= GZIP ? constants.Z_FINISH! : 2));
            const rest = coder.run(left, isCut ? NO_FLUSH : finish, (piece) => {
                parts.push(piece);
                length += piece.length;
                if (length > max) {
                    throw tooLarge(max);
                }
            });
            if (kind.isDecoder && !coder.isOver) {
                if (isCut) {
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

/** The empty pieces that flush() has written -> Node's number of the kind. */
const flushMarks = new WeakMap<Uint8Array, number>();

/** What all of them are instances of. */
function ZlibBase(this: any, options: any, kind: Kind): void {
    this._settings = settingsOf(options, kind);
    Stream.Transform.call(this, { ...options, highWaterMark: options?.highWaterMark, transform: undefined, flush: undefined, final: undefined });
    this.bytesWritten = 0;
    this._kind = kind;
    this._coder = undefined;
    this._flushFlag = options?.flush ?? 0;
    this._finishFlush = options?.finishFlush;
    this._level = options?.level ?? constants.Z_DEFAULT_COMPRESSION;
    this._strategy = options?.strategy ?? constants.Z_DEFAULT_STRATEGY;
    this._maxOutput = options?.maxOutputLength ?? Infinity;
    this._outputBytes = 0;
    this._closed = false;
    this._isEnded = false;
    this._members = 0;
}
Object.setPrototypeOf(ZlibBase.prototype, Stream.Transform.prototype);
Object.setPrototypeOf(ZlibBase, Stream.Transform);

/** Gives bytes to the stream's codec; a gzip file may have several members, and garbage behind them, which is passed over. */
function run(stream: any, bytes: Uint8Array, flush: number): void {
    const kind: Kind = stream._kind;
    let left = bytes;
    while (!stream._isEnded) {
        if (!stream._coder) {
            const isGzip = left[0] === 0x1f && (left.length < 2 || left[1] === 0x8b);
            if (kind.isDecoder && left.length === 0) {
                return;
            }
            if (stream._members > 0 && !isGzip) {
                stream._isEnded = true;
                break;
            }
            stream._coder = new Coder(kind.detects && !isGzip ? DEFLATE : kind.format, kind.isDecoder, stream._settings);
        }
        const rest = stream._coder.run(left, flush, (piece: any) => {
            stream._outputBytes += piece.length;
            if (stream._outputBytes > stream._maxOutput) {
                throw tooLarge(stream._maxOutput);
            }
            stream.push(piece);
        });
        if (!stream._coder.isOver) {
            return;
        }
        left = left.subarray(left.length - rest);
        stream._coder = undefined;
        stream._members++;
        stream._isEnded = !kind.isDecoder || kind.format !== GZIP;
    }
    if (kind.isDecoder && left.length) { // what follows the end was not written, and nothing comes of it
        stream.bytesWritten -= left.length;
        stream.push(null);
    }
}

Object.assign(ZlibBase.prototype, {
    _transform(this: any, chunk: any, encoding: any, callback: any): void {
        try {
            const bytes = typeof chunk === "string" ? Buffer.from(chunk, encoding) : bytesOf(chunk);
            this.bytesWritten += bytes.length;
            run(this, bytes, this._kind.isDecoder ? NO_FLUSH : flushOf(this._kind, flushMarks.get(chunk) ?? this._flushFlag));
        } catch (error) {
            callback(error);
            return;
        }
        callback();
    },
    _flush(this: any, callback: any): void {
        const kind: Kind = this._kind, { isDecoder } = kind;
        try {
            if (!isDecoder) {
                run(this, new Uint8Array(0), this._finishFlush === undefined ? FINISH : flushOf(kind, this._finishFlush));
            } else if (this._coder && !isCutAllowed(kind, this._finishFlush)) {
                run(this, new Uint8Array(0), FINISH);
                if (this._coder) {
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
    /** What was written before comes out: an empty piece goes the way of all others, with the kind of flush. */
    flush(this: any, kind?: any, callback?: any): void {
        if (typeof kind === "function") {
            [kind, callback] = [undefined, kind];
        }
        if (this.writableFinished) {
            callback && nextTick(callback);
        } else if (this.writableEnded) {
            callback && this.once("end", callback);
        } else {
            const mark = Buffer.alloc(0);
            flushMarks.set(mark, kind ?? (this._kind.format <= GZIP ? constants.Z_FULL_FLUSH! : constants.BROTLI_OPERATION_FLUSH!));
            this.write(mark, "", callback);
        }
    },
    /** Codes a piece at once: what packages do that know Node's inside. */
    _processChunk(this: any, chunk: any, flag: any, callback?: any): any {
        if (callback) {
            this._transform(chunk, "", callback);
            return undefined;
        }
        const parts: any[] = [], push = this.push;
        this.push = (piece: any) => parts.push(piece);
        try {
            run(this, bytesOf(chunk), this._kind.isDecoder ? NO_FLUSH : flushOf(this._kind, flag));
        } finally {
            this.push = push;
        }
        return Buffer.concat(parts);
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
        checkNumber("level", level, -1, 9);
        checkNumber("strategy", strategy, 0, 4);
        if (this._kind.isDecoder || (this._level === level && this._strategy === strategy)) {
            nextTick(callback);
            return;
        }
        this.flush(constants.Z_SYNC_FLUSH, (error: any) => {
            if (error || this.destroyed) {
                callback?.(error);
                return;
            }
            this._coder ??= new Coder(this._kind.format, this._kind.isDecoder, this._settings);
            this._coder.change([LEVEL, level, STRATEGY, strategy]);
            Object.assign(this, { _level: level, _strategy: strategy });
            callback?.();
        });
    },
});

for (const kind of kinds) {
    const Class: any = { [kind.name]: function (this: any, options?: any): any {
        if (!(this instanceof Class)) {
            return new Class(options);
        }
        (ZlibBase as any).call(this, options, kind);
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
    settingsOf(options, kind);
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
