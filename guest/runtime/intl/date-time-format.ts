// SPDX-License-Identifier: Apache-2.0
//
// Intl.DateTimeFormat (ECMA-402 §11). Options become a skeleton, for which ICU has a pattern; what the
// pattern then has is what resolvedOptions() says.

import {
    ask, CALENDAR, canonicalLocales, choice, cut, DATE, DATE_PATTERN, DATE_RANGE, DATE_STYLE, exposeIntl, flag, isNumbering, NUMBERING,
    numberOption, readFields, resolveLocale, toOptions, typeOption, ZONE,
    type Field, type Options, type Part, type Resolved,
} from "./ask.ts";
import { toText } from "../interface.ts";

const CALENDARS = ["buddhist", "chinese", "coptic", "dangi", "ethioaa", "ethiopic", "gregory", "hebrew", "indian", "islamic", "islamic-civil",
    "islamic-rgsa", "islamic-tbla", "islamic-umalqura", "iso8601", "japanese", "persian", "roc"];
const CALENDAR_ALIASES: Record<string, string> = { "islamicc": "islamic-civil", "ethiopic-amete-alem": "ethioaa", "gregorian": "gregory" };

const TEXTS = ["narrow", "short", "long"], DIGITS = ["2-digit", "numeric"];
const MONTHS = [...DIGITS, ...TEXTS];

/** Options in the standard's order: their values, and what each value is in a skeleton. */
const PARTS: [name: string, values: string[], letters: string[]][] = [
    ["weekday", TEXTS, ["EEEEE", "EEE", "EEEE"]],
    ["era", TEXTS, ["GGGGG", "GGG", "GGGG"]],
    ["year", DIGITS, ["yy", "y"]],
    ["month", MONTHS, ["MM", "M", "MMMMM", "MMM", "MMMM"]],
    ["day", DIGITS, ["dd", "d"]],
    ["dayPeriod", TEXTS, ["BBBBB", "B", "BBBB"]],
    ["hour", DIGITS, ["jj", "j"]],
    ["minute", DIGITS, ["mm", "m"]],
    ["second", DIGITS, ["ss", "s"]],
    ["fractionalSecondDigits", ["1", "2", "3"], ["S", "SS", "SSS"]],
    ["timeZoneName", ["short", "long", "shortOffset", "longOffset", "shortGeneric", "longGeneric"], ["z", "zzzz", "O", "OOOO", "v", "vvvv"]],
];

const HOUR_LETTERS: Record<string, string> = { h11: "K", h12: "h", h23: "H", h24: "k" };
const CYCLES: Record<string, string> = { K: "h11", h: "h12", H: "h23", k: "h24" };

const STYLES = ["full", "long", "medium", "short"];

/** The letters of a pattern outside of quotes, each run once. */
function runsOf(pattern: string): string[] {
    return pattern.replace(/'(?:[^']|'')*'/g, "").match(/([a-zA-Z])\1*/g) ?? [];
}

/** The letter of an hour replaced, outside of quotes. */
function withCycle(pattern: string, letter: string): string {
    return pattern.replace(/'(?:[^']|'')*'|[hHkK]/g, (found) => found.length === 1 ? letter : found);
}

/** What a pattern shows, as options. */
function shownBy(pattern: string): Record<string, string | number> {
    const shown: Record<string, string | number> = {};
    const text = (run: string) => run.length === 4 ? "long" : run.length === 5 ? "narrow" : "short";
    const digits = (run: string) => run.length === 2 ? "2-digit" : "numeric";
    for (const run of runsOf(pattern)) {
        switch (run[0]) {
        case "E": case "c": shown.weekday = text(run); break;
        case "G": shown.era = text(run); break;
        case "y": case "r": case "u": case "U": shown.year = digits(run); break;
        case "M": case "L": shown.month = run.length > 2 ? text(run) : digits(run); break;
        case "d": shown.day = digits(run); break;
        case "B": shown.dayPeriod = text(run); break;
        case "h": case "H": case "k": case "K": shown.hour = digits(run); break;
        case "m": shown.minute = digits(run); break;
        case "s": shown.second = digits(run); break;
        case "S": shown.fractionalSecondDigits = run.length; break;
        case "z": shown.timeZoneName = run.length === 4 ? "long" : "short"; break;
        case "O": shown.timeZoneName = run.length === 4 ? "longOffset" : "shortOffset"; break;
        case "v": shown.timeZoneName = run.length === 4 ? "longGeneric" : "shortGeneric"; break;
        }
    }
    return Object.fromEntries(PARTS.filter(([name]) => name in shown).map(([name]) => [name, shown[name]!]));
}

export function canonicalZone(zone: unknown): string {
    const text = toText(zone);
    try {
        const found = ask(ZONE, text);
        return found === "Etc/UTC" || found === "Etc/GMT" || found === "GMT" ? "UTC" : found;
    } catch {
        throw new RangeError(`Invalid time zone specified: ${text.slice(0, 100)}`);
    }
}

