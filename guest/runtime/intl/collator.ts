// SPDX-License-Identifier: Apache-2.0
//
// Intl.Collator (ECMA-402 §10).

import { ask, canonicalLocales, choice, COMPARE, exposeIntl, flag, resolveLocale, toOptions } from "./ask.ts";
import { toText } from "../interface.ts";
import { native } from "../native.ts";

const COLLATIONS = ["compat", "dict", "emoji", "eor", "phonebk", "phonetic", "pinyin", "searchjl", "stroke", "trad", "zhuyin"];
const SENSITIVITIES = ["base", "accent", "case", "variant"] as const;

export class CollatorClass {
    #locale: string;
    #tag: string;
    #usage: string;
    #sensitivity: string;
    #ignorePunctuation: boolean;
    #collation: string;
    #numeric: boolean;
    #caseFirst: string;
    #options: string;
    #bound: ((x: unknown, y: unknown) => number) | undefined;

    constructor(locales?: unknown, given?: unknown) {
        const requested = canonicalLocales(locales);
        const options = toOptions(given);
        this.#usage = choice(options, "usage", ["sort", "search"], "sort");
        choice(options, "localeMatcher", ["lookup", "best fit"], "best fit");
        const collation = options.collation === undefined ? undefined : toText(options.collation);
        const numeric = flag(options, "numeric");
        const caseFirst = choice(options, "caseFirst", ["upper", "lower", "false"], undefined);
        const resolved = resolveLocale(requested, {
            co: collation, kn: numeric === undefined ? undefined : String(numeric), kf: caseFirst,
        }, (key, value) => key === "co" ? this.#usage === "sort" && COLLATIONS.includes(value)
            : key === "kn" ? value === "true" || value === "false" : ["upper", "lower", "false"].includes(value));
        this.#locale = resolved.locale;
        this.#collation = resolved.keys.co ?? "default";
        this.#numeric = resolved.keys.kn === "true";
        this.#caseFirst = resolved.keys.kf ?? "false";
        this.#sensitivity = choice(options, "sensitivity", SENSITIVITIES, undefined) ?? "variant";
        const isThai = /^th\b/.test(resolved.locale);
        this.#ignorePunctuation = flag(options, "ignorePunctuation") ?? isThai;
        const base = resolved.tag.split("-u-")[0]!;
        this.#tag = this.#usage === "search" ? `${base}-u-co-search` : resolved.keys.co ? `${base}-u-co-${resolved.keys.co}` : base;
        this.#options = this.#sensitivity[0] + (this.#ignorePunctuation ? "p" : "") + (this.#numeric ? "n" : "")
            + (this.#caseFirst === "false" ? "" : this.#caseFirst[0]);
    }

    get compare(): (x: unknown, y: unknown) => number {
        this.#bound ??= (x, y) => {
            const [a, b] = [toText(x), toText(y)];
            if (a === b) {
                return 0;
            }
            // The host is told where one ends: in bytes, which characters need not be.
            const length = /^[\0-\x7f]*$/.test(a) ? a.length : native.utf8Encode(a).length;
            return Number(ask(COMPARE, this.#tag, this.#options, length, a + b));
        };
        return this.#bound;
    }

    resolvedOptions(): Record<string, unknown> {
        return {
            locale: this.#locale, usage: this.#usage, sensitivity: this.#sensitivity, ignorePunctuation: this.#ignorePunctuation,
            collation: this.#collation, numeric: this.#numeric, caseFirst: this.#caseFirst,
        };
    }
}
exposeIntl(CollatorClass, "Collator");
