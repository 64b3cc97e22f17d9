// SPDX-License-Identifier: Apache-2.0
//
// Intl.NumberFormat (ECMA-402 §15), and the digit options that PluralRules shares. Options become a number
// skeleton of ICU.

import {
    ask, choice, cut, exposeIntl, NUMBER, NUMBER_RANGE, numberLocale, numberOption,
    readFields, readText, toOptions,
    type Field, type Options, type Part,
} from "./ask.ts";
import { toText } from "../interface.ts";

// ---- digits ----

export interface Digits {
    minimumIntegerDigits: number;
    minimumFractionDigits?: number;
    maximumFractionDigits?: number;
    minimumSignificantDigits?: number;
    maximumSignificantDigits?: number;
    roundingIncrement: number;
    roundingMode: string;
    roundingPriority: string;
    trailingZeroDisplay: string;
}

const INCREMENTS = [1, 2, 5, 10, 20, 25, 50, 100, 200, 250, 500, 1000, 2000, 2500, 5000];
const MODES: Record<string, string> = {
    ceil: "ceiling", floor: "floor", expand: "up", trunc: "down", halfCeil: "half-ceiling", halfFloor: "half-floor",
    halfExpand: "half-up", halfTrunc: "half-down", halfEven: "half-even",
};

/** SetNumberFormatDigitOptions. */
export function readDigits(options: Options, minDefault: number, maxDefault: number, isCompact: boolean): Digits {
    const integer = numberOption(options.minimumIntegerDigits, "minimumIntegerDigits", 1, 21, 1);
    const [minFraction, maxFraction] = [options.minimumFractionDigits, options.maximumFractionDigits];
    const [minSignificant, maxSignificant] = [options.minimumSignificantDigits, options.maximumSignificantDigits];
    const increment = numberOption(options.roundingIncrement, "roundingIncrement", 1, 5000, 1);
    if (!INCREMENTS.includes(increment)) {
        throw new RangeError("roundingIncrement value is out of range.");
    }
    const mode = choice(options, "roundingMode", Object.keys(MODES), "halfExpand");
    const priority = choice(options, "roundingPriority", ["auto", "morePrecision", "lessPrecision"], "auto");
    const digits: Digits = {
        minimumIntegerDigits: integer, roundingIncrement: increment, roundingMode: mode, roundingPriority: priority,
        trailingZeroDisplay: choice(options, "trailingZeroDisplay", ["auto", "stripIfInteger"], "auto"),
    };
    const hasSignificant = minSignificant !== undefined || maxSignificant !== undefined;
    const hasFraction = minFraction !== undefined || maxFraction !== undefined;
    const needsSignificant = priority !== "auto" || hasSignificant;
    const needsFraction = priority !== "auto" || !(hasSignificant || (!hasFraction && isCompact));
    if (increment !== 1) {
        maxDefault = minDefault;
    }
    if (needsSignificant) {
        const min = digits.minimumSignificantDigits = numberOption(minSignificant, "minimumSignificantDigits", 1, 21, 1);
        digits.maximumSignificantDigits = numberOption(maxSignificant, "maximumSignificantDigits", min, 21, 21);
    }
    if (needsFraction) {
        let min = numberOption(minFraction, "minimumFractionDigits", 0, 100, undefined);
        let max = numberOption(maxFraction, "maximumFractionDigits", 0, 100, undefined);
        if (hasFraction) {
            if (min === undefined) {
                min = Math.min(minDefault, max!);
            } else if (max === undefined) {
                max = Math.max(maxDefault, min);
            } else if (min > max) {
                throw new RangeError("maximumFractionDigits value is out of range.");
            }
        }
        digits.minimumFractionDigits = min ?? minDefault;
        digits.maximumFractionDigits = max ?? maxDefault;
    }
    if (!needsSignificant && !needsFraction) { // compact: two digits, or all of the integer
        Object.assign(digits, {
            minimumFractionDigits: 0, maximumFractionDigits: 0, minimumSignificantDigits: 1, maximumSignificantDigits: 2,
            roundingPriority: "morePrecision",
        });
    }
    if (increment !== 1) {
        if (digits.roundingPriority !== "auto" || needsSignificant) {
            throw new TypeError("roundingIncrement goes with fraction digits only");
        }
        if (digits.minimumFractionDigits !== digits.maximumFractionDigits) {
            throw new RangeError("roundingIncrement needs minimumFractionDigits to be maximumFractionDigits");
        }
    }
    return digits;
}

