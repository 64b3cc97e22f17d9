// SPDX-License-Identifier: Apache-2.0
//
// Text for people from any value, laid out as Node's console does: depth 2, lines of 80, small objects
// on one line, long number lists in columns, circular references marked. Getters are never called, so
// that looking at an object does not change it; proxies are shown as their target.
// One function a kind of value; `Inspector` carries the state of one call.

import { Blob, File } from "./blob.ts";
import { AbortSignal } from "./abort.ts";
import { Event } from "./event.ts";
import { FormData } from "./form-data.ts";
import { native } from "./native.ts";
import { isStream, streamState } from "./stream.ts";
import { URL } from "./url.ts";
import { URLSearchParams } from "./search-params.ts";

/** Those of Node's util.inspect(). */
export interface InspectOptions {
    depth?: number | null;
    showHidden?: boolean;
    colors?: boolean;
    customInspect?: boolean;
    maxArrayLength?: number | null;
    maxStringLength?: number | null;
    breakLength?: number;
    compact?: boolean | number;
    sorted?: boolean | ((a: string, b: string) => number);
    getters?: boolean | "get" | "set";
    numericSeparator?: boolean;
}

/** What has a color of its own, with its codes. */
const styles = {
    special: [36, 39], number: [33, 39], bigint: [33, 39], boolean: [33, 39], undefined: [90, 39], null: [1, 22], string: [32, 39],
    symbol: [32, 39], date: [35, 39], regexp: [31, 39], name: [0, 0],
} as const;
type Style = keyof typeof styles;

const LINE_COLUMNS = 80;
const LINE_SPARE = 10; // columns that a line of several entries leaves free
const ITEMS_MAX = 100; // of arrays, sets and maps
const TEXT_MAX = 10000; // characters of one string
const GROUP_FROM = 6; // arrays with more entries are set in columns
const LINE_LEVELS = 3; // of nesting that may share a line

/** Node's symbol, by which packages give their objects a text of their own. */
const customInspect = Symbol.for("nodejs.util.inspect.custom");

function quote(text: string): string {
    const mark = !text.includes("'") ? "'" : !text.includes('"') ? '"' : !text.includes("`") ? "`" : "'";
    const named: Record<string, string> = { "\n": "\\n", "\t": "\\t", "\r": "\\r", "\b": "\\b", "\f": "\\f", "\v": "\\v" };
    let inner = "";
    for (const c of text) {
        const code = c.codePointAt(0)!;
        if (c === mark || c === "\\") {
            inner += `\\${c}`;
        } else if (code < 0x20 || code === 0x7f) {
            inner += named[c] ?? `\\x${code.toString(16).toUpperCase().padStart(2, "0")}`;
        } else if (code >= 0xd800 && code <= 0xdfff) {
            inner += `\\u${code.toString(16).toUpperCase()}`;
        } else {
            inner += c;
        }
    }
    return mark + inner + mark;
}

function keyText(key: string | symbol): string {
    if (typeof key === "symbol") {
        return `[${String(key)}]`;
    }
    return /^[A-Za-z_$][\w$]*$/.test(key) ? key : quote(key);
}

function numberText(value: number, isGrouped = false): string {
    const text = Object.is(value, -0) ? "-0" : String(value);
    const [, whole, rest] = isGrouped ? /^(-?\d+)(\.\d+)?$/.exec(text) ?? [] : [];
    return whole === undefined ? text
        : whole.replace(/\B(?=(\d{3})+$)/g, "_") + (rest ? `.${rest.slice(1).replace(/\d{3}(?=\d)/g, "$&_")}` : "");
}

