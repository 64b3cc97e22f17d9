// SPDX-License-Identifier: Apache-2.0
//
// What most functions of Node check of their arguments.

import { AbortError, coded, invalidArgType, invalidArgValue, outOfRange } from "./errors.ts";

export function validateString(value: unknown, name: string): asserts value is string {
    if (typeof value !== "string") {
        throw invalidArgType(name, "string", value);
    }
}

export function validateFunction(value: unknown, name: string): asserts value is (...args: any[]) => any {
    if (typeof value !== "function") {
        throw invalidArgType(name, "Function", value);
    }
}

export function validateBoolean(value: unknown, name: string): asserts value is boolean {
    if (typeof value !== "boolean") {
        throw invalidArgType(name, "boolean", value);
    }
}

export function validateObject(value: unknown, name: string): asserts value is object {
    if (value === null || Array.isArray(value) || typeof value !== "object") {
        throw invalidArgType(name, "Object", value);
    }
}

export function validateArray(value: unknown, name: string): asserts value is unknown[] {
    if (!Array.isArray(value)) {
        throw invalidArgType(name, "Array", value);
    }
}

export function validateNumber(value: unknown, name: string, min?: number, max?: number): asserts value is number {
    if (typeof value !== "number") {
        throw invalidArgType(name, "number", value);
    }
    if ((min !== undefined && value < min) || (max !== undefined && value > max)
        || ((min !== undefined || max !== undefined) && Number.isNaN(value))) {
        throw outOfRange(name, `${min !== undefined ? `>= ${min}` : ""}${min !== undefined && max !== undefined ? " && " : ""}${max !== undefined ? `<= ${max}` : ""}`, value);
    }
}

export function validateInteger(
    value: unknown, name: string, min = Number.MIN_SAFE_INTEGER, max = Number.MAX_SAFE_INTEGER,
): asserts value is number {
    if (typeof value !== "number") {
        throw invalidArgType(name, "number", value);
    }
    if (!Number.isInteger(value)) {
        throw outOfRange(name, "an integer", value);
    }
    if (value < min || value > max) {
        throw outOfRange(name, `>= ${min} && <= ${max}`, value);
    }
}

export function validateUint32(value: unknown, name: string, isPositive = false): asserts value is number {
    validateInteger(value, name, isPositive ? 1 : 0, 2 ** 32 - 1);
}

export function validateInt32(value: unknown, name: string, min = -(2 ** 31), max = 2 ** 31 - 1): asserts value is number {
    validateInteger(value, name, min, max);
}

export function validateOneOf(value: unknown, name: string, allowed: unknown[]): void {
    if (!allowed.includes(value)) {
        const text = allowed.map((one) => (typeof one === "string" ? `'${one}'` : String(one))).join(", ");
        throw invalidArgValue(name, value, `must be one of: ${text}`);
    }
}

export function validateAbortSignal(signal: unknown, name: string): void {
    if (signal !== undefined && (signal === null || typeof signal !== "object" || !("aborted" in signal))) {
        throw invalidArgType(name, "AbortSignal", signal);
    }
}

/** The signal of options, which has not been aborted. */
export function signalOf(options: any): any {
    if (options === null || typeof options !== "object") {
        throw invalidArgType("options", "Object", options);
    }
    validateAbortSignal(options.signal, "options.signal");
    if (options.signal?.aborted) {
        throw new AbortError(undefined, { cause: options.signal.reason });
    }
    return options.signal;
}

export function missingArgs(...names: string[]): Error {
    const said = names.map((name) => `"${name}"`);
    return coded(TypeError, "ERR_MISSING_ARGS", `The ${said.length > 1 ? `${said.slice(0, -1).join(", ")} and ${said.at(-1)} arguments` : `${said[0]} argument`} must be specified`);
}
