// SPDX-License-Identifier: Apache-2.0
//
// node:perf_hooks: the global performance, with what Node adds.

import { refused } from "./internal/errors.ts";
import { validateFunction } from "./internal/validate.ts";

const why = "code shares its thread with others; use performance.mark() and measure()";

export const performance: any = globalThis.performance;
export const PerformanceEntry = globalThis.PerformanceEntry;
export const PerformanceMark = globalThis.PerformanceMark;
export const PerformanceMeasure = globalThis.PerformanceMeasure;
export const PerformanceResourceTiming: any = class PerformanceResourceTiming extends (PerformanceEntry as any) {};

export const PerformanceObserver = globalThis.PerformanceObserver;
export const PerformanceObserverEntryList = globalThis.PerformanceObserverEntryList;

const idle = { idle: 0, active: 0, utilization: 0 };
const define = (name: string, value: unknown): void => {
    if (!(name in performance)) {
        Object.defineProperty(performance, name, { value, writable: true, configurable: true, enumerable: false });
    }
};
define("eventLoopUtilization", () => ({ ...idle }));
define("timerify", (fn: any) => {
    validateFunction(fn, "fn");
    return fn;
});
define("nodeTiming", { name: "node", entryType: "node", startTime: 0, duration: 0 });

/** Counts by value, as its own statistics want them. */
class Histogram {
    #values: number[] = [];
    get count(): number {
        return this.#values.length;
    }
    get min(): number {
        return this.#values.length ? Math.min(...this.#values) : 9223372036854776000;
    }
    get max(): number {
        return this.#values.length ? Math.max(...this.#values) : 0;
    }
    get mean(): number {
        return this.#values.reduce((sum, v) => sum + v, 0) / this.#values.length;
    }
    get stddev(): number {
        const { mean } = this;
        return Math.sqrt(this.#values.reduce((sum, v) => sum + (v - mean) ** 2, 0) / this.#values.length);
    }
    get exceeds(): number {
        return 0;
    }
    get percentiles(): Map<number, number> {
        return new Map([0, 50, 75, 90, 99, 100].map((p) => [p, p === 0 ? this.min : this.percentile(p)]));
    }
    percentile(percent: number): number {
        const sorted = this.#values.toSorted((a, b) => a - b);
        return sorted.length ? sorted[Math.max(0, Math.ceil(percent / 100 * sorted.length) - 1)]! : 0;
    }
    record(value: number | bigint): void {
        this.#values.push(Number(value));
    }
    recordDelta(): void {
        this.record(1);
    }
    reset(): void {
        this.#values = [];
    }
    add(other: Histogram): void {
        this.#values.push(...other.#values);
    }
}

export const createHistogram = (): Histogram => new Histogram();
export const monitorEventLoopDelay = refused("monitorEventLoopDelay", why);
export const constants = {
    NODE_PERFORMANCE_GC_MAJOR: 4, NODE_PERFORMANCE_GC_MINOR: 1, NODE_PERFORMANCE_GC_INCREMENTAL: 8, NODE_PERFORMANCE_GC_WEAKCB: 16,
    NODE_PERFORMANCE_GC_FLAGS_NO: 0, NODE_PERFORMANCE_GC_FLAGS_CONSTRUCT_RETAINED: 2, NODE_PERFORMANCE_GC_FLAGS_FORCED: 4,
    NODE_PERFORMANCE_GC_FLAGS_SYNCHRONOUS_PHANTOM_PROCESSING: 8, NODE_PERFORMANCE_GC_FLAGS_ALL_AVAILABLE_GARBAGE: 16,
    NODE_PERFORMANCE_GC_FLAGS_ALL_EXTERNAL_MEMORY: 32, NODE_PERFORMANCE_GC_FLAGS_SCHEDULE_IDLE: 64,
};

export default {
    PerformanceEntry, PerformanceMark, PerformanceMeasure, PerformanceObserver, PerformanceObserverEntryList, PerformanceResourceTiming,
    constants, createHistogram, monitorEventLoopDelay, performance,
};
