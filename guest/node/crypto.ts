// SPDX-License-Identifier: Apache-2.0
//
// node:crypto on the host's OpenSSL.

import { native } from "limpet:internal";
import { Buffer } from "./buffer.ts";
import { Cipheriv, Decipheriv, getCipherInfo, getCiphers } from "./internal/crypto-cipher.ts";
import { constants } from "./internal/crypto-constants.ts";
import { Hash, hash, Hmac } from "./internal/crypto-hash.ts";
import { bytesOf, Fn, hashCode, run, runLater } from "./internal/crypto-host.ts";
import {
    createPrivateKey, createPublicKey, createSecretKey, curves, generateKeyPairLater, generateKeyPairSync, KeyObject, secretOf,
} from "./internal/crypto-keys.ts";
import { diffieHellman, ECDH, privateDecrypt, publicEncrypt, Sign, sign, Verify, verify } from "./internal/crypto-sign.ts";
import { coded, invalidArgType, outOfRange, refused, refusedClass } from "./internal/errors.ts";
import { validateFunction, validateInteger, validateObject, validateOneOf, validateString } from "./internal/validate.ts";

export {
    constants, createPrivateKey, createPublicKey, createSecretKey, diffieHellman, ECDH, generateKeyPairSync, getCipherInfo, getCiphers, Hash,
    hash, Hmac, KeyObject, privateDecrypt, publicEncrypt, Sign, sign, Verify, verify, Cipheriv, Decipheriv,
};

const RANDOM_BYTES_MAX = 65536;
const customPromisify = Symbol.for("nodejs.util.promisify.custom");

/* ---- random ---- */

function fill(bytes: Uint8Array): void {
    for (let at = 0; at < bytes.length; at += RANDOM_BYTES_MAX) {
        bytes.set(native.random(Math.min(RANDOM_BYTES_MAX, bytes.length - at)), at);
    }
}

/** fn's result for a callback. */
function called(callback: any, fn: () => any): void {
    validateFunction(callback, "callback");
    const value = fn();
    setImmediate(() => callback(null, value));
}

export function randomBytes(size: any, callback?: any): any {
    validateInteger(size, "size", 0, 2 ** 31 - 1);
    const make = () => {
        const bytes = Buffer.alloc(size);
        fill(bytes);
        return bytes;
    };
    return callback === undefined ? make() : called(callback, make);
}
export const pseudoRandomBytes = randomBytes, prng = randomBytes, rng = randomBytes;

function part(buffer: any, offset: any = 0, size?: any): Uint8Array {
    if (!ArrayBuffer.isView(buffer) && !(buffer instanceof ArrayBuffer)) {
        throw invalidArgType("buf", ["ArrayBuffer", "ArrayBufferView"], buffer);
    }
    const bytes = buffer instanceof ArrayBuffer ? new Uint8Array(buffer) : new Uint8Array(buffer.buffer, buffer.byteOffset, buffer.byteLength);
    const unit = (buffer as any).BYTES_PER_ELEMENT ?? 1;
    validateInteger(offset, "offset", 0, bytes.length / unit);
    if (size !== undefined) {
        validateInteger(size, "size", 0, 2 ** 31 - 1);
        if (size + offset > bytes.length / unit) {
            throw outOfRange("size + offset", `<= ${bytes.length / unit}`, size + offset);
        }
    }
    return bytes.subarray(offset * unit, size === undefined ? undefined : (offset + size) * unit);
}

export function randomFillSync(buffer: any, offset?: any, size?: any): any {
    fill(part(buffer, offset, size));
    return buffer;
}

export function randomFill(buffer: any, ...rest: any[]): void {
    const callback = rest.pop();
    validateFunction(callback, "callback");
    const bytes = part(buffer, ...rest as [any, any]);
    called(callback, () => {
        fill(bytes);
        return buffer;
    });
}

