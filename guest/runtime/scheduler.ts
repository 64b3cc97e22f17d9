// SPDX-License-Identifier: Apache-2.0
//
// scheduler.postTask() and yield() (Prioritized Task Scheduling), and wait() of Workers. A task is a timer of
// the host: there is no rendering here to give way to, so priorities are checked and otherwise equal.

import { AbortSignal, isSignal } from "./abort.ts";
import { expose, need } from "./interface.ts";
import { native } from "./native.ts";

const ours = Symbol();
const priorities = ["user-blocking", "user-visible", "background"];

interface PostOptions {
    priority?: string;
    signal?: AbortSignal;
    delay?: number;
}

/** Settles with what `run` gives, after `ms`; rejects with the reason of the signal if that comes first. */
function later<T>(ms: number, signal: AbortSignal | undefined, what: string, run: () => T): Promise<Awaited<T>> {
    if (signal !== undefined && !isSignal(signal)) {
        return Promise.reject(new TypeError(`${what}: signal is not an AbortSignal`));
    }
    if (signal?.aborted) {
        return Promise.reject(signal.reason);
    }
    return new Promise((resolve, reject) => {
        const aborted = (): void => {
            native.cancel(op);
            reject(signal!.reason);
        };
        const op = native.timer(ms, () => {
            signal?.removeEventListener("abort", aborted);
            try {
                resolve(run() as Awaited<T>);
            } catch (error) {
                reject(error);
            }
        });
        signal?.addEventListener("abort", aborted, { once: true });
    });
}

export class Scheduler {
    constructor(caller?: typeof ours) {
        if (caller !== ours) {
            throw new TypeError("Illegal constructor: use the global scheduler");
        }
    }
    postTask<T>(callback: () => T, options: PostOptions = {}): Promise<Awaited<T>> {
        try {
            need(1, arguments.length, "Scheduler.postTask");
            if (typeof callback !== "function") {
                throw new TypeError("Scheduler.postTask: the callback is not a function");
            }
            const { priority, signal, delay = 0 } = options ?? {};
            if (priority !== undefined && !priorities.includes(priority)) {
                throw new TypeError(`Scheduler.postTask: the priority is "${priority}"; there are ${priorities.join(", ")}`);
            }
            const ms = Math.trunc(Number(delay));
            if (!(ms >= 0 && ms <= Number.MAX_SAFE_INTEGER)) {
                throw new TypeError("Scheduler.postTask: the delay is not a number of milliseconds");
            }
            return later(ms, signal, "Scheduler.postTask", callback);
        } catch (error) {
            return Promise.reject(error);
        }
    }
    yield(): Promise<void> {
        return later(0, undefined, "Scheduler.yield", () => {});
    }
    wait(ms: number, options: { signal?: AbortSignal } = {}): Promise<void> {
        try {
            need(1, arguments.length, "Scheduler.wait");
            return later(Math.max(0, Number(ms) | 0), options?.signal, "Scheduler.wait", () => {});
        } catch (error) {
            return Promise.reject(error);
        }
    }
}
expose(Scheduler, "Scheduler");

export const scheduler = new Scheduler(ours);
