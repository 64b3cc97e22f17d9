// SPDX-License-Identifier: Apache-2.0
//
// node:assert.

import { inspect } from "limpet:internal";
import { isDeepEqual, isDeepStrictEqual } from "./internal/equal.ts";
import { coded, invalidArgType, invalidArgValue } from "./internal/errors.ts";
import { isPromise, isRegExp } from "./internal/types.ts";
import { missingArgs, validateFunction } from "./internal/validate.ts";

const operators: Record<string, string> = {
    deepStrictEqual: "Expected values to be strictly deep-equal:",
    strictEqual: "Expected values to be strictly equal:",
    strictEqualObject: 'Expected "actual" to be reference-equal to "expected":',
    deepEqual: "Expected values to be loosely deep-equal:",
    notDeepStrictEqual: 'Expected "actual" not to be strictly deep-equal to:',
    notStrictEqual: 'Expected "actual" to be strictly unequal to:',
    notStrictEqualObject: 'Expected "actual" not to be reference-equal to "expected":',
    notDeepEqual: 'Expected "actual" not to be loosely deep-equal to:',
    notIdentical: "Values identical but not reference-equal:",
    notDeepEqualUnequal: "Expected values not to be loosely deep-equal:",
};

function show(value: unknown): string {
    return inspect(value, {
        compact: false, customInspect: false, depth: 1000, maxArrayLength: Infinity, showHidden: false, showProxy: false, sorted: true,
        getters: true,
    });
}

/** The lines of both, those that only one has marked "+" (actual) and "-" (expected): a longest common subsequence. */
function difference(actual: string[], expected: string[]): string[] {
    const MAX_LINES = 1000;
    if (actual.length > MAX_LINES || expected.length > MAX_LINES) {
        return [...actual.slice(0, 50).map((line) => `+ ${line}`), "...", ...expected.slice(0, 50).map((line) => `- ${line}`)];
    }
    const lengths = Array.from({ length: actual.length + 1 }, () => new Uint16Array(expected.length + 1));
    for (let i = actual.length - 1; i >= 0; i--) {
        for (let j = expected.length - 1; j >= 0; j--) {
            lengths[i]![j] = actual[i] === expected[j] ? lengths[i + 1]![j + 1]! + 1 : Math.max(lengths[i + 1]![j]!, lengths[i]![j + 1]!);
        }
    }
    const out: string[] = [];
    let i = 0, j = 0;
    while (i < actual.length || j < expected.length) {
        if (i < actual.length && j < expected.length && actual[i] === expected[j]) {
            out.push(`  ${actual[i++]}`);
            j++;
        } else if (i < actual.length && (j === expected.length || lengths[i + 1]![j]! >= lengths[i]![j + 1]!)) {
            out.push(`+ ${actual[i++]}`);
        } else {
            out.push(`- ${expected[j++]}`);
        }
    }
    return out;
}

function explain(actual: unknown, expected: unknown, operator: string): string {
    const isObject = (v: unknown) => (typeof v === "object" && v !== null) || typeof v === "function";
    if (operator === "deepStrictEqual" || operator === "strictEqual") {
        const a = show(actual).split("\n"), b = show(expected).split("\n");
        if (operator === "strictEqual" && a.length === 1 && b.length === 1 && a[0] !== b[0]
            && !(isObject(actual) && isObject(expected)) && a[0]!.length + b[0]!.length <= 12) {
            if (actual !== 0 || expected !== 0) {
                return `${operators.strictEqual}\n\n${a[0]} !== ${b[0]}\n`;
            }
        }
        if (operator === "strictEqual" && a.join("\n") === b.join("\n")) {
            return `${operators.notIdentical}\n\n${a.join("\n")}\n`;
        }
        const title = operator === "strictEqual" && isObject(actual) && isObject(expected) ? "strictEqualObject" : operator;
        return `${operators[title]}\n+ actual - expected\n\n${difference(a, b).join("\n")}`;
    }
    if (operator === "notDeepStrictEqual" || operator === "notStrictEqual") {
        const title = operator === "notStrictEqual" && isObject(actual) ? "notStrictEqualObject" : operator;
        const text = show(actual);
        return `${operators[title]}${text.includes("\n") || text.length > 5 ? `\n\n${text}\n` : ` ${text}`}`;
    }
    const a = show(actual), b = show(expected);
    if (operator === "notDeepEqual") {
        return `${operators.notDeepEqual}\n\n${a}`;
    }
    const clip = (text: string): string => (text.length > 512 ? `${text.slice(0, 509)}...` : text);
    if (operator === "deepEqual") {
        return `${operators.deepEqual}\n\n${clip(a)}\n\nshould loosely deep-equal\n\n${clip(b)}`;
    }
    return `${clip(a)} ${operator} ${clip(b)}`;
}

