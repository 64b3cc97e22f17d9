// SPDX-License-Identifier: Apache-2.0
//
// node:util.

import { inspect as inspectValue } from "limpet:internal";
import { isDeepStrictEqual } from "./internal/equal.ts";
import { coded, errnos, invalidArgType } from "./internal/errors.ts";
import { format, formatWithOptions } from "./internal/format.ts";
import { MIMEParams, MIMEType } from "./internal/mime.ts";
import { parseArgs } from "./internal/parse-args.ts";
import { nextTick } from "./internal/tick.ts";
import { customPromisify } from "./internal/timers.ts";
import * as types from "./internal/types.ts";
import { validateAbortSignal, validateFunction, validateObject, validateOneOf, validateString } from "./internal/validate.ts";

export { format, formatWithOptions, isDeepStrictEqual, MIMEParams, MIMEType, parseArgs, types };

/* ---- inspect ---- */

export const inspect: any = function inspect(value: unknown, ...rest: any[]): string {
    const [options, depth, colors] = rest;
    if (typeof options === "boolean") {
        return inspectValue(value, { ...inspect.defaultOptions, showHidden: options, ...depth !== undefined && { depth }, ...colors !== undefined && { colors } });
    }
    return inspectValue(value, { ...inspect.defaultOptions, ...options });
};
inspect.custom = Symbol.for("nodejs.util.inspect.custom");
let defaultOptions: any = {
    showHidden: false, depth: 2, colors: false, customInspect: true, showProxy: false, maxArrayLength: 100,
    maxStringLength: 10000, breakLength: 80, compact: 3, sorted: false, getters: false, numericSeparator: false,
};
Object.defineProperty(inspect, "defaultOptions", {
    get: () => defaultOptions,
    set(options: any) {
        validateObject(options, "options");
        defaultOptions = { ...defaultOptions, ...options };
    },
});
inspect.colors = Object.assign(Object.create(null), {
    reset: [0, 0], bold: [1, 22], dim: [2, 22], italic: [3, 23], underline: [4, 24], blink: [5, 25], inverse: [7, 27], hidden: [8, 28],
    strikethrough: [9, 29], doubleunderline: [21, 24], black: [30, 39], red: [31, 39], green: [32, 39], yellow: [33, 39], blue: [34, 39],
    magenta: [35, 39], cyan: [36, 39], white: [37, 39], bgBlack: [40, 49], bgRed: [41, 49], bgGreen: [42, 49], bgYellow: [43, 49],
    bgBlue: [44, 49], bgMagenta: [45, 49], bgCyan: [46, 49], bgWhite: [47, 49], framed: [51, 54], overlined: [53, 55], gray: [90, 39],
    redBright: [91, 39], greenBright: [92, 39], yellowBright: [93, 39], blueBright: [94, 39], magentaBright: [95, 39],
    cyanBright: [96, 39], whiteBright: [97, 39], bgGray: [100, 49], bgRedBright: [101, 49], bgGreenBright: [102, 49],
    bgYellowBright: [103, 49], bgBlueBright: [104, 49], bgMagentaBright: [105, 49], bgCyanBright: [106, 49], bgWhiteBright: [107, 49],
});
for (const [alias, name] of Object.entries({ grey: "gray", bgGrey: "bgGray", blackBright: "gray", bgBlackBright: "bgGray", faint: "dim",
    crossedout: "strikethrough", strikeThrough: "strikethrough", crossedOut: "strikethrough", conceal: "hidden", swapColors: "inverse",
    swapcolors: "inverse", doubleUnderline: "doubleunderline" })) {
    Object.defineProperty(inspect.colors, alias, { get: () => inspect.colors[name], enumerable: false, configurable: true });
}
inspect.styles = Object.assign(Object.create(null), {
    special: "cyan", number: "yellow", bigint: "yellow", boolean: "yellow", undefined: "grey", null: "bold", string: "green",
    symbol: "green", date: "magenta", regexp: "red", module: "underline",
});

export function styleText(style: string | string[], text: string, options?: any): string {
    validateString(text, "text");
    if (options !== undefined) {
        validateObject(options, "options");
    }
    const styles = Array.isArray(style) ? style : [style];
    let before = "", after = "";
    for (const one of styles) {
        const codes = inspect.colors[one];
        if (codes === undefined) {
            validateOneOf(one, "format", Object.keys(inspect.colors));
        }
        before += `\u001b[${codes[0]}m`;
        after = `\u001b[${codes[1]}m${after}`;
    }
    return `${before}${text}${after}`;
}

