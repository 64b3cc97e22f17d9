// SPDX-License-Identifier: Apache-2.0
//
// Deep equality as assert.deepEqual() and deepStrictEqual() have it. A pair of objects that is being
// compared counts as equal where it is met again.

import {
    isAnyArrayBuffer, isBoxedPrimitive, isDate, isMap, isNativeError, isRegExp, isSet, isTypedArray,
} from "./types.ts";

type Memo = Map<object, Set<object>>;

function enumerableSymbols(value: object): symbol[] {
    return Object.getOwnPropertySymbols(value).filter((key) => Object.prototype.propertyIsEnumerable.call(value, key));
}

function sameBytes(a: any, b: any): boolean {
    const bytes = (v: any) => (ArrayBuffer.isView(v) ? new Uint8Array(v.buffer, v.byteOffset, v.byteLength) : new Uint8Array(v));
    const x = bytes(a), y = bytes(b);
    return x.length === y.length && x.every((v, i) => v === y[i]);
}

function loosely(a: any, b: any): boolean {
    // eslint-disable-next-line eqeqeq
    return a == b || (a !== a && b !== b);
}

function sameSets(a: Set<any>, b: Set<any>, isStrict: boolean, memo: Memo): boolean {
    const left: any[] = [];
    for (const value of a) {
        if (b.has(value)) {
            continue;
        }
        if (isStrict && (typeof value !== "object" || value === null)) {
            return false;
        }
        left.push(value);
    }
    const others = [...b].filter((value) => !a.has(value));
    for (const value of left) {
        const at = others.findIndex((other) => compare(value, other, isStrict, memo));
        if (at < 0) {
            return false;
        }
        others.splice(at, 1);
    }
    return true;
}

function sameMaps(a: Map<any, any>, b: Map<any, any>, isStrict: boolean, memo: Memo): boolean {
    const left: any[] = [];
    for (const [key, value] of a) {
        if (b.has(key) && (typeof key !== "object" || key === null || compare(value, b.get(key), isStrict, memo))) {
            if (!compare(value, b.get(key), isStrict, memo)) {
                if (isStrict) {
                    return false;
                }
                left.push([key, value]);
            }
            continue;
        }
        if (isStrict && (typeof key !== "object" || key === null)) {
            return false;
        }
        left.push([key, value]);
    }
    const others = [...b].filter(([key, value]) => !(a.has(key) && compare(a.get(key), value, isStrict, memo)));
    for (const [key, value] of left) {
        const at = others.findIndex(([k, v]) => compare(key, k, isStrict, memo) && compare(value, v, isStrict, memo));
        if (at < 0) {
            return false;
        }
        others.splice(at, 1);
    }
    return true;
}

function sameKeys(a: any, b: any, isStrict: boolean, memo: Memo, keys: string[]): boolean {
    if (Object.keys(b).length !== Object.keys(a).length || !keys.every((key) => Object.prototype.propertyIsEnumerable.call(b, key))) {
        return false;
    }
    let symbols: symbol[] = [];
    if (isStrict) {
        symbols = enumerableSymbols(a);
        if (symbols.length !== enumerableSymbols(b).length
            || !symbols.every((key) => Object.prototype.propertyIsEnumerable.call(b, key))) {
            return false;
        }
    }
    return [...keys, ...symbols].every((key) => compare(a[key], b[key], isStrict, memo));
}

/** What is in a boxed primitive, whatever its prototype says. */
function unboxed(value: any): unknown {
    for (const { prototype } of [Number, String, Boolean, BigInt, Symbol] as any[]) {
        try {
            return prototype.valueOf.call(value);
        } catch {
            // of another kind
        }
    }
    return undefined;
}