export class AssertionError extends Error {
    code = "ERR_ASSERTION";
    generatedMessage: boolean;
    actual: unknown;
    expected: unknown;
    operator: string | undefined;
    constructor(options: any) {
        if (options === null || typeof options !== "object") {
            throw invalidArgType("options", "Object", options);
        }
        const { message, operator, actual, expected, stackStartFn } = options;
        super(message !== undefined && message !== null ? String(message) : explain(actual, expected, operator));
        this.generatedMessage = !message;
        Object.defineProperty(this, "name", { value: "AssertionError", enumerable: false, writable: true, configurable: true });
        this.actual = actual;
        this.expected = expected;
        this.operator = operator;
        (Error as any).captureStackTrace?.(this, stackStartFn ?? AssertionError);
        if (typeof this.stack === "string") {
            this.stack = this.stack.replace(/^(Error|AssertionError)(?=:|$)/m, "AssertionError [ERR_ASSERTION]");
        }
    }
    override toString(): string {
        return `${this.name} [${this.code}]: ${this.message}`;
    }
}
Object.defineProperty(AssertionError.prototype, "name", { value: "AssertionError", writable: true, configurable: true, enumerable: false });

function failWith(options: any): never {
    if (options.message instanceof Error) {
        throw options.message;
    }
    throw new AssertionError(options);
}

function checkTruth(fn: any, count: number, value: unknown, message: any): void {
    if (value) {
        return;
    }
    let generated = false;
    if (count === 0) {
        generated = true;
        message = "No value argument passed to `assert.ok()`";
    } else if (message === undefined || message === null) {
        generated = true;
        message = "The expression evaluated to a falsy value";
    } else if (message instanceof Error) {
        throw message;
    }
    const error = new AssertionError({ actual: value, expected: true, message, operator: "==", stackStartFn: fn });
    error.generatedMessage = generated;
    throw error;
}

export const assert: any = function ok(...args: any[]): void {
    checkTruth(assert, args.length, args[0], args[1]);
};

export function ok(...args: any[]): void {
    checkTruth(ok, args.length, args[0], args[1]);
}

export function fail(...args: any[]): never {
    const [actual, expected, message, operator] = args;
    const count = args.length;
    if (count === 0 || (count === 1 && (actual === undefined || actual === null))) {
        const error = new AssertionError({ message: "Failed", operator: "fail", stackStartFn: fail });
        error.generatedMessage = true;
        throw error;
    }
    if (count === 1) {
        if (actual instanceof Error) {
            throw actual;
        }
        throw new AssertionError({ message: actual, operator: "fail", stackStartFn: fail });
    }
    failWith({ actual, expected, message, operator: count === 2 ? "!=" : operator ?? "fail", stackStartFn: fail });
}

type Check = (actual: any, expected: any) => boolean;

function comparison(name: string, operator: string, holds: Check): any {
    const fn = { [name](this: unknown, ...args: any[]): void {
        const [actual, expected, message] = args;
        if (args.length < 2) {
            throw missingArgs("actual", "expected");
        }
        if (!holds(actual, expected)) {
            failWith({ actual, expected, message, operator, stackStartFn: fn });
        }
    } }[name];
    return fn;
}

// eslint-disable-next-line eqeqeq
const isLoose: Check = (a, b) => a == b || (Number.isNaN(a) && Number.isNaN(b));

