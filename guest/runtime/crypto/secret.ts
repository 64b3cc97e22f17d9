// SPDX-License-Identifier: Apache-2.0
//
// Secret keys: AES-CBC, -CTR, -GCM, -KW and HMAC.

import { native } from "../native.ts";
import {
    bufferOf, checkUsages, hashOf, integerOf, optionalBuffer, unsupportedFormat,
    type Implementation, type JsonWebKey, type KeyFormat, type Params,
} from "./algorithm.ts";
import { cipher, hashes, Mode } from "./call.ts";
import { checkAlg, checkJwk, fromBase64Url, toBase64Url } from "./jwk.ts";
import { fail, keyNew, type Bytes, type CryptoKey, type HashName, type KeyState, type Usage } from "./key.ts";

function randomBytes(count: number): Bytes {
    const bytes = new Uint8Array(count);
    for (let at = 0; at < count; at += 65536) {
        bytes.set(native.random(Math.min(65536, count - at)), at);
    }
    return bytes;
}

/** raw or jwk: the bytes of either. */
function importSecret(
    name: string, format: KeyFormat, key: Bytes | JsonWebKey, use: "sig" | "enc", extractable: boolean, usages: Usage[],
): Bytes {
    if (format === "raw") {
        return (key as Bytes).slice();
    }
    if (format !== "jwk") {
        return unsupportedFormat(format, name);
    }
    checkJwk(key as JsonWebKey, "oct", use, extractable, usages);
    return fromBase64Url(key as JsonWebKey, "k");
}

function exportSecret(format: KeyFormat, key: KeyState, alg: string): Bytes | JsonWebKey {
    if (format === "raw") {
        return key.bytes.slice();
    }
    return format === "jwk"
        ? { kty: "oct", k: toBase64Url(key.bytes), alg, key_ops: [...key.usages], ext: key.extractable }
        : unsupportedFormat(format, key.algorithm.name);
}

// ---- AES ----

const AES_LENGTHS = [128, 192, 256];

interface AesParams {
    iv?: Bytes;
    aad?: Bytes;
    bits: number;
}

class Aes implements Implementation {
    readonly name: string;
    readonly #mode: Mode;
    readonly #suffix: string; // of alg
    readonly #usages: readonly Usage[] = ["encrypt", "decrypt", "wrapKey", "unwrapKey"];

    constructor(name: string, mode: Mode) {
        this.name = name;
        this.#mode = mode;
        this.#suffix = name.slice(4);
        if (mode === Mode.KW) {
            this.#usages = ["wrapKey", "unwrapKey"];
            (this as Implementation).encrypt = (this as Implementation).decrypt = undefined;
        } else {
            (this as Implementation).wrapKey = (this as Implementation).unwrapKey = undefined;
        }
    }

