// SPDX-License-Identifier: Apache-2.0
//
// The ops CRYPTO and CIPHER (guest/abi.h has the numbers), with their failures as the DOMExceptions of
// the standard. What is given is read before a call returns, so nothing has to be copied for it.

import { native } from "../native.ts";
import { fail, type Bytes, type HashName } from "./key.ts";

/** enum abi_crypto */
export const enum Fn {
    IMPORT = 1, EXPORT, HASH_BLOCKS, HKDF, PBKDF2, DERIVE, RSA_SIGN, RSA_VERIFY, PSS_VERIFY, OAEP_DECRYPT,
    EC_VERIFY, ED25519_SIGN, ED25519_VERIFY,
    RSA_GENERATE = 32, EC_GENERATE, PSS_SIGN, OAEP_ENCRYPT, EC_SIGN,
}
/** enum abi_key */
export const enum Kind { RSA = 1, P256, P384, P521, ED25519, X25519 }
/** enum abi_key_format */
export const enum Format { SPKI = 1, PKCS8, RAW, PUBLIC_PARTS, PRIVATE_PARTS }
/** enum abi_cipher */
export const enum Mode { CBC = 1, CTR, GCM, KW }

export interface Hash {
    code: number; // of the ops
    blockBytes: number;
    bytes: number;
    stateBytes: number; // of HASH_BLOCKS
}

export const hashes: Record<HashName, Hash> = {
    "SHA-1": { code: 1, blockBytes: 64, bytes: 20, stateBytes: 20 },
    "SHA-256": { code: 256, blockBytes: 64, bytes: 32, stateBytes: 32 },
    "SHA-384": { code: 384, blockBytes: 128, bytes: 48, stateBytes: 64 },
    "SHA-512": { code: 512, blockBytes: 128, bytes: 64, stateBytes: 64 },
};

interface Call {
    hash?: number;
    a?: number;
    b?: number;
    key?: Bytes;
    salt?: Bytes;
    info?: Bytes;
    data?: Bytes;
}

type Failure = "DataError" | "OperationError";

/** The host refuses what it was given with "invalid"; what else happens to an op is not translated. */
function translate(error: unknown, failure: Failure): never {
    const { code, message } = error as { code?: unknown; message: string };
    if (code === "invalid") {
        return fail(failure, message);
    }
    throw error;
}

function start(fn: Fn, c: Call): ArrayBuffer | Promise<ArrayBuffer> {
    return native.crypto(fn, c.hash ?? 0, c.a ?? 0, c.b ?? 0, c.key, c.salt, c.info, c.data);
}

export async function call(fn: Fn, c: Call): Promise<ArrayBuffer> {
    try {
        return await start(fn, c);
    } catch (error) {
        return translate(error, "OperationError");
    }
}

/** Of the functions that never take long. */
export function callNow(fn: Fn.IMPORT | Fn.EXPORT | Fn.HASH_BLOCKS, failure: Failure, c: Call): Bytes {
    try {
        return new Uint8Array(start(fn, c) as ArrayBuffer);
    } catch (error) {
        return translate(error, failure);
    }
}

export async function verdict(fn: Fn, c: Call): Promise<boolean> {
    return new Uint8Array(await call(fn, c))[0] === 1;
}

export async function cipher(
    mode: Mode, isDecryption: boolean, bits: number, key: Bytes, iv: Bytes | undefined, aad: Bytes | undefined,
    data: Bytes,
): Promise<ArrayBuffer> {
    try {
        return await native.cipher(mode, Number(isDecryption), bits, key, iv, aad, data);
    } catch (error) {
        return translate(error, "OperationError");
    }
}

/** lstr, lstr, … */
export function unpack(bytes: Bytes): Bytes[] {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    const parts: Bytes[] = [];
    for (let at = 0; at < bytes.length;) {
        const length = view.getUint32(at, true);
        parts.push(bytes.slice(at + 4, at + 4 + length));
        at += 4 + length;
    }
    return parts;
}

export function pack(parts: Bytes[]): Bytes {
    const all = new Uint8Array(parts.reduce((n, part) => n + 4 + part.length, 0));
    const view = new DataView(all.buffer);
    let at = 0;
    for (const part of parts) {
        view.setUint32(at, part.length, true);
        all.set(part, at + 4);
        at += 4 + part.length;
    }
    return all;
}