/** Characters of a text that take room. */
function widthOf(text: string): number {
    // eslint-disable-next-line no-control-regex
    return text.includes("\u001b") ? text.replace(/\u001b\[\d+m/g, "").length : text.length;
}

function clip(count: number, what: string): string {
    return `... ${count} more ${what}${count === 1 ? "" : "s"}`;
}

/** The name of the class an object was made by, null for an object without a prototype. */
function className(value: object): string | null {
    for (let proto: object | null = value; proto; proto = Object.getPrototypeOf(proto)) {
        const own = Object.getOwnPropertyDescriptor(proto, "constructor")?.value as unknown;
        if (typeof own === "function" && own.name !== "" && value instanceof own) {
            return own.name;
        }
    }
    return null;
}

function tagOf(value: object): string {
    let tag: unknown;
    try {
        tag = (value as { [Symbol.toStringTag]?: unknown })[Symbol.toStringTag];
    } catch {
        return ""; // a getter of the script's that throws
    }
    return typeof tag === "string" && !Object.hasOwn(value, Symbol.toStringTag) ? tag : "";
}

/** "Name " as it stands before a brace; nothing for plain objects and arrays of their own kind. */
function prefix(value: object, kind: string, size?: number): string {
    const name = className(value);
    const tag = tagOf(value);
    const sized = size === undefined ? "" : `(${size})`;
    const tagged = tag !== "" && tag !== name ? `[${tag}] ` : "";
    return name === null ? `[${kind}${sized}: null prototype] ${tagged}` : `${name}${sized} ${tagged}`;
}

class Inspector {
    #options: InspectOptions;
    #depthMax: number;
    #showHidden: boolean;
    #itemsMax: number;
    #lineLevels: number;
    #path: object[] = [];
    #circular: Map<object, number> | undefined;
    #indent = 0;
    #level = 0;
    #lastLevel = 0; // of the object laid out last: the depth below the one laid out now

    constructor(options: InspectOptions) {
        this.#depthMax = options.depth === null ? Infinity : options.depth ?? 2;
        this.#showHidden = Boolean(options.showHidden);
        this.#itemsMax = options.maxArrayLength === null ? Infinity : options.maxArrayLength ?? ITEMS_MAX;
        this.#lineLevels = typeof options.compact === "number" ? options.compact : options.compact === false ? 0 : LINE_LEVELS;
        this.#options = options;
    }

    #style(text: string, style: Style): string {
        const [on, off] = styles[style];
        return this.#options.colors && on ? `\u001b[${on}m${text}\u001b[${off}m` : text;
    }

    #key(key: string | symbol): string {
        const text = keyText(key);
        return !this.#options.colors ? text : typeof key === "symbol" ? `[${this.#style(String(key), "symbol")}]`
            : text === key ? text : this.#style(text, "string");
    }

    value(value: unknown): string {
        switch (typeof value) {
        case "string": {
            const { maxStringLength } = this.#options;
            const max = maxStringLength === null ? Infinity : maxStringLength ?? TEXT_MAX;
            const rest = value.length - max;
            return rest > 0
                ? `${this.#style(quote(value.slice(0, max)), "string")}${clip(rest, "character")}` : this.#style(quote(value), "string");
        }
        case "number":
            return this.#style(numberText(value, this.#options.numericSeparator), "number");
        case "bigint":
            return this.#style(`${this.#options.numericSeparator ? String(value).replace(/\B(?=(\d{3})+$)/g, "_") : value}n`, "bigint");
        case "symbol":
            return this.#style(String(value), "symbol");
        case "function":
        case "object":
            return value === null ? this.#style("null", "null") : this.#object(value);
        default:
            return this.#style(String(value), typeof value === "boolean" ? "boolean" : "undefined");
        }
    }

    #object(given: object): string {
        const value = native.proxyTarget(given) ?? given;
        const custom = this.#options.customInspect !== false && (Object.hasOwn(value, customInspect) || customInspect in value)
            ? (value as Record<symbol, unknown>)[customInspect] : undefined;
        if (typeof custom === "function") {
            const result: unknown = custom.call(
                value, this.#depthMax - this.#level, {
                    ...this.#options, depth: this.#depthMax - this.#level,
                    stylize: (text: string, style: Style) => (style in styles ? this.#style(text, style) : text),
                }, inspect,
            );
            if (result !== value) {
                return typeof result === "string"
                    ? result.replaceAll("\n", `\n${" ".repeat(this.#indent)}`) : this.value(result);
            }
        }
        if (this.#path.includes(value)) {
            const circular = this.#circular ??= new Map();
            if (!circular.has(value)) {
                circular.set(value, circular.size + 1);
            }
            return `[Circular *${circular.get(value)}]`;
        }
        this.#path.push(value);
        try {
            const text = this.#kind(value);
            const mark = this.#circular?.get(value);
            return mark === undefined ? text : `<ref *${mark}> ${text}`;
        } finally {
            this.#path.pop();
        }
    }

    #kind(value: object): string {
        if (typeof value === "function") {
            return this.#withProperties(this.#style(functionText(value as () => unknown), "special"), value);
        }
        if (Array.isArray(value)) {
            return this.#list(value, prefix(value, "Array", value.length).replace(/^Array\(\d+\) $/, ""));
        }
        if (ArrayBuffer.isView(value) && !(value instanceof DataView)) {
            const list = value as unknown as ArrayLike<number | bigint>;
            return this.#list(list, prefix(value, "TypedArray", list.length));
        }
        if (value instanceof Error) {
            return this.#error(value);
        }
        const plain = plainText(value);
        if (plain !== undefined) {
            return this.#withProperties(value instanceof Date ? this.#style(plain, "date")
                : value instanceof RegExp ? this.#style(plain, "regexp") : plain, value);
        }
        return this.#collection(value);
    }

    #collection(value: object): string {
        if (value instanceof Map) {
            return this.#wrap(value, prefix(value, "Map", value.size), () => this.#pairs(value),
                value.size);
        }
        if (value instanceof Set) {
            return this.#wrap(value, prefix(value, "Set", value.size),
                () => this.#items(value, value.size), value.size);
        }
        if (value instanceof ArrayBuffer) {
            return this.#wrap(value, prefix(value, "ArrayBuffer"), () => [
                `[Uint8Contents]: <${hexText(value)}>`, `byteLength: ${value.byteLength}`,
            ]);
        }
        const promise = native.promiseState(value);
        if (promise) {
            const [state, result] = promise;
            return this.#wrap(value, prefix(value, "Promise"), () => [
                state === 0 ? "<pending>" : state === 1 ? this.value(result) : `<rejected> ${this.value(result)}`,
            ]);
        }
        const fields = platformFields(value);
        if (fields) {
            return this.#wrap(value, prefix(value, "Object"), () => Object.entries(fields)
                .map(([key, item]) => `${keyText(key)}: ${this.value(item)}`));
        }
        if (value instanceof URLSearchParams || value instanceof FormData || value instanceof Headers) {
            return this.#wrap(value, prefix(value, "Object"), () => this.#named(value));
        }
        const name = prefix(value, "Object");
        return this.#wrap(value, name === "Object " ? "" : name, () => [], 0);
    }

    /** Runs `entries` one level deeper, adds the object's own properties and lays all out. */
    #wrap(value: object, before: string, entries: () => string[], count = 1): string {
        if (!count && !this.#keys(value).length) {
            return `${before}{}`;
        }
        if (this.#level > this.#depthMax) {
            return this.#style(tooDeep(value), "special");
        }
        this.#lastLevel = this.#level;
        const all = this.#deeper(() => [...entries(), ...this.#properties(value)]);
        return all.length ? this.#layout(all, `${before}{`, "}") : `${before}{}`;
    }

    #deeper<T>(fn: () => T): T {
        this.#level++;
        this.#indent += 2;
        try {
            return fn();
        } finally {
            this.#level--;
            this.#indent -= 2;
        }
    }

    #withProperties(text: string, value: object): string {
        const keys = this.#keys(value);
        if (!keys.length || this.#level > this.#depthMax) {
            return text;
        }
        this.#lastLevel = this.#level;
        return this.#layout(this.#deeper(() => this.#properties(value)), `${text} {`, "}");
    }

    #keys(value: object): (string | symbol)[] {
        return Reflect.ownKeys(value).filter((key) => {
            if (value instanceof String && typeof key === "string" && /^\d+$/.test(key)) {
                return false; // its characters, which are shown already
            }
            const own = Reflect.getOwnPropertyDescriptor(value, key);
            return own && (own.enumerable || (this.#showHidden && typeof key === "string"));
        });
    }

    #properties(value: object, skip: (key: string) => boolean = () => false): string[] {
        const entries = this.#keys(value)
            .filter((key) => typeof key === "symbol" || !skip(key))
            .map((key) => {
                const isHidden = typeof key === "string" && !Object.prototype.propertyIsEnumerable.call(value, key);
                return `${isHidden ? `[${String(key)}]` : this.#key(key)}: ${this.#property(value, key)}`;
            });
        const { sorted } = this.#options;
        return sorted ? entries.sort(sorted === true ? undefined : sorted) : entries;
    }

    #property(value: object, key: string | symbol): string {
        const own = Reflect.getOwnPropertyDescriptor(value, key);
        if (own?.get) {
            const name = own.set ? "Getter/Setter" : "Getter";
            const { getters } = this.#options;
            if (getters && (getters === true || (getters === "get" ? !own.set : own.set))) {
                let text: string;
                try {
                    text = this.value((value as Record<string | symbol, unknown>)[key]);
                } catch (error) {
                    text = `<Inspection threw (${(error as Error)?.message})>`;
                }
                return `${this.#style(`[${name}:`, "special")} ${text}${this.#style("]", "special")}`;
            }
            return this.#style(`[${name}]`, "special");
        }
        return own?.set ? this.#style("[Setter]", "special") : this.value(own?.value);
    }

    #list(list: ArrayLike<unknown>, before: string): string {
        const isIndex = (key: string) => /^\d+$/.test(key);
        if (!list.length && !this.#keys(list).some((key) => typeof key === "symbol" || !isIndex(key))) {
            return `${before}[]`;
        }
        if (this.#level > this.#depthMax) {
            return this.#style(tooDeep(list), "special");
        }
        this.#lastLevel = this.#level;
        const entries = this.#deeper(() => this.#elements(list));
        const named = this.#deeper(() => this.#properties(list, isIndex));
        const all = [...entries.output, ...named];
        const grouped = all.length > GROUP_FROM && !named.length && this.#lineLevels > 0
            ? columns(all, list, entries.hasMore, this.#indent) : all;
        return this.#layout(grouped, `${before}[`, "]", grouped.length !== all.length);
    }

    #elements(list: ArrayLike<unknown>): { output: string[]; hasMore: boolean } {
        const isArray = Array.isArray(list);
        const output: string[] = [];
        let i = 0;
        while (i < list.length && output.length < this.#itemsMax) {
            const from = i;
            while (isArray && i < list.length && !Object.hasOwn(list, i)) {
                i++;
            }
            if (i > from) {
                output.push(`<${i - from} empty item${i - from === 1 ? "" : "s"}>`);
            } else {
                output.push(isArray ? this.#property(list, String(i)) : this.value(list[i]));
                i++;
            }
        }
        const hasMore = i < list.length;
        if (hasMore) {
            output.push(clip(list.length - i, "item"));
        }
        return { output, hasMore };
    }

    #items(items: Iterable<unknown>, size: number): string[] {
        const output: string[] = [];
        for (const item of items) {
            if (output.length >= this.#itemsMax) {
                output.push(clip(size - this.#itemsMax, "item"));
                break;
            }
            output.push(this.value(item));
        }
        return output;
    }

    #pairs(map: Map<unknown, unknown>): string[] {
        const output: string[] = [];
        for (const [key, item] of map) {
            if (output.length >= this.#itemsMax) {
                output.push(clip(map.size - this.#itemsMax, "item"));
                break;
            }
            output.push(`${this.value(key)} => ${this.value(item)}`);
        }
        return output;
    }

    #named(pairs: Iterable<[string, unknown]>): string[] {
        return [...pairs].map(([key, item]) => `${keyText(key)}: ${this.value(item)}`);
    }

    #error(error: Error): string {
        const head = errorText(error);
        const indented = head.replaceAll("\n", `\n${" ".repeat(this.#indent)}`);
        const own = this.#deeper(() => {
            const lines: string[] = [];
            for (const key of ["cause", "errors"]) {
                if (Object.hasOwn(error, key)
                    && !Object.getOwnPropertyDescriptor(error, key)!.enumerable) {
                    lines.push(`[${key}]: ${this.#property(error, key)}`);
                }
            }
            const hidden = ["name", "message", "stack"];
            return [...this.#properties(error, (key) => hidden.includes(key)), ...lines];
        });
        if (!own.length || this.#level > this.#depthMax) {
            return head.includes("\n") ? indented : `[${indented}]`;
        }
        const pad = `\n${" ".repeat(this.#indent)}`;
        return `${indented} {${pad}  ${own.join(`,${pad}  `)}${pad}}`;
    }

    /** Entries on one line if they are few, short and shallow, else one a line. */
    #layout(entries: string[], open: string, close: string, isGrouped = false): string {
        if (!isGrouped && this.#lastLevel - this.#level < this.#lineLevels) {
            const length = entries.reduce((sum, entry) => sum + widthOf(entry) + 2, 0);
            const line = `${open} ${entries.join(", ")} ${close}`;
            if (length + this.#indent + open.length + LINE_SPARE <= (this.#options.breakLength ?? LINE_COLUMNS)
                && !line.includes("\n")) {
                return line;
            }
        }
        const pad = `\n${" ".repeat(this.#indent)}`;
        return `${open}${pad}  ${entries.join(`,${pad}  `)}${pad}${close}`;
    }
}

