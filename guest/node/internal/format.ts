// SPDX-License-Identifier: Apache-2.0
//
// util.format(): text with %s and its kin.

import { inspect } from "limpet:internal";

function numberText(value: any): string {
    return Object.is(value, -0) ? "-0" : String(value);
}

/** %s of an object: its own text if its class has given it one. */
function stringOf(value: any, options: any): string {
    if (typeof value === "number") {
        return numberText(value);
    }
    if (typeof value === "bigint") {
        return `${value}n`;
    }
    if (typeof value !== "object" || value === null || !hasOwnText(value)) {
        return typeof value === "object" && value !== null
            ? inspect(value, { ...options, depth: 0, colors: false, compact: 3 }) : String(value);
    }
    return String(value);
}

const builtIn = new Set(["Object", "Array", "Function", "Map", "Set", "Promise", "Date", "RegExp", "Error", "TypeError", "RangeError",
    "SyntaxError", "ReferenceError", "EvalError", "URIError", "WeakMap", "WeakSet", "ArrayBuffer", "Uint8Array"]);

function hasOwnText(value: any): boolean {
    if (typeof value[Symbol.toPrimitive] === "function" && !(value instanceof Date)) {
        return true;
    }
    if (typeof value.toString !== "function") {
        return false;
    }
    if (Object.hasOwn(value, "toString")) {
        return true;
    }
    let at = value;
    do {
        at = Object.getPrototypeOf(at);
    } while (at && !Object.hasOwn(at, "toString"));
    const made = at && Object.getOwnPropertyDescriptor(at, "constructor")?.value;
    return typeof made === "function" && !(builtIn.has(made.name) && made === (globalThis as any)[made.name]);
}

function json(value: unknown): string {
    try {
        return JSON.stringify(value);
    } catch (error) {
        if (/circular/i.test(String(error))) {
            return "[Circular]";
        }
        throw error;
    }
}

function convert(letter: string, value: any, options: any): string | undefined {
    switch (letter) {
    case "s":
        return stringOf(value, options);
    case "j":
        return json(value);
    case "d":
        return typeof value === "bigint" ? `${value}n` : typeof value === "symbol" ? "NaN" : numberText(Number(value));
    case "i":
        return typeof value === "bigint" ? `${value}n` : typeof value === "symbol" ? "NaN" : numberText(Number.parseInt(value, 10));
    case "f":
        return typeof value === "symbol" ? "NaN" : numberText(Number.parseFloat(value));
    case "O":
        return inspect(value, options);
    case "o":
        return inspect(value, { ...options, showHidden: true, showProxy: true, depth: 4 });
    case "c":
        return "";
    default:
        return undefined;
    }
}

export function formatWithOptions(options: any, ...args: any[]): string {
    let at = 0, text = "", join = "";
    const first = args[0];
    if (typeof first === "string") {
        if (args.length === 1) {
            return first;
        }
        at = 1;
        text = first.replace(/%([sjdifoOc%])/g, (found, letter) => {
            if (letter === "%") {
                return args.length > 1 ? "%" : found;
            }
            if (at >= args.length) {
                return found;
            }
            return convert(letter, args[at++], options)!;
        });
        join = " ";
    }
    for (; at < args.length; at++) {
        const value = args[at];
        text += join + (typeof value === "string" ? value : inspect(value, options));
        join = " ";
    }
    return text;
}

export function format(...args: any[]): string {
    return formatWithOptions({}, ...args);
}
