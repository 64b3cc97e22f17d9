// SPDX-License-Identifier: Apache-2.0
//
// PerformanceObserver and PerformanceObserverEntryList (Performance Timeline §4): entries of performance.mark() and measure() are
// queued for who observes their type, and handed over in a task of their own.

import { expose, need, toText } from "../interface.ts";
import { native } from "../native.ts";
import { entriesOf, onEntry, type PerformanceEntry } from "../performance-entry.ts";
import { setImmediate } from "../timer.ts";

const TYPES = Object.freeze(["mark", "measure"]);
const ours = Symbol();

const byStart = (entries: PerformanceEntry[]): PerformanceEntry[] => entries.sort((a, b) => a.startTime - b.startTime);

export class PerformanceObserverEntryList {
    #entries: PerformanceEntry[];
    constructor(caller?: typeof ours, entries: PerformanceEntry[] = []) {
        if (caller !== ours) {
            throw new TypeError("Illegal constructor: a PerformanceObserver makes it");
        }
        this.#entries = byStart(entries);
    }
    getEntries(): PerformanceEntry[] {
        return [...this.#entries];
    }
    getEntriesByType(type: string): PerformanceEntry[] {
        need(1, arguments.length, "PerformanceObserverEntryList.getEntriesByType");
        return this.#entries.filter((entry) => entry.entryType === toText(type));
    }
    getEntriesByName(name: string, ...[type]: [type?: string]): PerformanceEntry[] {
        need(1, arguments.length, "PerformanceObserverEntryList.getEntriesByName");
        return this.#entries.filter((entry) => entry.name === toText(name) && (type === undefined || entry.entryType === toText(type)));
    }
}
expose(PerformanceObserverEntryList, "PerformanceObserverEntryList");

type Callback = (
    this: PerformanceObserver, list: PerformanceObserverEntryList, observer: PerformanceObserver, options: { droppedEntriesCount: number },
) => void;

interface ObserveOptions {
    entryTypes?: Iterable<string>;
    type?: string;
    buffered?: boolean;
}

const observers = new Set<PerformanceObserver>();
let isScheduled = false;

/** Set by the class: what the queue of an observer gets, and how it is emptied. */
let queue: (observer: PerformanceObserver, entry: PerformanceEntry) => void;
let deliver: (observer: PerformanceObserver) => void;

function schedule(): void {
    if (isScheduled) {
        return;
    }
    isScheduled = true;
    setImmediate(() => {
        isScheduled = false;
        for (const observer of [...observers]) {
            deliver(observer);
        }
    });
}

export class PerformanceObserver {
    #callback: Callback;
    #entries: PerformanceEntry[] = [];
    #types = new Set<string>();
    #how: "entryTypes" | "type" | undefined;

    static {
        queue = (observer, entry) => {
            if (observer.#types.has(entry.entryType)) {
                observer.#entries.push(entry);
                schedule();
            }
        };
        deliver = (observer) => {
            const entries = observer.takeRecords();
            if (entries.length) {
                try {
                    observer.#callback.call(observer, new PerformanceObserverEntryList(ours, entries), observer, { droppedEntriesCount: 0 });
                } catch (error) {
                    native.reportError("Uncaught ", error);
                }
            }
        };
    }

    static get supportedEntryTypes(): readonly string[] {
        return TYPES;
    }

    constructor(callback: Callback) {
        if (typeof callback !== "function") {
            throw new TypeError("PerformanceObserver constructor: the callback is not a function");
        }
        this.#callback = callback;
    }

    observe(...[options]: [options?: ObserveOptions | null]): void {
        if (options !== undefined && options !== null && typeof options !== "object") {
            throw new TypeError("PerformanceObserver.observe: the options are not an object");
        }
        const { entryTypes, type, buffered } = options ?? {};
        if (entryTypes === undefined && type === undefined) {
            throw new TypeError("PerformanceObserver.observe: the options have neither entryTypes nor type");
        }
        if (entryTypes !== undefined && (type !== undefined || buffered !== undefined)) {
            throw new TypeError("PerformanceObserver.observe: entryTypes stands alone; type may have buffered beside it");
        }
        const how = entryTypes !== undefined ? "entryTypes" : "type";
        if (this.#how !== undefined && this.#how !== how) {
            throw new DOMException("PerformanceObserver.observe: it observes by the other one of entryTypes and type", "InvalidModificationError");
        }
        this.#how = how;
        if (entryTypes !== undefined) {
            if (typeof entryTypes !== "object" || typeof entryTypes[Symbol.iterator] !== "function") {
                throw new TypeError("PerformanceObserver.observe: entryTypes is not a sequence");
            }
            const types = [...entryTypes].map((name) => toText(name)).filter((name) => TYPES.includes(name));
            if (!types.length) {
                return;
            }
            this.#types = new Set(types);
        } else {
            if (!TYPES.includes(toText(type))) {
                return;
            }
            this.#types.add(toText(type));
        }
        observers.add(this);
        if (buffered) {
            this.#entries.push(...entriesOf(undefined, toText(type)));
            schedule();
        }
    }

    disconnect(): void {
        observers.delete(this);
        this.#entries = [];
        this.#types.clear();
        this.#how = undefined;
    }

    takeRecords(): PerformanceEntry[] {
        return this.#entries.splice(0);
    }
}
expose(PerformanceObserver, "PerformanceObserver");

onEntry((entry: PerformanceEntry) => {
    for (const observer of observers) {
        queue(observer, entry);
    }
});
