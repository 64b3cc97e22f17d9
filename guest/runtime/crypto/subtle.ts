// SPDX-License-Identifier: Apache-2.0
//
// crypto.subtle (Web Cryptography §14): what each method checks, in the standard's order, before the
// algorithm's own part; and the Crypto object.

import { expose, need, toText } from "../interface.ts";
import { native } from "../native.ts";
import {
    bufferOf, hashOf, implementationOf, integerOf, isSupported, normalize, register,
    type JsonWebKey, type KeyFormat, type Normalized,
} from "./algorithm.ts";
import { hashes } from "./call.ts";
import { jwkOf } from "./jwk.ts";
import {
    CryptoKey, fail, isUsage, keyState, usagesSorted, type Bytes, type KeyPair, type KeyState, type Usage,
} from "./key.ts";
import { publicAlgorithms } from "./public.ts";
import { secretAlgorithms } from "./secret.ts";

register(...secretAlgorithms, ...publicAlgorithms);

type Data = ArrayBuffer | ArrayBufferView;

const ours = Symbol();

function formatOf(value: unknown): KeyFormat {
    const format = toText(value);
    if (format !== "raw" && format !== "pkcs8" && format !== "spki" && format !== "jwk") {
        throw new TypeError(`"${format}" is not a format of keys; there are raw, pkcs8, spki and jwk`);
    }
    return format;
}

function usagesOf(value: unknown): Usage[] {
    if (typeof value !== "object" || value === null) {
        throw new TypeError("the usages are not a list");
    }
    return usagesSorted([...value as Iterable<unknown>].map((item) => {
        const usage = toText(item);
        if (!isUsage(usage)) {
            throw new TypeError(`"${usage}" is not a usage of keys`);
        }
        return usage;
    }));
}

/** Is the key of the algorithm, and may it be used for this? */
function checkKey(key: KeyState, { by }: Normalized, usage: Usage): void {
    if (key.algorithm.name !== by.name) {
        fail("InvalidAccessError", `the key is of ${key.algorithm.name}, not of ${by.name}`);
    }
    if (!key.usages.includes(usage)) {
        fail("InvalidAccessError", `the key's usages do not include ${usage}`);
    }
}

/** A secret or private key without a usage is of no use. */
function checkUseful(key: CryptoKey): CryptoKey {
    const { type, usages } = keyState(key);
    if (type !== "public" && !usages.length) {
        fail("SyntaxError", `a ${type} key needs at least one usage`);
    }
    return key;
}

function importAs(
    { by, params }: Normalized, format: KeyFormat, key: Bytes | JsonWebKey, extractable: boolean, usages: Usage[],
): CryptoKey {
    return checkUseful(by.importKey!(params, format, key, extractable, usages));
}

function exportAs(format: KeyFormat, key: KeyState): Bytes | JsonWebKey {
    const by = implementationOf(key);
    if (!by.exportKey) {
        return fail("NotSupportedError", `keys of ${by.name} cannot be exported`);
    }
    if (!key.extractable) {
        return fail("InvalidAccessError", "the key is not extractable");
    }
    return by.exportKey(format, key);
}

/** AES-KW has operations of its own for keys; with the others a key is encrypted as data are. */
function normalizeWrap(way: "wrapKey" | "unwrapKey", algorithm: unknown): Normalized {
    return normalize(isSupported(way, algorithm) ? way : way === "wrapKey" ? "encrypt" : "decrypt", algorithm);
}

function lengthOf(value: unknown): number | null {
    return value === undefined || value === null ? null : integerOf(value, 2 ** 32 - 1, "deriveBits: length");
}

function jwkFromJson(bytes: Bytes): JsonWebKey {
    let value: unknown;
    try {
        value = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
    } catch {
        return fail("DataError", "what was wrapped is not a jwk in JSON");
    }
    const jwk = typeof value === "object" && value !== null ? jwkOf(value) : undefined;
    return jwk?.kty !== undefined ? jwk : fail("DataError", "what was wrapped is not a jwk");
}