function tooDeep(value: object): string {
    const name = className(value);
    return name === null ? "[Object: null prototype]" : `[${name}]`;
}

/** Sets array entries in columns, several an entry of the result; the entries themselves if they are
 *  too long or too unequal for that. The weights are those of Node's console. */
function columns(
    output: string[], list: ArrayLike<unknown>, hasMore: boolean, indent: number,
): string[] {
    const entries = hasMore ? output.slice(0, -1) : output;
    let total = 0;
    let longest = 0;
    for (const entry of entries) {
        total += widthOf(entry) + 2;
        longest = Math.max(longest, widthOf(entry));
    }
    const width = longest + 2;
    if (width * 3 + indent >= LINE_COLUMNS || (total / width <= 5 && longest > 6)
        || entries.some((entry) => entry.includes("\n"))) {
        return output;
    }
    const bias = Math.sqrt(width - total / output.length);
    const biased = Math.max(width - 3 - bias, 1);
    const perLine = Math.min(
        Math.round(Math.sqrt(2.5 * biased * entries.length) / biased),
        Math.floor((LINE_COLUMNS - indent) / width), 12, 15,
    );
    if (perLine <= 1) {
        return output;
    }
    const isNumeric = Array.from(list).every((v) => typeof v === "number" || typeof v === "bigint");
    const widths = Array.from({ length: perLine }, (_, column) => Math.max(
        ...entries.filter((_, i) => i % perLine === column).map(widthOf),
    ) + 2);
    const rows: string[] = [];
    for (let i = 0; i < entries.length; i += perLine) {
        const cells = entries.slice(i, i + perLine);
        rows.push(cells.map((cell, column) => {
            const isLast = column === cells.length - 1;
            const space = widths[column]! - (isLast ? 2 : 0);
            const text = isLast ? cell : `${cell}, `;
            const pad = " ".repeat(Math.max(0, space - widthOf(text)));
            return isNumeric ? pad + text : isLast ? text : text + pad;
        }).join(""));
    }
    if (hasMore) {
        rows.push(output.at(-1)!);
    }
    return rows;
}

