// SPDX-License-Identifier: Apache-2.0
//
// URLSearchParams and the application/x-www-form-urlencoded format (WHATWG URL §5, §6.2).
// The list is one flat array (name, value, …), so a parsed query is a single object in memory.
// The list object stays the same for the life of the params: live iterators hold on to it.

import { expose, need, pairIterator, usv } from "./interface.ts";
import { native } from "./native.ts";

const Iterator = pairIterator<string>("URLSearchParams");

/** Percent-decoding of bytes followed by lossy UTF-8; the path for what decodeURIComponent refuses. */
function decodeLossy(text: string): string {
    const bytes = native.utf8Encode(text);
    let length = 0;
    for (let i = 0; i < bytes.length; i++) {
        let byte = bytes[i]!;
        if (byte === 0x25 && i + 2 < bytes.length) {
            const high = hexValue(bytes[i + 1]!);
            const low = hexValue(bytes[i + 2]!);
            if (high >= 0 && low >= 0) {
                byte = high * 16 + low;
                i += 2;
            }
        }
        bytes[length++] = byte;
    }
    return native.utf8Decode(bytes.subarray(0, length));
}

function hexValue(byte: number): number {
    if (byte >= 0x30 && byte <= 0x39) {
        return byte - 0x30;
    }
    const lower = byte | 0x20;
    return lower >= 0x61 && lower <= 0x66 ? lower - 0x61 + 10 : -1;
}

function decodePart(part: string): string {
    if (part.includes("+")) {
        part = part.replaceAll("+", " ");
    }
    if (!part.includes("%")) {
        return part;
    }
    try {
        return decodeURIComponent(part);
    } catch {
        return decodeLossy(part);
    }
}

/** Parses form-urlencoded text into a flat list. */
export function parseUrlencoded(text: string, list: string[] = []): string[] {
    if (text === "") {
        return list;
    }
    for (const piece of text.split("&")) {
        if (piece === "") {
            continue;
        }
        const equals = piece.indexOf("=");
        if (equals < 0) {
            list.push(decodePart(piece), "");
        } else {
            list.push(decodePart(piece.slice(0, equals)), decodePart(piece.slice(equals + 1)));
        }
    }
    return list;
}

const escapes: Record<string, string> = {
    "!": "%21", "'": "%27", "(": "%28", ")": "%29", "~": "%7E", "%20": "+",
};

