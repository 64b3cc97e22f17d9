// SPDX-License-Identifier: Apache-2.0
//
// Algorithm identifiers (Web Cryptography §18): who implements which operation, and the conversions of
// their dictionaries.

import { bytesOf, toText } from "../interface.ts";
import { hashes } from "./call.ts";
import { CryptoKey, fail, keyState, type Bytes, type HashName, type KeyPair, type KeyState, type Usage } from "./key.ts";

export type Params = Record<string, unknown>;
export type KeyFormat = "raw" | "pkcs8" | "spki" | "jwk";

export interface JsonWebKey {
    kty?: string;
    use?: string;
    key_ops?: string[];
    alg?: string;
    ext?: boolean;
    [member: string]: unknown;
}

/** What an algorithm can do; what is missing is not supported. Each `…Params` converts the caller's
 *  dictionary before anything else is looked at, and its result is what the operation gets. */
export interface Implementation {
    readonly name: string;
    generateParams?(params: Params): unknown;
    generateKey?(params: never, extractable: boolean, usages: Usage[]): CryptoKey | Promise<CryptoKey | KeyPair>;
    importParams?(params: Params): unknown;
    importKey?(
        params: never, format: KeyFormat, key: Bytes | JsonWebKey, extractable: boolean, usages: Usage[],
    ): CryptoKey;
    exportKey?(format: KeyFormat, key: KeyState): Bytes | JsonWebKey;
    signParams?(params: Params): unknown;
    sign?(params: never, key: KeyState, data: Bytes): Promise<ArrayBuffer> | ArrayBuffer;
    verify?(params: never, key: KeyState, signature: Bytes, data: Bytes): Promise<boolean> | boolean;
    encryptParams?(params: Params): unknown;
    encrypt?(params: never, key: KeyState, data: Bytes): Promise<ArrayBuffer>;
    decrypt?(params: never, key: KeyState, data: Bytes): Promise<ArrayBuffer>;
    /** AES-KW, which is for keys only. */
    wrapKey?(params: never, key: KeyState, data: Bytes): Promise<ArrayBuffer>;
    unwrapKey?(params: never, key: KeyState, data: Bytes): Promise<ArrayBuffer>;
    deriveParams?(params: Params): unknown;
    deriveBits?(params: never, key: KeyState, length: number | null): Promise<ArrayBuffer>;
    lengthParams?(params: Params): unknown;
    /** In bits; null: whatever is given. */
    keyLength?(params: never): number | null;
}

export type Operation = "generateKey" | "importKey" | "sign" | "verify" | "encrypt" | "decrypt" | "wrapKey"
    | "unwrapKey" | "deriveBits" | "keyLength";

const converters: Record<Operation, keyof Implementation> = {
    generateKey: "generateParams", importKey: "importParams", sign: "signParams", verify: "signParams",
    encrypt: "encryptParams", decrypt: "encryptParams", wrapKey: "encryptParams", unwrapKey: "encryptParams",
    deriveBits: "deriveParams", keyLength: "lengthParams",
};

const registry = new Map<string, Implementation>();

export function register(...implementations: Implementation[]): void {
    for (const implementation of implementations) {
        registry.set(implementation.name.toUpperCase(), implementation);
    }
}

/** The identifier's dictionary: a text is one with a name only. */
function dictionaryOf(identifier: unknown): Params & { name: string } {
    if ((typeof identifier !== "object" || identifier === null) && typeof identifier !== "function") {
        return { name: toText(identifier) };
    }
    const { name } = identifier as { name?: unknown };
    if (name === undefined) {
        throw new TypeError("the algorithm has no name");
    }
    // its other members are still the caller's, which a setter or the lack of one cannot keep from having this name
    return Object.create(identifier, { name: { value: toText(name) } }) as Params & { name: string };
}

export interface Normalized {
    by: Implementation;
    params: never;
}

export function normalize(operation: Operation, identifier: unknown): Normalized {
    const dictionary = dictionaryOf(identifier);
    const by = registry.get(dictionary.name.toUpperCase());
    if (!by?.[operation]) {
        return fail("NotSupportedError", by
            ? `${by.name} has no ${operation === "keyLength" ? "keys of a length to derive" : operation}`
            : `the algorithm ${dictionary.name} is not supported`);
    }
    const convert = by[converters[operation]] as ((params: Params) => unknown) | undefined;
    return { by, params: convert?.call(by, dictionary) as never };
}

/** Does somebody implement this for the algorithm? */
export function isSupported(operation: Operation, identifier: unknown): boolean {
    return Boolean(registry.get(dictionaryOf(identifier).name.toUpperCase())?.[operation]);
}

export function implementationOf(key: KeyState): Implementation {
    return registry.get(key.algorithm.name.toUpperCase())!;
}

// ---- conversions ----

export function hashOf(identifier: unknown): HashName {
    if (identifier === undefined) {
        throw new TypeError("the algorithm needs a hash");
    }
    const name = dictionaryOf(identifier).name.toUpperCase();
    if (!Object.hasOwn(hashes, name)) {
        fail("NotSupportedError", `the hash ${name} is not supported; there are SHA-1, SHA-256, SHA-384 and SHA-512`);
    }
    return name as HashName;
}

export function bufferOf(value: unknown, what: string): Bytes {
    const bytes = bytesOf(value);
    if (!bytes) {
        throw new TypeError(`${what} is not an ArrayBuffer or a view of one`);
    }
    return bytes;
}

export function optionalBuffer(value: unknown, what: string): Bytes | undefined {
    return value === undefined ? undefined : bufferOf(value, what);
}

/** [EnforceRange] of an unsigned integer. */
export function integerOf(value: unknown, max: number, what: string): number {
    const number = value === undefined ? NaN : Math.trunc(Number(value));
    if (!(number >= 0 && number <= max)) {
        throw new TypeError(`${what} is not a number from 0 to ${max}`);
    }
    return number + 0; // no negative zero
}

export function keyOf(value: unknown, what: string): KeyState {
    if (!(value instanceof CryptoKey)) {
        throw new TypeError(`${what} is not a CryptoKey`);
    }
    return keyState(value);
}

/** A SyntaxError if a usage is none of the key's. */
export function checkUsages(usages: Usage[], allowed: readonly Usage[], what: string): void {
    const wrong = usages.find((usage) => !allowed.includes(usage));
    if (wrong) {
        fail("SyntaxError", allowed.length
            ? `${what} cannot be used to ${wrong}; its usages are ${allowed.join(", ")}`
            : `${what} has no usages, and is not for ${wrong}`);
    }
}

export function unsupportedFormat(format: string, name: string): never {
    return fail("NotSupportedError", `${name} has no keys in the format ${format}`);
}

/** The first `length` bits. */
export function cutBits(bits: ArrayBuffer, length: number | null): ArrayBuffer {
    if (length === null) {
        return bits;
    }
    if (length > bits.byteLength * 8) {
        fail("OperationError", `there are ${bits.byteLength * 8} bits, not ${length}`);
    }
    const cut = bits.slice(0, Math.ceil(length / 8));
    if (length % 8) {
        new Uint8Array(cut)[cut.byteLength - 1]! &= 0xff << (8 - length % 8);
    }
    return cut;
}
