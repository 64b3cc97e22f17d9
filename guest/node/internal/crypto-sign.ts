// SPDX-License-Identifier: Apache-2.0
//
// Signatures, RSA encryption and key agreement.

import { Buffer } from "../buffer.ts";
import Stream from "../stream.ts";
import { bytesOf, Fn, give, hashCode, run } from "./crypto-host.ts";
import { put, signatureFromDer, signatureToDer } from "./crypto-der.ts";
import { digestOf } from "./crypto-hash.ts";
import { curveOf, curveOfKind, KeyObject, Kind, modulusBits, privateKeyOf, publicKeyOf, stateOf, createPrivateKey } from "./crypto-keys.ts";
import { coded, invalidArgValue, unavailable } from "./errors.ts";
import { validateFunction, validateString } from "./validate.ts";

export const RSA_PKCS1_PADDING = 1, RSA_NO_PADDING = 3, RSA_PKCS1_OAEP_PADDING = 4, RSA_PKCS1_PSS_PADDING = 6;
const SALT_DIGEST = -1, SALT_MAX = -2;
const digestBytes: Record<number, number> = { 1: 20, 256: 32, 384: 48, 512: 64 };

function saltBytes(options: any, hash: number, key: any): number {
    const wanted = options.saltLength ?? SALT_MAX;
    if (wanted === SALT_DIGEST) {
        return digestBytes[hash]!;
    }
    if (wanted !== SALT_MAX) {
        return wanted;
    }
    const bits = modulusBits(key);
    return Math.ceil((bits - 1) / 8) - digestBytes[hash]! - 2;
}

function optionsOf(key: any): any {
    return typeof key === "object" && key !== null && !(key instanceof KeyObject) && !ArrayBuffer.isView(key) ? key : {};
}

function checkEncoding(options: any): boolean {
    const encoding = options.dsaEncoding ?? "der";
    if (encoding !== "der" && encoding !== "ieee-p1363") {
        throw invalidArgValue("options.dsaEncoding", encoding);
    }
    return encoding === "der";
}

export function signNow(algorithm: any, data: Uint8Array, key: any): any {
    const options = optionsOf(key), state = privateKeyOf(key);
    if (state.kind === Kind.ED25519) {
        return run(Fn.ED25519_SIGN, { key: state.bytes, data });
    }
    const name = algorithm ?? "sha256", hash = hashCode(name), digest = digestOf(name, data);
    if (state.kind === Kind.RSA) {
        return options.padding === RSA_PKCS1_PSS_PADDING
            ? run(Fn.PSS_SIGN, { hash, key: state.bytes, data: digest, a: saltBytes(options, hash, state) })
            : run(Fn.RSA_SIGN, { hash, key: state.bytes, data: digest });
    }
    if (state.kind === Kind.X25519) {
        throw coded(Error, "ERR_OSSL_EVP_OPERATION_NOT_SUPPORTED_FOR_THIS_KEYTYPE", "error:03000096:digital envelope routines::operation not supported for this keytype");
    }
    const plain = run(Fn.EC_SIGN, { a: state.kind, key: state.bytes, data: digest });
    return checkEncoding(options) ? signatureToDer(plain) : plain;
}

export function verifyNow(algorithm: any, data: Uint8Array, key: any, signature: Uint8Array): boolean {
    const options = optionsOf(key), state = publicKeyOf(key);
    const says = (fn: Fn, call: any): boolean => run(fn, call)[0] === 1;
    if (state.kind === Kind.ED25519) {
        return signature.length === 64 && says(Fn.ED25519_VERIFY, { key: state.bytes, data, salt: signature });
    }
    const name = algorithm ?? "sha256", hash = hashCode(name), digest = digestOf(name, data);
    if (state.kind === Kind.RSA) {
        return options.padding === RSA_PKCS1_PSS_PADDING
            ? says(Fn.PSS_VERIFY, { hash, key: state.bytes, data: digest, salt: signature, a: saltBytes(options, hash, state) })
            : says(Fn.RSA_VERIFY, { hash, key: state.bytes, data: digest, salt: signature });
    }
    const { bytes } = curveOfKind(state.kind!);
    let plain = signature;
    if (checkEncoding(options)) {
        try {
            plain = signatureFromDer(signature, bytes);
        } catch {
            return false;
        }
    }
    return plain.length === 2 * bytes && says(Fn.EC_VERIFY, { a: state.kind, key: state.bytes, data: digest, salt: plain });
}