export function stripVTControlCharacters(text: string): string {
    validateString(text, "str");
    // eslint-disable-next-line no-control-regex
    return text.replace(/[\u001B\u009B][[\]()#;?]*(?:(?:(?:(?:;[-a-zA-Z\d/#&.:=?%@~_]+)*|[a-zA-Z\d]+(?:;[-a-zA-Z\d/#&.:=?%@~_]*)*)?(?:\u0007|\u001B\u005C|\u009C))|(?:(?:\d{1,4}(?:;\d{0,4})*)?[\dA-PR-TZcf-ntqry=><~]))/g, "");
}

/* ---- functions ---- */

export function promisify(original: any): any {
    validateFunction(original, "original");
    const custom = (original as any)[customPromisify];
    if (custom) {
        validateFunction(custom, "util.promisify.custom");
        return Object.defineProperty(custom, customPromisify, { value: custom, enumerable: false, writable: false, configurable: true });
    }
    const names = (original as any)[Symbol.for("limpet.promisifyArgs")];
    function fn(this: any, ...args: any[]): Promise<any> {
        return new Promise((resolve, reject) => {
            Reflect.apply(original, this, [...args, (error: any, ...values: any[]) => {
                if (error) {
                    return reject(error);
                }
                if (names && values.length > 1) {
                    return resolve(Object.fromEntries(names.map((name: string, i: number) => [name, values[i]])));
                }
                return resolve(values[0]);
            }]);
        });
    }
    Object.setPrototypeOf(fn, Object.getPrototypeOf(original));
    Object.defineProperty(fn, customPromisify, { value: fn, enumerable: false, writable: false, configurable: true });
    const own = Object.getOwnPropertyDescriptors(original);
    for (const key of Reflect.ownKeys(own)) {
        try {
            Object.defineProperty(fn, key, (own as any)[key]);
        } catch {
            // "prototype" of a function cannot be defined anew
        }
    }
    return fn;
}
promisify.custom = customPromisify;

export function callbackify(original: any): any {
    validateFunction(original, "original");
    function callbackified(this: any, ...args: any[]): void {
        const callback = args.pop();
        validateFunction(callback, "last argument");
        Reflect.apply(original as any, this, args).then(
            (value: any) => nextTick(callback.bind(this, null, value)),
            (reason: any) => {
                if (!reason) {
                    reason = coded(Error, "ERR_FALSY_VALUE_REJECTION", "Promise was rejected with falsy value", { reason });
                }
                nextTick(callback.bind(this, reason));
            },
        );
    }
    const own: any = Object.getOwnPropertyDescriptors(original);
    if (typeof own.length.value === "number") {
        own.length.value++;
    }
    if (typeof own.name.value === "string") {
        own.name.value += "Callbackified";
    }
    for (const key of Reflect.ownKeys(own)) {
        try {
            Object.defineProperty(callbackified, key, own[key]);
        } catch {
            // "prototype"
        }
    }
    return callbackified;
}

export function inherits(constructor: any, parent: any): void {
    if (constructor === undefined || constructor === null) {
        throw invalidArgType("ctor", "Function", constructor);
    }
    if (parent === undefined || parent === null) {
        throw invalidArgType("superCtor", "Function", parent);
    }
    if (parent.prototype === undefined) {
        throw invalidArgType("superCtor.prototype", "Object", parent.prototype);
    }
    Object.defineProperty(constructor, "super_", { value: parent, writable: true, configurable: true });
    Object.setPrototypeOf(constructor.prototype, parent.prototype);
}

const warned = new Set<string>();

export function deprecate(fn: any, message: string, code?: string): any {
    if (code !== undefined) {
        validateString(code, "code");
    }
    let isWarned = false;
    function deprecated(this: any, ...args: any[]): any {
        if (!isWarned) {
            isWarned = true;
            if (code === undefined || !warned.has(code)) {
                if (code !== undefined) {
                    warned.add(code);
                }
                const process = (globalThis as any).process;
                if (process?.emitWarning) {
                    process.emitWarning(message, "DeprecationWarning", code);
                } else {
                    console.warn(`${code ? `[${code}] ` : ""}DeprecationWarning: ${message}`);
                }
            }
        }
        return new.target ? Reflect.construct(fn, args, new.target) : Reflect.apply(fn, this, args);
    }
    Object.setPrototypeOf(deprecated, fn);
    if (fn.prototype) {
        deprecated.prototype = fn.prototype;
    }
    Object.defineProperty(deprecated, "length", { value: fn.length, configurable: true });
    return deprecated;
}

/* ---- logs ---- */

export function debuglog(section: string, callback?: (fn: any) => void): any {
    const isOn = (): boolean => String((globalThis as any).process?.env?.NODE_DEBUG ?? "").split(",")
        .some((pattern) => pattern !== "" && new RegExp(`^${pattern.trim().replace(/[|\\{}()[\]^$+?.]/g, "\\$&").replaceAll("*", ".*")}$`, "i").test(section));
    const logger: any = (...args: any[]): void => {
        if (isOn()) {
            console.error("%s 1: %s", section.toUpperCase(), format(...args));
        }
    };
    Object.defineProperty(logger, "enabled", { get: isOn, configurable: true, enumerable: true });
    callback?.(logger);
    return logger;
}
export const debug = debuglog;

export function log(...args: any[]): void {
    console.log("%s - %s", new Date().toISOString(), format(...args));
}

/* ---- the rest ---- */

export function getSystemErrorName(errno: number): string | undefined {
    if (typeof errno !== "number") {
        throw invalidArgType("err", "number", errno);
    }
    return Object.entries(errnos).find(([, [number]]) => number === errno)?.[0];
}

export function getSystemErrorMap(): Map<number, [string, string]> {
    return new Map(Object.entries(errnos).map(([name, [number, text]]) => [number, [name, text]]));
}

export const getSystemErrorMessage = (errno: number): string | undefined => getSystemErrorMap().get(errno)?.[1];

export function toUSVString(text: unknown): string {
    return `${text}`.toWellFormed();
}

export async function aborted(signal: any, resource: any): Promise<void> {
    if (signal === undefined) {
        throw invalidArgType("signal", "AbortSignal", signal);
    }
    validateAbortSignal(signal, "signal");
    if (resource === null || (typeof resource !== "object" && typeof resource !== "function")) {
        throw invalidArgType("resource", "Object", resource);
    }
    if (!signal.aborted) {
        await new Promise<void>((resolve) => {
            signal.addEventListener("abort", () => resolve(), { once: true });
        });
    }
}

export const transferableAbortController = (): AbortController => new AbortController();
export const transferableAbortSignal = (signal: AbortSignal): AbortSignal => signal;

export function parseEnv(content: string): Record<string, string> {
    validateString(content, "content");
    const out: Record<string, string> = {};
    const line = /^\s*(?:export\s+)?([\w.-]+)\s*=[^\S\n]*(?:"((?:\\"|[^"])*)"|'([^']*)'|`([^`]*)`|([^#\r\n]*))?/gm;
    for (const [, name, double, single, tick, plain] of content.matchAll(line)) {
        out[name!] = double !== undefined ? double.replace(/\\n/g, "\n") : single ?? tick ?? (plain ?? "").trim();
    }
    return out;
}

export function _extend(target: any, source: any): any {
    return source === null || typeof source !== "object" ? target : Object.assign(target, source);
}

export function getCallSites(frames = 10): any[] {
    const target: any = {};
    Error.captureStackTrace?.(target, getCallSites);
    return String(target.stack ?? "").split("\n").slice(1, frames + 1).map((text) => {
        const found = /at (?:(.*) \()?(.*):(\d+):(\d+)\)?$/.exec(text.trim());
        return { functionName: found?.[1] ?? "", scriptName: found?.[2] ?? "", lineNumber: Number(found?.[3] ?? 0), column: Number(found?.[4] ?? 0) };
    });
}

export const isArray = Array.isArray;
export const isBoolean = (value: unknown): boolean => typeof value === "boolean";
export const isNull = (value: unknown): boolean => value === null;
export const isNullOrUndefined = (value: unknown): boolean => value === null || value === undefined;
export const isNumber = (value: unknown): boolean => typeof value === "number";
export const isString = (value: unknown): boolean => typeof value === "string";
export const isSymbol = (value: unknown): boolean => typeof value === "symbol";
export const isUndefined = (value: unknown): boolean => value === undefined;
export const isRegExp = types.isRegExp;
export const isObject = (value: unknown): boolean => value !== null && typeof value === "object";
export const isDate = types.isDate;
export const isError = (value: unknown): boolean => types.isNativeError(value) || value instanceof Error;
export const isFunction = (value: unknown): boolean => typeof value === "function";
export const isPrimitive = (value: unknown): boolean => value === null || (typeof value !== "object" && typeof value !== "function");
export const isBuffer = (value: any): boolean => Boolean(value?.constructor?.isBuffer?.(value));

export const TextDecoder = globalThis.TextDecoder;
export const TextEncoder = globalThis.TextEncoder;

export default {
    MIMEParams, MIMEType, TextDecoder, TextEncoder, _extend, aborted, callbackify, debug, debuglog, deprecate, format, formatWithOptions,
    getCallSites, getSystemErrorMap, getSystemErrorMessage, getSystemErrorName, inherits, inspect, isArray, isBoolean, isBuffer,
    isDate, isDeepStrictEqual, isError, isFunction, isNull, isNullOrUndefined, isNumber, isObject, isPrimitive, isRegExp, isString,
    isSymbol, isUndefined, log, parseArgs, parseEnv, promisify, stripVTControlCharacters, styleText, toUSVString,
    transferableAbortController, transferableAbortSignal, types: { ...types },
};
