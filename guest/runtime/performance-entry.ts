// SPDX-License-Identifier: Apache-2.0
//
// PerformanceEntry, PerformanceMark, PerformanceMeasure (Performance Timeline, User Timing), and the list
// that performance.mark() and its kin keep.

import { structuredClone } from "./clone.ts";
import { dictionary, expose, need, toText } from "./interface.ts";
import { native } from "./native.ts";

const ours = Symbol();

export class PerformanceEntry {
    #name: string;
    #entryType: string;
    #startTime: number;
    #duration: number;
    constructor(caller: unknown, name: string, entryType: string, startTime: number, duration: number) {
        if (caller !== ours) {
            throw new TypeError("Illegal constructor: use performance.mark() and measure()");
        }
        this.#name = name;
        this.#entryType = entryType;
        this.#startTime = startTime;
        this.#duration = duration;
    }
    get name(): string {
        return this.#name;
    }
    get entryType(): string {
        return this.#entryType;
    }
    get startTime(): number {
        return this.#startTime;
    }
    get duration(): number {
        return this.#duration;
    }
    toJSON(): object {
        const { name, entryType, startTime, duration } = this;
        return { name, entryType, startTime, duration };
    }
}
expose(PerformanceEntry, "PerformanceEntry");
Object.defineProperty(PerformanceEntry, "length", { value: 0, configurable: true });

interface MarkOptions {
    detail?: unknown;
    startTime?: number;
}

const detailOf = (value: unknown): unknown => (value === undefined || value === null ? null : structuredClone(value));

function timeOf(value: unknown, what: string): number {
    const time = Number(value);
    if (!Number.isFinite(time) || time < 0) {
        throw new TypeError(`${what}: the time is not a number of milliseconds from 0 on`);
    }
    return time;
}

export class PerformanceMark extends PerformanceEntry {
    #detail: unknown;
    constructor(name: string, options: MarkOptions | null = null) {
        need(1, arguments.length, "PerformanceMark constructor");
        dictionary(options, "PerformanceMark");
        const start = options?.startTime;
        super(ours, toText(name), "mark", start === undefined ? native.clock(1) : timeOf(start, "PerformanceMark constructor"), 0);
        this.#detail = detailOf(options?.detail);
    }
    get detail(): unknown {
        return this.#detail;
    }
    override toJSON(): object {
        return { ...super.toJSON(), detail: this.#detail };
    }
}
expose(PerformanceMark, "PerformanceMark");

export class PerformanceMeasure extends PerformanceEntry {
    #detail: unknown;
    constructor(caller: unknown, name: string, start: number, duration: number, detail: unknown) {
        super(caller, name, "measure", start, duration);
        this.#detail = detail;
    }
    get detail(): unknown {
        return this.#detail;
    }
    override toJSON(): object {
        return { ...super.toJSON(), detail: this.#detail };
    }
}
expose(PerformanceMeasure, "PerformanceMeasure");
Object.defineProperty(PerformanceMeasure, "length", { value: 0, configurable: true });

// ---- the list ----

// Entries that the body of a step makes are in the list of its scope: a replay does not run the bodies.
let lists: Map<number, PerformanceEntry[]> | undefined;

function list(): PerformanceEntry[] {
    const all = lists ??= new Map();
    const scope = native.scope();
    let entries = all.get(scope);
    if (!entries) {
        all.set(scope, entries = []);
    }
    return entries;
}

let entryAdded: ((entry: PerformanceEntry) => void) | undefined;

/** Has every entry told to a function, the observers'. */
export function onEntry(added: (entry: PerformanceEntry) => void): void {
    entryAdded = added;
}

function keep<T extends PerformanceEntry>(entry: T): T {
    list().push(entry);
    entryAdded?.(entry);
    return entry;
}

export function entryMark(name: string, options?: MarkOptions | null): PerformanceMark {
    return keep(new PerformanceMark(name, options));
}

/** A moment: a number, or the name of a mark. */
function momentOf(value: number | string): number {
    if (typeof value === "number") {
        return timeOf(value, "Performance.measure");
    }
    const name = toText(value);
    const mark = list().findLast((entry) => entry.entryType === "mark" && entry.name === name);
    if (!mark) {
        throw new DOMException(`Performance.measure: there is no mark "${name}"`, "SyntaxError");
    }
    return mark.startTime;
}

export interface MeasureOptions {
    detail?: unknown;
    start?: number | string;
    end?: number | string;
    duration?: number;
}

export function entryMeasure(name: string, from?: string | MeasureOptions | null, to?: string): PerformanceMeasure {
    const options = typeof from === "object" && from !== null ? from : undefined;
    const { start, end, duration, detail } = options ?? { start: (from as string | undefined) ?? undefined, end: to };
    const isGiven = start !== undefined || end !== undefined || duration !== undefined || detail !== undefined;
    if (options && isGiven) {
        if (to !== undefined) {
            throw new TypeError("Performance.measure: an end mark is given beside options; it is their member end");
        }
        if (start === undefined && end === undefined) {
            throw new TypeError("Performance.measure: the options have neither start nor end");
        }
        if (start !== undefined && end !== undefined && duration !== undefined) {
            throw new TypeError("Performance.measure: of start, end and duration two are enough");
        }
    }
    const length = duration === undefined ? undefined : timeOf(duration, "Performance.measure");
    const until = end !== undefined ? momentOf(end)
        : start !== undefined && length !== undefined ? momentOf(start) + length : native.clock(1);
    const since = start !== undefined ? momentOf(start)
        : end !== undefined && length !== undefined ? until - length : 0;
    return keep(new PerformanceMeasure(ours, toText(name), since, until - since, detailOf(detail)));
}

export function entryClear(type: string, name?: string): void {
    const entries = list();
    const kept = entries.filter((entry) => entry.entryType !== type || (name !== undefined && entry.name !== toText(name)));
    entries.splice(0, entries.length, ...kept);
}

export function entriesOf(name?: string, type?: string): PerformanceEntry[] {
    return list()
        .filter((entry) => (name === undefined || entry.name === name) && (type === undefined || entry.entryType === type))
        .sort((a, b) => a.startTime - b.startTime);
}
