// SPDX-License-Identifier: Apache-2.0
//
// What the classes of Intl share: asking the host (src/intl/intl.h), locales (ECMA-402 §6.2, §9.2),
// options, parts of formatted text. Objects hold resolved options only; ICU's are the host's.

import { native } from "../native.ts";
import { toText } from "../interface.ts";

// enum intl_what.
export const CANONICAL = 0, AVAILABLE = 1, NUMBERING = 2, NUMBER = 3, NUMBER_RANGE = 4, ZONE = 5, CALENDAR = 6,
    DATE_PATTERN = 7, DATE_STYLE = 8, DATE = 9, DATE_RANGE = 10, PLURAL = 11, PLURAL_RANGE = 12, PLURAL_KEYWORDS = 13,
    COMPARE = 14, RELATIVE = 15, LIST = 16, UPPER = 17, LOWER = 18, VALUES = 19, LOCALE = 20, LIKELY = 21, NAME = 22, SEGMENT = 23;

const DEFAULT_LOCALE = "en-US";

export type Locales = string | readonly string[] | undefined;

export function ask(what: number, ...fields: (string | number)[]): string {
    try {
        return native.intl(what, fields.join("\0"));
    } catch (error) {
        // What the host does not take is out of range to the standard.
        if ((error as { code?: string }).code === "invalid" || (error as { code?: string }).code === "too_large") {
            throw new RangeError((error as Error).message);
        }
        throw error;
    }
}

/** What is made once and used again, apart for code of steps: a replay does not run that. */
export function keeper<T>(): { get(make: () => T): T } {
    const kept: { main?: T; step?: T } = {};
    return {
        get(make) {
            return native.scope() === 0 ? kept.main ??= make() : kept.step ??= make();
        },
    };
}

// ---- locales ----

export function canonicalTag(tag: string): string {
    try {
        if (!/^(?:[a-z]{2,3}|[a-z]{5,8})(?:-[a-z0-9]{1,8})*$/i.test(tag)) {
            throw new RangeError();
        }
        return ask(CANONICAL, tag);
    } catch {
        throw new RangeError(`Incorrect locale information provided: '${tag.slice(0, 100)}' is not a language tag`);
    }
}

/** The tag of an Intl.Locale; locale.ts sets it. */
let localeTag: (value: unknown) => string | undefined = () => undefined;
export function setLocaleTag(tagOf: typeof localeTag): void {
    localeTag = tagOf;
}

export function canonicalLocales(locales: unknown): string[] {
    if (locales === undefined) {
        return [];
    }
    if (typeof locales === "string") {
        return [canonicalTag(locales)];
    }
    const own = localeTag(locales);
    if (own !== undefined) {
        return [own];
    }
    if (locales === null) {
        throw new TypeError("locales is null, not a language tag or a list of them");
    }
    const found: string[] = [];
    const list = Object(locales) as ArrayLike<unknown>;
    const length = Math.min(Math.trunc(Number(list.length)) || 0, Number.MAX_SAFE_INTEGER);
    for (let i = 0; i < length; i++) {
        if (!(i in list)) {
            continue;
        }
        const tag = list[i];
        if (typeof tag !== "string" && (typeof tag !== "object" || tag === null)) {
            throw new TypeError(`Language ID should be string or object, not ${typeof tag}`);
        }
        const canonical = localeTag(tag) ?? canonicalTag(toText(tag));
        if (!found.includes(canonical)) {
            found.push(canonical);
        }
    }
    return found;
}

/** A tag without and with its Unicode extension, as keys and values. */
function splitTag(tag: string): [base: string, keys: Map<string, string>] {
    const keys = new Map<string, string>();
    const parts = tag.split("-");
    const at = parts.findIndex((part, i) => i > 0 && part.length === 1);
    if (at < 0) {
        return [tag, keys];
    }
    const u = parts.indexOf("u", at);
    const privateAt = parts.indexOf("x", at);
    if (u >= 0 && (privateAt < 0 || u < privateAt)) {
        let key = "";
        for (let i = u + 1; i < parts.length && parts[i]!.length > 1; i++) {
            const part = parts[i]!;
            if (part.length === 2) {
                key = part;
                keys.set(key, keys.get(key) ?? "");
            } else if (key) {
                keys.set(key, keys.get(key) ? `${keys.get(key)}-${part}` : part);
            }
        }
    }
    return [parts.slice(0, at).join("-"), keys];
}