export function randomInt(min: any, max?: any, callback?: any): any {
    if (max === undefined || typeof max === "function") {
        [min, max, callback] = [0, min, max];
    }
    for (const [name, value] of [["min", min], ["max", max]] as const) {
        if (!Number.isSafeInteger(value)) {
            throw invalidArgType(name, "a safe integer", value);
        }
    }
    if (max <= min) {
        throw outOfRange("max", `greater than the value of "min" (${min})`, max);
    }
    const range = max - min;
    if (range > 2 ** 48 - 1) {
        throw outOfRange("max - min", `<= ${2 ** 48 - 1}`, range);
    }
    const draw = (): number => {
        const limit = 2 ** 48 - 2 ** 48 % range; // above it some numbers would come more often
        for (;;) {
            const value = Buffer.from(native.random(6)).readUIntBE(0, 6);
            if (value < limit) {
                return value % range + min;
            }
        }
    };
    return callback === undefined ? draw() : called(callback, draw);
}

export function randomUUID(options?: any): string {
    if (options !== undefined) {
        validateObject(options, "options");
    }
    return globalThis.crypto.randomUUID();
}

export function timingSafeEqual(a: any, b: any): boolean {
    const bytes = (value: any, name: string): any => {
        if (!ArrayBuffer.isView(value) && !(value instanceof ArrayBuffer)) {
            throw invalidArgType(name, ["ArrayBuffer", "Buffer", "TypedArray", "DataView"], value);
        }
        return value;
    };
    if (bytes(a, "buf1").byteLength !== bytes(b, "buf2").byteLength) {
        throw coded(RangeError, "ERR_CRYPTO_TIMING_SAFE_EQUAL_LENGTH", "Input buffers must have the same byte length");
    }
    return native.equalBytes(a, b);
}

/* ---- hashes and ciphers ---- */

export const createHash = (algorithm: any, options?: any): any => new (Hash as any)(algorithm, options);
export const createHmac = (algorithm: any, key: any, options?: any): any => new (Hmac as any)(algorithm, key, options);
export const createCipheriv = (algorithm: any, key: any, iv: any, options?: any): any => new (Cipheriv as any)(algorithm, key, iv, options);
export const createDecipheriv = (algorithm: any, key: any, iv: any, options?: any): any => new (Decipheriv as any)(algorithm, key, iv, options);
export const createSign = (algorithm: any, options?: any): any => new Sign(algorithm, options);
export const createVerify = (algorithm: any, options?: any): any => new Verify(algorithm, options);
export const createECDH = (curve: any): any => new (ECDH as any)(curve);
export const getHashes = (): string[] => ["RSA-MD5", "RSA-RIPEMD160", "RSA-SHA1", "RSA-SHA224", "RSA-SHA256", "RSA-SHA384", "RSA-SHA512",
    "blake2b512", "blake2s256", "md5", "md5-sha1", "ripemd160", "sha1", "sha224", "sha256", "sha3-224", "sha3-256", "sha3-384", "sha3-512",
    "sha384", "sha512", "sha512-224", "sha512-256", "shake128", "shake256"];
export const getCurves = (): string[] => curves.map(({ node }) => node);

/* ---- derivation ---- */

function pbkdf2Call(password: any, salt: any, rounds: any, length: any, digest: any): any {
    validateString(digest, "digest");
    const key = bytesOf(password, "password"), bytes = bytesOf(salt, "salt");
    validateInteger(rounds, "iterations", 1, 2 ** 31 - 1);
    validateInteger(length, "keylen", 0, 2 ** 31 - 1);
    return { hash: hashCode(digest), key, salt: bytes, a: rounds, b: length };
}

export function pbkdf2Sync(password: any, salt: any, rounds: any, length: any, digest: any): any {
    const call = pbkdf2Call(password, salt, rounds, length, digest);
    return length === 0 ? Buffer.alloc(0) : run(Fn.PBKDF2, call);
}

