// SPDX-License-Identifier: Apache-2.0
//
// Timers, the console, the scheduler, and what else the global scope has.

declare function setTimeout<A extends any[]>(fn: (...args: A) => void, ms?: number, ...args: A): number;
declare function setInterval<A extends any[]>(fn: (...args: A) => void, ms?: number, ...args: A): number;
declare function clearTimeout(id?: number): void;
declare function clearInterval(id?: number): void;
/** Runs soon, after promises that are due. */
declare function setImmediate<A extends any[]>(fn: (...args: A) => void, ...args: A): number;
declare function clearImmediate(id?: number): void;
declare function queueMicrotask(fn: () => void): void;

interface Console {
    assert(condition?: boolean, ...data: any[]): void;
    count(label?: string): void;
    countReset(label?: string): void;
    debug(...data: any[]): void;
    dir(value?: any, options?: { depth?: number | null; showHidden?: boolean }): void;
    dirxml(...data: any[]): void;
    error(...data: any[]): void;
    group(...data: any[]): void;
    groupCollapsed(...data: any[]): void;
    groupEnd(): void;
    info(...data: any[]): void;
    log(...data: any[]): void;
    table(data?: any, columns?: string[]): void;
    time(label?: string): void;
    timeEnd(label?: string): void;
    timeLog(label?: string, ...data: any[]): void;
    trace(...data: any[]): void;
    warn(...data: any[]): void;
}
declare var console: Console;

declare class Scheduler {
    private constructor();
    postTask<T>(
        callback: () => T,
        options?: { priority?: "user-blocking" | "user-visible" | "background"; signal?: AbortSignal; delay?: number },
    ): Promise<Awaited<T>>;
    yield(): Promise<void>;
    wait(ms: number, options?: { signal?: AbortSignal }): Promise<void>;
}
declare var scheduler: Scheduler;

declare class Navigator {
    private constructor();
    readonly userAgent: "Limpet";
    readonly language: string;
    readonly languages: readonly string[];
    readonly onLine: boolean;
    readonly hardwareConcurrency: number;
    readonly platform: string;
    sendBeacon(url: string | URL, data?: BodyInit | null): boolean;
}
declare var navigator: Navigator;

declare var self: typeof globalThis;