function hexText(buffer: ArrayBuffer): string {
    const bytes = new Uint8Array(buffer, 0, Math.min(50, buffer.byteLength));
    const text = Array.from(bytes, (b) => b.toString(16).padStart(2, "0")).join(" ");
    const rest = buffer.byteLength - bytes.length;
    return rest ? `${text} ... ${rest} more byte${rest === 1 ? "" : "s"}` : text;
}

function functionText(fn: () => unknown): string {
    const source = Function.prototype.toString.call(fn);
    const name = typeof fn.name === "string" ? fn.name : "";
    if (source.startsWith("class")) {
        const parent: unknown = Object.getPrototypeOf(fn);
        const parentName = typeof parent === "function" ? parent.name : "";
        return `[class ${name || "(anonymous)"}${parentName ? ` extends ${parentName}` : ""}]`;
    }
    const kind = className(fn) ?? "Function";
    return `[${kind}${name ? `: ${name}` : " (anonymous)"}]`;
}

/** The first line and the stack, as one text. QuickJS's stack has the frames only. */
export function errorText(error: Error): string {
    const name = typeof error.name === "string" ? error.name : "Error";
    const message = typeof error.message === "string" ? error.message : "";
    const first = message ? `${name}: ${message}` : name;
    const stack = typeof error.stack === "string" ? error.stack.trimEnd() : "";
    if (stack === "") {
        return first;
    }
    return /^\s*at /.test(stack) ? `${first}\n${stack}` : stack;
}