function bestAvailable(base: string): string | undefined {
    for (let tag = base; tag;) {
        if (ask(AVAILABLE, tag, "") === "1") {
            return tag;
        }
        let end = tag.lastIndexOf("-");
        if (end >= 2 && tag[end - 2] === "-") {
            end -= 2;
        }
        tag = end < 0 ? "" : tag.slice(0, end);
    }
    return undefined;
}

export interface Resolved {
    locale: string; // as resolvedOptions() says
    tag: string; // as the host is asked: with all of `keys`
    keys: Record<string, string | undefined>;
}

/** ResolveLocale. `options` has what the caller gave for each relevant key; isKnown says which values there are. */
export function resolveLocale(
    requested: string[], options: Record<string, string | undefined>, isKnown: (key: string, value: string, base: string) => boolean,
): Resolved {
    let base = DEFAULT_LOCALE;
    let asked = new Map<string, string>();
    for (const tag of requested) {
        const [bare, keys] = splitTag(tag);
        const found = bestAvailable(bare);
        if (found) {
            base = found;
            asked = keys;
            break;
        }
    }
    const keys: Record<string, string | undefined> = {};
    let shown = "";
    let told = "";
    for (const key of Object.keys(options).sort()) {
        let value: string | undefined;
        const inTag = asked.has(key) ? asked.get(key) || "true" : undefined;
        if (inTag !== undefined && isKnown(key, inTag, base)) {
            value = inTag;
        }
        const given = options[key];
        if (given !== undefined && given !== value && isKnown(key, given, base)) {
            value = given;
        } else if (value !== undefined) {
            shown += value === "true" ? `-${key}` : `-${key}-${value}`;
        }
        keys[key] = value;
        if (value !== undefined) {
            told += value === "true" ? `-${key}` : `-${key}-${value}`;
        }
    }
    return { locale: shown ? `${base}-u${shown}` : base, tag: told ? `${base}-u${told}` : base, keys };
}

export function supportedLocales(locales: unknown, options: unknown): string[] {
    const requested = canonicalLocales(locales);
    if (options !== undefined) {
        choice(toOptions(options), "localeMatcher", ["lookup", "best fit"], "best fit");
    }
    return requested.filter((tag) => bestAvailable(splitTag(tag)[0]) !== undefined);
}

// ---- options ----

export type Options = Record<string, unknown>;

/** CoerceOptionsToObject. */
export function toOptions(options: unknown): Options {
    if (options === undefined) {
        return Object.create(null) as Options;
    }
    if (options === null) {
        throw new TypeError("Cannot convert undefined or null to object");
    }
    return Object(options) as Options;
}

/** GetOptionsObject. */
export function needOptions(options: unknown): Options {
    if (options === undefined) {
        return Object.create(null) as Options;
    }
    if ((typeof options !== "object" || options === null) && typeof options !== "function") {
        throw new TypeError("the options are not an object");
    }
    return options as Options;
}

export function choice<T extends string, D extends T | undefined>(
    options: Options, name: string, values: readonly T[], fallback: D,
): T | D {
    const value = options[name];
    if (value === undefined) {
        return fallback;
    }
    const text = toText(value) as T;
    if (!values.includes(text)) {
        throw new RangeError(`Value ${text} out of range for Intl options property ${name}`);
    }
    return text;
}

export function flag(options: Options, name: string): boolean | undefined {
    const value = options[name];
    return value === undefined ? undefined : Boolean(value);
}

