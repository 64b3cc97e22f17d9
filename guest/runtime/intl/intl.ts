// SPDX-License-Identifier: Apache-2.0
//
// The object Intl, and what the methods of the language ask it: toLocaleString() and its kin, localeCompare(),
// toLocaleUpperCase() (ECMA-402 §19; methods.ts has them).

import { ask, canonicalLocales, exposeIntl, keeper, LOWER, resolveLocale, UPPER } from "./ask.ts";
import { CollatorClass } from "./collator.ts";
import { DateTimeFormatClass } from "./date-time-format.ts";
import { DisplayNames } from "./display-names.ts";
import { DurationFormat } from "./duration-format.ts";
import { Locale, supportedValuesOf } from "./locale.ts";
import { NumberFormatClass } from "./number-format.ts";
import { ListFormat, PluralRules, RelativeTimeFormat } from "./plural-rules.ts";
import { Segmenter } from "./segmenter.ts";

type Constructor<T> = (new (locales?: unknown, options?: unknown) => T) & ((locales?: unknown, options?: unknown) => T);

/** The three oldest may be called without `new`. */
function callable<T extends object>(cls: new (locales?: unknown, options?: unknown) => T, name: string): Constructor<T> {
    const constructor = function (this: unknown, locales?: unknown, options?: unknown) {
        return Reflect.construct(cls, [locales, options], new.target ?? constructor) as T;
    } as unknown as Constructor<T>;
    Object.defineProperty(constructor, "prototype", { value: cls.prototype, writable: false });
    Object.defineProperty(cls.prototype, "constructor", { value: constructor, writable: true, configurable: true });
    exposeIntl(constructor, name);
    return constructor;
}

export const Collator = callable(CollatorClass, "Collator");
export const NumberFormat = callable(NumberFormatClass, "NumberFormat");
export const DateTimeFormat = callable(DateTimeFormatClass as new (l?: unknown, o?: unknown) => DateTimeFormatClass, "DateTimeFormat");

export const Intl: Record<string, unknown> = {};
Object.defineProperty(Intl, Symbol.toStringTag, { value: "Intl", configurable: true });

function define(target: object, values: Record<string, unknown>): void {
    for (const name of Object.keys(values)) {
        Object.defineProperty(target, name, { value: values[name], writable: true, configurable: true });
    }
}

define(Intl, {
    Collator, DateTimeFormat, DisplayNames, DurationFormat, ListFormat, Locale, NumberFormat, PluralRules, RelativeTimeFormat, Segmenter,
    supportedValuesOf: { supportedValuesOf: (key: unknown) => supportedValuesOf(key) }.supportedValuesOf,
    getCanonicalLocales: { getCanonicalLocales: (locales?: unknown) => canonicalLocales(locales) }.getCanonicalLocales,
});

// ---- what the methods of the language ask ----

const defaults = {
    collator: keeper<CollatorClass>(), number: keeper<NumberFormatClass>(),
    date: keeper<DateTimeFormatClass>(), time: keeper<DateTimeFormatClass>(), all: keeper<DateTimeFormatClass>(),
};

export function collatorOf(locales: unknown, options: unknown): CollatorClass {
    return locales === undefined && options === undefined
        ? defaults.collator.get(() => new CollatorClass()) : new CollatorClass(locales, options);
}

export function numberFormatOf(locales: unknown, options: unknown): NumberFormatClass {
    return locales === undefined && options === undefined
        ? defaults.number.get(() => new NumberFormatClass()) : new NumberFormatClass(locales, options);
}

const timeOf = Date.prototype.getTime;

export function dateText(date: Date, locales: unknown, options: unknown, required: "date" | "time" | "any", kind: "date" | "time" | "all"): string {
    const ms = timeOf.call(date);
    if (Number.isNaN(ms)) {
        return "Invalid Date";
    }
    const make = () => new DateTimeFormatClass(locales, options, required, kind);
    return (locales === undefined && options === undefined ? defaults[kind].get(make) : make()).format(ms);
}

export function inCase(isUpper: boolean, text: string, locales: unknown, usual: (text: string) => string): string {
    const [first] = canonicalLocales(locales);
    // Only these languages have rules of their own.
    return first !== undefined && /^(?:az|el|lt|tr|hy)\b/.test(first)
        ? ask(isUpper ? UPPER : LOWER, resolveLocale([first], {}, () => false).locale, text) : usual(text);
}