// UDateFormatField to the type of a part.
const FIELDS = ["era", "year", "month", "day", "hour", "hour", "minute", "second", "fractionalSecond", "weekday", , , , , "dayPeriod", "hour", "hour",
    "timeZoneName", "year", "weekday", , , , "timeZoneName", "timeZoneName", "weekday", "month", , , "timeZoneName", "yearName", "timeZoneName",
    "timeZoneName", "timeZoneName", "relatedYear", "dayPeriod", "dayPeriod"];
const DATE_FIELDS = 1; // UFIELD_CATEGORY_DATE
const RELATED_YEAR = 34;

export class DateTimeFormatClass {
    #locale: string;
    #tag: string;
    #calendar: string;
    #numberingSystem: string;
    #timeZone: string;
    #pattern: string;
    #skeleton = "";
    #dateStyle: string | undefined;
    #timeStyle: string | undefined;
    #bound: ((date?: unknown) => string) | undefined;

    /** required and defaults: CreateDateTimeFormat, of toLocaleDateString() and its kin. */
    constructor(locales?: unknown, given?: unknown, required: "date" | "time" | "any" = "any", defaults: "date" | "time" | "all" = "date") {
        const requested = canonicalLocales(locales);
        const options = toOptions(given);
        choice(options, "localeMatcher", ["lookup", "best fit"], "best fit");
        const calendar = typeOption(options, "calendar");
        const nu = typeOption(options, "numberingSystem");
        const hour12 = flag(options, "hour12");
        const hourCycle = choice(options, "hourCycle", ["h11", "h12", "h23", "h24"], undefined);
        const resolved = resolveLocale(requested, {
            ca: calendar === undefined ? undefined : CALENDAR_ALIASES[calendar] ?? calendar, nu, hc: hour12 === undefined ? hourCycle : undefined,
        }, (key, value) => key === "nu" ? isNumbering(value) : key === "ca" ? CALENDARS.includes(value) : value in HOUR_LETTERS);
        this.#locale = resolved.locale;
        this.#tag = resolved.tag;
        this.#calendar = ask(CALENDAR, this.#tag, "");
        this.#numberingSystem = resolved.keys.nu ?? ask(NUMBERING, this.#tag, "");
        this.#timeZone = options.timeZone === undefined ? "UTC" : canonicalZone(options.timeZone);
        this.#pattern = this.#choosePattern(options, required, defaults, hour12, resolved);
    }

    #patternFor(skeleton: string): string {
        return ask(DATE_PATTERN, this.#tag, skeleton, "");
    }

