// SPDX-License-Identifier: Apache-2.0
//
// Durations and times as people write them: 250, "3 days", "1.5h", "2 minutes 30 seconds"; a Date, ms
// since 1970, or ISO text. Months are 30 days and years 365, as nothing here knows a calendar.

const SECOND = 1000, MINUTE = 60 * SECOND, HOUR = 60 * MINUTE, DAY = 24 * HOUR;

const units: Record<string, number> = {
    ms: 1, msec: 1, millisecond: 1,
    s: SECOND, sec: SECOND, second: SECOND,
    m: MINUTE, min: MINUTE, minute: MINUTE,
    h: HOUR, hr: HOUR, hour: HOUR,
    d: DAY, day: DAY,
    w: 7 * DAY, week: 7 * DAY,
    month: 30 * DAY, year: 365 * DAY,
};

const LONGEST_MS = 1000 * 365 * DAY; // what a typing error gives, never a plan

function shown(value: unknown): string {
    return typeof value === "string" ? JSON.stringify(value) : String(value);
}

function unitOf(name: string): number | undefined {
    const lower = name.toLowerCase();
    return Object.hasOwn(units, lower) ? units[lower]
        : lower.endsWith("s") && Object.hasOwn(units, lower.slice(0, -1)) ? units[lower.slice(0, -1)]
        : undefined;
}

function parse(text: string): number | undefined {
    const part = /\s*(\d+(?:\.\d+)?|\.\d+)\s*([a-z]+)\s*,?/iy;
    let total = 0;
    for (let at = 0; at < text.trimEnd().length; at = part.lastIndex) {
        part.lastIndex = at;
        const match = part.exec(text);
        const unit = match ? unitOf(match[2]!) : undefined;
        if (unit === undefined) {
            return undefined;
        }
        total += Number(match![1]) * unit;
    }
    return text.trim() === "" ? undefined : total;
}

// Texts are mostly constants of the code, so each is parsed once.
const KNOWN_MAX = 100;
const known = new Map<string, number>();

function msOf(text: string): number | undefined {
    let ms = known.get(text);
    if (ms === undefined) {
        ms = parse(text);
        if (ms !== undefined && known.size < KNOWN_MAX) {
            known.set(text, ms);
        }
    }
    return ms;
}

/** Milliseconds of a duration; a TypeError says what is wrong with any other value. */
export function duration(value: unknown, what = "sleep()"): number {
    const ms = typeof value === "number" ? value : typeof value === "string" ? msOf(value) : undefined;
    if (ms === undefined || !(ms >= 0 && ms <= LONGEST_MS)) {
        throw new TypeError(
            `${what}: ${shown(value)} is not a duration; give milliseconds, or text such as "500 ms", `
            + `"1.5h", "3 days"`,
        );
    }
    return ms;
}

/** Milliseconds since 1970. */
export function timeOf(value: unknown, what: string): number {
    const ms = typeof value === "number" ? value
        : value instanceof Date ? value.getTime()
        : typeof value === "string" ? Date.parse(value) : Number.NaN;
    if (Number.isNaN(ms)) {
        throw new TypeError(
            `${what}: ${shown(value)} is not a time; give a Date, milliseconds since 1970, or ISO text such `
            + `as "2030-01-31T09:00:00Z"`,
        );
    }
    return ms;
}