export const equal = comparison("equal", "==", isLoose);
export const notEqual = comparison("notEqual", "!=", (a, b) => !isLoose(a, b));
export const deepEqual = comparison("deepEqual", "deepEqual", isDeepEqual);
export const notDeepEqual = comparison("notDeepEqual", "notDeepEqual", (a, b) => !isDeepEqual(a, b));
export const deepStrictEqual = comparison("deepStrictEqual", "deepStrictEqual", isDeepStrictEqual);
export const notDeepStrictEqual = comparison("notDeepStrictEqual", "notDeepStrictEqual", (a, b) => !isDeepStrictEqual(a, b));
export const strictEqual = comparison("strictEqual", "strictEqual", Object.is);
export const notStrictEqual = comparison("notStrictEqual", "notStrictEqual", (a, b) => !Object.is(a, b));

/* ---- errors ---- */

function checkFields(actual: any, expected: any, message: any, fn: any): void {
    const keys = Object.keys(expected);
    if (expected instanceof Error) {
        keys.push("name", "message");
    } else if (keys.length === 0) {
        throw invalidArgValue("error", expected, "may not be an empty object");
    }
    for (const key of keys) {
        if (typeof actual[key] === "string" && isRegExp(expected[key]) && expected[key].test(actual[key])) {
            continue;
        }
        if (!(key in actual) || !isDeepStrictEqual(actual[key], expected[key])) {
            if (!message) {
                const pick = (from: any): any => Object.fromEntries(keys.filter((k) => k in from).map((k) => [k, from[k]]));
                const error = new AssertionError({ actual: pick(actual), expected: pick(expected), operator: "deepStrictEqual", stackStartFn: fn });
                error.actual = actual;
                error.expected = expected;
                error.operator = fn.name;
                throw error;
            }
            failWith({ actual, expected, message, operator: fn.name, stackStartFn: fn });
        }
    }
}

function matches(actual: any, expected: any, message: any, fn: any): void {
    if (typeof expected !== "function") {
        if (isRegExp(expected)) {
            const text = String(actual);
            if (expected.test(text)) {
                return;
            }
            failWith({
                actual, expected, operator: fn.name, stackStartFn: fn,
                message: message ?? `The input did not match the regular expression ${inspect(expected)}. Input:\n\n${inspect(text)}\n`,
            });
        }
        if (typeof actual !== "object" || actual === null) {
            const error = new AssertionError({ actual, expected, message, operator: "deepStrictEqual", stackStartFn: fn });
            error.operator = fn.name;
            throw error;
        }
        checkFields(actual, expected, message, fn);
        return;
    }
    if (expected.prototype !== undefined && actual instanceof expected) {
        return;
    }
    if (Object.prototype.isPrototypeOf.call(Error, expected)) {
        let text = message;
        if (!text) {
            text = `The error is expected to be an instance of "${expected.name}". Received `;
            text += actual instanceof Error ? `"${actual.name}"` : `"${inspect(actual, { depth: -1 })}"`;
            if (actual?.message) {
                text += `\n\nError message:\n\n${actual.message}`;
            }
        }
        failWith({ actual, expected, message: text, operator: fn.name, stackStartFn: fn });
    }
    const verdict = Reflect.apply(expected, {}, [actual]);
    if (verdict !== true) {
        const name = expected.name ? `"${expected.name}" ` : "";
        failWith({
            actual, expected, operator: fn.name, stackStartFn: fn,
            message: message ?? `The ${name}validation function is expected to return "true". Received ${inspect(verdict)}${actual instanceof Error ? `\n\nCaught error:\n\n${String(actual)}` : ""}`,
        });
    }
}

const NONE = Symbol("no exception");

