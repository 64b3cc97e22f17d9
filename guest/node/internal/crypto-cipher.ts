// SPDX-License-Identifier: Apache-2.0
//
// createCipheriv() and createDecipheriv(). The host works on a whole at once: what update() gets is kept, and final() gives
// the result; only of CBC and ECB, whose blocks can be chained here, update() gives what is complete.

import { Buffer } from "../buffer.ts";
import Stream from "../stream.ts";
import { bytesOf, Fn, give, run, text } from "./crypto-host.ts";
import { pack, secretOf } from "./crypto-keys.ts";
import { coded, invalidArgType } from "./errors.ts";
import { validateString } from "./validate.ts";

interface Info {
    name: string;
    mode: string;
    keyLength: number;
    ivLength: number;
    blockSize: number;
    nid: number;
}

const infos: Info[] = [];
for (const [bits, first] of [[128, 418], [192, 422], [256, 426]] as const) {
    const add = (mode: string, ivLength: number, blockSize: number, nid: number) => infos.push({ name: `aes-${bits}-${mode}`, mode, keyLength: bits / 8, ivLength, blockSize, nid });
    add("ecb", 0, 16, first);
    add("cbc", 16, 16, first + 1);
    add("ofb", 16, 1, first + 2);
    add("cfb", 16, 1, first + 3);
    add("ctr", 16, 1, bits === 128 ? 904 : bits === 192 ? 905 : 906);
    add("gcm", 12, 1, bits === 128 ? 895 : bits === 192 ? 898 : 901);
}
infos.push({ name: "chacha20-poly1305", mode: "stream", keyLength: 32, ivLength: 12, blockSize: 1, nid: 1018 },
    { name: "des-ede3-cbc", mode: "cbc", keyLength: 24, ivLength: 8, blockSize: 8, nid: 44 });
const aliases: Record<string, string> = {
    "aes128": "aes-128-cbc", "aes192": "aes-192-cbc", "aes256": "aes-256-cbc", "id-aes128-gcm": "aes-128-gcm", "id-aes192-gcm": "aes-192-gcm",
    "id-aes256-gcm": "aes-256-gcm", "des3": "des-ede3-cbc",
};

export const getCiphers = (): string[] => [...infos.map(({ name }) => name), ...Object.keys(aliases)].sort();

function find(name: string): Info | undefined {
    const low = name.toLowerCase();
    return infos.find((info) => info.name === (aliases[low] ?? low));
}

export function getCipherInfo(nameOrNid: any, options?: any): any {
    const info = typeof nameOrNid === "number" ? infos.find(({ nid }) => nid === nameOrNid) : find(nameOrNid);
    if (!info || (options?.keyLength !== undefined && options.keyLength !== info.keyLength)
        || (options?.ivLength !== undefined && options.ivLength !== info.ivLength && !isAead(info))) {
        return undefined;
    }
    const { mode, name, nid, blockSize, ivLength, keyLength } = info;
    return { mode, name: name.includes("gcm") ? name.replace(/^aes-(\d+)-gcm$/, "id-aes$1-GCM") : name, nid, ...blockSize > 1 && { blockSize },
        ...ivLength && { ivLength: options?.ivLength ?? ivLength }, keyLength };
}

const isAead = (info: Info): boolean => info.mode === "gcm" || info.mode === "stream";

function begin(self: any, isDecryption: boolean, algorithm: any, key: any, iv: any, options: any): void {
    validateString(algorithm, "cipher");
    const secret = secretOf(key, "key");
    if (iv !== null && typeof iv !== "string" && !ArrayBuffer.isView(iv) && !(iv instanceof ArrayBuffer)) {
        throw invalidArgType("iv", ["string", "ArrayBuffer", "Buffer", "TypedArray", "DataView", "null"], iv);
    }
    const info = find(algorithm);
    if (!info) {
        throw coded(Error, "ERR_CRYPTO_UNKNOWN_CIPHER", "Unknown cipher");
    }
    if (secret.length !== info.keyLength) {
        throw coded(RangeError, "ERR_CRYPTO_INVALID_KEYLEN", "Invalid key length");
    }
    const start = iv === null ? new Uint8Array(0) : bytesOf(iv, "iv");
    if (isAead(info) ? start.length === 0 || (info.mode === "stream" && start.length > 12) : start.length !== info.ivLength) {
        throw coded(TypeError, "ERR_CRYPTO_INVALID_IV", "Invalid initialization vector");
    }
    Stream.Transform.call(self, options);
    Object.assign(self, {
        _info: info, _isDecryption: isDecryption, _secret: secret.slice(), _iv: start.slice(), _parts: [], _aad: [], _tag: undefined,
        _tagLength: options?.authTagLength ?? 16, _padding: true, _isDone: false,
    });
}

