// SPDX-License-Identifier: Apache-2.0
//
// crypto.subtle, the part that the DIGEST op can carry: digest() with SHA-1 and SHA-2, and HMAC keys
// (generate, import and export as raw or jwk, sign, verify). Other algorithms are refused by name with a
// NotSupportedError. Key bytes stay inside CryptoKey.

import { bytesOf, expose, need, toText } from "./interface.ts";
import { native } from "./native.ts";

type Data = ArrayBuffer | ArrayBufferView;
type HashName = "SHA-1" | "SHA-256" | "SHA-384" | "SHA-512";
type Algorithm = string | { name: string; hash?: Algorithm; length?: number };
type Usage = "sign" | "verify";

interface JsonWebKey {
    kty?: string;
    k?: string;
    alg?: string;
    use?: string;
    key_ops?: string[];
    ext?: boolean;
}

interface Hash {
    code: number; // of the DIGEST op
    blockBytes: number;
    jwk: string;
}

const hashes: Record<HashName, Hash> = {
    "SHA-1": { code: 1, blockBytes: 64, jwk: "HS1" },
    "SHA-256": { code: 256, blockBytes: 64, jwk: "HS256" },
    "SHA-384": { code: 384, blockBytes: 128, jwk: "HS384" },
    "SHA-512": { code: 512, blockBytes: 128, jwk: "HS512" },
};

function fail(name: string, message: string): never {
    throw new DOMException(message, name);
}

function nameOf(algorithm: unknown): string {
    if (typeof algorithm === "object" && algorithm !== null) {
        const { name } = algorithm as { name?: unknown };
        if (name === undefined) {
            throw new TypeError("the algorithm has no name");
        }
        return toText(name).toUpperCase();
    }
    return toText(algorithm).toUpperCase();
}

function hashName(algorithm: unknown): HashName {
    const name = nameOf(algorithm);
    if (!Object.hasOwn(hashes, name)) {
        fail("NotSupportedError",
            `${name} is not supported here; use SHA-1, SHA-256, SHA-384 or SHA-512`);
    }
    return name as HashName;
}

function needHmac(algorithm: unknown): void {
    const name = nameOf(algorithm);
    if (name !== "HMAC") {
        fail("NotSupportedError", `${name} is not supported here; crypto.subtle has digest() and HMAC`);
    }
}

function dataOf(value: unknown, what: string): Uint8Array<ArrayBuffer> {
    const bytes = bytesOf(value);
    if (!bytes) {
        throw new TypeError(`${what} is not an ArrayBuffer or a view of one`);
    }
    return bytes;
}

interface KeyState {
    bytes: Uint8Array<ArrayBuffer>;
    hash: HashName;
    extractable: boolean;
    usages: Usage[];
}

/** What only this file can pass to a constructor. */
const ours = Symbol();
let keyNew: (state: KeyState) => CryptoKey;
let keyState: (key: unknown) => KeyState;

export class CryptoKey {
    #state!: KeyState;