export function pbkdf2(password: any, salt: any, rounds: any, length: any, digest: any, callback?: any): void {
    if (typeof digest === "function") {
        digest = undefined;
    }
    const call = pbkdf2Call(password, salt, rounds, length, digest);
    settle(runLater(Fn.PBKDF2, call), callback);
}

/** Gives a promise's result to a callback. */
function settle(promise: Promise<any>, callback: any, spread?: (value: any) => any[]): void {
    validateFunction(callback, "callback");
    promise.then((value) => setImmediate(() => callback(null, ...spread ? spread(value) : [value])), (error) => setImmediate(() => callback(error)));
}

function hkdfCall(digest: any, key: any, salt: any, info: any, length: any): any {
    validateString(digest, "digest");
    const call = { hash: hashCode(digest), key: secretOf(key, "ikm"), salt: bytesOf(salt, "salt"), info: bytesOf(info, "info"), a: length };
    validateInteger(length, "length", 0, 2 ** 31 - 1);
    if (call.info.length > 1024) {
        throw outOfRange("info", "must not contain more than 1024 bytes", call.info.length);
    }
    const most = 255 * ({ 1: 20, 256: 32, 384: 48, 512: 64 } as any)[call.hash];
    if (length > most) {
        throw coded(RangeError, "ERR_CRYPTO_INVALID_KEYLEN", "Invalid key length");
    }
    return call;
}

const bufferOf = (bytes: any): ArrayBuffer => bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength);

export function hkdfSync(digest: any, key: any, salt: any, info: any, length: any): ArrayBuffer {
    return bufferOf(run(Fn.HKDF, hkdfCall(digest, key, salt, info, length)));
}

export function hkdf(digest: any, key: any, salt: any, info: any, length: any, callback: any): void {
    validateFunction(callback, "callback");
    settle(runLater(Fn.HKDF, hkdfCall(digest, key, salt, info, length)).then(bufferOf), callback);
}

function scryptCall(password: any, salt: any, length: any, options: any = {}): any {
    const key = bytesOf(password, "password"), bytes = bytesOf(salt, "salt");
    validateInteger(length, "keylen", 0, 2 ** 31 - 1);
    const N = options.N ?? options.cost ?? 16384, r = options.r ?? options.blockSize ?? 8, p = options.p ?? options.parallelization ?? 1;
    const maxmem = options.maxmem ?? 32 * 1024 * 1024;
    for (const [name, value] of [["N", N], ["r", r], ["p", p]] as const) {
        validateInteger(value, name, 0, 2 ** 32 - 1);
    }
    if (128 * N * r > maxmem || N * r * p > 2 ** 22) {
        throw coded(RangeError, "ERR_CRYPTO_INVALID_SCRYPT_PARAMS", `Invalid scrypt params: ${128 * N * r > maxmem ? "memory limit exceeded" : "cost * blockSize * parallelization is at most 4194304 here"}`);
    }
    if (N < 2 || (N & N - 1) !== 0) {
        throw coded(RangeError, "ERR_CRYPTO_INVALID_SCRYPT_PARAMS", "Invalid scrypt params");
    }
    const data = Buffer.alloc(8);
    data.writeUInt32LE(r, 0);
    data.writeUInt32LE(p, 4);
    return { key, salt: bytes, a: N, b: length, data };
}

export function scryptSync(password: any, salt: any, length: any, options?: any): any {
    return run(Fn.SCRYPT, scryptCall(password, salt, length, options));
}

export function scrypt(password: any, salt: any, length: any, options: any, callback?: any): void {
    if (callback === undefined) {
        [options, callback] = [{}, options];
    }
    validateFunction(callback, "callback");
    settle(runLater(Fn.SCRYPT, scryptCall(password, salt, length, options)), callback);
}

/* ---- keys ---- */

