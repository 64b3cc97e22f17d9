// SPDX-License-Identifier: Apache-2.0
//
// Intl.DurationFormat (ECMA-402 §13): numbers and a list of them.

import { choice, exposeIntl, needOptions, numberLocale, numberOption, type Options, type Part } from "./ask.ts";
import { NumberFormatClass } from "./number-format.ts";
import { ListFormat } from "./plural-rules.ts";

const UNITS = ["years", "months", "weeks", "days", "hours", "minutes", "seconds", "milliseconds", "microseconds", "nanoseconds"] as const;
type Unit = typeof UNITS[number];
const DIGITAL: Partial<Record<Unit, string>> = { hours: "numeric", minutes: "numeric", seconds: "numeric", milliseconds: "numeric", microseconds: "numeric", nanoseconds: "numeric" };
const SUBSECONDS: readonly Unit[] = ["milliseconds", "microseconds", "nanoseconds"];
const TEXTS = ["long", "short", "narrow"];

interface UnitOptions {
    style: string;
    display: string;
}

function unitStyles(unit: Unit): string[] {
    return SUBSECONDS.includes(unit) || DIGITAL[unit] === undefined
        ? [...TEXTS, ...SUBSECONDS.includes(unit) ? ["numeric"] : []] : [...TEXTS, "numeric", "2-digit"];
}

/** GetDurationUnitOptions. */
function unitOptions(unit: Unit, options: Options, base: string, before: string, isTwoDigits: boolean): UnitOptions {
    let style = choice(options, unit, unitStyles(unit), undefined);
    let display = "always";
    if (style === undefined) {
        if (base === "digital") {
            display = ["hours", "minutes", "seconds"].includes(unit) ? "always" : "auto";
            style = DIGITAL[unit] ?? "short";
        } else if (before === "fractional" || before === "numeric" || before === "2-digit") {
            display = unit === "minutes" || unit === "seconds" ? "always" : "auto";
            style = "numeric";
        } else {
            display = "auto";
            style = base;
        }
    }
    if (style === "numeric" && SUBSECONDS.includes(unit)) {
        style = "fractional";
        display = "auto";
    }
    display = choice(options, `${unit}Display`, ["auto", "always"], display);
    if (display === "always" && style === "fractional") {
        throw new RangeError(`${unit}Display may not be "always" where ${unit} are a fraction`);
    }
    if (before === "fractional" && style !== "fractional") {
        throw new RangeError(`${unit} must be numeric behind a unit that is`);
    }
    if (before === "numeric" || before === "2-digit") {
        if (style !== "fractional" && style !== "numeric" && style !== "2-digit") {
            throw new RangeError(`${unit} must be numeric behind a unit that is`);
        }
        if (unit === "minutes" || unit === "seconds") {
            style = "2-digit";
        }
    }
    if (unit === "hours" && isTwoDigits) {
        style = "2-digit";
    }
    return { style, display };
}

/** ToDurationRecord. */
function durationOf(value: unknown): Record<Unit, number> {
    if (typeof value === "string") {
        return durationOfText(value);
    }
    if ((typeof value !== "object" && typeof value !== "function") || value === null) {
        throw new TypeError("a duration is an object");
    }
    const found = {} as Record<Unit, number>;
    let hasOne = false;
    for (const unit of [...UNITS].sort()) {
        const given = (value as Record<string, unknown>)[unit];
        hasOne ||= given !== undefined;
        const number = given === undefined ? 0 : Number(given);
        if (!Number.isInteger(number)) {
            throw new RangeError(`${unit} must be a whole number`);
        }
        found[unit] = number + 0;
    }
    if (!hasOne) {
        throw new TypeError("a duration has at least one unit");
    }
    return checked(found);
}

const TEXT = /^([+-])?P(?:(\d+)Y)?(?:(\d+)M)?(?:(\d+)W)?(?:(\d+)D)?(?:T(?=\d)(?:(\d+)(?:[.,](\d{1,9}))?H)?(?:(\d+)(?:[.,](\d{1,9}))?M)?(?:(\d+)(?:[.,](\d{1,9}))?S)?)?$/i;