function encodePart(text: string): string {
    const encoded = encodeURIComponent(text);
    return /[!'()~]|%20/.test(encoded)
        ? encoded.replace(/[!'()~]|%20/g, (found) => escapes[found]!)
        : encoded;
}

/** Serializes a flat list of well-formed strings. */
export function serializeUrlencoded(list: readonly string[]): string {
    let text = "";
    for (let i = 0; i < list.length; i += 2) {
        text += (i ? "&" : "") + encodePart(list[i]!) + "=" + encodePart(list[i + 1]!);
    }
    return text;
}

type Init = string | Iterable<Iterable<string>> | Record<string, string> | undefined;

/** Connects params with their URL; only url.ts uses these. */
export let paramsOfUrl: (query: string, changed: () => void) => URLSearchParams;
export let paramsReplace: (params: URLSearchParams, query: string) => void;

export class URLSearchParams {
    #list: string[] = [];
    #changed: (() => void) | undefined;

    static {
        paramsOfUrl = (query, changed) => {
            const params = new URLSearchParams();
            parseUrlencoded(query, params.#list);
            params.#changed = changed;
            return params;
        };
        paramsReplace = (params, query) => {
            params.#list.length = 0;
            parseUrlencoded(query, params.#list);
        };
    }

    constructor(init: Init = "") {
        if ((typeof init === "object" && init !== null) || typeof init === "function") {
            this.#fill(init as object);
        } else {
            const text = usv(init);
            parseUrlencoded(text.startsWith("?") ? text.slice(1) : text, this.#list);
        }
    }

    #fill(init: object): void {
        const list = this.#list;
        if (init instanceof URLSearchParams
            && init[Symbol.iterator] === URLSearchParams.prototype[Symbol.iterator]) {
            list.push(...init.#list);
            return;
        }
        const method = (init as Partial<Iterable<unknown>>)[Symbol.iterator];
        if (method !== undefined && method !== null) {
            if (typeof method !== "function") {
                throw new TypeError("URLSearchParams: Symbol.iterator of the argument is not a function");
            }
            for (const pair of init as Iterable<unknown>) {
                if ((typeof pair !== "object" && typeof pair !== "function") || pair === null
                    || typeof (pair as Partial<Iterable<unknown>>)[Symbol.iterator] !== "function") {
                    throw new TypeError("URLSearchParams: each entry must be a [name, value] pair");
                }
                const items = [...pair as Iterable<unknown>];
                if (items.length !== 2) {
                    throw new TypeError("URLSearchParams: each entry must be a [name, value] pair");
                }
                list.push(usv(items[0]), usv(items[1]));
            }
            return;
        }
        const seen = new Map<string, number>();
        for (const key of Reflect.ownKeys(init)) {
            const descriptor = Reflect.getOwnPropertyDescriptor(init, key);
            if (!descriptor?.enumerable) {
                continue;
            }
            const name = usv(key); // a symbol throws, as the record conversion asks
            const value = usv((init as Record<string, unknown>)[key as string]);
            const at = seen.get(name);
            if (at !== undefined) {
                list[at] = value;
            } else {
                seen.set(name, list.push(name, value) - 1);
            }
        }
    }

    get size(): number {
        return this.#list.length / 2;
    }

    append(name: string, value: string): void {
        need(2, arguments.length, "URLSearchParams.append");
        this.#list.push(usv(name), usv(value));
        this.#changed?.();
    }

    delete(name: string, value: string | undefined = undefined): void {
        need(1, arguments.length, "URLSearchParams.delete");
        name = usv(name);
        const wanted = value === undefined ? undefined : usv(value);
        const list = this.#list;
        let kept = 0;
        for (let i = 0; i < list.length; i += 2) {
            if (list[i] !== name || (wanted !== undefined && list[i + 1] !== wanted)) {
                list[kept++] = list[i]!;
                list[kept++] = list[i + 1]!;
            }
        }
        list.length = kept;
        this.#changed?.();
    }

    get(name: string): string | null {
        need(1, arguments.length, "URLSearchParams.get");
        name = usv(name);
        const list = this.#list;
        for (let i = 0; i < list.length; i += 2) {
            if (list[i] === name) {
                return list[i + 1]!;
            }
        }
        return null;
    }

    getAll(name: string): string[] {
        need(1, arguments.length, "URLSearchParams.getAll");
        name = usv(name);
        return this.#list.filter((_, i, list) => i % 2 === 1 && list[i - 1] === name);
    }

    has(name: string, value: string | undefined = undefined): boolean {
        need(1, arguments.length, "URLSearchParams.has");
        name = usv(name);
        const wanted = value === undefined ? undefined : usv(value);
        const list = this.#list;
        for (let i = 0; i < list.length; i += 2) {
            if (list[i] === name && (wanted === undefined || list[i + 1] === wanted)) {
                return true;
            }
        }
        return false;
    }

    set(name: string, value: string): void {
        need(2, arguments.length, "URLSearchParams.set");
        name = usv(name);
        value = usv(value);
        const list = this.#list;
        let kept = 0;
        let done = false;
        for (let i = 0; i < list.length; i += 2) {
            if (list[i] !== name) {
                list[kept++] = list[i]!;
                list[kept++] = list[i + 1]!;
            } else if (!done) {
                done = true;
                list[kept++] = name;
                list[kept++] = value;
            }
        }
        list.length = kept;
        if (!done) {
            list.push(name, value);
        }
        this.#changed?.();
    }

    sort(): void {
        const list = this.#list;
        const pairs: [string, string][] = [];
        for (let i = 0; i < list.length; i += 2) {
            pairs.push([list[i]!, list[i + 1]!]);
        }
        pairs.sort((a, b) => (a[0] < b[0] ? -1 : a[0] > b[0] ? 1 : 0)); // by code units, stable
        pairs.forEach(([name, value], i) => {
            list[i * 2] = name;
            list[i * 2 + 1] = value;
        });
        this.#changed?.();
    }

    forEach(
        fn: (value: string, name: string, params: URLSearchParams) => void, thisArg: unknown = undefined,
    ): void {
        need(1, arguments.length, "URLSearchParams.forEach");
        if (typeof fn !== "function") {
            throw new TypeError("URLSearchParams.forEach: the argument is not a function");
        }
        const list = this.#list;
        for (let i = 0; i < list.length; i += 2) {
            fn.call(thisArg, list[i + 1]!, list[i]!, this);
        }
    }

    entries(): IterableIterator<[string, string]> {
        return new Iterator(this.#list, "key+value");
    }
    keys(): IterableIterator<string> {
        return new Iterator(this.#list, "key");
    }
    values(): IterableIterator<string> {
        return new Iterator(this.#list, "value");
    }
    declare [Symbol.iterator]: () => IterableIterator<[string, string]>;

    toString(): string {
        return serializeUrlencoded(this.#list);
    }
}
expose(URLSearchParams, "URLSearchParams");
Object.defineProperty(URLSearchParams.prototype, Symbol.iterator, {
    value: URLSearchParams.prototype.entries, writable: true, configurable: true,
});
