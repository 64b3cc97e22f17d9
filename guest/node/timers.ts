// SPDX-License-Identifier: Apache-2.0
//
// node:timers.

import "./internal/install.ts";
import { clearImmediate, clearInterval, clearTimeout, customPromisify, setImmediate, setInterval, setTimeout } from "./internal/timers.ts";
import promises from "./timers/promises.ts";

export { clearImmediate, clearInterval, clearTimeout, promises, setImmediate, setInterval, setTimeout };

Object.defineProperty(setTimeout, customPromisify, { get: () => promises.setTimeout, configurable: true });
Object.defineProperty(setImmediate, customPromisify, { get: () => promises.setImmediate, configurable: true });

export function enroll(item: any, ms: number): void {
    item._idleTimeout = ms;
}
export function unenroll(item: any): void {
    clearTimeout(item._timer);
}
export const active = (item: any): void => {
    clearTimeout(item._timer);
    item._timer = setTimeout(() => item._onTimeout?.(), item._idleTimeout);
};
export const _unrefActive = active;

export default { clearImmediate, clearInterval, clearTimeout, setImmediate, setInterval, setTimeout, promises, enroll, unenroll, active, _unrefActive };
