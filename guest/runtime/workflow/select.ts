// SPDX-License-Identifier: Apache-2.0
//
// select(): what comes first of several things that a workflow waits for. Unlike with Promise.race(), the
// others are withdrawn, so that none of them takes along a signal which nobody sees any more. That
// happens before the next thing can come: the code learns one at a time.
//
// An entry is a function, called at once with an AbortSignal for what it starts, or a wait itself, as
// waitForEvent(), sleep() and result() return it. What is made of a wait, with then() or by an async
// function, cannot be withdrawn from outside, and is refused unless a function returns it.

import { type AbortSignal, isSignal, signalAbort, signalNew } from "../abort.ts";
import { native } from "../native.ts";

const SETTLED = 0, NO_WAIT = -1; // native.waitOf()
const REJECTED = 2; // native.promiseState()

export interface Withdrawable {
    signal?: AbortSignal;
}

/** The signal of such options. */
export function signalIn(options: Withdrawable | undefined, what: string): AbortSignal | undefined {
    const { signal } = options ?? {};
    if (signal !== undefined && !isSignal(signal)) {
        throw new TypeError(`${what}: signal must be an AbortSignal`);
    }
    return signal;
}

/** Reasons by which select() withdrew waits. */
const reasons = new WeakSet<DOMException>();

/** Is this a wait that lost a select()? Then who wants the same needs another one. */
export function wasWithdrawn(promise: Promise<unknown>): boolean {
    const [state, reason] = native.promiseState(promise)!;
    return state === REJECTED && reasons.has(reason as DOMException);
}

function refuse(name: string): never {
    throw new TypeError(
        `select(): the entry "${name}" is not a wait of its own, so it could not be withdrawn; give a function that `
            + `starts it: { ${name}: (signal) => waitForEvent("…", { signal }).then(…) }`,
    );
}

export async function select(entries: unknown): Promise<{ name: string; value: unknown }> {
    if (typeof entries !== "object" || entries === null) {
        throw new TypeError("select(): give an object such as { done: waitForEvent(\"done\"), late: sleep(\"1 day\") }");
    }
    const all = Object.entries(entries);
    if (all.length === 0) {
        throw new TypeError("select(): there is no entry, so nothing would ever come");
    }
    const signal = signalNew();
    const waits: number[] = [];
    const racers: Promise<{ name: string; value: unknown }>[] = [];
    try {
        for (const [name, entry] of all) {
            const started: unknown = typeof entry === "function" ? entry(signal) : entry;
            const wait = native.waitOf(started);
            if (wait > SETTLED) {
                waits.push(wait);
            } else if (wait === NO_WAIT && typeof entry !== "function") {
                refuse(name);
            }
            racers.push(Promise.resolve(started).then((value) => ({ name, value })));
        }
        return await Promise.race(racers);
    } finally {
        const reason = new DOMException("something else came first in select()", "AbortError");
        reasons.add(reason);
        for (const racer of racers) {
            racer.catch(() => {});
        }
        signalAbort(signal, reason);
        for (const wait of waits) {
            native.withdraw(wait, reason);
        }
    }
}
