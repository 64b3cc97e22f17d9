// SPDX-License-Identifier: Apache-2.0
//
// The interface Crypto around the engine's `crypto` object.

import { expose } from "../interface.ts";
import { DigestStream } from "./digest-stream.ts";
import { subtle, type SubtleCrypto } from "./subtle.ts";

type Engine = Pick<Crypto, "getRandomValues" | "randomUUID">;

const ours = Symbol();
const engine = globalThis.crypto as Engine;

class PlatformCrypto {
    constructor(caller?: typeof ours) {
        if (caller !== ours) {
            throw new TypeError("Illegal constructor: use the global crypto");
        }
    }
    get subtle(): SubtleCrypto {
        return subtle;
    }
    get DigestStream(): typeof DigestStream {
        return DigestStream;
    }
}
expose(PlatformCrypto, "Crypto");
for (const name of ["getRandomValues", "randomUUID"] as const) {
    Object.defineProperty(PlatformCrypto.prototype, name, {
        value: engine[name], writable: true, enumerable: true, configurable: true,
    });
}

export { PlatformCrypto as Crypto };
export const crypto = new PlatformCrypto(ours);