function precision(d: Digits): string {
    const { minimumFractionDigits: min, maximumFractionDigits: max } = d;
    const significant = d.minimumSignificantDigits === undefined ? ""
        : "@".repeat(d.minimumSignificantDigits) + "#".repeat(d.maximumSignificantDigits! - d.minimumSignificantDigits);
    const strip = d.trailingZeroDisplay === "stripIfInteger" ? "/w" : "";
    if (d.roundingIncrement !== 1) {
        const whole = String(d.roundingIncrement).padStart(max! + 1, "0");
        const step = max ? `${whole.slice(0, -max)}.${whole.slice(-max)}` : whole;
        return `precision-increment/${step}${strip}`;
    }
    if (max === undefined) {
        return significant + strip;
    }
    const fraction = `.${"0".repeat(min!)}${"#".repeat(max - min!)}`;
    if (!significant) {
        return max === 0 ? `precision-integer${strip}` : fraction + strip;
    }
    return `${fraction}/${significant}${d.roundingPriority === "morePrecision" ? "r" : "s"}${strip}`;
}

export function digitsSkeleton(d: Digits): string {
    const integer = d.minimumIntegerDigits > 1 ? ` integer-width/+${"0".repeat(d.minimumIntegerDigits)}` : "";
    return `${precision(d)}${integer} rounding-mode-${MODES[d.roundingMode]}`;
}

/** The members of resolvedOptions() that are about digits, in the standard's order. */
export function showDigits(d: Digits): Partial<Digits> {
    const shown: Record<string, unknown> = {};
    for (const name of [
        "minimumIntegerDigits", "minimumFractionDigits", "maximumFractionDigits", "minimumSignificantDigits", "maximumSignificantDigits",
    ] as const) {
        if (d[name] !== undefined) {
            shown[name] = d[name];
        }
    }
    return shown;
}

export function showRounding(d: Digits): Partial<Digits> {
    const { roundingIncrement, roundingMode, roundingPriority, trailingZeroDisplay } = d;
    return { roundingIncrement, roundingMode, roundingPriority, trailingZeroDisplay };
}

/** ToIntlMathematicalValue: a decimal number as ICU reads it. */
export function decimalOf(value: unknown): string {
    const primitive = typeof value === "object" || typeof value === "function"
        ? (value === null ? 0 : toPrimitive(value)) : value;
    if (typeof primitive === "bigint") {
        return String(primitive);
    }
    if (typeof primitive === "string") {
        const text = primitive.trim();
        if (/^[+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d{1,3})?$/i.test(text)) {
            return text.replace(/^\+/, "").replace(/^(-?)\./, "$10.");
        }
    }
    const number = Number(primitive);
    return Object.is(number, -0) ? "-0" : String(number);
}

function toPrimitive(value: object): unknown {
    const exotic = (value as { [Symbol.toPrimitive]?: (hint: string) => unknown })[Symbol.toPrimitive];
    if (exotic !== undefined && exotic !== null) {
        return exotic.call(value, "number");
    }
    const own = value.valueOf();
    return typeof own === "object" || typeof own === "function" ? toText(value) : own;
}

// ---- the class ----

// Those that ECMA-402 table 2 names; "-per-" joins two.
export const UNITS = new Set(("acre bit byte celsius centimeter day degree fahrenheit fluid-ounce foot gallon gigabit gigabyte gram hectare hour inch " +
    "kilobit kilobyte kilogram kilometer liter megabit megabyte meter microsecond mile mile-scandinavian milliliter millimeter millisecond " +
    "minute month nanosecond ounce percent petabyte pound second stone terabit terabyte week yard year").split(" "));

function needUnit(unit: string): void {
    const halves = unit.split("-per-");
    if (halves.length > 2 || !halves.every((half) => UNITS.has(half))) {
        throw new RangeError(`Invalid unit argument for Intl.NumberFormat() '${unit.slice(0, 100)}'`);
    }
}