function make(verifies: boolean): any {
    const Class: any = { [verifies ? "Verify" : "Sign"]: function (this: any, algorithm: any, options?: any): any {
        if (!(this instanceof Class)) {
            return new Class(algorithm, options);
        }
        validateString(algorithm, "algorithm");
        try {
            hashCode(algorithm);
        } catch {
            throw coded(Error, "ERR_CRYPTO_INVALID_DIGEST", `Invalid digest: ${algorithm}`);
        }
        Stream.Writable.call(this, options);
        this._algorithm = algorithm.replace(/^rsa-/i, "");
        this._parts = [];
        return this;
    } }[verifies ? "Verify" : "Sign"];
    Object.setPrototypeOf(Class.prototype, Stream.Writable.prototype);
    Object.setPrototypeOf(Class, Stream.Writable);
    Object.assign(Class.prototype, {
        _write(this: any, chunk: any, encoding: any, callback: any): void {
            this.update(chunk, encoding);
            callback();
        },
        update(this: any, data: any, encoding?: any): any {
            this._parts.push(Buffer.from(bytesOf(data, "data", encoding)));
            return this;
        },
    });
    return Class;
}
export const Sign = make(false);
export const Verify = make(true);
Sign.prototype.sign = function sign(this: any, key: any, encoding?: any): any {
    if (!key) {
        throw coded(Error, "ERR_CRYPTO_SIGN_KEY_REQUIRED", "No key provided to sign");
    }
    return give(signNow(this._algorithm, Buffer.concat(this._parts), key), encoding);
};
Verify.prototype.verify = function verify(this: any, key: any, signature: any, encoding?: any): boolean {
    return verifyNow(this._algorithm, Buffer.concat(this._parts), key, bytesOf(signature, "signature", encoding));
};

const plainName = (algorithm: any): any => (typeof algorithm === "string" ? algorithm.replace(/^rsa-/i, "") : algorithm);

export function sign(algorithm: any, data: any, key: any, callback?: any): any {
    const work = () => signNow(plainName(algorithm), bytesOf(data, "data"), key);
    if (callback === undefined) {
        return work();
    }
    return later(work, callback);
}

export function verify(algorithm: any, data: any, key: any, signature: any, callback?: any): any {
    const work = () => verifyNow(plainName(algorithm), bytesOf(data, "data"), key, bytesOf(signature, "signature"));
    if (callback === undefined) {
        return work();
    }
    return later(work, callback);
}

/** The result of fn for a callback, soon. */
export function later(fn: () => any, callback: any): void {
    validateFunction(callback, "callback");
    setImmediate(() => {
        let value: any;
        try {
            value = fn();
        } catch (error) {
            callback(error);
            return;
        }
        callback(null, value);
    });
}

/* ---- RSA ---- */

function oaep(fn: Fn, key: any, options: any, data: any): any {
    if ((options.padding ?? RSA_PKCS1_OAEP_PADDING) !== RSA_PKCS1_OAEP_PADDING) {
        throw unavailable("this padding", "PKCS #1 v1.5 encryption is not safe; use RSA_PKCS1_OAEP_PADDING");
    }
    return run(fn, {
        hash: hashCode(options.oaepHash ?? "sha1"), key: key.bytes, data: bytesOf(data, "buffer"),
        info: options.oaepLabel ? bytesOf(options.oaepLabel, "oaepLabel") : undefined,
    });
}

export const publicEncrypt = (key: any, data: any): any => oaep(Fn.OAEP_ENCRYPT, publicKeyOf(key), optionsOf(key), data);
export const privateDecrypt = (key: any, data: any): any => oaep(Fn.OAEP_DECRYPT, privateKeyOf(key), optionsOf(key), data);

