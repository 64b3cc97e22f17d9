// SPDX-License-Identifier: Apache-2.0
//
// Intl.PluralRules (ECMA-402 §16), Intl.RelativeTimeFormat (§17) and Intl.ListFormat (§13).

import {
    ask, canonicalLocales, choice, cut, exposeIntl, LIST, needOptions, numberLocale, PLURAL, PLURAL_KEYWORDS, PLURAL_RANGE, readFields,
    readText, RELATIVE, resolveLocale, toOptions,
    type Part,
} from "./ask.ts";
import { decimalOf, digitsSkeleton, readDigits, showDigits, showRounding, type Digits } from "./number-format.ts";
import { toText } from "../interface.ts";

export class PluralRules {
    #locale: string;
    #type: string;
    #digits: Digits;

    constructor(locales?: unknown, given?: unknown) {
        const requested = canonicalLocales(locales);
        const options = toOptions(given);
        choice(options, "localeMatcher", ["lookup", "best fit"], "best fit");
        this.#type = choice(options, "type", ["cardinal", "ordinal"], "cardinal");
        this.#digits = readDigits(options, 0, 3, false);
        this.#locale = resolveLocale(requested, {}, () => false).locale;
    }

    #ordinal(): number {
        return this.#type === "ordinal" ? 1 : 0;
    }

    select(value?: unknown): string {
        const decimal = decimalOf(Number(value));
        return /[NI]/.test(decimal) ? "other" : ask(PLURAL, this.#locale, this.#ordinal(), digitsSkeleton(this.#digits), decimal);
    }

    selectRange(start: unknown, end: unknown): string {
        if (start === undefined || end === undefined) {
            throw new TypeError("selectRange needs a start and an end");
        }
        const [first, last] = [decimalOf(Number(start)), decimalOf(Number(end))];
        if (first === "NaN" || last === "NaN") {
            throw new RangeError("Invalid range: a value is not a number");
        }
        return ask(PLURAL_RANGE, this.#locale, this.#ordinal(), digitsSkeleton(this.#digits), first, last);
    }

    resolvedOptions(): Record<string, unknown> {
        return {
            locale: this.#locale, type: this.#type, ...showDigits(this.#digits),
            pluralCategories: ask(PLURAL_KEYWORDS, this.#locale, this.#ordinal(), "").split("\0"), ...showRounding(this.#digits),
        };
    }
}
exposeIntl(PluralRules, "PluralRules");

const STYLES = ["long", "short", "narrow"] as const;
const UNITS = ["second", "minute", "hour", "day", "week", "month", "quarter", "year"];
const NUMBER_TYPES = ["integer", "fraction", "decimal", , , , "group"];
const NUMBER_FIELDS = 2; // UFIELD_CATEGORY_NUMBER

export class RelativeTimeFormat {
    #locale: string;
    #tag: string;
    #style: string;
    #numeric: string;
    #numberingSystem: string;

    constructor(locales?: unknown, given?: unknown) {
        const options = toOptions(given);
        const resolved = numberLocale(locales, options);
        this.#locale = resolved.locale;
        this.#tag = resolved.tag;
        this.#numberingSystem = resolved.numberingSystem;
        this.#style = choice(options, "style", STYLES, "long");
        this.#numeric = choice(options, "numeric", ["always", "auto"], "always");
    }

    #ask(value: unknown, unit: unknown): [answer: string, unit: string] {
        const number = Number(value);
        const name = toText(unit).replace(/s$/, "");
        if (!UNITS.includes(name)) {
            throw new RangeError(`Invalid unit argument for format() '${toText(unit).slice(0, 100)}'`);
        }
        if (!Number.isFinite(number)) {
            throw new RangeError("The number argument of format() must be finite");
        }
        return [ask(
            RELATIVE, this.#tag, STYLES.indexOf(this.#style as "long"), this.#numeric === "auto" ? 1 : 0, name, decimalOf(number),
        ), name];
    }

    format(value: unknown, unit: unknown): string {
        return readText(this.#ask(value, unit)[0]);
    }

    formatToParts(value: unknown, unit: unknown): (Part & { unit?: string })[] {
        const [answer, name] = this.#ask(value, unit);
        const [text, fields] = readFields(answer);
        return cut(text, fields, (field) => field.category === NUMBER_FIELDS ? NUMBER_TYPES[field.kind] : undefined)
            .map(({ type, value: part }) => type === "literal" ? { type, value: part } : { type, value: part, unit: name });
    }

    resolvedOptions(): Record<string, unknown> {
        return { locale: this.#locale, style: this.#style, numeric: this.#numeric, numberingSystem: this.#numberingSystem };
    }
}
exposeIntl(RelativeTimeFormat, "RelativeTimeFormat");

const LIST_TYPES = ["conjunction", "disjunction", "unit"] as const;
const LIST_FIELDS = 3, ELEMENT = 1; // UFIELD_CATEGORY_LIST, ULISTFMT_ELEMENT_FIELD

export class ListFormat {
    #locale: string;
    #type: string;
    #style: string;

    constructor(locales?: unknown, given?: unknown) {
        const requested = canonicalLocales(locales);
        const options = needOptions(given);
        choice(options, "localeMatcher", ["lookup", "best fit"], "best fit");
        this.#type = choice(options, "type", LIST_TYPES, "conjunction");
        this.#style = choice(options, "style", STYLES, "long");
        this.#locale = resolveLocale(requested, {}, () => false).locale;
    }

    #ask(list: Iterable<string> | undefined): string {
        const items: string[] = [];
        for (const item of list ?? []) {
            if (typeof item !== "string") {
                throw new TypeError("Iterable yielded something that is not a string");
            }
            items.push(item);
        }
        // A NUL ends an item; one inside of an item cannot be said.
        const text = items.map((item) => `${item.replaceAll("\0", "\ufffd")}\0`).join("");
        return ask(LIST, this.#locale, LIST_TYPES.indexOf(this.#type as "unit"), STYLES.indexOf(this.#style as "long"), text);
    }

    format(list?: Iterable<string>): string {
        return readText(this.#ask(list));
    }

    formatToParts(list?: Iterable<string>): Part[] {
        const [text, fields] = readFields(this.#ask(list));
        const elements = fields.filter((field) => field.category === LIST_FIELDS && field.kind === ELEMENT);
        const parts: Part[] = [];
        let at = 0;
        for (const { begin, end } of elements) {
            if (begin > at) {
                parts.push({ type: "literal", value: text.slice(at, begin) });
            }
            parts.push({ type: "element", value: text.slice(begin, end) });
            at = end;
        }
        return at < text.length ? [...parts, { type: "literal", value: text.slice(at) }] : parts;
    }

    resolvedOptions(): Record<string, unknown> {
        return { locale: this.#locale, type: this.#type, style: this.#style };
    }
}
exposeIntl(ListFormat, "ListFormat");