const SIGNS: Record<string, string> = { auto: "auto", never: "never", always: "always", exceptZero: "except-zero", negative: "negative" };
const WIDTHS: Record<string, string> = { short: "short", narrow: "narrow", long: "full-name", code: "iso-code", name: "full-name", narrowSymbol: "narrow" };
const GROUPINGS: Record<string, string> = { auto: "auto", min2: "min2", always: "on-aligned", false: "off" };

/** How many digits of its minor unit a currency is written with. */
function currencyDigits(tag: string, currency: string): number {
    const text = readText(ask(NUMBER, tag, `currency/${currency}`, "1"));
    const digits = /1\D?(0*)/.exec(text.normalize("NFKC"));
    return digits ? digits[1]!.length : 2;
}

const TYPES = [
    "integer", "fraction", "decimal", "exponentSeparator", "exponentMinusSign", "exponentInteger", "group", "currency", "percentSign",
    "perMille", "sign", "unit", "compact", "approximatelySign",
];
const NUMBER_FIELDS = 2; // UFIELD_CATEGORY_NUMBER

export class NumberFormatClass {
    #locale: string;
    #tag: string;
    #numberingSystem: string;
    #style: string;
    #currency: string | undefined;
    #currencyDisplay = "symbol";
    #currencySign = "standard";
    #unit: string | undefined;
    #unitDisplay = "short";
    #digits: Digits;
    #useGrouping: string | false;
    #notation: string;
    #compactDisplay = "short";
    #signDisplay: string;
    #skeleton: string;
    #bound: ((value: unknown) => string) | undefined;

    constructor(locales?: unknown, given?: unknown) {
        const options = toOptions(given);
        const resolved = numberLocale(locales, options);
        this.#locale = resolved.locale;
        this.#tag = resolved.tag;
        this.#numberingSystem = resolved.numberingSystem;
        this.#style = choice(options, "style", ["decimal", "percent", "currency", "unit"], "decimal");
        this.#readCurrency(options);
        this.#readUnit(options);
        this.#notation = choice(options, "notation", ["standard", "scientific", "engineering", "compact"], "standard");
        const isMoney = this.#style === "currency" && this.#notation === "standard";
        const minor = isMoney ? currencyDigits("en", this.#currency!) : 0;
        const maxDefault = isMoney ? minor : this.#style === "percent" || this.#style === "currency" ? 0 : 3;
        this.#digits = readDigits(options, minor, maxDefault, this.#notation === "compact");
        this.#compactDisplay = choice(options, "compactDisplay", ["short", "long"], "short");
        this.#useGrouping = this.#readGrouping(options);
        this.#signDisplay = choice(options, "signDisplay", Object.keys(SIGNS), "auto");
        this.#skeleton = this.#build();
    }

    #readCurrency(options: Options): void {
        const currency = options.currency === undefined ? undefined : toText(options.currency);
        if (currency !== undefined && !/^[a-z]{3}$/i.test(currency)) {
            throw new RangeError(`Invalid currency code : ${currency.slice(0, 100)}`);
        }
        const display = choice(options, "currencyDisplay", ["code", "symbol", "narrowSymbol", "name"], "symbol");
        const sign = choice(options, "currencySign", ["standard", "accounting"], "standard");
        if (this.#style === "currency") {
            if (currency === undefined) {
                throw new TypeError("Currency code is required with currency style.");
            }
            this.#currency = currency.toUpperCase();
            this.#currencyDisplay = display;
            this.#currencySign = sign;
        }
    }

