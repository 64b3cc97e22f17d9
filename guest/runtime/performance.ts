// SPDX-License-Identifier: Apache-2.0
//
// performance.now(), timeOrigin and toJSON(), and the methods of user timing. The origin is the start of the dispatch and is asked for
// each time: an image must not freeze the moment at which it was made.

import { EventTarget } from "./event.ts";
import { expose, need, toText } from "./interface.ts";
import { native } from "./native.ts";
import {
    entriesOf, entryClear, entryMark, entryMeasure, type MeasureOptions, type PerformanceEntry, type PerformanceMark,
    type PerformanceMeasure,
} from "./performance-entry.ts";

const ours = Symbol();

export class Performance extends EventTarget {
    constructor(caller?: typeof ours) {
        if (caller !== ours) {
            throw new TypeError("Illegal constructor: use the global performance");
        }
        super();
    }
    now(): number {
        return native.clock(1);
    }
    get timeOrigin(): number {
        return native.clock(0) - native.clock(1);
    }
    mark(name: string, options: { detail?: unknown; startTime?: number } | null = null): PerformanceMark {
        need(1, arguments.length, "Performance.mark");
        return entryMark(name, options);
    }
    measure(name: string, from: string | MeasureOptions | null = null, to?: string): PerformanceMeasure {
        need(1, arguments.length, "Performance.measure");
        return entryMeasure(name, from, to);
    }
    clearMarks(name: string | undefined = undefined): void {
        entryClear("mark", name);
    }
    clearMeasures(name: string | undefined = undefined): void {
        entryClear("measure", name);
    }
    getEntries(): PerformanceEntry[] {
        return entriesOf();
    }
    getEntriesByType(type: string): PerformanceEntry[] {
        need(1, arguments.length, "Performance.getEntriesByType");
        return entriesOf(undefined, toText(type));
    }
    getEntriesByName(name: string, type: string | undefined = undefined): PerformanceEntry[] {
        need(1, arguments.length, "Performance.getEntriesByName");
        return entriesOf(toText(name), type === undefined ? undefined : toText(type));
    }
    toJSON(): { timeOrigin: number } {
        return { timeOrigin: this.timeOrigin };
    }
}
expose(Performance, "Performance");

export const performance = new Performance(ours);