function sameInside(a: any, b: any, isStrict: boolean, memo: Memo): boolean | undefined {
    if (isDate(a)) {
        return isDate(b) && (a.getTime() === b.getTime() || (Number.isNaN(a.getTime()) && Number.isNaN(b.getTime()))) ? undefined : false;
    }
    if (isRegExp(a)) {
        return isRegExp(b) && a.source === b.source && a.flags === b.flags && a.lastIndex === b.lastIndex ? undefined : false;
    }
    if (isNativeError(a) || a instanceof Error) {
        if (!(isNativeError(b) || b instanceof Error) || a.message !== b.message || a.name !== b.name) {
            return false;
        }
        for (const key of ["cause", "errors"]) {
            if (Object.hasOwn(a, key) !== Object.hasOwn(b, key) || (Object.hasOwn(a, key) && !compare(a[key], b[key], isStrict, memo))) {
                return false;
            }
        }
        return undefined;
    }
    if (ArrayBuffer.isView(a)) {
        if (!isStrict && /Float/.test(Object.prototype.toString.call(a))) {
            const x = a as any, y = b as any;
            return x.length === y.length && Array.prototype.every.call(x, (v: any, i: number) => v === y[i]) ? undefined : false;
        }
        return sameBytes(a, b) ? undefined : false;
    }
    if (isAnyArrayBuffer(a)) {
        return isAnyArrayBuffer(b) && sameBytes(a, b) ? undefined : false;
    }
    if (isBoxedPrimitive(a)) {
        return isBoxedPrimitive(b) && Object.is(unboxed(a), unboxed(b)) ? undefined : false;
    }
    if (isSet(a)) {
        return isSet(b) && a.size === b.size && sameSets(a, b, isStrict, memo) ? undefined : false;
    }
    if (isMap(a)) {
        return isMap(b) && a.size === b.size && sameMaps(a, b, isStrict, memo) ? undefined : false;
    }
    const isInner = (v: any) => isDate(v) || isRegExp(v) || isSet(v) || isMap(v) || isBoxedPrimitive(v) || isAnyArrayBuffer(v)
        || ArrayBuffer.isView(v) || v instanceof Error;
    return isInner(b) ? false : undefined;
}

function compareObjects(a: any, b: any, isStrict: boolean, memo: Memo): boolean {
    if (Array.isArray(a) !== Array.isArray(b)) {
        return false;
    }
    if (isStrict && Object.getPrototypeOf(a) !== Object.getPrototypeOf(b)) {
        return false;
    }
    const tags = [Object.prototype.toString.call(a), Object.prototype.toString.call(b)];
    if (tags[0] !== tags[1]) {
        return false;
    }
    if (Array.isArray(a) && a.length !== b.length) {
        return false;
    }
    const inside = sameInside(a, b, isStrict, memo);
    if (inside !== undefined) {
        return inside;
    }
    if (a instanceof URL && b instanceof URL && a.href !== b.href) {
        return false;
    }
    const keys = isTypedArray(a) || isAnyArrayBuffer(a) ? Object.keys(a).filter((key) => !/^\d+$/.test(key)) : Object.keys(a);
    if (isTypedArray(a)) {
        const others = Object.keys(b).filter((key) => !/^\d+$/.test(key));
        return others.length === keys.length && keys.every((key) => Object.hasOwn(b, key) && compare(a[key], b[key], isStrict, memo));
    }
    return sameKeys(a, b, isStrict, memo, keys);
}

function compare(a: any, b: any, isStrict: boolean, memo: Memo): boolean {
    if (a === b) {
        return a !== 0 || !isStrict || Object.is(a, b);
    }
    if (isStrict ? typeof a !== "object" || typeof b !== "object" || a === null || b === null : false) {
        return Object.is(a, b);
    }
    if (!isStrict) {
        const isPlain = (v: any) => v === null || typeof v !== "object";
        if (isPlain(a) || isPlain(b)) {
            return (isPlain(a) && isPlain(b)) ? loosely(a, b) && typeof a !== "function" : false;
        }
    }
    const known = memo.get(a);
    if (known?.has(b)) {
        return true;
    }
    const pairs = known ?? new Set();
    memo.set(a, pairs);
    pairs.add(b);
    const isSame = compareObjects(a, b, isStrict, memo);
    pairs.delete(b);
    return isSame;
}

export function isDeepEqual(a: unknown, b: unknown): boolean {
    return compare(a, b, false, new Map());
}

export function isDeepStrictEqual(a: unknown, b: unknown): boolean {
    return compare(a, b, true, new Map());
}
