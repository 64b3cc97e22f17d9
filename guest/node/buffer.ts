// SPDX-License-Identifier: Apache-2.0
//
// node:buffer. A Buffer is a Uint8Array with Node's methods; texts are coded by the engine. There is no pool:
// each Buffer has memory of its own, which is zeroed.

import { native, objectFromUrl } from "limpet:internal";
import { coded, invalidArgType, invalidArgValue, outOfRange, received } from "./internal/errors.ts";
import { normalEncoding, type Encoding } from "./internal/encoding.ts";
import { fieldMethods } from "./internal/buffer-fields.ts";
import { validateInteger, validateNumber } from "./internal/validate.ts";

export const kMaxLength = 2 ** 32;
export const kStringMaxLength = 2 ** 30 - 25;
export const constants = { MAX_LENGTH: kMaxLength, MAX_STRING_LENGTH: kStringMaxLength };
export let INSPECT_MAX_BYTES = 50;
const customInspect = Symbol.for("nodejs.util.inspect.custom");

class FastBuffer extends Uint8Array<ArrayBuffer> {
    // eslint-disable-next-line @typescript-eslint/no-useless-constructor
    constructor(source?: any, offset?: any, length?: any) {
        super(source, offset, length);
    }
}

/** Buffer itself, which can be called without `new`. */
export const Buffer: any = function Buffer(value: any, encodingOrOffset?: any, length?: any) {
    if (typeof value === "number") {
        if (typeof encodingOrOffset === "string") {
            throw invalidArgType("string", "string", value);
        }
        return Buffer.alloc(value);
    }
    return Buffer.from(value, encodingOrOffset, length);
};
Buffer.prototype = FastBuffer.prototype;
Object.setPrototypeOf(Buffer, Uint8Array);
Object.defineProperty(Buffer.prototype, "constructor", { value: Buffer, writable: true, configurable: true, enumerable: false });
Object.defineProperty(Buffer, Symbol.species, { configurable: true, enumerable: false, get: () => FastBuffer });
Buffer.poolSize = 8192;

