// SPDX-License-Identifier: Apache-2.0
//
// Intl.Locale (ECMA-402 §14, with the proposal "Intl.Locale info") and Intl.supportedValuesOf() (§8.3.2).

import {
    ask, canonicalTag, flag, isNumbering, LIKELY, LOCALE, NUMBERING, setLocaleTag, toOptions, VALUES, type Options,
} from "./ask.ts";
import { UNITS } from "./number-format.ts";
import { toText } from "../interface.ts";

/** A tag in pieces: language, script, region, variants; the rest begins with the first singleton. */
const TAG = /^([a-z]{2,3}|[a-z]{5,8})(?:-([a-z]{4}))?(?:-([a-z]{2}|\d{3}))?((?:-(?:[a-z\d]{5,8}|\d[a-z\d]{3}))*)((?:-[a-z\d](?:-[a-z\d]{2,8})+)*)$/i;
const TYPE = /^[a-z\d]{3,8}(?:-[a-z\d]{3,8})*$/i;
const KEYS = ["ca", "co", "fw", "hc", "kf", "kn", "nu"] as const;

function piece(options: Options, name: string, pattern: RegExp): string | undefined {
    const value = options[name];
    if (value === undefined) {
        return undefined;
    }
    const text = toText(value);
    if (!pattern.test(text)) {
        throw new RangeError(`Incorrect locale information provided: ${name} ${text.slice(0, 100)}`);
    }
    return text;
}

const DAYS = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

/** The keys of a tag's Unicode extension, in their order, and the tag without it. */
function unicodeKeys(tag: string): [base: string, attributes: string[], keys: Map<string, string>] {
    const keys = new Map<string, string>();
    const attributes: string[] = [];
    const found = /-u((?:-[a-z\d]{2,8})+)/.exec(tag.replace(/-x-.*/, ""));
    if (!found) {
        return [tag, attributes, keys];
    }
    let key = "";
    for (const part of found[1]!.slice(1).split("-")) {
        if (part.length === 2) {
            key = part;
            keys.set(key, "");
        } else if (key) {
            keys.set(key, keys.get(key) ? `${keys.get(key)}-${part}` : part);
        } else {
            attributes.push(part);
        }
    }
    return [tag.slice(0, found.index) + tag.slice(found.index + found[0].length), attributes, keys];
}

/** Puts a Unicode extension into a tag that has none. */
function withKeys(tag: string, attributes: string[], keys: Map<string, string>): string {
    const words = [...attributes, ...[...keys].sort(([a], [b]) => (a < b ? -1 : 1)).flatMap(([key, value]) => (value && value !== "true" ? [key, value] : [key]))];
    if (words.length === 0) {
        return tag;
    }
    const at = /-x-/.exec(tag)?.index ?? tag.length;
    return `${tag.slice(0, at)}-u-${words.join("-")}${tag.slice(at)}`;
}

/** Tags whose language, script, region or variants the options name. */
function withPieces(tag: string, options: Options): string {
    const language = piece(options, "language", /^(?:[a-z]{2,3}|[a-z]{5,8})$/i);
    const script = piece(options, "script", /^[a-z]{4}$/i);
    const region = piece(options, "region", /^(?:[a-z]{2}|\d{3})$/i);
    const variants = piece(options, "variants", /^(?:[a-z\d]{5,8}|\d[a-z\d]{3})(?:-(?:[a-z\d]{5,8}|\d[a-z\d]{3}))*$/i);
    if (variants !== undefined && new Set(variants.toLowerCase().split("-")).size < variants.split("-").length) {
        throw new RangeError("Incorrect locale information provided: a variant is named twice");
    }
    const parts = TAG.exec(tag);
    if (!parts) {
        return tag;
    }
    return canonicalTag([
        language ?? parts[1], script ?? parts[2], region ?? parts[3], variants ?? parts[4]!.slice(1),
    ].filter(Boolean).join("-") + parts[5]);
}

export class Locale {
    #tag: string;
    #keys: Map<string, string>;

    constructor(tag: unknown, given?: unknown) {
        if (typeof tag !== "string" && (typeof tag !== "object" || tag === null)) {
            throw new TypeError("First argument to Intl.Locale constructor can't be empty or missing");
        }
        const from = typeof tag === "object" && #tag in tag ? (tag as Locale).#tag : canonicalTag(toText(tag));
        const options = toOptions(given);
        const [base, attributes, keys] = unicodeKeys(withPieces(from, options));
        const set = (key: string, value: string | undefined) => value !== undefined && keys.set(key, value);
        set("ca", piece(options, "calendar", TYPE)?.toLowerCase());
        set("co", piece(options, "collation", TYPE)?.toLowerCase());
        const first = options.firstDayOfWeek;
        if (first !== undefined) {
            const text = toText(first);
            const day = /^[0-7]$/.test(text) ? DAYS[Number(text) % 7]! : text;
            set("fw", piece({ firstDayOfWeek: day }, "firstDayOfWeek", TYPE)?.toLowerCase());
        }
        set("hc", piece(options, "hourCycle", /^h(?:11|12|23|24)$/));
        set("kf", piece(options, "caseFirst", /^(?:upper|lower|false)$/));
        const numeric = flag(options, "numeric");
        set("kn", numeric === undefined ? undefined : numeric ? "" : "false");
        set("nu", piece(options, "numberingSystem", TYPE)?.toLowerCase());
        this.#tag = canonicalTag(withKeys(base, attributes, keys));
        this.#keys = unicodeKeys(this.#tag)[2];
    }

