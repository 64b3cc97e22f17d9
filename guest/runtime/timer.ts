// SPDX-License-Identifier: Apache-2.0
//
// setTimeout, setInterval, setImmediate and their clear functions (HTML §8.7). A timer is one host op; the number
// that scripts see is ours, because an interval is a new op each time. Nested timers are held back to
// 4 ms from the fifth level on, as in browsers, so that a loop of zero timers cannot burn a core.

import { need } from "./interface.ts";
import { native } from "./native.ts";

type Callback = (...args: unknown[]) => unknown;

const NESTING_MAX = 5;
const NESTED_DELAY_MIN_MS = 4;

// Numbers of timers that the body of a step starts are apart from the others, which a replay, without
// those bodies, shall give out equally.
const SCOPED_IDS = 2 ** 30;
let lastId = 0;
let lastScopedId = SCOPED_IDS;
let nesting = 0; // of the timer whose callback runs now
let ops: Map<number, number> | undefined;

function start(
    id: number, callback: Callback, delay: number, args: unknown[], isRepeating: boolean, level: number,
): void {
    const wait = level > NESTING_MAX && delay < NESTED_DELAY_MIN_MS ? NESTED_DELAY_MIN_MS : delay;
    const op = native.timer(wait, () => {
        const outer = nesting;
        nesting = level;
        if (!isRepeating) {
            ops!.delete(id);
        }
        try {
            callback.apply(globalThis, args);
        } finally {
            nesting = outer;
            if (isRepeating && ops!.get(id) === op) {
                start(id, callback, delay, args, true, Math.min(level + 1, NESTING_MAX + 1));
            }
        }
    });
    (ops ??= new Map()).set(id, op);
}

function add(what: string, callback: unknown, ms: unknown, args: unknown[], isRepeating: boolean) {
    if (typeof callback !== "function") {
        throw new TypeError(`${what}: the callback is not a function (text is never evaluated here)`);
    }
    // The conversion to a 32-bit integer is the standard's: NaN and infinities become 0.
    const delay = Math.max(0, Number(ms) | 0);
    const id = native.scope() ? ++lastScopedId : ++lastId;
    start(id, callback as Callback, delay, args, isRepeating, nesting + 1);
    return id;
}

export function setTimeout(callback: Callback, ms: number = 0, ...args: unknown[]): number {
    need(1, arguments.length, "setTimeout");
    return add("setTimeout", callback, ms, args, false);
}

export function setInterval(callback: Callback, ms: number = 0, ...args: unknown[]): number {
    need(1, arguments.length, "setInterval");
    return add("setInterval", callback, ms, args, true);
}

export function clearTimeout(id?: number): void {
    const op = ops?.get(Number(id));
    if (op !== undefined) {
        ops!.delete(Number(id));
        native.cancel(op);
    }
}

export function clearInterval(id?: number): void {
    clearTimeout(id);
}

/** Runs soon, after what is due now; without the delay of nested timers. */
export function setImmediate(callback: Callback, ...args: unknown[]): number {
    need(1, arguments.length, "setImmediate");
    if (typeof callback !== "function") {
        throw new TypeError("setImmediate: the callback is not a function (text is never evaluated here)");
    }
    const id = native.scope() ? ++lastScopedId : ++lastId;
    start(id, callback, 0, args, false, 0);
    return id;
}

export function clearImmediate(id?: number): void {
    clearTimeout(id);
}
