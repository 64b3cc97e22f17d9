// SPDX-License-Identifier: Apache-2.0
//
// Intl.Segmenter (ECMA-402 §18). Texts are cut piece by piece as they are asked for, so that the first word of a long one costs little.

import { ask, canonicalLocales, choice, exposeIntl, needOptions, resolveLocale, SEGMENT } from "./ask.ts";
import { toText } from "../interface.ts";

const GRANULARITIES = ["grapheme", "word", "sentence"] as const;
const PIECE = 1024; // units that are asked for at once; the host takes PIECE_MAX
const PIECE_MAX = 16384;

export interface SegmentData {
    segment: string;
    index: number;
    input: string;
    isWordLike?: boolean;
}

/** Where the segments of a text end, as far as they are known. */
class Cuts {
    readonly text: string;
    readonly isWords: boolean;
    #tag: string;
    #granularity: number;
    #ends: number[] = [];
    #words: boolean[] = [];

    constructor(text: string, tag: string, granularity: number) {
        this.text = text;
        this.isWords = granularity === 1;
        this.#tag = tag;
        this.#granularity = granularity;
    }

    #last(): number {
        return this.#ends.at(-1) ?? 0;
    }

    /** Asks for more. What ends near the end of a piece may end elsewhere in the whole text, so that it is asked for again. */
    #more(): void {
        const from = this.#last();
        for (let size = PIECE; ; size = Math.min(2 * size, PIECE_MAX)) {
            const piece = this.text.slice(from, from + size);
            const isRest = from + size >= this.text.length;
            const cuts = ask(SEGMENT, this.#tag, this.#granularity, piece).split(" ");
            const sure = isRest || size === PIECE_MAX && cuts.length < 3 ? cuts : cuts.slice(0, -2);
            for (const cut of sure) {
                this.#ends.push(from + parseInt(cut, 10));
                this.#words.push(cut.endsWith("w"));
            }
            if (sure.length > 0) {
                return;
            }
        }
    }

    /** The n-th segment. */
    at(n: number): SegmentData | undefined {
        while (n >= this.#ends.length && this.#last() < this.text.length) {
            this.#more();
        }
        if (n >= this.#ends.length) {
            return undefined;
        }
        const index = n === 0 ? 0 : this.#ends[n - 1]!;
        const data: SegmentData = { segment: this.text.slice(index, this.#ends[n]), index, input: this.text };
        if (this.isWords) {
            data.isWordLike = this.#words[n]!;
        }
        return data;
    }

    /** The number of the segment that a unit is in. */
    find(unit: number): number {
        while (this.#last() <= unit) {
            this.#more();
        }
        let [low, high] = [0, this.#ends.length - 1];
        while (low < high) {
            const middle = (low + high) >> 1;
            if (this.#ends[middle]! > unit) {
                high = middle;
            } else {
                low = middle + 1;
            }
        }
        return low;
    }
}

const iteratorProto = Object.getPrototypeOf(Object.getPrototypeOf([][Symbol.iterator]())) as object;

class SegmentIterator {
    #cuts: Cuts;
    #next = 0;

    constructor(cuts: Cuts) {
        this.#cuts = cuts;
    }
    next(): IteratorResult<SegmentData, undefined> {
        const value = this.#cuts.at(this.#next);
        if (!value) {
            return { value: undefined, done: true };
        }
        this.#next++;
        return { value, done: false };
    }
}
Object.setPrototypeOf(SegmentIterator.prototype, iteratorProto);
delete (SegmentIterator.prototype as { constructor?: unknown }).constructor;
Object.defineProperty(SegmentIterator.prototype, Symbol.toStringTag, { value: "Segmenter String Iterator", configurable: true });

class Segments {
    #cuts: Cuts;

    constructor(cuts: Cuts) {
        this.#cuts = cuts;
    }
    containing(index?: unknown): SegmentData | undefined {
        const cuts = this.#cuts;
        const at = Math.trunc(Number(index)) || 0;
        return at < 0 || at >= cuts.text.length ? undefined : cuts.at(cuts.find(at));
    }
    [Symbol.iterator](): SegmentIterator {
        return new SegmentIterator(this.#cuts);
    }
}
delete (Segments.prototype as { constructor?: unknown }).constructor;
Object.defineProperty(Segments.prototype.containing, "length", { value: 1, configurable: true });

export class Segmenter {
    #locale: string;
    #granularity: typeof GRANULARITIES[number];

    constructor(locales?: unknown, given?: unknown) {
        const requested = canonicalLocales(locales);
        const options = needOptions(given);
        choice(options, "localeMatcher", ["lookup", "best fit"], "best fit");
        this.#locale = resolveLocale(requested, {}, () => false).locale;
        this.#granularity = choice(options, "granularity", GRANULARITIES, "grapheme");
    }
    segment(text: unknown): Segments {
        return new Segments(new Cuts(toText(text), this.#locale, GRANULARITIES.indexOf(this.#granularity)));
    }
    resolvedOptions(): Record<string, unknown> {
        return { locale: this.#locale, granularity: this.#granularity };
    }
}
exposeIntl(Segmenter, "Segmenter");