    static tagOf(value: unknown): string | undefined {
        return typeof value === "object" && value !== null && #tag in value ? (value as Locale).#tag : undefined;
    }

    #part(group: number): string | undefined {
        return TAG.exec(this.#tag.replace(/-[a-z\d]-.*/i, ""))?.[group];
    }
    #value(key: typeof KEYS[number]): string | undefined {
        return this.#keys.has(key) ? this.#keys.get(key) || (key === "kf" ? "true" : "") : undefined;
    }
    #ask(what: string): string[] {
        return ask(LOCALE, this.#tag, what).split(" ").filter(Boolean);
    }

    get baseName(): string {
        return this.#tag.replace(/-[a-z\d]-.*/i, "");
    }
    get calendar(): string | undefined {
        return this.#value("ca");
    }
    get caseFirst(): string | undefined {
        return this.#keys.has("kf") ? this.#keys.get("kf")! : undefined;
    }
    get collation(): string | undefined {
        return this.#value("co");
    }
    get firstDayOfWeek(): string | undefined {
        return this.#value("fw");
    }
    get hourCycle(): string | undefined {
        return this.#value("hc");
    }
    get language(): string {
        return this.#part(1)!;
    }
    get numberingSystem(): string | undefined {
        return this.#value("nu");
    }
    get numeric(): boolean {
        return this.#keys.has("kn") && this.#keys.get("kn") !== "false";
    }
    get region(): string | undefined {
        return this.#part(3);
    }
    get script(): string | undefined {
        return this.#part(2);
    }
    get variants(): string | undefined {
        return this.#part(4)?.slice(1) || undefined;
    }

    getCalendars(): string[] {
        return this.#keys.get("ca") ? [this.#keys.get("ca")!] : this.#ask("c");
    }
    getCollations(): string[] {
        const own = this.#keys.get("co");
        return own ? [own] : [...new Set(this.#ask("o"))].sort();
    }
    getHourCycles(): string[] {
        return this.#keys.get("hc") ? [this.#keys.get("hc")!] : this.#ask("h");
    }
    getNumberingSystems(): string[] {
        const own = this.#keys.get("nu");
        return [own || ask(NUMBERING, this.#tag, "")];
    }
    getTextInfo(): { direction: string } {
        return { direction: this.#ask("r")[0]! };
    }
    getTimeZones(): string[] | undefined {
        return this.region === undefined ? undefined : this.#ask("z").sort();
    }
    getWeekInfo(): { firstDay: number; weekend: number[] } {
        const [first, , ...weekend] = this.#ask("w").map(Number);
        const own = DAYS.indexOf(this.#keys.get("fw") ?? "");
        return { firstDay: own < 0 ? first! : own || 7, weekend };
    }
    maximize(): Locale {
        return new Locale(ask(LIKELY, this.#tag, "1"));
    }
    minimize(): Locale {
        return new Locale(ask(LIKELY, this.#tag, "0"));
    }
    toString(): string {
        return this.#tag;
    }
}
setLocaleTag(Locale.tagOf);
delete (Locale as { tagOf?: unknown }).tagOf;
Object.defineProperty(Locale.prototype, Symbol.toStringTag, { value: "Intl.Locale", configurable: true });
Object.defineProperty(Locale, "length", { value: 1, configurable: true });

const LISTS: Record<string, string> = { calendar: "c", collation: "o", currency: "u", numberingSystem: "n", timeZone: "z" };

export function supportedValuesOf(given: unknown): string[] {
    const key = toText(given);
    if (key === "unit") {
        return [...UNITS].sort();
    }
    const list = Object.hasOwn(LISTS, key) ? LISTS[key]! : undefined;
    if (list === undefined) {
        throw new RangeError(`Invalid key : ${key.slice(0, 100)}`);
    }
    const values = new Set(ask(VALUES, list).split(" "));
    if (key === "timeZone") { // links have the names that their zones have, and those of offsets no place
        values.delete("Etc/Unknown");
        for (const name of [...values]) {
            if (/^(?:Etc\/(?:UTC|GMT|UCT|Zulu|Universal|Greenwich|GMT[+-]?0)|GMT)$/.test(name)) {
                values.delete(name);
            }
        }
        values.add("UTC");
    }
    return [...values].filter((value) => key !== "numberingSystem" || isNumbering(value)).sort();
}
