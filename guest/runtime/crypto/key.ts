// SPDX-License-Identifier: Apache-2.0
//
// CryptoKey. Its bytes live in the isolate's memory and nowhere else: the host gets them with each call
// and keeps nothing, so that snapshots and restored isolates have their keys.

import { expose } from "../interface.ts";

export type Bytes = Uint8Array<ArrayBuffer>;
export type KeyType = "secret" | "public" | "private";
export type Usage = "encrypt" | "decrypt" | "sign" | "verify" | "deriveKey" | "deriveBits" | "wrapKey" | "unwrapKey";
export type HashName = "SHA-1" | "SHA-256" | "SHA-384" | "SHA-512";

/** The `algorithm` of a key. */
export interface KeyAlgorithm {
    name: string;
    hash?: { name: HashName };
    length?: number;
    namedCurve?: string;
    modulusLength?: number;
    publicExponent?: Uint8Array;
}

export interface KeyState {
    readonly type: KeyType;
    readonly algorithm: KeyAlgorithm;
    /** A secret's own bytes; else what the op CRYPTO's IMPORT gives. */
    readonly bytes: Bytes;
    extractable: boolean;
    usages: Usage[];
    /** HMAC: the key in its two pads, made at first use. */
    pads?: [Bytes, Bytes];
}

export interface KeyPair {
    publicKey: CryptoKey;
    privateKey: CryptoKey;
}

const USAGES: Usage[] = ["encrypt", "decrypt", "sign", "verify", "deriveKey", "deriveBits", "wrapKey", "unwrapKey"];

/** Each once, in the standard's order. */
export function usagesSorted(usages: readonly Usage[], allowed: readonly Usage[] = USAGES): Usage[] {
    return USAGES.filter((usage) => usages.includes(usage) && allowed.includes(usage));
}

export function isUsage(value: string): value is Usage {
    return (USAGES as string[]).includes(value);
}

export function fail(name: string, message: string): never {
    throw new DOMException(message, name);
}

/** What only this file can pass to a constructor. */
const ours = Symbol();
let make: (state: KeyState) => CryptoKey;
let look: (key: unknown) => KeyState | undefined;

export class CryptoKey {
    #state!: KeyState;
    #usages: Usage[] | undefined;

    static {
        make = (state) => {
            const key = new CryptoKey(ours);
            key.#state = state;
            return key;
        };
        look = (key) => (typeof key === "object" && key !== null && #state in key ? key.#state : undefined);
    }

    constructor(caller?: typeof ours) {
        if (caller !== ours) {
            throw new TypeError("Illegal constructor: use crypto.subtle.importKey or generateKey");
        }
    }
    get type(): KeyType {
        return this.#state.type;
    }
    get extractable(): boolean {
        return this.#state.extractable;
    }
    get algorithm(): KeyAlgorithm {
        return this.#state.algorithm;
    }
    get usages(): Usage[] {
        return this.#usages ??= [...this.#state.usages];
    }
}
expose(CryptoKey, "CryptoKey");

export function keyNew(
    type: KeyType, algorithm: KeyAlgorithm, bytes: Bytes, extractable: boolean, usages: Usage[],
): CryptoKey {
    return make({ type, algorithm, bytes, extractable, usages });
}

/** The state of a CryptoKey; of anything else a TypeError. */
export function keyState(key: unknown): KeyState {
    const state = look(key);
    if (!state) {
        throw new TypeError("the key is not a CryptoKey");
    }
    return state;
}

/** For structuredClone. */
export function keyClone(key: CryptoKey): CryptoKey {
    const { type, algorithm, bytes, extractable, usages } = keyState(key);
    const { hash, publicExponent } = algorithm;
    return keyNew(type, {
        ...algorithm, ...hash && { hash: { ...hash } }, ...publicExponent && { publicExponent: publicExponent.slice() },
    }, bytes, extractable, usages);
}