/* ---- key agreement ---- */

export function diffieHellman(options: any): any {
    const secret = privateKeyOf(options.privateKey), open = publicKeyOf(options.publicKey);
    if (secret.kind !== open.kind || secret.kind === Kind.RSA || secret.kind === Kind.ED25519) {
        throw coded(Error, "ERR_CRYPTO_INCOMPATIBLE_KEY", "Incompatible key types for Diffie-Hellman");
    }
    return run(Fn.DERIVE, { a: secret.kind, key: secret.bytes, data: open.bytes });
}

export function ECDH(this: any, curve: any): any {
    if (!(this instanceof (ECDH as any))) {
        return new (ECDH as any)(curve);
    }
    validateString(curve, "curve");
    this._curve = curveOf(curve);
    this._key = undefined;
    return this;
}

function point(bytes: any, format: any, encoding: any): any {
    if (format === "compressed") {
        const half = (bytes.length - 1) / 2;
        bytes = Buffer.concat([Buffer.from([2 + (bytes[bytes.length - 1] & 1)]), bytes.subarray(1, 1 + half)]);
    } else if (format === "hybrid") {
        bytes = Buffer.concat([Buffer.from([6 + (bytes[bytes.length - 1] & 1)]), bytes.subarray(1)]);
    }
    return give(bytes, encoding);
}

Object.assign(ECDH.prototype, {
    generateKeys(this: any, encoding?: any, format?: any): any {
        const made = run(Fn.EC_GENERATE, { a: this._curve.kind });
        this._key = Buffer.from(made.subarray(4, 4 + made.readUInt32LE(0)));
        return this.getPublicKey(encoding, format);
    },
    getPublicKey(this: any, encoding?: any, format?: any): any {
        if (!this._key) {
            throw coded(Error, "ERR_CRYPTO_ECDH_INVALID_PUBLIC_KEY", "Failed to get ECDH public key");
        }
        return point(Buffer.from(this._key.subarray(this._curve.bytes)), format, encoding);
    },
    getPrivateKey(this: any, encoding?: any): any {
        if (!this._key) {
            throw coded(Error, "ERR_CRYPTO_ECDH_INVALID_PRIVATE_KEY", "Failed to get ECDH private key");
        }
        return give(Buffer.from(this._key.subarray(0, this._curve.bytes)), encoding);
    },
    setPrivateKey(this: any, key: any, encoding?: any): void {
        const bytes = bytesOf(key, "key", encoding);
        const scalar = Buffer.concat([Buffer.alloc(Math.max(0, this._curve.bytes - bytes.length)), bytes]);
        const oid = put(6, Buffer.from(this._curve.oid, "hex"));
        const der = put(0x30, Buffer.from([2, 1, 0]), put(0x30, put(6, Buffer.from("2a8648ce3d0201", "hex")), oid), put(4, put(0x30, Buffer.from([2, 1, 1]), put(4, scalar))));
        this._key = Buffer.from(stateOf(createPrivateKey({ key: der, format: "der", type: "pkcs8" })).bytes);
    },
    computeSecret(this: any, other: any, inputEncoding?: any, outputEncoding?: any): any {
        let open: any;
        try {
            open = run(Fn.IMPORT, { a: this._curve.kind, b: 3, data: bytesOf(other, "otherPublicKey", inputEncoding) });
        } catch {
            throw coded(Error, "ERR_CRYPTO_ECDH_INVALID_PUBLIC_KEY", "Public key is not valid for specified curve");
        }
        return give(run(Fn.DERIVE, { a: this._curve.kind, key: this._key, data: open }), outputEncoding);
    },
});
(ECDH as any).convertKey = (key: any, curve: any, inputEncoding?: any, outputEncoding?: any, format?: any): any =>
    point(run(Fn.IMPORT, { a: curveOf(curve).kind, b: 3, data: bytesOf(key, "key", inputEncoding) }), format, outputEncoding);