    generateParams(params: Params): number {
        return integerOf(params.length, 65535, `${this.name}: length`);
    }
    generateKey(length: number, extractable: boolean, usages: Usage[]): CryptoKey {
        checkUsages(usages, this.#usages, `an ${this.name} key`);
        this.keyLength(length);
        return keyNew("secret", { name: this.name, length }, randomBytes(length / 8), extractable, usages);
    }
    lengthParams(params: Params): number {
        return this.generateParams(params);
    }
    keyLength(length: number): number {
        return AES_LENGTHS.includes(length) ? length
            : fail("OperationError", `AES keys have 128, 192 or 256 bits, not ${length}`);
    }
    importKey(
        _: undefined, format: KeyFormat, key: Bytes | JsonWebKey, extractable: boolean, usages: Usage[],
    ): CryptoKey {
        checkUsages(usages, this.#usages, `an ${this.name} key`);
        const bytes = importSecret(this.name, format, key, "enc", extractable, usages);
        const length = bytes.length * 8;
        if (!AES_LENGTHS.includes(length)) {
            fail("DataError", `AES keys have 128, 192 or 256 bits, not ${length}`);
        }
        if (format === "jwk") {
            checkAlg(key as JsonWebKey, `A${length}${this.#suffix}`);
        }
        return keyNew("secret", { name: this.name, length }, bytes, extractable, usages);
    }
    exportKey(format: KeyFormat, key: KeyState): Bytes | JsonWebKey {
        return exportSecret(format, key, `A${key.algorithm.length}${this.#suffix}`);
    }

    encryptParams(params: Params): AesParams {
        switch (this.#mode) {
        case Mode.CTR:
            return {
                iv: bufferOf(params.counter, "AES-CTR: counter"), bits: integerOf(params.length, 255, "AES-CTR: length"),
            };
        case Mode.CBC:
            return { iv: bufferOf(params.iv, "AES-CBC: iv"), bits: 0 };
        case Mode.GCM:
            return {
                iv: bufferOf(params.iv, "AES-GCM: iv"),
                aad: optionalBuffer(params.additionalData, "AES-GCM: additionalData"),
                bits: params.tagLength === undefined ? 128 : integerOf(params.tagLength, 255, "AES-GCM: tagLength"),
            };
        default:
            return { bits: 0 };
        }
    }
    #run(isDecryption: boolean, { iv, aad, bits }: AesParams, key: KeyState, data: Bytes): Promise<ArrayBuffer> {
        return cipher(this.#mode, isDecryption, bits, key.bytes, iv, aad, data);
    }
    encrypt(params: AesParams, key: KeyState, data: Bytes): Promise<ArrayBuffer> {
        return this.#run(false, params, key, data);
    }
    decrypt(params: AesParams, key: KeyState, data: Bytes): Promise<ArrayBuffer> {
        return this.#run(true, params, key, data);
    }
    wrapKey(params: AesParams, key: KeyState, data: Bytes): Promise<ArrayBuffer> {
        return this.#run(false, params, key, data);
    }
    unwrapKey(params: AesParams, key: KeyState, data: Bytes): Promise<ArrayBuffer> {
        return this.#run(true, params, key, data);
    }
}

// ---- HMAC ----

const HMAC_USAGES: readonly Usage[] = ["sign", "verify"];
const HMAC_BYTES_MAX = 1024 * 1024;

interface HmacParams {
    hash: HashName;
    length: number | undefined;
}

/** The key in both pads; what is longer than a block is digested first. */
function padsOf(key: KeyState): [Bytes, Bytes] {
    const { code, blockBytes } = hashes[key.algorithm.hash!.name];
    const bytes = key.bytes.length > blockBytes ? new Uint8Array(native.digest(code, key.bytes)) : key.bytes;
    const inner = new Uint8Array(blockBytes).fill(0x36);
    const outer = new Uint8Array(blockBytes).fill(0x5c);
    for (let i = 0; i < bytes.length; i++) {
        inner[i]! ^= bytes[i]!;
        outer[i]! ^= bytes[i]!;
    }
    return [inner, outer];
}

/** The bytes cut to `length` bits, as the standard allows within the last byte. */
function cutTo(bytes: Bytes, length: number | undefined): Bytes {
    const bits = bytes.length * 8;
    if (!bits || (length !== undefined && (length > bits || length <= bits - 8))) {
        fail("DataError", "the key is empty, or its length is not that of the data");
    }
    if (length !== undefined && length < bits) {
        bytes[bytes.length - 1]! &= 0xff << (bits - length);
    }
    return bytes;
}

const hmac: Implementation & { keyLength(params: HmacParams): number } = {
    name: "HMAC",

    importParams: (params): HmacParams => ({
        hash: hashOf(params.hash),
        length: params.length === undefined ? undefined : integerOf(params.length, 2 ** 32 - 1, "HMAC: length"),
    }),
    generateParams: (params) => hmac.importParams!(params),
    lengthParams: (params) => hmac.importParams!(params),
    keyLength({ hash, length }: HmacParams): number {
        if (length === 0) {
            throw new TypeError("an HMAC key has at least one bit");
        }
        return length ?? hashes[hash].blockBytes * 8;
    },
    generateKey({ hash, length }: HmacParams, extractable: boolean, usages: Usage[]): CryptoKey {
        checkUsages(usages, HMAC_USAGES, "an HMAC key");
        const bits = length ?? hashes[hash].blockBytes * 8;
        if (!bits || bits > HMAC_BYTES_MAX * 8) {
            fail("OperationError", "an HMAC key that is generated has 1 bit to 1 MiB");
        }
        const bytes = cutTo(randomBytes(Math.ceil(bits / 8)), bits);
        return keyNew("secret", { name: "HMAC", hash: { name: hash }, length: bits }, bytes, extractable, usages);
    },
    importKey(
        { hash, length }: HmacParams, format: KeyFormat, key: Bytes | JsonWebKey, extractable: boolean, usages: Usage[],
    ): CryptoKey {
        checkUsages(usages, HMAC_USAGES, "an HMAC key");
        const bytes = cutTo(importSecret("HMAC", format, key, "sig", extractable, usages), length);
        if (format === "jwk") {
            checkAlg(key as JsonWebKey, `HS${hashes[hash].code}`);
        }
        const algorithm = { name: "HMAC", hash: { name: hash }, length: length ?? bytes.length * 8 };
        return keyNew("secret", algorithm, bytes, extractable, usages);
    },
    exportKey: (format, key) => exportSecret(format, key, `HS${hashes[key.algorithm.hash!.name].code}`),

    sign(_: undefined, key: KeyState, data: Bytes): ArrayBuffer {
        const { code } = hashes[key.algorithm.hash!.name];
        const [inner, outer] = key.pads ??= padsOf(key);
        return native.digest(code, outer, native.digest(code, inner, data));
    },
    verify: (_: undefined, key: KeyState, signature: Bytes, data: Bytes): boolean =>
        native.equalBytes(signature, hmac.sign!(undefined as never, key, data) as ArrayBuffer),
};

export const secretAlgorithms: Implementation[] = [
    new Aes("AES-CBC", Mode.CBC), new Aes("AES-CTR", Mode.CTR), new Aes("AES-GCM", Mode.GCM),
    new Aes("AES-KW", Mode.KW), hmac,
];