export class SubtleCrypto {
    constructor(caller?: typeof ours) {
        if (caller !== ours) {
            throw new TypeError("Illegal constructor: use crypto.subtle");
        }
    }

    async digest(algorithm: unknown, data: Data): Promise<ArrayBuffer> {
        need(2, arguments.length, "crypto.subtle.digest");
        return native.digest(hashes[hashOf(algorithm)].code, bufferOf(data, "digest: the data"));
    }

    async generateKey(algorithm: unknown, extractable: boolean, keyUsages: Usage[]): Promise<CryptoKey | KeyPair> {
        need(3, arguments.length, "crypto.subtle.generateKey");
        const usages = usagesOf(keyUsages);
        const { by, params } = normalize("generateKey", algorithm);
        const made = await by.generateKey!(params, Boolean(extractable), usages);
        checkUseful(made instanceof CryptoKey ? made : made.privateKey);
        return made;
    }

    async importKey(
        format: KeyFormat, keyData: Data | JsonWebKey, algorithm: unknown, extractable: boolean, keyUsages: Usage[],
    ): Promise<CryptoKey> {
        need(5, arguments.length, "crypto.subtle.importKey");
        const kind = formatOf(format);
        const usages = usagesOf(keyUsages);
        const normalized = normalize("importKey", algorithm);
        if (kind === "jwk" && (ArrayBuffer.isView(keyData) || keyData instanceof ArrayBuffer)) {
            throw new TypeError("importKey: a jwk key is an object, not bytes");
        }
        const key = kind === "jwk" ? jwkOf(keyData) : bufferOf(keyData, "importKey: the key");
        return importAs(normalized, kind, key, Boolean(extractable), usages);
    }

    async exportKey(format: KeyFormat, key: CryptoKey): Promise<ArrayBuffer | JsonWebKey> {
        need(2, arguments.length, "crypto.subtle.exportKey");
        const exported = exportAs(formatOf(format), keyState(key));
        return exported instanceof Uint8Array ? exported.buffer : exported;
    }

    async sign(algorithm: unknown, key: CryptoKey, data: Data): Promise<ArrayBuffer> {
        need(3, arguments.length, "crypto.subtle.sign");
        const state = keyState(key);
        const bytes = bufferOf(data, "sign: the data");
        const normalized = normalize("sign", algorithm);
        checkKey(state, normalized, "sign");
        return normalized.by.sign!(normalized.params, state, bytes);
    }

    async verify(algorithm: unknown, key: CryptoKey, signature: Data, data: Data): Promise<boolean> {
        need(4, arguments.length, "crypto.subtle.verify");
        const state = keyState(key);
        const given = bufferOf(signature, "verify: the signature");
        const bytes = bufferOf(data, "verify: the data");
        const normalized = normalize("verify", algorithm);
        checkKey(state, normalized, "verify");
        return normalized.by.verify!(normalized.params, state, given, bytes);
    }

    async encrypt(algorithm: unknown, key: CryptoKey, data: Data): Promise<ArrayBuffer> {
        need(3, arguments.length, "crypto.subtle.encrypt");
        const state = keyState(key);
        const bytes = bufferOf(data, "encrypt: the data");
        const normalized = normalize("encrypt", algorithm);
        checkKey(state, normalized, "encrypt");
        return normalized.by.encrypt!(normalized.params, state, bytes);
    }

    async decrypt(algorithm: unknown, key: CryptoKey, data: Data): Promise<ArrayBuffer> {
        need(3, arguments.length, "crypto.subtle.decrypt");
        const state = keyState(key);
        const bytes = bufferOf(data, "decrypt: the data");
        const normalized = normalize("decrypt", algorithm);
        checkKey(state, normalized, "decrypt");
        return normalized.by.decrypt!(normalized.params, state, bytes);
    }

