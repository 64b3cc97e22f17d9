// SPDX-License-Identifier: Apache-2.0
//
// process.nextTick(): what is queued runs in order, also what is queued meanwhile, before the microtasks that are
// queued later.

import { native } from "limpet:internal";
import { bind } from "./async-context.ts";
import { validateFunction } from "./validate.ts";

let queue: (() => void)[] | undefined;

function run(): void {
    for (let i = 0; i < queue!.length; i++) {
        try {
            queue![i]!();
        } catch (error) {
            native.reportError("Uncaught ", error);
        }
    }
    queue = undefined;
}

export function nextTick(callback: any, ...args: unknown[]): void {
    validateFunction(callback, "callback");
    const bound = bind(callback);
    if (!queue) {
        queue = [];
        queueMicrotask(run);
    }
    queue.push(args.length ? () => bound(...args) : () => bound());
}
