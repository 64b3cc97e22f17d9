// SPDX-License-Identifier: Apache-2.0
//
// Where a module of Node is used, the global timers are Node's: they give objects with ref() and unref(), and
// their callbacks run in the async context of who started them.

import { bind } from "./async-context.ts";
import * as timers from "./timers.ts";

function set(name: string, value: unknown): void {
    Object.defineProperty(globalThis, name, { value, writable: true, enumerable: true, configurable: true });
}

for (const name of ["setTimeout", "setInterval", "setImmediate", "clearTimeout", "clearInterval", "clearImmediate"] as const) {
    set(name, timers[name]);
}
Object.defineProperty(globalThis, "global", { value: globalThis, writable: true, enumerable: false, configurable: true });

const queue = globalThis.queueMicrotask;
set("queueMicrotask", function queueMicrotask(callback: () => void): void {
    queue(typeof callback === "function" ? bind(callback) : callback);
});
