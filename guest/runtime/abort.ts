// SPDX-License-Identifier: Apache-2.0
//
// AbortController and AbortSignal (DOM §3). A signal made by AbortSignal.any() is held weakly by its
// sources, so that a long-lived source does not collect them, except while somebody listens to it.

import { dispatchTrusted, Event, EventTarget, handlerAttribute, hasListeners } from "./event.ts";
import { expose, need } from "./interface.ts";
import { native } from "./native.ts";

/** What only this file can pass to the constructor. */
const ours = Symbol();

/** The engine's and the controller's way to a signal; scripts have none. */
export function signalNew(): AbortSignal {
    return new AbortSignal(ours);
}
export let signalAbort: (signal: AbortSignal, reason?: unknown) => void;

export function isSignal(value: unknown): boolean {
    return value instanceof AbortSignal;
}

export class AbortSignal extends EventTarget {
    #aborted = false;
    #reason: unknown;
    #sources: AbortSignal[] | undefined; // of a signal of any(): signals that are not made by any()
    #dependents: Set<WeakRef<AbortSignal>> | undefined;
    #listened: Set<AbortSignal> | undefined; // dependents with listeners, kept alive

    static {
        signalAbort = (signal, reason) => {
            if (signal.#aborted) {
                return;
            }
            if (reason === undefined) {
                reason = new DOMException("This operation was aborted", "AbortError");
            }
            const all = [signal];
            for (const weak of signal.#dependents ?? []) {
                const dependent = weak.deref();
                if (dependent && !dependent.#aborted) {
                    all.push(dependent);
                }
            }
            signal.#dependents = signal.#listened = undefined;
            // All are aborted before the first listener runs.
            for (const one of all) {
                one.#aborted = true;
                one.#reason = reason;
            }
            for (const one of all) {
                one.#detach();
                if (hasListeners(one, "abort")) {
                    dispatchTrusted(one, new Event("abort"));
                }
            }
        };
    }

    static abort(reason?: unknown): AbortSignal {
        const signal = signalNew();
        signalAbort(signal, reason);
        return signal;
    }

    static timeout(ms: number): AbortSignal {
        need(1, arguments.length, "AbortSignal.timeout");
        const delay = Math.trunc(Number(ms));
        if (!(delay >= 0 && delay <= Number.MAX_SAFE_INTEGER)) {
            throw new TypeError("AbortSignal.timeout: the delay is not a number of milliseconds");
        }
        const signal = signalNew();
        native.timer(delay, () => {
            signalAbort(signal, new DOMException("The operation timed out", "TimeoutError"));
        });
        return signal;
    }

    static any(signals: Iterable<AbortSignal>): AbortSignal {
        need(1, arguments.length, "AbortSignal.any");
        const all = [...signals];
        for (const source of all) {
            if (!(source instanceof AbortSignal)) {
                throw new TypeError("AbortSignal.any: each entry must be an AbortSignal");
            }
        }
        const result = signalNew();
        const aborted = all.find((source) => source.#aborted);
        if (aborted) {
            result.#aborted = true;
            result.#reason = aborted.#reason;
            return result;
        }
        const roots = new Set(all.flatMap((source) => source.#sources ?? [source]));
        result.#sources = [...roots];
        const weak = new WeakRef(result);
        for (const root of roots) {
            const dependents = root.#dependents ??= new Set();
            for (const old of dependents) {
                if (!old.deref()) {
                    dependents.delete(old);
                }
            }
            dependents.add(weak);
        }
        return result;
    }

    constructor(caller?: typeof ours) {
        if (caller !== ours) {
            throw new TypeError("Illegal constructor: use an AbortController");
        }
        super();
    }

    #detach(): void {
        for (const source of this.#sources ?? []) {
            source.#listened?.delete(this);
        }
        this.#sources = undefined;
    }

    get aborted(): boolean {
        return this.#aborted;
    }
    get reason(): unknown {
        return this.#reason;
    }
    throwIfAborted(): void {
        if (this.#aborted) {
            throw this.#reason;
        }
    }

    override addEventListener(...args: Parameters<EventTarget["addEventListener"]>): void {
        super.addEventListener(...args);
        for (const source of this.#sources ?? []) {
            (source.#listened ??= new Set()).add(this);
        }
    }

    override removeEventListener(...args: Parameters<EventTarget["removeEventListener"]>): void {
        super.removeEventListener(...args);
        if (this.#sources && !hasListeners(this, "abort")) {
            for (const source of this.#sources) {
                source.#listened?.delete(this);
            }
        }
    }
}
expose(AbortSignal, "AbortSignal");
handlerAttribute(AbortSignal, "abort");

export class AbortController {
    #signal: AbortSignal | undefined;
    get signal(): AbortSignal {
        return this.#signal ??= signalNew();
    }
    abort(reason?: unknown): void {
        signalAbort(this.signal, reason);
    }
}
expose(AbortController, "AbortController");