function expects(fn: any, actual: any, error: any, message: any): void {
    if (typeof error === "string") {
        if (message !== undefined) {
            throw invalidArgType("error", ["Object", "Error", "Function", "RegExp"], error);
        }
        if (actual !== NONE && (actual?.message ?? actual) === error) {
            throw coded(TypeError, "ERR_AMBIGUOUS_ARGUMENT", `The "error/message" argument is ambiguous. The error ${typeof actual === "object" ? "message" : ""} "${error}" is identical to the message.`);
        }
        message = error;
        error = undefined;
    } else if (error !== undefined && error !== null && typeof error !== "object" && typeof error !== "function") {
        throw invalidArgType("error", ["Object", "Error", "Function", "RegExp"], error);
    }
    if (actual === NONE) {
        const what = fn.name === "rejects" ? "rejection" : "exception";
        const details = `${error?.name ? ` (${error.name})` : ""}${message ? `: ${message}` : "."}`;
        failWith({ actual: undefined, expected: error, operator: fn.name, message: message instanceof Error ? message : `Missing expected ${what}${details}`, stackStartFn: fn });
    }
    if (error !== undefined && error !== null) {
        matches(actual, error, message, fn);
    }
}

function expectsNone(fn: any, actual: any, error: any, message: any): void {
    if (actual === NONE) {
        return;
    }
    if (typeof error === "string") {
        message = error;
        error = undefined;
    }
    const isMeant = !error || (typeof error === "function" ? (error.prototype !== undefined && actual instanceof error)
        || (!Object.prototype.isPrototypeOf.call(Error, error) && Reflect.apply(error, {}, [actual]) === true) : isRegExp(error) && error.test(String(actual)));
    if (isMeant) {
        const what = fn.name === "doesNotReject" ? "rejection" : "exception";
        failWith({
            actual, expected: error, operator: fn.name, stackStartFn: fn,
            message: `Got unwanted ${what}${message ? `: ${message}` : "."}\nActual message: "${actual?.message}"`,
        });
    }
    throw actual;
}

function caught(fn: any): any {
    validateFunction(fn, "fn");
    try {
        fn();
    } catch (error) {
        return error;
    }
    return NONE;
}

async function rejected(fn: any): Promise<any> {
    let promise = fn;
    if (typeof fn === "function") {
        promise = fn();
        if (!isPromise(promise) && !(promise !== null && typeof promise === "object" && typeof promise.then === "function" && typeof promise.catch === "function")) {
            throw coded(TypeError, "ERR_INVALID_RETURN_VALUE", `Expected instance of Promise to be returned from the "promiseFn" function but got ${promise === undefined || promise === null ? promise : `an instance of ${promise.constructor?.name}`}.`);
        }
    } else if (!isPromise(fn) && !(fn !== null && typeof fn === "object" && typeof fn.then === "function" && typeof fn.catch === "function")) {
        throw invalidArgType("promiseFn", ["Function", "Promise"], fn);
    }
    try {
        await promise;
    } catch (error) {
        return error;
    }
    return NONE;
}

export function throws(fn: any, error?: any, message?: any): void {
    expects(throws, caught(fn), error, message);
}
export async function rejects(fn: any, error?: any, message?: any): Promise<void> {
    expects(rejects, await rejected(fn), error, message);
}
export function doesNotThrow(fn: any, error?: any, message?: any): void {
    expectsNone(doesNotThrow, caught(fn), error, message);
}
export async function doesNotReject(fn: any, error?: any, message?: any): Promise<void> {
    expectsNone(doesNotReject, await rejected(fn), error, message);
}

export function ifError(error: any): void {
    if (error === null || error === undefined) {
        return;
    }
    let message = "ifError got unwanted exception: ";
    if (typeof error === "object" && typeof error.message === "string") {
        message += error.message.length === 0 && error.constructor ? error.constructor.name : error.message;
    } else {
        message += inspect(error);
    }
    const made = new AssertionError({ actual: error, expected: null, operator: "ifError", message, stackStartFn: ifError });
    made.generatedMessage = true;
    throw made;
}

function matching(text: any, pattern: any, message: any, fn: any, isWanted: boolean): void {
    if (!isRegExp(pattern)) {
        throw invalidArgType("regexp", "RegExp", pattern);
    }
    if (typeof text === "string" && pattern.test(text) === isWanted) {
        return;
    }
    if (message instanceof Error) {
        throw message;
    }
    const isGenerated = !message;
    message ||= typeof text !== "string" ? `The "string" argument must be of type string. Received type ${typeof text} (${inspect(text)})`
        : `${isWanted ? "The input did not match the regular expression " : "The input was expected to not match the regular expression "}${inspect(pattern)}. Input:\n\n${inspect(text)}\n`;
    const error = new AssertionError({ actual: text, expected: pattern, message, operator: fn.name, stackStartFn: fn });
    error.generatedMessage = isGenerated;
    throw error;
}

