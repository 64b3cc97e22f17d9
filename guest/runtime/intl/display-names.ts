// SPDX-License-Identifier: Apache-2.0
//
// Intl.DisplayNames (ECMA-402 §12).

import { ask, canonicalLocales, canonicalTag, choice, exposeIntl, NAME, resolveLocale, type Options } from "./ask.ts";
import { toText } from "../interface.ts";

const TYPES = ["language", "region", "script", "currency", "calendar", "dateTimeField"] as const;
const STYLES = { long: "l", short: "s", narrow: "n" } as const;

/** Fields, by the numbers that ICU has for them (UDateTimePatternField). */
const FIELDS: Record<string, number> = {
    era: 0, year: 1, quarter: 2, month: 3, weekOfYear: 4, weekday: 6, day: 9, dayPeriod: 10, hour: 11, minute: 12, second: 13, timeZoneName: 15,
};

const LANGUAGE = /^(?:[a-z]{2,3}|[a-z]{5,8})(?:-[a-z]{4})?(?:-(?:[a-z]{2}|\d{3}))?(?:-(?:[a-z\d]{5,8}|\d[a-z\d]{3}))*$/i;

/** CanonicalCodeForDisplayNames: the code as it is shown, and as the host is asked for it. */
function codeOf(type: typeof TYPES[number], code: string): [shown: string, asked: string] {
    const refuse = () => new RangeError(`Invalid argument to Intl.DisplayNames.prototype.of: ${code.slice(0, 100)}`);
    const need = (pattern: RegExp) => {
        if (!pattern.test(code)) {
            throw refuse();
        }
    };
    switch (type) {
        case "language":
            need(LANGUAGE);
            return [canonicalTag(code), canonicalTag(code)];
        case "region":
            need(/^(?:[a-z]{2}|\d{3})$/i);
            return [code.toUpperCase(), code.toUpperCase()];
        case "script": {
            need(/^[a-z]{4}$/i);
            const script = code[0]!.toUpperCase() + code.slice(1).toLowerCase();
            return [script, script];
        }
        case "currency":
            need(/^[a-z]{3}$/i);
            return [code.toUpperCase(), code.toUpperCase()];
        case "calendar":
            need(/^[a-z\d]{3,8}(?:-[a-z\d]{3,8})*$/i);
            return [code.toLowerCase(), code.toLowerCase()];
        case "dateTimeField":
            if (!Object.hasOwn(FIELDS, code)) {
                throw refuse();
            }
            return [code, String(FIELDS[code])];
    }
}

const KINDS = { region: "r", script: "s", currency: "u", calendar: "a", dateTimeField: "f" } as const;

export class DisplayNames {
    #locale: string;
    #style: keyof typeof STYLES;
    #type: typeof TYPES[number];
    #fallback: string;
    #languageDisplay: string;

    constructor(locales: unknown, given: unknown) {
        const requested = canonicalLocales(locales);
        if (given === undefined || given === null || (typeof given !== "object" && typeof given !== "function")) {
            throw new TypeError("the options are not an object: Intl.DisplayNames needs a type");
        }
        const options = given as Options;
        choice(options, "localeMatcher", ["lookup", "best fit"], "best fit");
        this.#style = choice(options, "style", ["narrow", "short", "long"], "long");
        const type = choice(options, "type", TYPES, undefined);
        if (type === undefined) {
            throw new TypeError("Required option \"type\" must not be undefined");
        }
        this.#type = type;
        this.#fallback = choice(options, "fallback", ["code", "none"], "code");
        this.#languageDisplay = choice(options, "languageDisplay", ["dialect", "standard"], "dialect");
        this.#locale = resolveLocale(requested, {}, () => false).locale;
    }
    of(given: unknown): string | undefined {
        const [shown, asked] = codeOf(this.#type, toText(given));
        const kind = this.#type === "language" ? (this.#languageDisplay === "dialect" ? "d" : "l") : KINDS[this.#type];
        const name = ask(NAME, this.#locale, kind, STYLES[this.#style], asked);
        return name || (this.#fallback === "code" ? shown : undefined);
    }
    resolvedOptions(): Record<string, unknown> {
        return {
            locale: this.#locale, style: this.#style, type: this.#type, fallback: this.#fallback,
            ...this.#type === "language" && { languageDisplay: this.#languageDisplay },
        };
    }
}
exposeIntl(DisplayNames, "DisplayNames");
