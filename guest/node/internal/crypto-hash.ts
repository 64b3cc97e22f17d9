// SPDX-License-Identifier: Apache-2.0
//
// createHash() and createHmac(). What is added is kept until the digest is asked for: the host keeps no state between calls.

import { Buffer } from "../buffer.ts";
import Stream from "../stream.ts";
import { bytesOf, digestName, Fn, give, invalidDigest, run, text } from "./crypto-host.ts";
import { secretOf } from "./crypto-keys.ts";
import { coded, invalidArgType } from "./errors.ts";
import { validateString } from "./validate.ts";

const known = new Map<string, boolean>();

function digest(name: string, data: Uint8Array, length?: number): any {
    return run(Fn.DIGEST, { info: text(digestName(name)), data, a: length ?? 0 });
}

function checkDigest(name: string, failure: () => Error): void {
    let isKnown = known.get(name);
    if (isKnown === undefined) {
        try {
            digest(name, new Uint8Array(0));
            isKnown = true;
        } catch {
            isKnown = false;
        }
        known.set(name, isKnown);
    }
    if (!isKnown) {
        throw failure();
    }
}

function collect(hash: any, data: any, encoding: any): any {
    if (hash._isDone) {
        throw coded(Error, "ERR_CRYPTO_HASH_FINALIZED", "Digest already called");
    }
    const bytes = bytesOf(data, "data", encoding);
    hash._parts.push(typeof data === "string" ? bytes : bytes.slice());
    return hash;
}

const streaming = {
    _transform(this: any, chunk: any, encoding: any, callback: any): void {
        this.update(chunk, encoding);
        callback();
    },
    _flush(this: any, callback: any): void {
        this.push(this._finish()); // digest() may still be asked for
        callback();
    },
};

export function Hash(this: any, algorithm: any, options?: any): any {
    if (!(this instanceof (Hash as any))) {
        return new (Hash as any)(algorithm, options);
    }
    validateString(algorithm, "algorithm");
    checkDigest(algorithm, () => coded(Error, "ERR_OSSL_EVP_UNSUPPORTED", "Digest method not supported"));
    Stream.Transform.call(this, options);
    this._algorithm = algorithm;
    this._length = options?.outputLength;
    this._parts = [];
    this._isDone = false;
    return this;
}
Object.setPrototypeOf(Hash.prototype, Stream.Transform.prototype);
Object.setPrototypeOf(Hash, Stream.Transform);
Object.assign(Hash.prototype, streaming, {
    update(this: any, data: any, encoding?: any): any {
        return collect(this, data, encoding);
    },
    digest(this: any, encoding?: any): any {
        if (this._isDone) {
            throw coded(Error, "ERR_CRYPTO_HASH_FINALIZED", "Digest already called");
        }
        this._isDone = true;
        return give(this._finish(), encoding);
    },
    _finish(this: any): any {
        return digest(this._algorithm, this._parts.length === 1 ? this._parts[0] : Buffer.concat(this._parts), this._length);
    },
    copy(this: any, options?: any): any {
        if (this._isDone) {
            throw coded(Error, "ERR_CRYPTO_HASH_FINALIZED", "Digest already called");
        }
        const copy = new (Hash as any)(this._algorithm, { outputLength: this._length, ...options });
        copy._parts = [...this._parts];
        return copy;
    },
});

export function Hmac(this: any, algorithm: any, key: any, options?: any): any {
    if (!(this instanceof (Hmac as any))) {
        return new (Hmac as any)(algorithm, key, options);
    }
    validateString(algorithm, "hmac");
    if (key === null || key === undefined) {
        throw invalidArgType("key", ["ArrayBuffer", "Buffer", "TypedArray", "DataView", "string", "KeyObject", "CryptoKey"], key);
    }
    this._key = secretOf(key, "key", options?.encoding).slice();
    checkDigest(algorithm, () => invalidDigest(algorithm));
    Stream.Transform.call(this, options);
    this._algorithm = algorithm;
    this._parts = [];
    this._isDone = false;
    return this;
}
Object.setPrototypeOf(Hmac.prototype, Stream.Transform.prototype);
Object.setPrototypeOf(Hmac, Stream.Transform);
Object.assign(Hmac.prototype, streaming, {
    update(this: any, data: any, encoding?: any): any {
        return collect(this, data, encoding);
    },
    digest(this: any, encoding?: any): any {
        if (this._isDone) {
            return give(Buffer.alloc(0), encoding);
        }
        this._isDone = true;
        return give(this._finish(), encoding);
    },
    _finish(this: any): any {
        return run(Fn.HMAC, { info: text(digestName(this._algorithm)), key: this._key, data: Buffer.concat(this._parts) });
    },
});

export function hash(algorithm: any, data: any, encoding: any = "hex"): any {
    validateString(algorithm, "algorithm");
    checkDigest(algorithm, () => coded(Error, "ERR_OSSL_EVP_UNSUPPORTED", "Digest method not supported"));
    return give(digest(algorithm, bytesOf(data, "input")), encoding);
}

/** The digest of a name that createSign() and its kin take. */
export const digestOf = (name: string, data: Uint8Array): any => digest(name, data);