    #choosePattern(options: Options, required: string, defaults: string, hour12: boolean | undefined, resolved: Resolved): string {
        const wanted: Record<string, string> = {};
        for (const [name, values] of PARTS) {
            const value = name === "fractionalSecondDigits"
                ? numberOption(options[name], name, 1, 3, undefined)?.toString() : choice(options, name, values, undefined);
            if (value !== undefined) {
                wanted[name] = value;
            }
        }
        choice(options, "formatMatcher", ["basic", "best fit"], "best fit");
        this.#dateStyle = choice(options, "dateStyle", STYLES, undefined);
        this.#timeStyle = choice(options, "timeStyle", STYLES, undefined);
        // "j" of a skeleton brings AM and PM with it, beside another day period.
        const cycle = this.#cycle(hour12, resolved.keys.hc, wanted.dayPeriod !== undefined && wanted.hour !== undefined);
        if (this.#dateStyle !== undefined || this.#timeStyle !== undefined) {
            const other = Object.keys(wanted)[0];
            if (other !== undefined) {
                throw new TypeError(`Can't set option ${other} when ${this.#dateStyle === undefined ? "timeStyle" : "dateStyle"} is used`);
            }
            if (required === "date" && this.#timeStyle !== undefined) {
                throw new TypeError("Invalid option : timeStyle");
            }
            if (required === "time" && this.#dateStyle !== undefined) {
                throw new TypeError("Invalid option : dateStyle");
            }
            return this.#styled(cycle);
        }
        const has = (names: string[]) => names.some((name) => name in wanted);
        const isLacking = !((required !== "time" && has(["weekday", "year", "month", "day"]))
            || (required !== "date" && has(["dayPeriod", "hour", "minute", "second", "fractionalSecondDigits"])));
        if (isLacking && defaults !== "time") {
            Object.assign(wanted, { year: "numeric", month: "numeric", day: "numeric" });
        }
        if (isLacking && defaults !== "date") {
            Object.assign(wanted, { hour: "numeric", minute: "numeric", second: "numeric" });
        }
        let skeleton = "";
        for (const [name, values, letters] of PARTS) {
            if (name in wanted) {
                skeleton += letters[values.indexOf(wanted[name]!)];
            }
        }
        this.#skeleton = cycle ? skeleton.replaceAll("j", HOUR_LETTERS[cycle]!) : skeleton;
        const pattern = this.#patternFor(this.#skeleton);
        return cycle ? withCycle(pattern, HOUR_LETTERS[cycle]!) : pattern;
    }

    /** The cycle that was asked for; undefined: the locale's. */
    #cycle(hour12: boolean | undefined, hc: string | undefined, isNeeded: boolean): string | undefined {
        if (hour12 === undefined && (hc !== undefined || !isNeeded)) {
            return hc;
        }
        const usual = /[hHkK]/.exec(this.#patternFor("j").replace(/'[^']*'/g, ""))?.[0] ?? "H";
        if (hour12 === undefined) {
            return CYCLES[usual];
        }
        const isZeroBased = usual === "K" || usual === "H";
        return hour12 ? (isZeroBased ? "h11" : "h12") : isZeroBased ? "h23" : "h24";
    }

    #styled(cycle: string | undefined): string {
        const place = (style: string | undefined) => style === undefined ? -1 : STYLES.indexOf(style);
        const pattern = ask(DATE_STYLE, this.#tag, place(this.#dateStyle), place(this.#timeStyle), "");
        const runs = runsOf(pattern);
        const hour = runs.find((run) => /[hHkK]/.test(run));
        const isOther = cycle && hour && CYCLES[hour[0]!] !== cycle;
        const letters = runs.filter((run) => !isOther || !/[abB]/.test(run)).join("");
        this.#skeleton = isOther ? withCycle(letters, HOUR_LETTERS[cycle]!) : letters;
        return isOther ? withCycle(this.#patternFor(this.#skeleton), HOUR_LETTERS[cycle]!) : pattern;
    }

    #time(date: unknown): number {
        const ms = date === undefined ? Date.now() : Number(date);
        if (!(Math.abs(ms) <= 8.64e15)) {
            throw new RangeError("Invalid time value");
        }
        return Math.trunc(ms) + 0;
    }

    #ask(date: unknown): [text: string, fields: Field[]] {
        const [text, fields] = readFields(ask(DATE, this.#tag, this.#timeZone, this.#pattern, this.#time(date), ""));
        return [text.replaceAll("\u202f", " "), fields]; // as engines write it since many programs parse it
    }

    get format(): (date?: unknown) => string {
        this.#bound ??= (date) => this.#ask(date)[0];
        return this.#bound;
    }

    #typeOf = (field: Field): string | undefined => {
        if (field.category !== DATE_FIELDS) {
            return undefined;
        }
        return field.kind === RELATED_YEAR ? "relatedYear" : FIELDS[field.kind];
    };

    formatToParts(date?: unknown): Part[] {
        const [text, fields] = this.#ask(date);
        return cut(text, fields, this.#typeOf).map(({ type, value }) => ({ type, value }));
    }

    #range(start: unknown, end: unknown): [text: string, fields: Field[]] {
        if (start === undefined || end === undefined) {
            throw new TypeError("startDate or endDate cannot be undefined");
        }
        const [text, fields] = readFields(ask(
            DATE_RANGE, this.#tag, this.#timeZone, this.#skeleton, this.#time(start), this.#time(end), "",
        ));
        return [text.replaceAll("\u202f", " "), fields];
    }

    formatRange(start: unknown, end: unknown): string {
        return this.#range(start, end)[0];
    }

    formatRangeToParts(start: unknown, end: unknown): (Part & { source: string })[] {
        const [text, fields] = this.#range(start, end);
        const spans = fields.filter((field) => field.category > 255);
        return cut(text, fields, this.#typeOf).map(({ type, value, begin }) => {
            const span = spans.find((field) => begin >= field.begin && begin < field.end);
            return { type, value, source: span === undefined ? "shared" : span.kind === 0 ? "startRange" : "endRange" };
        });
    }

    resolvedOptions(): Record<string, unknown> {
        const shown = shownBy(this.#pattern);
        const hour = runsOf(this.#pattern).find((run) => /[hHkK]/.test(run));
        const cycle = hour && CYCLES[hour[0]!];
        const isStyled = this.#dateStyle !== undefined || this.#timeStyle !== undefined;
        return {
            locale: this.#locale, calendar: this.#calendar, numberingSystem: this.#numberingSystem, timeZone: this.#timeZone,
            ...cycle && { hourCycle: cycle, hour12: cycle === "h11" || cycle === "h12" },
            ...!isStyled && shown,
            ...this.#dateStyle !== undefined && { dateStyle: this.#dateStyle },
            ...this.#timeStyle !== undefined && { timeStyle: this.#timeStyle },
        };
    }
}
exposeIntl(DateTimeFormatClass, "DateTimeFormat");