    async deriveBits(algorithm: unknown, baseKey: CryptoKey, length: number | null = null): Promise<ArrayBuffer> {
        need(2, arguments.length, "crypto.subtle.deriveBits");
        const state = keyState(baseKey);
        const bits = lengthOf(length);
        const normalized = normalize("deriveBits", algorithm);
        checkKey(state, normalized, "deriveBits");
        return normalized.by.deriveBits!(normalized.params, state, bits);
    }

    async deriveKey(
        algorithm: unknown, baseKey: CryptoKey, derivedKeyAlgorithm: unknown, extractable: boolean, keyUsages: Usage[],
    ): Promise<CryptoKey> {
        need(5, arguments.length, "crypto.subtle.deriveKey");
        const state = keyState(baseKey);
        const usages = usagesOf(keyUsages);
        const normalized = normalize("deriveBits", algorithm);
        const target = normalize("importKey", derivedKeyAlgorithm);
        const measure = normalize("keyLength", derivedKeyAlgorithm);
        checkKey(state, normalized, "deriveKey");
        const length = measure.by.keyLength!(measure.params);
        const secret = await normalized.by.deriveBits!(normalized.params, state, length);
        return importAs(target, "raw", new Uint8Array(secret), Boolean(extractable), usages);
    }

    async wrapKey(
        format: KeyFormat, key: CryptoKey, wrappingKey: CryptoKey, wrapAlgorithm: unknown,
    ): Promise<ArrayBuffer> {
        need(4, arguments.length, "crypto.subtle.wrapKey");
        const kind = formatOf(format);
        const [state, wrapping] = [keyState(key), keyState(wrappingKey)];
        const normalized = normalizeWrap("wrapKey", wrapAlgorithm);
        checkKey(wrapping, normalized, "wrapKey");
        const exported = exportAs(kind, state);
        const bytes = exported instanceof Uint8Array ? exported : native.utf8Encode(JSON.stringify(exported));
        const { by, params } = normalized;
        return by.wrapKey ? by.wrapKey(params, wrapping, bytes) : by.encrypt!(params, wrapping, bytes);
    }

    async unwrapKey(
        format: KeyFormat, wrappedKey: Data, unwrappingKey: CryptoKey, unwrapAlgorithm: unknown,
        unwrappedKeyAlgorithm: unknown, extractable: boolean, keyUsages: Usage[],
    ): Promise<CryptoKey> {
        need(7, arguments.length, "crypto.subtle.unwrapKey");
        const kind = formatOf(format);
        const bytes = bufferOf(wrappedKey, "unwrapKey: the wrapped key");
        const unwrapping = keyState(unwrappingKey);
        const usages = usagesOf(keyUsages);
        const normalized = normalizeWrap("unwrapKey", unwrapAlgorithm);
        const target = normalize("importKey", unwrappedKeyAlgorithm);
        checkKey(unwrapping, normalized, "unwrapKey");
        const { by, params } = normalized;
        const key = new Uint8Array(await (by.unwrapKey ? by.unwrapKey(params, unwrapping, bytes)
            : by.decrypt!(params, unwrapping, bytes)));
        return importAs(target, kind, kind === "jwk" ? jwkFromJson(key) : key, Boolean(extractable), usages);
    }

    /** Cloudflare's: are they equal, in a time that does not tell where they differ? */
    timingSafeEqual(a: Data, b: Data): boolean {
        need(2, arguments.length, "crypto.subtle.timingSafeEqual");
        const [left, right] = [bufferOf(a, "timingSafeEqual: the first"), bufferOf(b, "timingSafeEqual: the second")];
        if (left.length !== right.length) {
            throw new TypeError("timingSafeEqual: the two are not of the same length");
        }
        return native.equalBytes(left, right);
    }
}
expose(SubtleCrypto, "SubtleCrypto");

export const subtle = new SubtleCrypto(ours);
