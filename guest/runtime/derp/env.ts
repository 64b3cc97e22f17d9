// SPDX-License-Identifier: Apache-2.0
//
// derp:runtime/env: the function's environment variables, read from the host each time they are asked
// for, so that an image never holds one.

import { native } from "../native.ts";

export function get(name: string): string | undefined {
    return native.envGet(String(name));
}

export function getOrDefault(name: string, value: string): string {
    return native.envGet(String(name)) ?? value;
}

export function toObject(): Record<string, string> {
    return Object.fromEntries(native.envList());
}
