// SPDX-License-Identifier: Apache-2.0
//
// crypto.DigestStream, Cloudflare's: a WritableStream whose `digest` is a promise of the digest of all
// that was written. Its state are the hash's words and less than a block, both in the isolate's memory.

import { WritableStream } from "web-streams-polyfill";
import { bytesOf, expose } from "../interface.ts";
import { native } from "../native.ts";
import { hashOf } from "./algorithm.ts";
import { callNow, Fn, hashes, type Hash } from "./call.ts";
import type { Bytes } from "./key.ts";

/** Digested in one call at most: a multiple of each block. */
const PIECE_BYTES = 256 * 1024;

class Digest {
    readonly #hash: Hash;
    readonly #block: Bytes; // what is left over
    #used = 0;
    #state: Bytes | undefined;
    #bytes = 0;

    constructor(hash: Hash) {
        this.#hash = hash;
        this.#block = new Uint8Array(hash.blockBytes);
    }
    get bytes(): number {
        return this.#bytes;
    }
    #blocks(data: Bytes): void {
        this.#state = callNow(Fn.HASH_BLOCKS, "OperationError", { hash: this.#hash.code, salt: this.#state, data });
    }
    #fill(data: Bytes): Bytes {
        const taken = Math.min(data.length, this.#block.length - this.#used);
        this.#block.set(data.subarray(0, taken), this.#used);
        this.#used += taken;
        if (this.#used === this.#block.length) {
            this.#blocks(this.#block);
            this.#used = 0;
        }
        return data.subarray(taken);
    }
    add(data: Bytes): void {
        this.#bytes += data.length;
        let rest = this.#used ? this.#fill(data) : data;
        while (rest.length >= this.#block.length) {
            const length = Math.min(PIECE_BYTES, rest.length - rest.length % this.#block.length);
            this.#blocks(rest.subarray(0, length));
            rest = rest.subarray(length);
        }
        this.#fill(rest);
    }
    end(): ArrayBuffer {
        const bits = BigInt(this.#bytes) * 8n;
        const lengthBytes = this.#hash.blockBytes / 8;
        const zeros = 2 * this.#block.length - this.#used - 1 - lengthBytes;
        const padding = new Uint8Array(1 + zeros % this.#block.length + lengthBytes);
        padding[0] = 0x80;
        new DataView(padding.buffer).setBigUint64(padding.length - 8, bits);
        this.#fill(this.#fill(padding));
        return this.#state!.slice(0, this.#hash.bytes).buffer;
    }
}

export class DigestStream extends WritableStream {
    readonly #digest: Digest;
    readonly #promise: Promise<ArrayBuffer>;

    constructor(algorithm: unknown) {
        const digest = new Digest(hashes[hashOf(algorithm)]);
        const { promise, resolve, reject } = Promise.withResolvers<ArrayBuffer>();
        super({
            write(chunk: unknown) {
                const bytes = typeof chunk === "string" ? native.utf8Encode(chunk) : bytesOf(chunk);
                if (!bytes) {
                    const error = new TypeError("DigestStream: a chunk is neither text nor a buffer");
                    reject(error);
                    throw error;
                }
                digest.add(bytes);
            },
            close: () => resolve(digest.end()),
            abort: reject,
        });
        promise.catch(() => {}); // who wants to know asks for it
        this.#digest = digest;
        this.#promise = promise;
    }
    get digest(): Promise<ArrayBuffer> {
        return this.#promise;
    }
    get bytesWritten(): number {
        return this.#digest.bytes;
    }
}
expose(DigestStream, "DigestStream");
