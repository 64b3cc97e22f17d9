// SPDX-License-Identifier: Apache-2.0
//
// node:inspector: it can be imported; what is called says why it is not here, and what to use instead.

import { refused, refusedClass } from "./internal/errors.ts";

const why = "there is no debugger to attach; use console.log() and `limpet logs`";

export const Network: any = {};
export const Session = refusedClass("Session", why);
export const close: any = (): void => {};
export const console: any = globalThis.console;
export const open = refused("inspector.open", why);
export const url: any = (): undefined => undefined;
export const waitForDebugger = refused("inspector.waitForDebugger", why);

export default {
    Network, Session, close, console, open, url, waitForDebugger,
};