    #readUnit(options: Options): void {
        const unit = options.unit === undefined ? undefined : toText(options.unit);
        if (unit !== undefined) {
            needUnit(unit);
        }
        const display = choice(options, "unitDisplay", ["short", "narrow", "long"], "short");
        if (this.#style === "unit") {
            if (unit === undefined) {
                throw new TypeError("Required unit option is missing: style 'unit' needs it");
            }
            this.#unit = unit;
            this.#unitDisplay = display;
        }
    }

    #readGrouping(options: Options): string | false {
        const value = options.useGrouping;
        const fallback = this.#notation === "compact" ? "min2" : "auto";
        if (value === undefined) {
            return fallback;
        }
        if (value === true) {
            return "always";
        }
        if (!value) {
            return false;
        }
        const text = toText(value);
        if (text === "true" || text === "false") {
            return fallback;
        }
        return choice({ useGrouping: text }, "useGrouping", ["min2", "auto", "always"], fallback);
    }

    #build(): string {
        const words = [digitsSkeleton(this.#digits)];
        if (this.#style === "percent") {
            words.push("percent", "scale/100");
        } else if (this.#style === "currency") {
            words.push(`currency/${this.#currency}`);
            if (this.#currencyDisplay !== "symbol") {
                words.push(`unit-width-${WIDTHS[this.#currencyDisplay]}`);
            }
        } else if (this.#style === "unit") {
            words.push(`unit/${this.#unit}`, `unit-width-${WIDTHS[this.#unitDisplay]}`);
        }
        if (this.#notation !== "standard") {
            words.push(this.#notation === "compact" ? `compact-${this.#compactDisplay}` : this.#notation);
        }
        const accounting = this.#currencySign === "accounting" && this.#signDisplay !== "never" ? "accounting" : "";
        const sign = SIGNS[this.#signDisplay];
        words.push(`sign-${accounting && sign === "auto" ? accounting : accounting ? `accounting-${sign}` : sign}`);
        words.push(`group-${GROUPINGS[String(this.#useGrouping)]}`);
        return words.join(" ");
    }

    get format(): (value?: unknown) => string {
        this.#bound ??= (value) => readText(ask(NUMBER, this.#tag, this.#skeleton, decimalOf(value)));
        return this.#bound;
    }

    formatToParts(value?: unknown): Part[] {
        const decimal = decimalOf(value);
        return this.#parts(ask(NUMBER, this.#tag, this.#skeleton, decimal), decimal).map(({ type, value: text }) => ({ type, value: text }));
    }

    #parts(answer: string, decimal: string): (Part & { begin: number })[] {
        const [text, fields] = readFields(answer);
        const integer = decimal === "NaN" ? "nan" : decimal.endsWith("Infinity") ? "infinity" : "integer";
        const minus = decimal.startsWith("-") ? "minusSign" : "plusSign";
        return cut(text, fields, (field: Field) => {
            if (field.category !== NUMBER_FIELDS) {
                return undefined;
            }
            const type = TYPES[field.kind];
            return type === "integer" ? integer : type === "sign" ? minus
                : type === "percentSign" && this.#style === "unit" ? "unit" : type;
        });
    }

    #range(start: unknown, end: unknown): [answer: string, first: string, last: string] {
        if (start === undefined || end === undefined) {
            throw new TypeError("formatRange needs a start and an end");
        }
        const [first, last] = [decimalOf(start), decimalOf(end)];
        if (first === "NaN" || last === "NaN") {
            throw new RangeError("Invalid range: a value is not a number");
        }
        return [ask(NUMBER_RANGE, this.#tag, this.#skeleton, first, last), first, last];
    }

    formatRange(start: unknown, end: unknown): string {
        return readText(this.#range(start, end)[0]);
    }

    formatRangeToParts(start: unknown, end: unknown): (Part & { source: string })[] {
        const [answer, first] = this.#range(start, end);
        const spans = readFields(answer)[1].filter((field) => field.category > 255);
        return this.#parts(answer, first).map(({ type, value, begin }) => {
            const span = spans.find((field) => begin >= field.begin && begin < field.end);
            return { type, value, source: span === undefined ? "shared" : span.kind === 0 ? "startRange" : "endRange" };
        });
    }

    resolvedOptions(): Record<string, unknown> {
        return {
            locale: this.#locale, numberingSystem: this.#numberingSystem, style: this.#style,
            ...this.#style === "currency" && { currency: this.#currency, currencyDisplay: this.#currencyDisplay, currencySign: this.#currencySign },
            ...this.#style === "unit" && { unit: this.#unit, unitDisplay: this.#unitDisplay },
            ...showDigits(this.#digits), useGrouping: this.#useGrouping, notation: this.#notation,
            ...this.#notation === "compact" && { compactDisplay: this.#compactDisplay },
            signDisplay: this.#signDisplay, ...showRounding(this.#digits),
        };
    }
}
exposeIntl(NumberFormatClass, "NumberFormat");
