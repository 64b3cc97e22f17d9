// SPDX-License-Identifier: Apache-2.0
//
// Names of Workers' global scope that few ask for: the classes of that scope, and observers of performance entries, of which
// there are no kinds that come by themselves.

import { EventTarget } from "../event.ts";
import { expose } from "../interface.ts";

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