function work(self: any, data: Uint8Array, flags: number): any {
    const { _info: info } = self;
    try {
        return run(Fn.CIPHER, {
            info: text(info.name), key: self._secret, salt: self._iv, a: flags | (self._isDecryption ? 1 : 0), data,
            b: flags & 4 && !self._isDecryption ? self._tagLength : 0,
        });
    } catch (error) {
        if ((error as any).code !== "invalid") {
            throw error;
        }
        const message = (error as Error).message;
        if (/wrong final block length/.test(message)) {
            throw coded(Error, "ERR_OSSL_WRONG_FINAL_BLOCK_LENGTH", message, { library: "Provider routines", reason: "wrong final block length" });
        }
        if (/bad decrypt/.test(message)) {
            throw coded(Error, "ERR_OSSL_BAD_DECRYPT", message, { library: "Provider routines", reason: "bad decrypt" });
        }
        throw new Error(message);
    }
}

/** Whole blocks that can be given out now. */
function advance(self: any): any {
    const { _info: info } = self;
    if (info.mode !== "cbc" && info.mode !== "ecb") {
        return Buffer.alloc(0);
    }
    const all: any = Buffer.concat(self._parts);
    let whole = all.length - all.length % info.blockSize;
    if (self._isDecryption && self._padding && whole === all.length) {
        whole -= info.blockSize; // the last may be padding
    }
    if (whole <= 0) {
        self._parts = [all];
        return Buffer.alloc(0);
    }
    const input = all.subarray(0, whole);
    const out = work(self, input, 2);
    self._parts = [all.subarray(whole)];
    if (info.mode === "cbc") {
        self._iv = Buffer.from((self._isDecryption ? input : out).subarray(whole - info.blockSize, whole));
    }
    return out;
}

const methods = {
    update(this: any, data: any, inputEncoding?: any, outputEncoding?: any): any {
        if (this._isDone) {
            throw coded(Error, "ERR_CRYPTO_INVALID_STATE", "Invalid state for operation update");
        }
        const bytes = bytesOf(data, "data", inputEncoding);
        this._parts.push(typeof data === "string" ? bytes : bytes.slice());
        return give(advance(this), outputEncoding);
    },
    final(this: any, outputEncoding?: any): any {
        if (this._isDone) {
            throw coded(Error, "ERR_CRYPTO_INVALID_STATE", "Unsupported state or unable to authenticate data");
        }
        this._isDone = true;
        const data = Buffer.concat(this._parts);
        if (!isAead(this._info)) {
            return give(work(this, data, this._padding ? 0 : 2), outputEncoding);
        }
        if (this._isDecryption && !this._tag) {
            throw new Error("Unsupported state or unable to authenticate data");
        }
        let out = work(this, Buffer.concat([pack([Buffer.concat(this._aad), this._tag ?? new Uint8Array(0)]), data]), 4);
        if (!this._isDecryption) {
            this._tag = out.subarray(out.length - this._tagLength);
            out = out.subarray(0, out.length - this._tagLength);
        }
        return give(out, outputEncoding);
    },
    setAutoPadding(this: any, padding = true): any {
        this._padding = Boolean(padding);
        return this;
    },
    setAAD(this: any, data: any, options?: any): any {
        this._aad.push(bytesOf(data, "buffer", options?.encoding).slice());
        return this;
    },
    _transform(this: any, chunk: any, encoding: any, callback: any): void {
        this.push(this.update(chunk, encoding));
        callback();
    },
    _flush(this: any, callback: any): void {
        try {
            this.push(this.final());
        } catch (error) {
            callback(error);
            return;
        }
        callback();
    },
};

export function Cipheriv(this: any, algorithm: any, key: any, iv: any, options?: any): any {
    if (!(this instanceof (Cipheriv as any))) {
        return new (Cipheriv as any)(algorithm, key, iv, options);
    }
    begin(this, false, algorithm, key, iv, options);
    return this;
}
export function Decipheriv(this: any, algorithm: any, key: any, iv: any, options?: any): any {
    if (!(this instanceof (Decipheriv as any))) {
        return new (Decipheriv as any)(algorithm, key, iv, options);
    }
    begin(this, true, algorithm, key, iv, options);
    return this;
}
for (const Class of [Cipheriv, Decipheriv]) {
    Object.setPrototypeOf(Class.prototype, Stream.Transform.prototype);
    Object.setPrototypeOf(Class, Stream.Transform);
    Object.assign(Class.prototype, methods);
}
Cipheriv.prototype.getAuthTag = function getAuthTag(this: any): any {
    if (!this._isDone || !this._tag) {
        throw coded(Error, "ERR_CRYPTO_INVALID_STATE", "Invalid state for operation getAuthTag");
    }
    return Buffer.from(this._tag);
};
Decipheriv.prototype.setAuthTag = function setAuthTag(this: any, tag: any, encoding?: any): any {
    const bytes = bytesOf(tag, "buffer", encoding);
    if (![4, 8, 12, 13, 14, 15, 16].includes(bytes.length)) {
        throw coded(TypeError, "ERR_CRYPTO_INVALID_AUTH_TAG", `Invalid authentication tag length: ${bytes.length}`);
    }
    this._tag = bytes.slice();
    return this;
};
