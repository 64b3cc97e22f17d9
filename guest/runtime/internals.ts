// SPDX-License-Identifier: Apache-2.0
//
// What the Node layer (guest/node) uses of the runtime: the module "limpet:internal", which only its modules may import.

import { blobBytes } from "./blob.ts";
import { keyNew, keyState } from "./crypto/key.ts";
import { errorText, inspect } from "./inspect.ts";
import { objectFromUrl } from "./local-fetch.ts";
import { native } from "./native.ts";
import { isStream, streamState } from "./stream.ts";
import { clearImmediate, clearInterval, clearTimeout, setImmediate, setInterval, setTimeout } from "./timer.ts";

export function defineInternals(): void {
    native.defineModule("limpet:internal", {
        native, inspect, errorText, blobBytes, isStream, streamState, keyNew, keyState, objectFromUrl,
        timers: { clearImmediate, clearInterval, clearTimeout, setImmediate, setInterval, setTimeout },
    });
}
