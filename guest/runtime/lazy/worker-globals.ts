// SPDX-License-Identifier: Apache-2.0
//
// Names of Workers' global scope that few ask for: the classes of that scope, and observers of performance entries, of which
// there are no kinds that come by themselves.

import { EventTarget } from "../event.ts";
import { expose, need } from "../interface.ts";

export class WorkerGlobalScope extends EventTarget {
    constructor() {
        super();
        throw new TypeError("Illegal constructor");
    }
    static override [Symbol.hasInstance](value: unknown): boolean {
        return value === globalThis;
    }
}
expose(WorkerGlobalScope, "WorkerGlobalScope");

export class ServiceWorkerGlobalScope extends WorkerGlobalScope {}
expose(ServiceWorkerGlobalScope, "ServiceWorkerGlobalScope");

/** There is one behavior here, whatever a project's compatibility date is. */
export const Cloudflare = Object.freeze({ compatibilityFlags: Object.freeze({}) });

/** Observes what supportedEntryTypes says, which is nothing: other types are ignored, as the standard asks. */
export class PerformanceObserver {
    static readonly supportedEntryTypes: readonly string[] = Object.freeze([]);

    constructor(callback: unknown) {
        need(1, arguments.length, "PerformanceObserver constructor");
        if (typeof callback !== "function") {
            throw new TypeError("PerformanceObserver constructor: the callback is not a function");
        }
    }
    observe(options: { entryTypes?: string[]; type?: string } = {}): void {
        if (options.entryTypes === undefined && options.type === undefined) {
            throw new TypeError("PerformanceObserver.observe: neither entryTypes nor type is given");
        }
        if (options.entryTypes !== undefined && options.type !== undefined) {
            throw new TypeError("PerformanceObserver.observe: entryTypes and type are both given");
        }
    }
    disconnect(): void {}
    takeRecords(): [] {
        return [];
    }
}
expose(PerformanceObserver, "PerformanceObserver");