    static {
        keyNew = (state) => {
            const key = new CryptoKey(ours);
            key.#state = state;
            return key;
        };
        keyState = (key) => {
            if (typeof key !== "object" || key === null || !(#state in key)) {
                throw new TypeError("the key is not a CryptoKey");
            }
            return key.#state;
        };
    }

    constructor(caller?: typeof ours) {
        if (caller !== ours) {
            throw new TypeError("Illegal constructor: use crypto.subtle.importKey or generateKey");
        }
    }
    get type(): "secret" {
        return "secret";
    }
    get extractable(): boolean {
        return this.#state.extractable;
    }
    get algorithm() {
        const { hash, bytes } = this.#state;
        return { name: "HMAC", hash: { name: hash }, length: bytes.length * 8 };
    }
    get usages(): Usage[] {
        return [...this.#state.usages];
    }
}
expose(CryptoKey, "CryptoKey");

function usagesOf(value: unknown): Usage[] {
    const usages = new Set([...value as Iterable<unknown>].map(toText));
    for (const usage of usages) {
        if (usage !== "sign" && usage !== "verify") {
            fail("SyntaxError", `an HMAC key cannot be used to ${usage}; its usages are sign and verify`);
        }
    }
    if (!usages.size) {
        fail("SyntaxError", "a secret key needs at least one usage: sign or verify");
    }
    return (["sign", "verify"] as const).filter((usage) => usages.has(usage));
}

function hmac(state: KeyState, data: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> {
    const { code, blockBytes } = hashes[state.hash];
    const key = state.bytes.length > blockBytes
        ? new Uint8Array(native.digest(code, state.bytes)) : state.bytes;
    const inner = new Uint8Array(blockBytes).fill(0x36);
    const outer = new Uint8Array(blockBytes).fill(0x5c);
    for (let i = 0; i < key.length; i++) {
        inner[i]! ^= key[i]!;
        outer[i]! ^= key[i]!;
    }
    return new Uint8Array(native.digest(code, outer, native.digest(code, inner, data)));
}

function toBase64Url(bytes: Uint8Array): string {
    let text = "";
    for (const byte of bytes) {
        text += String.fromCharCode(byte);
    }
    return btoa(text).replaceAll("+", "-").replaceAll("/", "_").replace(/=+$/, "");
}

function fromJwk(jwk: JsonWebKey, hash: HashName, extractable: boolean, usages: Usage[]): Uint8Array<ArrayBuffer> {
    const expected = hashes[hash].jwk;
    if (typeof jwk !== "object" || jwk === null) {
        throw new TypeError("importKey: a jwk key is an object");
    }
    if (jwk.kty !== "oct" || typeof jwk.k !== "string" || !/^[A-Za-z0-9_-]*$/.test(jwk.k)) {
        fail("DataError", 'importKey: an HMAC jwk has kty "oct" and k in base64url');
    }
    if (jwk.alg !== undefined && jwk.alg !== expected) {
        fail("DataError", `importKey: the jwk's alg is ${jwk.alg}, but ${hash} means ${expected}`);
    }
    if ((jwk.use !== undefined && jwk.use !== "sig") || (jwk.ext === false && extractable)
        || (jwk.key_ops && usages.some((usage) => !jwk.key_ops!.includes(usage)))) {
        fail("DataError", "importKey: the jwk's use, ext or key_ops do not allow what was asked");
    }
    const text = atob(jwk.k.replaceAll("-", "+").replaceAll("_", "/"));
    return Uint8Array.from(text, (c) => c.charCodeAt(0));
}

/** The key's bytes cut to `length` bits, as the standard allows within the last byte. */
function cutTo(bytes: Uint8Array<ArrayBuffer>, length: number | undefined): Uint8Array<ArrayBuffer> {
    const bits = bytes.length * 8;
    if (!bits || (length !== undefined && (length > bits || length <= bits - 8))) {
        fail("DataError", "importKey: the key is empty, or its length is not that of the data");
    }
    if (length !== undefined && length < bits) {
        bytes[bytes.length - 1]! &= 0xff << (bits - length);
    }
    return bytes;
}

export class SubtleCrypto {
    constructor(caller?: typeof ours) {
        if (caller !== ours) {
            throw new TypeError("Illegal constructor: use crypto.subtle");
        }
    }

    async digest(algorithm: Algorithm, data: Data): Promise<ArrayBuffer> {
        need(2, arguments.length, "crypto.subtle.digest");
        return native.digest(hashes[hashName(algorithm)].code, dataOf(data, "digest: the data"));
    }

    async generateKey(
        algorithm: Algorithm, extractable: boolean, keyUsages: Usage[],
    ): Promise<CryptoKey> {
        need(3, arguments.length, "crypto.subtle.generateKey");
        needHmac(algorithm);
        const { hash: hashGiven, length } = algorithm as { hash?: Algorithm; length?: number };
        const hash = hashName(hashGiven);
        const bits = length ?? hashes[hash].blockBytes * 8;
        if (!(bits > 0) || bits % 8 !== 0) {
            fail("OperationError", "generateKey: the length of an HMAC key is a positive multiple of 8");
        }
        const usages = usagesOf(keyUsages);
        return keyNew({
            bytes: native.random(bits / 8), hash, extractable: Boolean(extractable), usages,
        });
    }

    async importKey(
        format: "raw" | "jwk", key: Data | JsonWebKey, algorithm: Algorithm, extractable: boolean,
        keyUsages: Usage[],
    ): Promise<CryptoKey> {
        need(5, arguments.length, "crypto.subtle.importKey");
        needHmac(algorithm);
        const { hash: hashGiven, length } = algorithm as { hash?: Algorithm; length?: number };
        const hash = hashName(hashGiven);
        const usages = usagesOf(keyUsages);
        if (format !== "raw" && format !== "jwk") {
            fail("NotSupportedError", `importKey: the format "${format as string}" is not supported for HMAC; use raw or jwk`);
        }
        const bytes = format === "raw"
            ? dataOf(key, "importKey: the key").slice()
            : fromJwk(key as JsonWebKey, hash, Boolean(extractable), usages);
        return keyNew({ bytes: cutTo(bytes, length), hash, extractable: Boolean(extractable), usages });
    }

    async exportKey(format: "raw" | "jwk", key: CryptoKey): Promise<ArrayBuffer | JsonWebKey> {
        need(2, arguments.length, "crypto.subtle.exportKey");
        const state = keyState(key);
        if (!state.extractable) {
            fail("InvalidAccessError", "exportKey: the key is not extractable");
        }
        switch (format) {
        case "raw":
            return state.bytes.slice().buffer;
        case "jwk":
            return {
                kty: "oct", k: toBase64Url(state.bytes), alg: hashes[state.hash].jwk,
                key_ops: [...state.usages], ext: true,
            };
        default:
            return fail("NotSupportedError", `exportKey: the format "${format as string}" is not supported; use raw or jwk`);
        }
    }

    async sign(algorithm: Algorithm, key: CryptoKey, data: Data): Promise<ArrayBuffer> {
        need(3, arguments.length, "crypto.subtle.sign");
        needHmac(algorithm);
        const state = keyState(key);
        if (!state.usages.includes("sign")) {
            fail("InvalidAccessError", "sign: the key's usages do not include sign");
        }
        return hmac(state, dataOf(data, "sign: the data")).buffer;
    }

    async verify(
        algorithm: Algorithm, key: CryptoKey, signature: Data, data: Data,
    ): Promise<boolean> {
        need(4, arguments.length, "crypto.subtle.verify");
        needHmac(algorithm);
        const state = keyState(key);
        if (!state.usages.includes("verify")) {
            fail("InvalidAccessError", "verify: the key's usages do not include verify");
        }
        const given = dataOf(signature, "verify: the signature");
        const right = hmac(state, dataOf(data, "verify: the data"));
        // Every byte is compared, whatever the first ones say.
        let difference = given.length ^ right.length;
        for (let i = 0; i < right.length; i++) {
            difference |= right[i]! ^ (given[i] ?? 0);
        }
        return difference === 0;
    }
}

for (const name of ["encrypt", "decrypt", "deriveKey", "deriveBits", "wrapKey", "unwrapKey"]) {
    Object.defineProperty(SubtleCrypto.prototype, name, {
        value: {
            async [name](): Promise<never> {
                return fail("NotSupportedError",
                    `crypto.subtle.${name}() is not supported here; there are digest() and HMAC`);
            },
        }[name],
        writable: true, configurable: true,
    });
}
expose(SubtleCrypto, "SubtleCrypto");

export const subtle = new SubtleCrypto(ours);
