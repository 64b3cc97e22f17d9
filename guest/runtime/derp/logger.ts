// SPDX-License-Identifier: Apache-2.0
//
// derp:runtime/logger: lines of the module's log by level. Text passes as it is; other values are shown
// as console.log shows them.

import { format } from "../console.ts";
import { native } from "../native.ts";

function line(level: number, args: unknown[]): void {
    native.log(level, args.length === 1 && typeof args[0] === "string" ? args[0] : format(args));
}

export function debug(...args: unknown[]): void {
    line(0, args);
}
export function info(...args: unknown[]): void {
    line(1, args);
}
export function warn(...args: unknown[]): void {
    line(2, args);
}
export function error(...args: unknown[]): void {
    line(3, args);
}
