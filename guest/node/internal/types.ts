// SPDX-License-Identifier: Apache-2.0
//
// util.types: what a value is inside, whatever its prototype says.

import { keyState, native } from "limpet:internal";

const brand = (fn: any) => (value: any): boolean => {
    try {
        fn.call(value);
        return true;
    } catch {
        return false;
    }
};
const getter = (proto: any, name: any) => brand(Object.getOwnPropertyDescriptor(proto, name)!.get);
const typedTag = Object.getOwnPropertyDescriptor(Object.getPrototypeOf(Uint8Array.prototype), Symbol.toStringTag)!.get!;
const isTyped = (name: string) => (value: any): boolean => typedTag.call(value) === name;
const isObject = (value: unknown): value is object => (typeof value === "object" && value !== null) || typeof value === "function";
const tag = (value: unknown): string => (isObject(value) ? Object.prototype.toString.call(value) : "");

export const isMap = getter(Map.prototype, "size");
export const isSet = getter(Set.prototype, "size");
export const isArrayBuffer = getter(ArrayBuffer.prototype, "byteLength");
export const isSharedArrayBuffer = typeof SharedArrayBuffer === "function" ? getter(SharedArrayBuffer.prototype, "byteLength") : (): boolean => false;
export const isDataView = getter(DataView.prototype, "buffer");
export const isDate = brand(Date.prototype.getTime);
export const isRegExp = (value: any): boolean => {
    try {
        return isObject(value) && value !== RegExp.prototype && typeof Object.getOwnPropertyDescriptor(RegExp.prototype, "global")!.get!.call(value) === "boolean";
    } catch {
        return false;
    }
};
export const isWeakMap = brand(function (this: any) {
    WeakMap.prototype.has.call(this, {});
});
export const isWeakSet = brand(function (this: any) {
    WeakSet.prototype.has.call(this, {});
});
const isPrimitiveOf = (proto: any) => {
    const check = brand(proto.valueOf);
    return (value: any): boolean => typeof value === "object" && value !== null && check(value);
};
export const isNumberObject = isPrimitiveOf(Number.prototype);
export const isStringObject = isPrimitiveOf(String.prototype);
export const isBooleanObject = isPrimitiveOf(Boolean.prototype);
export const isBigIntObject = isPrimitiveOf(BigInt.prototype);
export const isSymbolObject = isPrimitiveOf(Symbol.prototype);
export const isBoxedPrimitive = (value: any): boolean => isNumberObject(value) || isStringObject(value)
    || isBooleanObject(value) || isBigIntObject(value) || isSymbolObject(value);

export const isPromise = (value: any): boolean => native.promiseState(value) !== undefined;
export const isProxy = (value: any): boolean => native.proxyTarget(value) !== undefined;
export const isNativeError = (value: any): boolean => (Error as any).isError ? (Error as any).isError(value) : value instanceof Error;
export const isExternal = (): boolean => false;
export const isModuleNamespaceObject = (value: any): boolean => isObject(value) && Object.getPrototypeOf(value) === null
    && (value as any)[Symbol.toStringTag] === "Module";
export const isArgumentsObject = (value: any): boolean => typeof value === "object" && value !== null && !(Symbol.toStringTag in value)
    && tag(value) === "[object Arguments]";
export const isAsyncFunction = (value: any): boolean => typeof value === "function" && /Async/.test(tag(value));
export const isGeneratorFunction = (value: any): boolean => typeof value === "function" && /Generator/.test(tag(value));
export const isGeneratorObject = (value: any): boolean => typeof value === "object" && /\[object (Async)?Generator\]/.test(tag(value));
export const isMapIterator = (value: any): boolean => tag(value) === "[object Map Iterator]";
export const isSetIterator = (value: any): boolean => tag(value) === "[object Set Iterator]";
export const isAnyArrayBuffer = (value: any): boolean => isArrayBuffer(value) || isSharedArrayBuffer(value);
export const isArrayBufferView = ArrayBuffer.isView;
export const isTypedArray = (value: any): boolean => ArrayBuffer.isView(value) && !isDataView(value);
export const isUint8Array = isTyped("Uint8Array");
export const isUint8ClampedArray = isTyped("Uint8ClampedArray");
export const isUint16Array = isTyped("Uint16Array");
export const isUint32Array = isTyped("Uint32Array");
export const isInt8Array = isTyped("Int8Array");
export const isInt16Array = isTyped("Int16Array");
export const isInt32Array = isTyped("Int32Array");
export const isFloat16Array = isTyped("Float16Array");
export const isFloat32Array = isTyped("Float32Array");
export const isFloat64Array = isTyped("Float64Array");
export const isBigInt64Array = isTyped("BigInt64Array");
export const isBigUint64Array = isTyped("BigUint64Array");
export const isCryptoKey = (value: any): boolean => {
    try {
        return Boolean(keyState(value));
    } catch {
        return false;
    }
};
export const isKeyObject = (value: any): boolean => isObject(value) && Symbol.for("limpet.KeyObject") in value;