export function numberOption<D extends number | undefined>(
    value: unknown, name: string, min: number, max: number, fallback: D,
): number | D {
    if (value === undefined) {
        return fallback;
    }
    const number = Number(value);
    if (!(number >= min && number <= max)) {
        throw new RangeError(`${name} value is out of range.`);
    }
    return Math.floor(number);
}

/** A value of a key such as -u-nu- in options. */
export function typeOption(options: Options, name: string): string | undefined {
    const value = options[name];
    if (value === undefined) {
        return undefined;
    }
    const text = toText(value);
    if (!/^[a-z0-9]{3,8}(?:-[a-z0-9]{3,8})*$/i.test(text)) {
        throw new RangeError(`Invalid ${name} : ${text}`);
    }
    return text.toLowerCase();
}

/** What the constructors of numbers read first: which locale, and its digits. */
export function numberLocale(locales: unknown, options: Options): Resolved & { numberingSystem: string } {
    const requested = canonicalLocales(locales);
    choice(options, "localeMatcher", ["lookup", "best fit"], "best fit");
    const resolved = resolveLocale(requested, { nu: typeOption(options, "numberingSystem") }, (_, value) => isNumbering(value));
    return { ...resolved, numberingSystem: resolved.keys.nu ?? ask(NUMBERING, resolved.tag, "") };
}

const algorithmic = ["native", "traditio", "finance"];

export function isNumbering(value: string): boolean {
    if (algorithmic.includes(value)) {
        return false;
    }
    try {
        return ask(NUMBERING, `en-u-nu-${value}`, "") === value;
    } catch {
        return false;
    }
}

// ---- formatted text ----

export interface Field {
    category: number;
    kind: number;
    begin: number;
    end: number;
}

/** What the host answers to most questions: text, and the fields in it. */
export function readText(answer: string): string {
    return answer.slice(0, answer.lastIndexOf("\0"));
}

export function readFields(answer: string): [text: string, fields: Field[]] {
    const at = answer.lastIndexOf("\0");
    const numbers = answer.slice(at + 1).split(" ").map(Number);
    const fields: Field[] = [];
    for (let i = 0; i + 2 < numbers.length; i += 3) {
        fields.push({
            category: Math.floor(numbers[i]! / 256), kind: numbers[i]! % 256, begin: numbers[i + 1]!, end: numbers[i + 2]!,
        });
    }
    return [answer.slice(0, at), fields];
}

export interface Part {
    type: string;
    value: string;
}

/** Cuts the text where fields begin and end; the innermost field that has a type gives it. */
export function cut(text: string, fields: Field[], typeOf: (field: Field) => string | undefined): (Part & { begin: number })[] {
    const typed = fields.filter((field) => typeOf(field) !== undefined && field.end > field.begin)
        .sort((a, b) => (b.end - b.begin) - (a.end - a.begin)); // the largest first
    const whose: (Field | undefined)[] = new Array(text.length).fill(undefined);
    for (const field of typed) {
        whose.fill(field, field.begin, field.end);
    }
    const parts: (Part & { begin: number })[] = [];
    for (let begin = 0; begin < text.length;) {
        let end = begin + 1;
        while (end < text.length && whose[end] === whose[begin]) {
            end++;
        }
        const field = whose[begin];
        parts.push({ type: field ? typeOf(field)! : "literal", value: text.slice(begin, end), begin });
        begin = end;
    }
    return parts;
}

/** Gives a class of Intl what all have: its name, supportedLocalesOf(), members that are not enumerable. */
export function exposeIntl(cls: { prototype: object; name: string }, name: string): void {
    Object.defineProperty(cls.prototype, Symbol.toStringTag, { value: `Intl.${name}`, configurable: true });
    Object.defineProperty(cls, "name", { value: name, configurable: true });
    Object.defineProperty(cls, "length", { value: name === "DisplayNames" ? 2 : 0, configurable: true });
    Object.defineProperty(cls, "supportedLocalesOf", {
        value: { supportedLocalesOf: (locales: unknown, options?: unknown) => supportedLocales(locales, options) }.supportedLocalesOf,
        writable: true, configurable: true,
    });
}
