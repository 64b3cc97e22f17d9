// SPDX-License-Identifier: Apache-2.0
//
// The host's crypto, waited for: op CRYPTO by the numbers of guest/abi.h.

import { native } from "limpet:internal";
import { Buffer } from "../buffer.ts";
import { coded, invalidArgType } from "./errors.ts";

export type Bytes = Uint8Array<ArrayBuffer>;

export enum Fn {
    IMPORT = 1, EXPORT = 2, HKDF = 4, PBKDF2 = 5, DERIVE = 6, RSA_SIGN = 7, RSA_VERIFY = 8, PSS_VERIFY = 9, OAEP_DECRYPT = 10, EC_VERIFY = 11,
    ED25519_SIGN = 12, ED25519_VERIFY = 13, DIGEST = 14, HMAC = 15, CIPHER = 16, SCRYPT = 17, RSA_GENERATE = 32, EC_GENERATE = 33,
    PSS_SIGN = 34, OAEP_ENCRYPT = 35, EC_SIGN = 36,
}

export interface Call {
    hash?: number;
    a?: number;
    b?: number;
    key?: Uint8Array;
    salt?: Uint8Array;
    info?: Uint8Array;
    data?: Uint8Array;
}

export function run(fn: Fn, c: Call): any {
    return Buffer.from(native.cryptoWait(fn, c.hash ?? 0, c.a ?? 0, c.b ?? 0, c.key, c.salt, c.info, c.data));
}

/** The same without waiting, for what has a callback. */
export async function runLater(fn: Fn, c: Call): Promise<any> {
    return Buffer.from(await native.crypto(fn, c.hash ?? 0, c.a ?? 0, c.b ?? 0, c.key, c.salt, c.info, c.data));
}

export function text(value: string): Uint8Array {
    return native.utf8Encode(value);
}

/** The bytes of what Node takes as data. */
export function bytesOf(data: any, name: string, encoding?: any): Uint8Array {
    if (typeof data === "string") {
        return Buffer.from(data, encoding === "buffer" ? "utf8" : encoding);
    }
    if (ArrayBuffer.isView(data)) {
        return new Uint8Array(data.buffer, data.byteOffset, data.byteLength) as any;
    }
    if (data instanceof ArrayBuffer) {
        return new Uint8Array(data);
    }
    throw invalidArgType(name, ["string", "Buffer", "TypedArray", "DataView"], data);
}

/** Bytes as the caller wants them. */
export function give(bytes: any, encoding: any): any {
    return encoding === undefined || encoding === null || encoding === "buffer" ? bytes : bytes.toString(encoding);
}

/** The code of a hash that has one, for HKDF, PBKDF2 and signatures. */
export function hashCode(name: string): number {
    const code = { sha1: 1, sha256: 256, sha384: 384, sha512: 512 }[digestName(name).replace(/^rsa-/, "").replace("-", "")];
    if (!code) {
        throw coded(TypeError, "ERR_CRYPTO_INVALID_DIGEST", `Invalid digest: ${name}`);
    }
    return code;
}

export function digestName(name: string): string {
    return name.toLowerCase();
}

export function invalidDigest(name: string): Error {
    return coded(TypeError, "ERR_CRYPTO_INVALID_DIGEST", `Invalid digest: ${name}`);
}
