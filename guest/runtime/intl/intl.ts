// SPDX-License-Identifier: Apache-2.0
//
// The object Intl, and the methods of the language that ask it: toLocaleString() and its kin, localeCompare(),
// toLocaleUpperCase() (ECMA-402 §19).

import { ask, canonicalLocales, exposeIntl, keeper, LOWER, resolveLocale, UPPER } from "./ask.ts";
import { CollatorClass } from "./collator.ts";
import { DateTimeFormatClass } from "./date-time-format.ts";
import { NumberFormatClass } from "./number-format.ts";
import { ListFormat, PluralRules, RelativeTimeFormat } from "./plural-rules.ts";
import { toText } from "../interface.ts";

type Constructor<T> = (new (locales?: unknown, options?: unknown) => T) & ((locales?: unknown, options?: unknown) => T);

/** The three oldest may be called without `new`. */
function callable<T extends object>(cls: new (locales?: unknown, options?: unknown) => T, name: string): Constructor<T> {
    const constructor = function (this: unknown, locales?: unknown, options?: unknown) {
        return Reflect.construct(cls, [locales, options], new.target ?? constructor) as T;
    } as unknown as Constructor<T>;
    Object.defineProperty(constructor, "length", { value: 0, configurable: true });
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
    Collator, DateTimeFormat, ListFormat, NumberFormat, PluralRules, RelativeTimeFormat,
    getCanonicalLocales: { getCanonicalLocales: (locales?: unknown) => canonicalLocales(locales) }.getCanonicalLocales,
});

// ---- methods of the language ----

const defaults = {
    collator: keeper<CollatorClass>(), number: keeper<NumberFormatClass>(),
    date: keeper<DateTimeFormatClass>(), time: keeper<DateTimeFormatClass>(), all: keeper<DateTimeFormatClass>(),
};

function collatorOf(locales: unknown, options: unknown): CollatorClass {
    return locales === undefined && options === undefined
        ? defaults.collator.get(() => new CollatorClass()) : new CollatorClass(locales, options);
}

function numberFormatOf(locales: unknown, options: unknown): NumberFormatClass {
    return locales === undefined && options === undefined
        ? defaults.number.get(() => new NumberFormatClass()) : new NumberFormatClass(locales, options);
}

const timeOf = Date.prototype.getTime;

function dateText(date: Date, locales: unknown, options: unknown, required: "date" | "time" | "any", kind: "date" | "time" | "all"): string {
    const ms = timeOf.call(date);
    if (Number.isNaN(ms)) {
        return "Invalid Date";
    }
    const make = () => new DateTimeFormatClass(locales, options, required, kind);
    return (locales === undefined && options === undefined ? defaults[kind].get(make) : make()).format(ms);
}

function inCase(what: number, text: string, locales: unknown, usual: (text: string) => string): string {
    if (locales === undefined) {
        return usual(text);
    }
    const [first] = canonicalLocales(locales);
    // Only these languages have rules of their own.
    return first !== undefined && /^(?:az|el|lt|tr|hy)\b/.test(first)
        ? ask(what, resolveLocale([first], {}, () => false).locale, text) : usual(text);
}

const { toUpperCase, toLowerCase } = String.prototype;
const numberValue = Number.prototype.valueOf;
const bigintValue = BigInt.prototype.valueOf;

function thisText(value: unknown, name: string): string {
    if (value === undefined || value === null) {
        throw new TypeError(`String.prototype.${name} called on null or undefined`);
    }
    return toText(value);
}

// Methods, so that they have no `prototype` and are no constructors; the declared parameters give their length.
define(String.prototype, {
    localeCompare: {
        localeCompare(this: unknown, that: unknown, locales: unknown = undefined, options: unknown = undefined): number {
            return collatorOf(locales, options).compare(thisText(this, "localeCompare"), toText(that));
        },
    }.localeCompare,
    toLocaleUpperCase: {
        toLocaleUpperCase(this: unknown, locales: unknown = undefined): string {
            return inCase(UPPER, thisText(this, "toLocaleUpperCase"), locales, (text) => toUpperCase.call(text));
        },
    }.toLocaleUpperCase,
    toLocaleLowerCase: {
        toLocaleLowerCase(this: unknown, locales: unknown = undefined): string {
            return inCase(LOWER, thisText(this, "toLocaleLowerCase"), locales, (text) => toLowerCase.call(text));
        },
    }.toLocaleLowerCase,
});
define(Number.prototype, {
    toLocaleString: {
        toLocaleString(this: number, locales: unknown = undefined, options: unknown = undefined): string {
            const value = numberValue.call(this);
            return numberFormatOf(locales, options).format(value);
        },
    }.toLocaleString,
});
define(BigInt.prototype, {
    toLocaleString: {
        toLocaleString(this: bigint, locales: unknown = undefined, options: unknown = undefined): string {
            const value = bigintValue.call(this);
            return numberFormatOf(locales, options).format(value);
        },
    }.toLocaleString,
});
define(Date.prototype, {
    toLocaleString: {
        toLocaleString(this: Date, locales: unknown = undefined, options: unknown = undefined): string {
            return dateText(this, locales, options, "any", "all");
        },
    }.toLocaleString,
    toLocaleDateString: {
        toLocaleDateString(this: Date, locales: unknown = undefined, options: unknown = undefined): string {
            return dateText(this, locales, options, "date", "date");
        },
    }.toLocaleDateString,
    toLocaleTimeString: {
        toLocaleTimeString(this: Date, locales: unknown = undefined, options: unknown = undefined): string {
            return dateText(this, locales, options, "time", "time");
        },
    }.toLocaleTimeString,
});

function listText(list: ArrayLike<unknown>, locales: unknown, options: unknown): string {
    let text = "";
    for (let i = 0; i < list.length; i++) {
        const item = list[i] as { toLocaleString(locales?: unknown, options?: unknown): unknown } | null | undefined;
        text += (i > 0 ? "," : "") + (item === undefined || item === null ? "" : toText(item.toLocaleString(locales, options)));
    }
    return text;
}

const lengthOf = Object.getOwnPropertyDescriptor(Object.getPrototypeOf(Uint8Array.prototype) as object, "length")!.get!;
const open = new Set<object>(); // arrays whose text is being made: one that contains itself is empty there

define(Array.prototype, {
    toLocaleString: {
        toLocaleString(this: unknown[], locales: unknown = undefined, options: unknown = undefined): string {
            const list = Object(this) as unknown[];
            if (open.has(list)) {
                return "";
            }
            open.add(list);
            try {
                return listText(list, locales, options);
            } finally {
                open.delete(list);
            }
        },
    }.toLocaleString,
});
define(Object.getPrototypeOf(Uint8Array.prototype) as object, {
    toLocaleString: {
        toLocaleString(this: ArrayLike<unknown>, locales: unknown = undefined, options: unknown = undefined): string {
            lengthOf.call(this); // throws for what is no typed array
            return listText(this, locales, options);
        },
    }.toLocaleString,
});
