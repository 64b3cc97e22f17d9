// SPDX-License-Identifier: Apache-2.0
//
// The console (Console standard): formats like Node's, and writes each call as one entry of the module's
// log. Counters, timers and the group depth are made when first used, so that a request that logs
// nothing writes nothing here.

import { errorText, inspect, type InspectOptions } from "./inspect.ts";
import { toText } from "./interface.ts";
import { native } from "./native.ts";

const DEBUG = 0, INFO = 1, WARN = 2, ERROR = 3;

interface State {
    indent: string;
    counts?: Map<string, number>;
    timers?: Map<string, number>;
}
const outside: State = { indent: "" };
const inSteps: State = { indent: "" }; // which a replay does not run

function state(): State {
    return native.scope() ? inSteps : outside;
}

function shown(value: unknown): string {
    return typeof value === "string" ? value : inspect(value);
}

function integer(value: unknown, parse: (text: string) => number): string {
    if (typeof value === "bigint") {
        return `${value}n`;
    }
    if (typeof value === "symbol" || (typeof value === "object" && value !== null)) {
        return "NaN";
    }
    const number = parse(String(value));
    return Object.is(number, -0) ? "-0" : String(number);
}

function textOf(value: unknown): string {
    if (typeof value === "bigint") {
        return `${value}n`;
    }
    if (Object.is(value, -0)) {
        return "-0";
    }
    if (value instanceof Error) {
        return errorText(value);
    }
    return typeof value === "object" && value !== null ? inspect(value, { depth: 0 }) : String(value);
}

function substitute(directive: string, value: unknown): string {
    switch (directive) {
    case "%s":
        return textOf(value);
    case "%d":
        return integer(value, Number);
    case "%i":
        return integer(value, (text) => Number.parseInt(text, 10));
    case "%f":
        return typeof value === "symbol" ? "NaN" : String(Number.parseFloat(String(value)));
    case "%j":
        try {
            return String(JSON.stringify(value));
        } catch {
            return "[Circular]";
        }
    case "%o":
        return inspect(value, { depth: 4, showHidden: true });
    case "%O":
        return inspect(value);
    default:
        return ""; // %c, a style, which a log has no use for
    }
}

/** The text of console.log's arguments, with the directives of a first string. */
export function format(args: unknown[]): string {
    const [first] = args;
    if (typeof first !== "string" || args.length === 1) {
        return args.map(shown).join(" ");
    }
    let used = 1;
    const text = first.includes("%") ? first.replace(/%[sdifjoOc%]/g, (directive) => {
        if (directive === "%%") {
            return "%";
        }
        return used < args.length ? substitute(directive, args[used++]) : directive;
    }) : first;
    return [text, ...args.slice(used).map(shown)].join(" ");
}

function write(level: number, text: string): void {
    const { indent } = state();
    native.log(level, indent ? indent + text.replaceAll("\n", `\n${indent}`) : text);
}

function label(value: unknown): string {
    return value === undefined ? "default" : toText(value);
}

function elapsed(name: string): string | undefined {
    const start = state().timers?.get(name);
    if (start === undefined) {
        write(WARN, `Timer '${name}' does not exist`);
        return undefined;
    }
    const ms = native.clock(1) - start;
    return ms >= 1000 ? `${(ms / 1000).toFixed(3)}s` : `${Number(ms.toFixed(3))}ms`;
}

/** Columns a text takes in a terminal, near enough: wide characters count twice, marks nothing. */
function columnsOf(text: string): number {
    let columns = 0;
    for (const c of text) {
        columns += /\p{Mark}|\p{Cf}/u.test(c) ? 0
            : /[\u1100-\u115f\u2e80-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6]|\p{Emoji_Presentation}/u.test(c)
                ? 2 : 1;
    }
    return columns;
}

function drawTable(head: string[], rows: string[][]): string {
    const all = [head, ...rows];
    const widths = head.map((_, i) => Math.max(...all.map((row) => columnsOf(row[i] ?? ""))) + 2);
    const line = (left: string, middle: string, right: string) =>
        left + widths.map((w) => "─".repeat(w)).join(middle) + right;
    const draw = (row: string[]) => `│${widths.map((width, i) => {
        const cell = row[i] ?? "";
        return ` ${cell}${" ".repeat(width - columnsOf(cell) - 1)}`;
    }).join("│")}│`;
    return [
        line("┌", "┬", "┐"), draw(head), line("├", "┼", "┤"), ...rows.map(draw), line("└", "┴", "┘"),
    ].join("\n");
}