function durationOfText(text: string): Record<Unit, number> {
    const parts = TEXT.exec(text);
    const [, sign, years, months, weeks, days, hours, hourPart, minutes, minutePart, seconds, secondPart] = parts ?? [];
    if (!parts || !/\d/.test(text) || (hourPart && (minutes ?? seconds)) || (minutePart && seconds)) {
        throw new RangeError(`Invalid duration: ${text.slice(0, 100)}`);
    }
    const way = sign === "-" ? -1 : 1;
    const part = hourPart ? BigInt(hourPart.padEnd(9, "0")) * 3600n : minutePart ? BigInt(minutePart.padEnd(9, "0")) * 60n : BigInt((secondPart ?? "").padEnd(9, "0"));
    const of = (given: string | undefined, more = 0n) => (Number(given ?? 0) + Number(more)) * way + 0;
    return checked({
        years: of(years), months: of(months), weeks: of(weeks), days: of(days), hours: of(hours), minutes: of(minutes, part / 60_000_000_000n),
        seconds: of(seconds, part / 1_000_000_000n % 60n), milliseconds: of(undefined, part / 1_000_000n % 1000n),
        microseconds: of(undefined, part / 1000n % 1000n), nanoseconds: of(undefined, part % 1000n),
    });
}

/** All of one sign, and no more than the standard counts (IsValidDuration). */
function checked(duration: Record<Unit, number>): Record<Unit, number> {
    const signs = new Set(UNITS.map((unit) => Math.sign(duration[unit])).filter(Boolean));
    const isLarge = (["years", "months", "weeks"] as const).some((unit) => Math.abs(duration[unit]) >= 2 ** 32);
    const nanoseconds = () => BigInt(duration.days) * 86_400_000_000_000n + BigInt(duration.hours) * 3_600_000_000_000n
        + BigInt(duration.minutes) * 60_000_000_000n + BigInt(duration.seconds) * 1_000_000_000n + BigInt(duration.milliseconds) * 1_000_000n
        + BigInt(duration.microseconds) * 1000n + BigInt(duration.nanoseconds);
    if (signs.size > 1 || isLarge || UNITS.some((unit) => !Number.isFinite(duration[unit]))
        || (nanoseconds() < 0n ? -nanoseconds() : nanoseconds()) >= 2n ** 53n * 1_000_000_000n) {
        throw new RangeError(signs.size > 1 ? "a duration has one sign" : "a duration is out of range");
    }
    return duration;
}

/** A unit and the fractional ones behind it, as a decimal number. */
function withFraction(duration: Record<Unit, number>, from: number): string {
    let nanoseconds = 0n;
    for (const [i, size] of [1_000_000_000n, 1_000_000n, 1000n, 1n].entries()) {
        const at = 6 + i;
        if (at >= from) {
            nanoseconds += BigInt(duration[UNITS[at]!]) * size;
        }
    }
    const digits = (9 - from) * 3;
    const sign = nanoseconds < 0n ? "-" : "";
    const all = String(nanoseconds < 0n ? -nanoseconds : nanoseconds).padStart(digits + 1, "0");
    return sign + (digits ? `${all.slice(0, -digits)}.${all.slice(-digits)}` : all);
}

export class DurationFormat {
    #locale: string;
    #numberingSystem: string;
    #style: string;
    #units = {} as Record<Unit, UnitOptions>;
    #digits: number | undefined;

    constructor(locales?: unknown, given?: unknown) {
        const options = needOptions(given);
        const resolved = numberLocale(locales, options);
        this.#locale = resolved.locale;
        this.#numberingSystem = resolved.numberingSystem;
        this.#style = choice(options, "style", [...TEXTS, "digital"], "short");
        let before = "";
        for (const unit of UNITS) {
            this.#units[unit] = unitOptions(unit, options, this.#style, before, false);
            if (unit === "hours" || unit === "minutes" || unit === "seconds" || SUBSECONDS.includes(unit)) {
                before = this.#units[unit].style;
            }
        }
        this.#digits = numberOption(options.fractionalDigits, "fractionalDigits", 0, 9, undefined);
    }