function wrap(bytes: Uint8Array): any {
    return new FastBuffer(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** A view, without a copy, on the bytes of anything that has some. */
function viewOf(value: ArrayBufferView): Uint8Array {
    return value instanceof Uint8Array ? value : new Uint8Array(value.buffer, value.byteOffset, value.byteLength);
}

const isAnyBuffer = (value: any): value is ArrayBuffer => value instanceof ArrayBuffer
    || (typeof SharedArrayBuffer === "function" && value instanceof SharedArrayBuffer)
    || ["[object ArrayBuffer]", "[object SharedArrayBuffer]"].includes(Object.prototype.toString.call(value));

function validateSize(size: unknown): void {
    validateNumber(size, "size", 0, kMaxLength);
}

/* ---- texts ---- */

const base64Codes = new Uint8Array(128).fill(255);
for (const [i, c] of [..."ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"].entries()) {
    base64Codes[c.charCodeAt(0)] = i;
}
base64Codes[43] = base64Codes[45] = 62; // + -
base64Codes[47] = base64Codes[95] = 63; // / _

/** As Node decodes: both alphabets, what is neither is passed over, "=" ends it. */
function base64Lenient(text: string): Uint8Array<ArrayBuffer> {
    const out = new Uint8Array(Math.ceil(text.length * 3 / 4));
    let length = 0, bits = 0, count = 0;
    for (let i = 0; i < text.length; i++) {
        const c = text.charCodeAt(i);
        if (c === 61) {
            break;
        }
        const code = c < 128 ? base64Codes[c]! : 255;
        if (code === 255) {
            continue;
        }
        bits = bits << 6 | code;
        count += 6;
        if (count >= 8) {
            count -= 8;
            out[length++] = bits >> count & 255;
        }
    }
    return out.subarray(0, length);
}

function base64Bytes(text: string): Uint8Array<ArrayBuffer> {
    const isUrl = /[-_]/.test(text);
    try {
        return (Uint8Array as any).fromBase64(text, { alphabet: isUrl ? "base64url" : "base64" });
    } catch {
        return base64Lenient(text);
    }
}

function hexDigit(c: number): number {
    return c >= 48 && c <= 57 ? c - 48 : c >= 97 && c <= 102 ? c - 87 : c >= 65 && c <= 70 ? c - 55 : -1;
}

function hexBytes(text: string): Uint8Array<ArrayBuffer> {
    if (text.length % 2 === 0) {
        try {
            return (Uint8Array as any).fromHex(text);
        } catch {
            // up to what is no digit, below
        }
    }
    const out = new Uint8Array(text.length >>> 1);
    for (let i = 0; i < out.length; i++) {
        const high = hexDigit(text.charCodeAt(2 * i)), low = hexDigit(text.charCodeAt(2 * i + 1));
        if (high < 0 || low < 0) {
            return out.subarray(0, i);
        }
        out[i] = high << 4 | low;
    }
    return out;
}

function latin1Bytes(text: string): Uint8Array<ArrayBuffer> {
    const out = new Uint8Array(text.length);
    for (let i = 0; i < text.length; i++) {
        out[i] = text.charCodeAt(i);
    }
    return out;
}

function utf16Bytes(text: string): Uint8Array<ArrayBuffer> {
    const units = new Uint16Array(text.length);
    for (let i = 0; i < text.length; i++) {
        units[i] = text.charCodeAt(i);
    }
    return new Uint8Array(units.buffer);
}

function bytesOfText(text: string, encoding: Encoding): Uint8Array<ArrayBuffer> {
    switch (encoding) {
    case "utf8":
        return native.utf8Encode(text);
    case "hex":
        return hexBytes(text);
    case "base64":
    case "base64url":
        return base64Bytes(text);
    case "utf16le":
        return utf16Bytes(text);
    default:
        return latin1Bytes(text);
    }
}

function textOfUnits(bytes: Uint8Array): string {
    const even = bytes.length & ~1;
    const aligned = bytes.byteOffset % 2 ? Uint8Array.prototype.slice.call(bytes, 0, even) : bytes;
    const units = new Uint16Array(aligned.buffer, aligned.byteOffset, even / 2);
    let text = "";
    for (let i = 0; i < units.length; i += 4096) {
        text += String.fromCharCode.apply(null, units.subarray(i, i + 4096) as unknown as number[]);
    }
    return text;
}

function textOfBytes(bytes: Uint8Array, encoding: Encoding): string {
    switch (encoding) {
    case "utf8":
        return native.utf8Decode(bytes);
    case "hex":
        return (bytes as any).toHex();
    case "base64":
        return (bytes as any).toBase64();
    case "base64url":
        return (bytes as any).toBase64({ alphabet: "base64url", omitPadding: true });
    case "utf16le":
        return textOfUnits(bytes);
    case "ascii":
        return native.latin1Decode(Uint8Array.from(bytes, (b) => b & 127));
    default:
        return native.latin1Decode(bytes);
    }
}

function encodingOf(encoding: unknown, fallback: Encoding = "utf8"): Encoding {
    if (encoding === undefined || encoding === null || encoding === "") {
        return fallback;
    }
    const known = normalEncoding(encoding);
    if (!known) {
        throw coded(TypeError, "ERR_UNKNOWN_ENCODING", `Unknown encoding: ${String(encoding)}`);
    }
    return known;
}

/* ---- making ---- */

function fromText(text: string, encoding: unknown): any {
    const known = encodingOf(typeof encoding === "string" ? encoding : undefined);
    const bytes = bytesOfText(text, known);
    return bytes.byteLength === bytes.buffer.byteLength ? wrap(bytes) : wrap(bytes.slice());
}

function fromArrayBuffer(value: ArrayBuffer, offset: any, length: any): any {
    offset = offset === undefined ? 0 : Number.isNaN(+offset) ? 0 : +offset;
    const left = value.byteLength - offset;
    if (left < 0) {
        throw coded(RangeError, "ERR_BUFFER_OUT_OF_BOUNDS", '"offset" is outside of buffer bounds');
    }
    if (length === undefined) {
        length = left;
    } else {
        length = +length;
        if (!(length > 0)) {
            length = 0;
        } else if (length > left) {
            throw coded(RangeError, "ERR_BUFFER_OUT_OF_BOUNDS", '"length" is outside of buffer bounds');
        }
    }
    return new FastBuffer(value, offset, length);
}

function fromArrayLike(value: ArrayLike<number>): any {
    const out = new FastBuffer(value.length > 0 ? Math.floor(value.length) : 0);
    if (out.length > 0) {
        out.set(value as any, 0);
    }
    return out;
}

function fromObject(value: any): any {
    if (value.length !== undefined || isAnyBuffer(value.buffer)) {
        return typeof value.length !== "number" ? new FastBuffer(0) : fromArrayLike(value);
    }
    if (value.type === "Buffer" && Array.isArray(value.data)) {
        return fromArrayLike(value.data);
    }
    return undefined;
}

Buffer.from = function from(value: any, encodingOrOffset?: any, length?: any): any {
    if (typeof value === "string") {
        return fromText(value, encodingOrOffset);
    }
    if (typeof value === "object" && value !== null) {
        if (isAnyBuffer(value)) {
            return fromArrayBuffer(value, encodingOrOffset, length);
        }
        const plain = value.valueOf && value.valueOf();
        if (plain !== null && plain !== undefined && plain !== value && (typeof plain === "string" || typeof plain === "object")) {
            return Buffer.from(plain, encodingOrOffset, length);
        }
        const made = fromObject(value);
        if (made) {
            return made;
        }
        if (typeof value[Symbol.toPrimitive] === "function") {
            const primitive = value[Symbol.toPrimitive]("string");
            if (typeof primitive === "string") {
                return fromText(primitive, encodingOrOffset);
            }
        }
    }
    throw coded(TypeError, "ERR_INVALID_ARG_TYPE",
        `The first argument must be of type string or an instance of Buffer, ArrayBuffer, or Array or an Array-like Object.${received(value)}`);
};

Buffer.copyBytesFrom = function copyBytesFrom(view: any, offset?: number, length?: number): any {
    if (!ArrayBuffer.isView(view) || view instanceof DataView) {
        throw invalidArgType("view", "TypedArray", view);
    }
    const array = view as any;
    const from = offset ?? 0;
    if (offset !== undefined) {
        validateInteger(offset, "offset", 0);
    }
    if (length !== undefined) {
        validateInteger(length, "length", 0);
    }
    const part = array.subarray(from, length === undefined ? array.length : from + length);
    return wrap(new Uint8Array(part.buffer, part.byteOffset, part.byteLength).slice());
};

Buffer.of = function of(...items: number[]): any {
    return fromArrayLike(items);
};

Buffer.alloc = function alloc(size: number, fill?: any, encoding?: any): any {
    validateSize(size);
    if (encoding !== undefined && typeof encoding !== "string") {
        throw invalidArgType("encoding", "string", encoding);
    }
    const out: any = new FastBuffer(size);
    return fill !== undefined && fill !== 0 && size > 0 ? out.fill(fill, encoding) : out;
};

Buffer.allocUnsafe = function allocUnsafe(size: number): any {
    validateSize(size);
    return new FastBuffer(size);
};

Buffer.allocUnsafeSlow = function allocUnsafeSlow(size: number): any {
    validateSize(size);
    return new FastBuffer(size);
};

export function SlowBuffer(size: number): any {
    validateSize(size);
    return new FastBuffer(size);
}
Object.setPrototypeOf(SlowBuffer.prototype, Uint8Array.prototype);
Object.setPrototypeOf(SlowBuffer, Uint8Array);

Buffer.isBuffer = function isBuffer(value: any): boolean {
    return value instanceof Buffer;
};

Buffer.isEncoding = function isEncoding(encoding: any): boolean {
    return typeof encoding === "string" && encoding.length !== 0 && normalEncoding(encoding) !== undefined;
};

function compareBytes(a: Uint8Array, b: Uint8Array): number {
    const length = Math.min(a.length, b.length);
    for (let i = 0; i < length; i++) {
        if (a[i] !== b[i]) {
            return a[i]! < b[i]! ? -1 : 1;
        }
    }
    return Math.sign(a.length - b.length);
}

Buffer.compare = function compare(a: any, b: any): number {
    if (!(a instanceof Uint8Array)) {
        throw invalidArgType("buf1", ["Buffer", "Uint8Array"], a);
    }
    if (!(b instanceof Uint8Array)) {
        throw invalidArgType("buf2", ["Buffer", "Uint8Array"], b);
    }
    return a === b ? 0 : compareBytes(a, b);
};

Buffer.concat = function concat(list: any, length?: any): any {
    if (!Array.isArray(list)) {
        throw invalidArgType("list", "Array", list);
    }
    if (list.length === 0) {
        return new FastBuffer(0);
    }
    if (length === undefined) {
        length = 0;
        for (const one of list) {
            if (one?.length) {
                length += one.length;
            }
        }
    } else {
        validateInteger(length, "length", 0);
    }
    const out = Buffer.allocUnsafe(length);
    let at = 0;
    for (let i = 0; i < list.length; i++) {
        const one = list[i];
        if (!(one instanceof Uint8Array)) {
            throw invalidArgType(`list[${i}]`, ["Buffer", "Uint8Array"], one);
        }
        const part = one.length > length - at ? one.subarray(0, length - at) : one;
        out.set(part, at);
        at += part.length;
    }
    return out;
};

function base64Length(text: string): number {
    let length = text.length;
    if (text.charCodeAt(length - 1) === 61) {
        length--;
    }
    if (length > 1 && text.charCodeAt(length - 1) === 61) {
        length--;
    }
    return (length * 3) >>> 2;
}

Buffer.byteLength = function byteLength(value: any, encoding?: any): number {
    if (typeof value !== "string") {
        if (ArrayBuffer.isView(value) || isAnyBuffer(value)) {
            return value.byteLength;
        }
        throw invalidArgType("string", ["string", "Buffer", "ArrayBuffer"], value);
    }
    switch (typeof encoding === "string" ? normalEncoding(encoding) ?? "utf8" : "utf8") {
    case "latin1":
    case "ascii":
        return value.length;
    case "utf16le":
        return value.length * 2;
    case "hex":
        return value.length >>> 1;
    case "base64":
    case "base64url":
        return base64Length(value);
    default:
        return native.utf8Encode(value).length;
    }
};

/* ---- methods ---- */

const methods: Record<string, any> = {
    toString(this: any, encoding?: any, start?: any, end?: any): string {
        if (arguments.length === 0) {
            return textOfBytes(this, "utf8");
        }
        const length = this.length;
        start = start === undefined || !(start > 0) ? 0 : start >= length ? length : Math.trunc(start) || 0;
        if (start >= length) {
            return "";
        }
        end = end === undefined || end > length ? length : Math.trunc(end) || 0;
        if (end <= start) {
            return "";
        }
        return textOfBytes(this.subarray(start, end), encodingOf(encoding));
    },

    equals(this: any, other: any): boolean {
        if (!(other instanceof Uint8Array)) {
            throw invalidArgType("otherBuffer", ["Buffer", "Uint8Array"], other);
        }
        return this === other || (this.byteLength === other.byteLength && native.equalBytes(this, other as any));
    },

    compare(this: any, target: any, targetStart?: any, targetEnd?: any, start?: any, end?: any): number {
        if (!(target instanceof Uint8Array)) {
            throw invalidArgType("target", ["Buffer", "Uint8Array"], target);
        }
        const bound = (value: any, name: string, fallback: number, max: number): number => {
            if (value === undefined) {
                return fallback;
            }
            validateInteger(value, name, 0, max);
            return value;
        };
        const tFrom = bound(targetStart, "targetStart", 0, Number.MAX_SAFE_INTEGER);
        const tTo = bound(targetEnd, "targetEnd", target.length, target.length);
        const from = bound(start, "sourceStart", 0, Number.MAX_SAFE_INTEGER);
        const to = bound(end, "sourceEnd", this.length, this.length);
        if (from >= to) {
            return tFrom >= tTo ? 0 : -1;
        }
        return tFrom >= tTo ? 1 : compareBytes(this.subarray(from, to), target.subarray(tFrom, tTo));
    },

    copy(this: any, target: any, targetStart?: any, sourceStart?: any, sourceEnd?: any): number {
        if (!(this instanceof Uint8Array)) {
            throw invalidArgType("source", ["Buffer", "Uint8Array"], this);
        }
        if (!(target instanceof Uint8Array)) {
            throw invalidArgType("target", ["Buffer", "Uint8Array"], target);
        }
        const integer = (value: any, fallback: number): number => (value === undefined ? fallback
            : Number.isNaN(+value) ? 0 : Math.trunc(+value));
        const to = integer(targetStart, 0);
        if (to < 0) {
            throw outOfRange("targetStart", ">= 0", to);
        }
        if (to >= target.length) {
            return 0;
        }
        const from = integer(sourceStart, 0);
        if (from < 0 || from > this.length) {
            throw outOfRange("sourceStart", `>= 0 && <= ${this.length}`, from);
        }
        let end = integer(sourceEnd, this.length);
        if (end < 0) {
            throw outOfRange("sourceEnd", ">= 0", end);
        }
        end = Math.min(end, this.length, from + target.length - to);
        if (end <= from) {
            return 0;
        }
        target.set(Uint8Array.prototype.subarray.call(this, from, end), to);
        return end - from;
    },

    slice(this: any, start?: any, end?: any): any {
        return this.subarray(start, end);
    },

    write(this: any, text: any, offset?: any, length?: any, encoding?: any): number {
        if (typeof text !== "string") {
            throw coded(TypeError, "ERR_INVALID_ARG_TYPE", "argument must be a string");
        }
        if (offset === undefined) {
            return put(this, text, 0, this.length, "utf8");
        }
        if (length === undefined && typeof offset === "string") {
            return put(this, text, 0, this.length, encodingOf(offset));
        }
        validateInteger(offset, "offset", 0, this.length);
        const left = this.length - offset;
        if (length === undefined) {
            length = left;
        } else if (typeof length === "string") {
            encoding = length;
            length = left;
        } else {
            validateInteger(length, "length", 0, this.length);
            length = Math.min(length, left);
        }
        return put(this, text, offset, length, encodingOf(encoding));
    },

    fill(this: any, value: any, offset?: any, end?: any, encoding?: any): any {
        if (typeof value === "string") {
            if (offset === undefined || typeof offset === "string") {
                [offset, end, encoding] = [undefined, undefined, offset];
            } else if (typeof end === "string") {
                [end, encoding] = [undefined, end];
            }
            if (typeof encoding !== "string" && encoding !== undefined) {
                throw invalidArgType("encoding", "string", encoding);
            }
        }
        const known = typeof value === "string" ? encodingOf(encoding) : "utf8";
        let from = 0, to = this.length;
        if (offset !== undefined) {
            validateNumber(offset, "offset", 0, this.length);
            from = Math.trunc(offset);
        }
        if (end !== undefined) {
            validateNumber(end, "end", 0, this.length);
            to = Math.trunc(end);
        }
        if (from >= to) {
            return this;
        }
        const pattern = typeof value === "string" ? (value.length ? bytesOfText(value, known) : new Uint8Array(1))
            : ArrayBuffer.isView(value) ? viewOf(value) : undefined;
        if (!pattern || pattern.length === 1) {
            Uint8Array.prototype.fill.call(this, pattern ? pattern[0]! : typeof value === "boolean" ? +value : value & 255, from, to);
            return this;
        }
        if (pattern.length === 0) {
            throw invalidArgValue("value", value);
        }
        let done = Math.min(pattern.length, to - from);
        Uint8Array.prototype.set.call(this, pattern.subarray(0, done), from);
        while (from + done < to) { // what is there, doubled
            const part = Math.min(done, to - from - done);
            this.copyWithin(from + done, from, from + part);
            done += part;
        }
        return this;
    },

    toJSON(this: any): any {
        return { type: "Buffer", data: Array.from(this) };
    },

    indexOf(this: any, value: any, offset?: any, encoding?: any): number {
        return search(this, value, offset, encoding, true);
    },
    lastIndexOf(this: any, value: any, offset?: any, encoding?: any): number {
        return search(this, value, offset, encoding, false);
    },
    includes(this: any, value: any, offset?: any, encoding?: any): boolean {
        return search(this, value, offset, encoding, true) !== -1;
    },

    swap16(this: any): any {
        return swap(this, 2);
    },
    swap32(this: any): any {
        return swap(this, 4);
    },
    swap64(this: any): any {
        return swap(this, 8);
    },

    [customInspect](this: any, depth: number, options: any, inspect: any): string {
        const shown = Math.min(INSPECT_MAX_BYTES, this.length);
        let text = (Uint8Array.prototype.subarray.call(this, 0, shown) as any).toHex().replace(/(.{2})(?=.)/g, "$1 ");
        const rest = this.length - shown;
        if (rest > 0) {
            text += ` ... ${rest} more byte${rest > 1 ? "s" : ""}`;
        }
        const extras = Object.keys(this).filter((key) => !/^\d+$/.test(key));
        if (extras.length && options) {
            const fields = extras.map((key) => `${key}: ${inspect(this[key], { ...options, breakLength: Infinity, compact: true })}`);
            text += `${this.length ? ", " : ""}${fields.join(", ")}`;
        }
        return `<${this.constructor.name}${text ? ` ${text}` : ""}>`;
    },
};
methods.toLocaleString = methods.toString;

/** Puts as much of a text as there is room for; only whole characters. */
function put(buffer: Uint8Array, text: string, offset: number, length: number, encoding: Encoding): number {
    let bytes = bytesOfText(encoding === "hex" ? text.slice(0, length * 2) : text, encoding);
    if (bytes.length > length) {
        let end = length;
        if (encoding === "utf8") {
            while (end > 0 && (bytes[end]! & 0xc0) === 0x80) {
                end--;
            }
        } else if (encoding === "utf16le") {
            end &= ~1;
        }
        bytes = bytes.subarray(0, end);
    }
    Uint8Array.prototype.set.call(buffer, bytes, offset);
    return bytes.length;
}

function searchBytes(buffer: Uint8Array, needle: Uint8Array, from: number, isForward: boolean, step: number): number {
    const last = buffer.length - needle.length;
    if (!isForward) {
        for (let i = Math.min(from, last); i >= 0; i--) {
            let k = 0;
            while (k < needle.length && buffer[i + k] === needle[k]) {
                k++;
            }
            if (k === needle.length && i % step === 0) {
                return i;
            }
        }
        return -1;
    }
    for (let i = from; i <= last; i++) {
        i = Uint8Array.prototype.indexOf.call(buffer, needle[0]!, i);
        if (i < 0 || i > last) {
            return -1;
        }
        let k = 1;
        while (k < needle.length && buffer[i + k] === needle[k]) {
            k++;
        }
        if (k === needle.length && i % step === 0) {
            return i;
        }
    }
    return -1;
}

function search(buffer: any, value: any, offset: any, encoding: any, isForward: boolean): number {
    if (typeof offset === "string") {
        encoding = offset;
        offset = undefined;
    } else if (offset > 0x7fffffff) {
        offset = 0x7fffffff;
    } else if (offset < -0x80000000) {
        offset = -0x80000000;
    }
    offset = +offset;
    if (Number.isNaN(offset)) {
        offset = isForward ? 0 : buffer.length || buffer.byteLength;
    }
    offset = Math.trunc(offset);
    const known = typeof value === "string" ? encodingOf(encoding) : normalEncoding(encoding) ?? "utf8";
    if (typeof value === "number") {
        const byte = value >>> 0 & 255;
        return isForward ? Uint8Array.prototype.indexOf.call(buffer, byte, offset)
            : buffer.length ? Uint8Array.prototype.lastIndexOf.call(buffer, byte, offset) : -1;
    }
    if (typeof value !== "string" && !(value instanceof Uint8Array)) {
        throw invalidArgType("value", ["number", "string", "Buffer", "Uint8Array"], value);
    }
    const needle = typeof value === "string" ? bytesOfText(value, known) : value;
    let from = offset < 0 ? offset + buffer.length : offset;
    if (from < 0) {
        if (!isForward) {
            return -1;
        }
        from = 0;
    }
    if (needle.length === 0) {
        return Math.min(from, buffer.length);
    }
    if (from >= buffer.length && isForward) {
        return -1;
    }
    return searchBytes(buffer, needle, from, isForward, known === "utf16le" ? 2 : 1);
}

function swap(buffer: Uint8Array, size: number): Uint8Array {
    if (buffer.length % size !== 0) {
        throw coded(RangeError, "ERR_INVALID_BUFFER_SIZE", `Buffer size must be a multiple of ${size * 8}-bits`);
    }
    for (let i = 0; i < buffer.length; i += size) {
        for (let k = 0; k < size / 2; k++) {
            const kept = buffer[i + k]!;
            buffer[i + k] = buffer[i + size - 1 - k]!;
            buffer[i + size - 1 - k] = kept;
        }
    }
    return buffer;
}

for (const encoding of ["ascii", "base64", "base64url", "latin1", "hex", "utf8", "ucs2", "utf16le"] as const) {
    const known = normalEncoding(encoding)!;
    methods[`${encoding}Slice`] = function (this: any, start = 0, end = this.length): string {
        return textOfBytes(this.subarray(start, end), known);
    };
    methods[`${encoding}Write`] = function (this: any, text: string, offset = 0, length = this.length - offset): number {
        return put(this, text, offset, length, known);
    };
}

for (const table of [methods, fieldMethods]) {
    for (const name of Reflect.ownKeys(table)) {
        Object.defineProperty(Buffer.prototype, name, {
            value: (table as any)[name], writable: true, enumerable: typeof name === "string", configurable: true,
        });
    }
}
for (const name of ["parent", "offset"]) {
    Object.defineProperty(Buffer.prototype, name, {
        enumerable: true,
        get(this: any) {
            return this instanceof Buffer ? (name === "parent" ? this.buffer : this.byteOffset) : undefined;
        },
    });
}

/* ---- the module's functions ---- */

export function transcode(source: any, from: string, to: string): any {
    if (!(source instanceof Uint8Array)) {
        throw invalidArgType("source", ["Buffer", "Uint8Array"], source);
    }
    if (source.length === 0) {
        return Buffer.alloc(0);
    }
    const known = [normalEncoding(from), normalEncoding(to)];
    if (!known.every((one) => one && ["utf8", "utf16le", "latin1", "ascii"].includes(one))) {
        throw Object.assign(new Error("Unable to transcode Buffer [U_ILLEGAL_ARGUMENT_ERROR]"), { code: "U_ILLEGAL_ARGUMENT_ERROR", errno: 1 });
    }
    const text = textOfBytes(source, known[0]!);
    if (known[1] === "latin1" || known[1] === "ascii") {
        const max = known[1] === "ascii" ? 127 : 255;
        return Buffer.from(Array.from(text, (c) => (c.codePointAt(0)! > max ? 63 : c.charCodeAt(0))));
    }
    return fromText(text, known[1]);
}

function bytesChecked(value: any): Uint8Array {
    if (ArrayBuffer.isView(value)) {
        return viewOf(value);
    }
    if (isAnyBuffer(value)) {
        return new Uint8Array(value);
    }
    throw invalidArgType("input", ["ArrayBuffer", "Buffer", "TypedArray"], value);
}

export function isAscii(value: any): boolean {
    return bytesChecked(value).every((b) => b < 128);
}

export function isUtf8(value: any): boolean {
    try {
        new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytesChecked(value) as any);
        return true;
    } catch (error) {
        if ((error as any)?.code === "ERR_INVALID_ARG_TYPE") {
            throw error;
        }
        return false;
    }
}

export function resolveObjectURL(url: string): Blob | undefined {
    try {
        return objectFromUrl(`${url}`);
    } catch {
        return undefined;
    }
}

export const Blob = globalThis.Blob;
export const File = globalThis.File;
export const atob = globalThis.atob;
export const btoa = globalThis.btoa;

const all: any = {
    Buffer, SlowBuffer, Blob, File, atob, btoa, constants, isAscii, isUtf8, kMaxLength, kStringMaxLength, resolveObjectURL, transcode,
};
Object.defineProperty(all, "INSPECT_MAX_BYTES", {
    configurable: true, enumerable: true, get: () => INSPECT_MAX_BYTES,
    set(value: number) {
        validateNumber(value, "INSPECT_MAX_BYTES", 0);
        INSPECT_MAX_BYTES = value;
    },
});
export default all;