/** Values with a text of their own: boxed primitives, dates, patterns, weak things. */
function plainText(value: object): string | undefined {
    if (value instanceof Date) {
        const time = value.getTime();
        return Number.isNaN(time) ? "Invalid Date" : new Date(time).toISOString();
    }
    if (value instanceof RegExp) {
        return RegExp.prototype.toString.call(value);
    }
    if (value instanceof Number || value instanceof Boolean || value instanceof BigInt
        || value instanceof Symbol) {
        const inner: unknown = value.valueOf();
        const text = typeof inner === "bigint" ? `${inner}n` : String(inner);
        return `[${className(value) ?? "Object"}: ${Object.is(inner, -0) ? "-0" : text}]`;
    }
    if (value instanceof String) {
        return `[String: ${quote(String(value))}]`;
    }
    if (value instanceof WeakMap || value instanceof WeakSet || value instanceof WeakRef) {
        return `${className(value)} { <items unknown> }`;
    }
    return undefined;
}

/** What is worth showing of platform objects, whose state is not in properties. */
function platformFields(value: object): Record<string, unknown> | undefined {
    const pick = (keys: string[]) => Object.fromEntries(
        keys.map((key) => [key, (value as Record<string, unknown>)[key]]),
    );
    if (value instanceof URL) {
        return pick(["href", "origin", "protocol", "username", "password", "host", "hostname", "port",
            "pathname", "search", "searchParams", "hash"]);
    }
    if (value instanceof Request) {
        return pick(["method", "url", "headers", "redirect", "bodyUsed"]);
    }
    if (value instanceof Response) {
        return pick(["status", "statusText", "headers", "ok", "redirected", "type", "url", "bodyUsed"]);
    }
    if (value instanceof File) {
        return pick(["size", "type", "name", "lastModified"]);
    }
    if (value instanceof Blob) {
        return pick(["size", "type"]);
    }
    if (value instanceof AbortSignal) {
        return pick(["aborted"]);
    }
    if (value instanceof Event) {
        return pick(["type", "defaultPrevented", "cancelable", "timeStamp"]);
    }
    if (value instanceof DataView) {
        return pick(["byteLength", "byteOffset", "buffer"]);
    }
    if (isStream(value)) {
        return { locked: value.locked, disturbed: (streamState(value) & 1) === 1 };
    }
    return undefined;
}

export function inspect(value: unknown, options: InspectOptions = {}): string {
    return new Inspector(options).value(value);
}
