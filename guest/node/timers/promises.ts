// SPDX-License-Identifier: Apache-2.0
//
// node:timers/promises.

import { AbortError } from "../internal/errors.ts";
import * as timers from "../internal/timers.ts";
import { signalOf, validateAbortSignal, validateBoolean, validateObject } from "../internal/validate.ts";

function wait<T>(start: (done: () => void) => any, stop: (timer: any) => void, value: T, options: any): Promise<T> {
    try {
        validateObject(options, "options");
        validateAbortSignal((options as any).signal, "options.signal");
        if ((options as any).ref !== undefined) {
            validateBoolean((options as any).ref, "options.ref");
        }
    } catch (error) {
        return Promise.reject(error);
    }
    const { signal, ref = true } = options;
    if (signal?.aborted) {
        return Promise.reject(new AbortError(undefined, { cause: signal.reason }));
    }
    return new Promise((resolve, reject) => {
        const onAbort = () => {
            stop(timer);
            reject(new AbortError(undefined, { cause: signal.reason }));
        };
        const timer = start(() => {
            signal?.removeEventListener("abort", onAbort);
            resolve(value);
        });
        if (!ref) {
            timer.unref();
        }
        signal?.addEventListener("abort", onAbort, { once: true });
    });
}

export function setTimeout<T>(delay?: number, value?: T, options: any = {}): Promise<T> {
    return wait((done) => timers.setTimeout(done, delay), timers.clearTimeout, value as T, options);
}

export function setImmediate<T>(value?: T, options: any = {}): Promise<T> {
    return wait((done) => timers.setImmediate(done), timers.clearImmediate, value as T, options);
}

export async function* setInterval<T>(delay?: number, value?: T, options: any = {}): AsyncGenerator<T> {
    const signal = signalOf(options);
    let due = 0, wake: (() => void) | undefined;
    const timer = timers.setInterval(() => {
        due++;
        wake?.();
    }, delay);
    const onAbort = () => wake?.();
    signal?.addEventListener("abort", onAbort, { once: true });
    try {
        for (;;) {
            if (signal?.aborted) {
                throw new AbortError(undefined, { cause: signal.reason });
            }
            if (due === 0) {
                await new Promise<void>((resolve) => {
                    wake = resolve;
                });
                continue;
            }
            for (; due > 0; due--) {
                yield value as T;
            }
        }
    } finally {
        timers.clearInterval(timer);
        signal?.removeEventListener("abort", onAbort);
    }
}

export const scheduler = {
    wait: (delay: number, options?: any): Promise<void> => setTimeout(delay, undefined, options),
    yield: (): Promise<void> => setImmediate(),
};

export default { setTimeout, setImmediate, setInterval, scheduler };