function tableText(data: object, only: string[] | undefined): string {
    const isPairs = data instanceof Map;
    const entries: [unknown, unknown][] = isPairs ? [...data.entries()]
        : data instanceof Set ? [...data].map((value, i) => [i, value])
        : Object.entries(data);
    const keys: string[] = only ? [...only] : [];
    let hasValues = false;
    for (const [, row] of entries) {
        if (typeof row === "object" && row !== null && !isPairs) {
            for (const key of only ? [] : Object.keys(row)) {
                if (!keys.includes(key)) {
                    keys.push(key);
                }
            }
        } else {
            hasValues = true;
        }
    }
    const cell = (value: unknown) => inspect(value, { depth: 0 });
    const index = isPairs || data instanceof Set ? "(iteration index)" : "(index)";
    const head = isPairs ? [index, "Key", "Values"]
        : [index, ...keys, ...hasValues && !only ? ["Values"] : []];
    const rows = entries.map(([key, row], i) => {
        if (isPairs) {
            return [String(i), cell(key), cell(row)];
        }
        const isObject = typeof row === "object" && row !== null;
        return [
            String(key),
            ...keys.map((name) => (isObject && Object.hasOwn(row, name)
                ? cell((row as Record<string, unknown>)[name]) : "")),
            ...hasValues && !only ? [isObject ? "" : cell(row)] : [],
        ];
    });
    return drawTable(head, rows);
}

function group(...args: unknown[]): void {
    if (args.length) {
        write(INFO, format(args));
    }
    state().indent += "  ";
}

export const console = {
    log: (...args: unknown[]) => write(INFO, format(args)),
    info: (...args: unknown[]) => write(INFO, format(args)),
    debug: (...args: unknown[]) => write(DEBUG, format(args)),
    warn: (...args: unknown[]) => write(WARN, format(args)),
    error: (...args: unknown[]) => write(ERROR, format(args)),
    trace(...args: unknown[]) {
        const text = format(args);
        const stack = new Error().stack!.split("\n").slice(1); // frames of this file are not in it
        write(DEBUG, [text ? `Trace: ${text}` : "Trace", ...stack].join("\n").trimEnd());
    },
    assert(...[condition, ...args]: unknown[]) {
        if (!condition) {
            const isText = typeof args[0] === "string";
            write(ERROR, args.length
                ? format(isText ? [`Assertion failed: ${args[0] as string}`, ...args.slice(1)]
                    : ["Assertion failed:", ...args])
                : "Assertion failed");
        }
    },
    dir: (...[value, options]: [value?: unknown, options?: InspectOptions]) => write(INFO, inspect(value, options ?? {})),
    dirxml: (...args: unknown[]) => write(INFO, format(args)),
    table(...[data, columns]: [data?: unknown, columns?: string[]]) {
        write(INFO, typeof data === "object" && data !== null
            ? tableText(data, columns) : format([data]));
    },
    count(name: unknown = undefined) {
        const key = label(name);
        const counts = state().counts ??= new Map();
        const count = (counts.get(key) ?? 0) + 1;
        counts.set(key, count);
        write(INFO, `${key}: ${count}`);
    },
    countReset(name: unknown = undefined) {
        const key = label(name);
        if (!state().counts?.delete(key)) {
            write(WARN, `Count for '${key}' does not exist`);
        }
    },
    time(name: unknown = undefined) {
        const key = label(name);
        const timers = state().timers ??= new Map();
        if (timers.has(key)) {
            write(WARN, `Timer '${key}' already exists`);
            return;
        }
        timers.set(key, native.clock(1));
    },
    timeLog(...[name, ...args]: unknown[]) {
        const key = label(name);
        const text = elapsed(key);
        if (text !== undefined) {
            write(INFO, [`${key}: ${text}`, ...args.map(shown)].join(" "));
        }
    },
    timeEnd(name: unknown = undefined) {
        const key = label(name);
        const text = elapsed(key);
        if (text !== undefined) {
            write(INFO, `${key}: ${text}`);
            state().timers!.delete(key);
        }
    },
    group,
    groupCollapsed: group,
    groupEnd() {
        const own = state();
        own.indent = own.indent.slice(2);
    },
    // What a terminal or an inspector does with these has no place in a log.
    clear() {},
    timeStamp() {},
    profile() {},
    profileEnd() {},
};
// As a Web IDL namespace: an empty object between it and Object.prototype.
Object.setPrototypeOf(console, {});
Object.defineProperty(console, Symbol.toStringTag, { value: "console", configurable: true });
