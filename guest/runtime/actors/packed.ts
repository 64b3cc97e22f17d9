// SPDX-License-Identifier: Apache-2.0
//
// Keys and values as the ops of a storage have them (src/host/ops.def): lstr each, u32 length and bytes.

import { native } from "../native.ts";

type Bytes = Uint8Array<ArrayBuffer>;

export const keyBytes = (key: string): Bytes => native.utf8Encode(key);

export function pack(parts: Uint8Array[]): Bytes {
    let length = 0;
    for (const part of parts) {
        length += 4 + part.length;
    }
    const out = new Uint8Array(length), view = new DataView(out.buffer);
    let at = 0;
    for (const part of parts) {
        view.setUint32(at, part.length, true);
        out.set(part, at + 4);
        at += 4 + part.length;
    }
    return out;
}

export class Reader {
    #bytes: Bytes;
    #view: DataView;
    #at = 0;

    constructor(bytes: Bytes) {
        this.#bytes = bytes;
        this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    }
    get isOver(): boolean {
        return this.#at >= this.#bytes.length;
    }
    byte(): number {
        return this.#bytes[this.#at++]!;
    }
    lstr(): Bytes {
        const length = this.#view.getUint32(this.#at, true);
        const bytes = this.#bytes.subarray(this.#at + 4, this.#at + 4 + length);
        this.#at += 4 + length;
        return bytes;
    }
}

/** By bytes, as keys are sorted. */
export function compare(a: Uint8Array, b: Uint8Array): number {
    const length = Math.min(a.length, b.length);
    for (let i = 0; i < length; i++) {
        if (a[i] !== b[i]) {
            return a[i]! - b[i]!;
        }
    }
    return a.length - b.length;
}

/** The bytes, and one more. */
export function extend(bytes: Uint8Array, last: number): Bytes {
    const longer = new Uint8Array(bytes.length + 1);
    longer.set(bytes);
    longer[bytes.length] = last;
    return longer;
}
