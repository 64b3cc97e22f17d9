// SPDX-License-Identifier: Apache-2.0
//
// Buffer's methods for numbers: readUInt8() to writeDoubleBE(), made from a table of types.

import { coded, invalidArgType, outOfRange } from "./errors.ts";
import { validateNumber } from "./validate.ts";

type Bytes = Uint8Array;

function failBounds(value: any, length: number, name = "offset"): never {
    validateNumber(value, name);
    if (Math.floor(value) !== value) {
        throw outOfRange(name, "an integer", value);
    }
    if (length < 0) {
        throw coded(RangeError, "ERR_BUFFER_OUT_OF_BOUNDS", "Attempt to access memory outside buffer bounds");
    }
    throw outOfRange(name, `>= ${name === "offset" ? 0 : 1} and <= ${length}`, value);
}

/** The offset of a field of so many bytes. */
function check(buffer: Bytes, offset: any, size: number): number {
    if (typeof offset !== "number") {
        validateNumber(offset, "offset");
    }
    if (!(offset >= 0 && offset + size <= buffer.length) || Math.floor(offset) !== offset) {
        failBounds(offset, buffer.length - size);
    }
    return offset;
}

function checkSize(size: any): void {
    if (size === undefined) {
        throw invalidArgType("byteLength", "number", size);
    }
    if (!(size >= 1 && size <= 6) || Math.floor(size) !== size) {
        failBounds(size, 6, "byteLength");
    }
}

/** bits: how the range is said: as a power of two, or 0, as numbers. */
function checkValue(value: number | bigint, min: number | bigint, max: number | bigint, bits: number): void {
    if (value <= max && value >= min) {
        return;
    }
    const n = typeof min === "bigint" ? "n" : "";
    const range = !bits ? `>= ${min}${n} and <= ${max}${n}`
        : min === 0 || min === 0n ? `>= 0${n} and < 2${n} ** ${bits}${n}`
            : `>= -(2${n} ** ${bits - 1}${n}) and < 2${n} ** ${bits - 1}${n}`;
    throw outOfRange("value", range, value);
}

function readUnsigned(buffer: Bytes, offset: number, size: number, isLittle: boolean): number {
    let value = 0;
    for (let i = 0; i < size; i++) {
        value = value * 256 + buffer[isLittle ? offset + size - 1 - i : offset + i]!;
    }
    return value;
}

function readSigned(buffer: Bytes, offset: number, size: number, isLittle: boolean): number {
    const value = readUnsigned(buffer, offset, size, isLittle);
    const half = 2 ** (8 * size - 1);
    return value >= half ? value - 2 * half : value;
}

function writeNumber(buffer: Bytes, value: number, offset: number, size: number, isLittle: boolean): number {
    for (let i = 0; i < size; i++) {
        const at = isLittle ? offset + i : offset + size - 1 - i;
        buffer[at] = value;
        value = Math.floor(value / 256);
    }
    return offset + size;
}

export const fieldMethods: Record<string, any> = {};

function add(names: string[], fn: any): void {
    Object.defineProperty(fn, "name", { value: names[0] });
    for (const name of names) {
        fieldMethods[name] = fn;
    }
}

for (const bytes of [1, 2, 4]) {
    for (const isLittle of bytes === 1 ? [true] : [true, false]) {
        const end = bytes === 1 ? "" : isLittle ? "LE" : "BE";
        const bits = `${bytes * 8}${end}`;
        const full = 2 ** (8 * bytes);
        add([`readUInt${bits}`, `readUint${bits}`], function (this: Bytes, offset: any = 0): number {
            return readUnsigned(this, check(this, offset, bytes), bytes, isLittle);
        });
        add([`readInt${bits}`], function (this: Bytes, offset: any = 0): number {
            return readSigned(this, check(this, offset, bytes), bytes, isLittle);
        });
        const write = (min: number, max: number) => function (this: Bytes, value: any, offset: any = 0): number {
            value = +value;
            checkValue(value, min, max, 0);
            return writeNumber(this, Math.trunc(value) || 0, check(this, offset, bytes), bytes, isLittle);
        };
        add([`writeUInt${bits}`, `writeUint${bits}`], write(0, full - 1));
        add([`writeInt${bits}`], write(-full / 2, full / 2 - 1));
    }
}

for (const isLittle of [true, false]) {
    const end = isLittle ? "LE" : "BE";
    add([`readUInt${end}`, `readUint${end}`], function (this: Bytes, offset: any, size: any): number {
        if (offset === undefined) {
            throw invalidArgType("offset", "number", offset);
        }
        checkSize(size);
        return readUnsigned(this, check(this, offset, size), size, isLittle);
    });
    add([`readInt${end}`], function (this: Bytes, offset: any, size: any): number {
        if (offset === undefined) {
            throw invalidArgType("offset", "number", offset);
        }
        checkSize(size);
        return readSigned(this, check(this, offset, size), size, isLittle);
    });
    const write = (isSigned: boolean) => function (this: Bytes, value: any, offset: any, size: any): number {
        checkSize(size);
        const full = 2 ** (8 * size);
        value = +value;
        checkValue(value, isSigned ? -full / 2 : 0, isSigned ? full / 2 - 1 : full - 1, size > 4 ? size * 8 : 0);
        if (offset === undefined) {
            throw invalidArgType("offset", "number", offset);
        }
        return writeNumber(this, Math.trunc(value) || 0, check(this, offset, size), size, isLittle);
    };
    add([`writeUInt${end}`, `writeUint${end}`], write(false));
    add([`writeInt${end}`], write(true));

    for (const [kind, bytes] of [["Float", 4], ["Double", 8], ["BigInt64", 8], ["BigUInt64", 8]] as const) {
        const field = kind === "Float" ? "Float32" : kind === "Double" ? "Float64" : kind === "BigInt64" ? "BigInt64" : "BigUint64";
        const names = (verb: string) => (kind === "BigUInt64"
            ? [`${verb}BigUInt64${end}`, `${verb}BigUint64${end}`] : [`${verb}${kind}${end}`]);
        const view = (buffer: Bytes): any => new DataView(buffer.buffer, buffer.byteOffset, buffer.byteLength);
        add(names("read"), function (this: Bytes, offset: any = 0): any {
            return view(this)[`get${field}`](check(this, offset, bytes), isLittle);
        });
        add(names("write"), function (this: Bytes, value: any, offset: any = 0): number {
            if (kind.startsWith("Big") && typeof value !== "bigint") {
                throw new TypeError("Cannot mix BigInt and other types, use explicit conversions");
            }
            if (kind === "BigInt64") {
                checkValue(value, -(2n ** 63n), 2n ** 63n - 1n, 64);
            } else if (kind === "BigUInt64") {
                checkValue(value, 0n, 2n ** 64n - 1n, 64);
            } else {
                value = +value;
            }
            check(this, offset, bytes);
            view(this)[`set${field}`](offset, value, isLittle);
            return offset + bytes;
        });
    }
}
