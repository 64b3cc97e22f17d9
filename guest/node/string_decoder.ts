// SPDX-License-Identifier: Apache-2.0
//
// node:string_decoder. Keeps what is less than a character until the rest of it comes.

import { Buffer } from "./buffer.ts";
import { normalEncoding } from "./internal/encoding.ts";
import { coded, invalidArgType } from "./internal/errors.ts";

/** Bytes at the end that begin a UTF-8 character whose rest is missing. */
function utf8Begun(bytes: Uint8Array): number {
    for (let back = 1; back <= Math.min(3, bytes.length); back++) {
        const b = bytes[bytes.length - back]!;
        if ((b & 0xc0) === 0x80) {
            continue;
        }
        const need = b >= 0xf0 && b <= 0xf4 ? 4 : b >= 0xe0 && b < 0xf0 ? 3 : b >= 0xc2 && b < 0xe0 ? 2 : 1;
        if (need <= back) {
            return 0;
        }
        if (back > 1) { // is what follows the first byte still part of something valid?
            const second = bytes[bytes.length - back + 1]!;
            const isBad = (b === 0xe0 && second < 0xa0) || (b === 0xed && second > 0x9f)
                || (b === 0xf0 && second < 0x90) || (b === 0xf4 && second > 0x8f);
            if (isBad) {
                return 0;
            }
        }
        return back;
    }
    return 0;
}

function unfinished(bytes: Uint8Array, encoding: string): number {
    switch (encoding) {
    case "utf8":
        return utf8Begun(bytes);
    case "utf16le": {
        const odd = bytes.length % 2;
        const last = bytes.length - odd;
        return last >= 2 && bytes[last - 1]! >= 0xd8 && bytes[last - 1]! <= 0xdb ? odd + 2 : odd;
    }
    case "base64":
    case "base64url":
        return bytes.length % 3;
    default:
        return 0;
    }
}

export function StringDecoder(this: any, encoding?: string): any {
    const known = normalEncoding(encoding);
    if (!known) {
        throw coded(TypeError, "ERR_UNKNOWN_ENCODING", `Unknown encoding: ${encoding}`);
    }
    this.encoding = known;
    Object.defineProperty(this, "kept", { value: Buffer.alloc(0), writable: true, enumerable: false });
}

StringDecoder.prototype.write = function write(this: any, chunk: any): string {
    if (typeof chunk === "string") {
        return chunk;
    }
    if (!ArrayBuffer.isView(chunk)) {
        throw invalidArgType("buf", ["Buffer", "TypedArray", "DataView"], chunk);
    }
    if (this?.kept === undefined) {
        throw coded(TypeError, "ERR_INVALID_THIS", 'Value of "this" must be of type StringDecoder');
    }
    let bytes = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength);
    if (this.encoding === "utf16le" && this.kept.length === 1 && bytes.length) { // Node gives this unit at once, whatever it is
        const unit = Buffer.from([this.kept[0], bytes[0]]).toString("utf16le");
        this.kept = Buffer.alloc(0);
        return unit + this.write(bytes.subarray(1));
    }
    if (this.kept.length) {
        bytes = Buffer.concat([this.kept, bytes]);
    }
    const rest = unfinished(bytes, this.encoding);
    this.kept = rest ? Buffer.from(bytes.subarray(bytes.length - rest)) : Buffer.alloc(0);
    return bytes.toString(this.encoding, 0, bytes.length - rest);
};

StringDecoder.prototype.end = function end(this: any, chunk?: any): string {
    let text = chunk === undefined ? "" : this.write(chunk);
    if (this.kept.length) {
        text += this.kept.toString(this.encoding);
        this.kept = Buffer.alloc(0);
    }
    return text;
};

StringDecoder.prototype.text = function text(this: any, chunk: any, offset: number): string {
    this.kept = Buffer.alloc(0);
    return this.write(chunk.subarray(offset));
};

Object.defineProperties(StringDecoder.prototype, {
    lastNeed: {
        configurable: true, enumerable: true,
        get(this: any): number {
            const { kept, encoding } = this;
            if (!kept.length) {
                return 0;
            }
            if (encoding === "utf8") {
                const b = kept[0]!;
                return (b >= 0xf0 ? 4 : b >= 0xe0 ? 3 : 2) - kept.length;
            }
            return encoding === "utf16le" ? (kept.length % 2 ? 1 : 2) : 3 - kept.length;
        },
    },
    lastTotal: {
        configurable: true, enumerable: true,
        get(this: any): number {
            return this.kept.length ? this.kept.length + this.lastNeed : 0;
        },
    },
    lastChar: {
        configurable: true, enumerable: true,
        get(this: any): any {
            const out = Buffer.alloc(4);
            this.kept.copy(out);
            return out;
        },
    },
});

export default { StringDecoder };