export function generateKeySync(type: any, options: any): KeyObject {
    validateOneOf(type, "type", ["hmac", "aes"]);
    validateObject(options, "options");
    const { length } = options as any;
    if (type === "aes") {
        validateOneOf(length, "options.length", [128, 192, 256]);
    } else {
        validateInteger(length, "options.length", 8, 2 ** 31 - 1);
    }
    return createSecretKey(randomBytes(Math.floor(length / 8)));
}

export function generateKey(type: any, options: any, callback: any): void {
    called(callback, () => generateKeySync(type, options));
}

export function generateKeyPair(type: any, options: any, callback?: any): void {
    if (typeof options === "function") {
        [options, callback] = [undefined, options];
    }
    validateFunction(callback, "callback");
    settle(generateKeyPairLater(type, options), callback, ({ publicKey, privateKey }) => [publicKey, privateKey]);
}
Object.defineProperty(generateKeyPair, customPromisify, { value: generateKeyPairLater, enumerable: false });

/* ---- what is not here ---- */

const prefersCurves = "use createECDH() or generateKeyPair(\"x25519\") and diffieHellman()";
export const createDiffieHellman = refused("crypto.createDiffieHellman", prefersCurves);
export const createDiffieHellmanGroup = refused("crypto.createDiffieHellmanGroup", prefersCurves);
export const getDiffieHellman = refused("crypto.getDiffieHellman", prefersCurves);
export const DiffieHellman = refusedClass("DiffieHellman", prefersCurves);
export const DiffieHellmanGroup = refusedClass("DiffieHellmanGroup", prefersCurves);
export const privateEncrypt = refused("crypto.privateEncrypt", "use sign()");
export const publicDecrypt = refused("crypto.publicDecrypt", "use verify()");
export const generatePrime = refused("crypto.generatePrime", "use generateKeyPair()");
export const generatePrimeSync = refused("crypto.generatePrimeSync", "use generateKeyPairSync()");
export const checkPrime = refused("crypto.checkPrime", "primes are tested by a package such as bigint-crypto-utils");
export const checkPrimeSync = refused("crypto.checkPrimeSync", "primes are tested by a package such as bigint-crypto-utils");
export const Certificate = refusedClass("Certificate", "SPKAC is not supported");
export const X509Certificate = refusedClass("X509Certificate", "the public key of a certificate is what createPublicKey() gives");
export const setEngine = refused("crypto.setEngine", "there are no engines");
export const secureHeapUsed = (): any => ({ total: 0, used: 0, utilization: 0, min: 0 });
export const getFips = (): number => 0;
export const setFips = (): void => {};
export const fips = false;

export const webcrypto = globalThis.crypto;
export const { subtle } = webcrypto;
export const getRandomValues = <T extends ArrayBufferView>(array: T): T => webcrypto.getRandomValues(array as any) as any;

export default {
    Certificate, Cipheriv, Decipheriv, DiffieHellman, DiffieHellmanGroup, ECDH, Hash, Hmac, KeyObject, Sign, Verify,
    X509Certificate, checkPrime, checkPrimeSync, constants, createCipheriv, createDecipheriv, createDiffieHellman,
    createDiffieHellmanGroup, createECDH, createHash, createHmac, createPrivateKey, createPublicKey, createSecretKey,
    createSign, createVerify, diffieHellman, fips, generateKey, generateKeyPair, generateKeyPairSync, generateKeySync,
    generatePrime, generatePrimeSync, getCipherInfo, getCiphers, getCurves, getDiffieHellman, getFips, getHashes,
    getRandomValues, hash, hkdf, hkdfSync, pbkdf2, pbkdf2Sync, privateDecrypt, privateEncrypt, prng, pseudoRandomBytes,
    publicDecrypt, publicEncrypt, randomBytes, randomFill, randomFillSync, randomInt, randomUUID, rng, scrypt, scryptSync,
    secureHeapUsed, setEngine, setFips, sign, subtle, timingSafeEqual, verify, webcrypto,
};