    /** PartitionDurationFormatPattern: for each unit that is shown its parts; those that are joined by ":" are one. */
    #groups(duration: Record<Unit, number>): (Part & { unit?: string })[][] {
        const groups: (Part & { unit?: string })[][] = [];
        let isNegative = UNITS.some((unit) => duration[unit] < 0);
        let joined: (Part & { unit?: string })[] | undefined;
        let isDone = false;
        for (const [i, unit] of UNITS.entries()) {
            const { style, display } = this.#units[unit];
            if (isDone) {
                break;
            }
            let value = String(duration[unit]);
            const numbers: Options = { numberingSystem: this.#numberingSystem };
            if (i >= 6 && i < 9 && this.#units[UNITS[i + 1]!].style === "fractional") {
                value = withFraction(duration, i);
                numbers.minimumFractionDigits = this.#digits ?? 0;
                numbers.maximumFractionDigits = this.#digits ?? 9;
                numbers.roundingMode = "trunc";
                isDone = true;
            }
            const isZero = /^-?0*(?:\.0*)?$/.test(value);
            // 1 h 0 s is 1:00:00: minutes between what is shown are shown.
            const isBetween = unit === "minutes" && joined !== undefined
                && (this.#units.seconds.display === "always" || UNITS.slice(6).some((later) => duration[later] !== 0));
            if (isZero && display === "auto" && !isBetween) {
                continue;
            }
            if (!isNegative) {
                numbers.signDisplay = "never";
            } else if (isZero && groups.length === 0) {
                value = value.startsWith("-") ? value : `-${value}`;
            }
            const isDigits = style === "numeric" || style === "2-digit";
            if (isNegative && groups.length === 0 && !joined) {
                isNegative = false;
            } else {
                numbers.signDisplay = "never";
            }
            if (style === "2-digit") {
                numbers.minimumIntegerDigits = 2;
            }
            if (isDigits) {
                numbers.useGrouping = false;
            } else {
                Object.assign(numbers, { style: "unit", unit: unit.slice(0, -1), unitDisplay: style });
            }
            const parts = new NumberFormatClass(this.#locale, numbers).formatToParts(value).map((part) => ({ ...part, unit: unit.slice(0, -1) }));
            if (joined) {
                joined.push({ type: "literal", value: ":" }, ...parts);
            } else {
                groups.push(parts);
                if (isDigits) {
                    joined = parts;
                }
            }
        }
        return groups;
    }

    formatToParts(given: unknown): (Part & { unit?: string })[] {
        const groups = this.#groups(durationOf(given));
        const list = new ListFormat(this.#locale, { type: "unit", style: this.#style === "digital" ? "short" : this.#style });
        const texts = groups.map((group) => group.map((part) => part.value).join(""));
        const parts: (Part & { unit?: string })[] = [];
        let at = 0;
        for (const part of list.formatToParts(texts)) {
            parts.push(...part.type === "element" ? groups[at++]! : [part]);
        }
        return parts;
    }

    format(given: unknown): string {
        return this.formatToParts(given).map((part) => part.value).join("");
    }

    resolvedOptions(): Record<string, unknown> {
        const shown: Record<string, unknown> = { locale: this.#locale, numberingSystem: this.#numberingSystem, style: this.#style };
        for (const unit of UNITS) {
            const { style, display } = this.#units[unit];
            shown[unit] = style === "fractional" ? "numeric" : style;
            shown[`${unit}Display`] = display;
        }
        if (this.#digits !== undefined) {
            shown.fractionalDigits = this.#digits;
        }
        return shown;
    }
}
exposeIntl(DurationFormat, "DurationFormat");