export function match(text: any, pattern: any, message?: any): void {
    matching(text, pattern, message, match, true);
}
export function doesNotMatch(text: any, pattern: any, message?: any): void {
    matching(text, pattern, message, doesNotMatch, false);
}

/** Does actual have all that expected has? */
function isPartOf(actual: any, expected: any, path: object[] = []): boolean {
    if (Object.is(actual, expected) || path.includes(expected)) {
        return true;
    }
    if (typeof actual !== "object" || typeof expected !== "object" || actual === null || expected === null) {
        return false;
    }
    const deeper = [...path, expected];
    if (expected instanceof Map) {
        return actual instanceof Map && [...expected].every(([key, value]) => actual.has(key) && isPartOf(actual.get(key), value, deeper));
    }
    if (expected instanceof Set) {
        return actual instanceof Set && [...expected].every((value) => [...actual].some((one) => isPartOf(one, value, deeper)));
    }
    if (Array.isArray(expected)) {
        return Array.isArray(actual) && expected.every((value) => actual.some((one: any) => isPartOf(one, value, deeper)));
    }
    if (Object.getPrototypeOf(expected) !== Object.prototype && Object.getPrototypeOf(expected) !== null) {
        return isDeepStrictEqual(actual, expected);
    }
    return Reflect.ownKeys(expected).every((key) => key in actual && isPartOf(actual[key], expected[key], deeper));
}
export const partialDeepStrictEqual = comparison("partialDeepStrictEqual", "partialDeepStrictEqual", (actual, expected) => isPartOf(actual, expected));

/** Counts calls of functions. */
export class CallTracker {
    #calls: { fn: any; exact: number; seen: any[]; stack: Error }[] = [];
    calls(fn: any = () => {}, exact = 1): any {
        if (typeof fn === "number") {
            [fn, exact] = [() => {}, fn];
        }
        const call = { fn: undefined as any, exact, seen: [] as any[], stack: new Error() };
        call.fn = function (this: any, ...args: any[]) {
            call.seen.push({ thisArg: this, arguments: args });
            return Reflect.apply(fn, this, args);
        };
        this.#calls.push(call);
        return call.fn;
    }
    getCalls(fn: any): any[] {
        return this.#calls.find((call) => call.fn === fn)?.seen ?? [];
    }
    reset(fn?: any): void {
        for (const call of this.#calls) {
            if (fn === undefined || call.fn === fn) {
                call.seen.length = 0;
            }
        }
    }
    report(): any[] {
        return this.#calls.filter((call) => call.seen.length !== call.exact).map((call) => ({
            message: `Expected the ${call.fn.name || "function"} function to be executed ${call.exact} time(s) but was executed ${call.seen.length} time(s).`,
            actual: call.seen.length, expected: call.exact, operator: call.fn.name || "function", stack: call.stack,
        }));
    }
    verify(): void {
        const errors = this.report();
        if (errors.length) {
            throw new AssertionError({ message: errors.length === 1 ? errors[0].message : "Functions were not called the expected number of times", operator: "verify" });
        }
    }
}

const shared = {
    AssertionError, CallTracker, deepEqual, deepStrictEqual, doesNotMatch, doesNotReject, doesNotThrow, equal, fail, ifError, match,
    notDeepEqual, notDeepStrictEqual, notEqual, notStrictEqual, ok, partialDeepStrictEqual, rejects, strictEqual, throws,
};
Object.assign(assert, shared);

export const strict: any = Object.assign(function strict(...args: any[]): void {
    checkTruth(strict, args.length, args[0], args[1]);
}, shared, { equal: strictEqual, deepEqual: deepStrictEqual, notEqual: notStrictEqual, notDeepEqual: notDeepStrictEqual });
assert.strict = strict.strict = strict;

export default assert;
