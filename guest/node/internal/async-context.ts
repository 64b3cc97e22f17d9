// SPDX-License-Identifier: Apache-2.0
//
// The values of all AsyncLocalStorages where code runs now: one immutable map, which promises carry on
// (guest/engine/scope.c) and callbacks take along by bind().

import { native } from "limpet:internal";

export type Frame = Map<object, unknown> | undefined;

export function current(): Frame {
    return native.frame() as Frame;
}

/** Runs fn with that map as the current one. */
export function within<T>(frame: Frame, fn: (...args: any[]) => T, self: unknown, args: unknown[]): T {
    const outer = native.frame();
    native.setFrame(frame);
    try {
        return Reflect.apply(fn, self, args);
    } finally {
        native.setFrame(outer);
    }
}

/** fn, which runs with the map of now. */
export function bind<F extends (...args: any[]) => any>(fn: F): F {
    const frame = current();
    return frame === undefined ? fn : function (this: unknown, ...args: unknown[]) {
        return within(frame, fn, this, args);
    } as F;
}
