// SPDX-License-Identifier: Apache-2.0
//
// https://www.w3.org/TR/hr-time-3/, https://www.w3.org/TR/user-timing/

declare class PerformanceEntry {
    protected constructor();
    readonly name: string;
    readonly entryType: string;
    readonly startTime: number;
    readonly duration: number;
    toJSON(): any;
}
interface PerformanceMarkOptions {
    detail?: any;
    startTime?: number;
}
declare class PerformanceObserverEntryList {
    protected constructor();
    getEntries(): PerformanceEntry[];
    getEntriesByType(type: string): PerformanceEntry[];
    getEntriesByName(name: string, type?: string): PerformanceEntry[];
}
declare class PerformanceObserver {
    constructor(callback: (
        this: PerformanceObserver, list: PerformanceObserverEntryList, observer: PerformanceObserver, options: { droppedEntriesCount: number },
    ) => void);
    static readonly supportedEntryTypes: readonly string[];
    /** Either several types, or one, of which earlier entries may be wanted too. */
    observe(options: { entryTypes: string[] } | { type: string; buffered?: boolean }): void;
    disconnect(): void;
    takeRecords(): PerformanceEntry[];
}
declare class PerformanceMark extends PerformanceEntry {
    constructor(name: string, options?: PerformanceMarkOptions);
    readonly detail: any;
}
declare class PerformanceMeasure extends PerformanceEntry {
    private constructor();
    readonly detail: any;
}
interface PerformanceMeasureOptions {
    detail?: any;
    start?: number | string;
    end?: number | string;
    duration?: number;
}

declare class Performance extends EventTarget {
    private constructor();
    /** Milliseconds since the dispatch began. */
    now(): number;
    readonly timeOrigin: number;
    mark(name: string, options?: PerformanceMarkOptions): PerformanceMark;
    measure(name: string, startMark?: string, endMark?: string): PerformanceMeasure;
    measure(name: string, options: PerformanceMeasureOptions): PerformanceMeasure;
    clearMarks(name?: string): void;
    clearMeasures(name?: string): void;
    getEntries(): PerformanceEntry[];
    getEntriesByName(name: string, type?: string): PerformanceEntry[];
    getEntriesByType(type: string): PerformanceEntry[];
    toJSON(): any;
}
declare var performance: Performance;
