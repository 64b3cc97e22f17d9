// SPDX-License-Identifier: Apache-2.0
//
// IdentityTransformStream, FixedLengthStream and readAtLeast() of Workers: streams of bytes that change
// nothing, and a reader that waits for as many elements as are asked for.

import { ReadableStreamBYOBReader, TransformStream } from "web-streams-polyfill";
import { bytesOf, expose, need } from "./interface.ts";

/** Throws if there are too many bytes; at the end, if there are too few. */
type Count = { add(length: number): void; end(): void };

function bytesThrough(what: string, count?: Count): Transformer<unknown, Uint8Array> {
    return {
        transform(chunk, controller) {
            const bytes = bytesOf(chunk);
            if (!bytes) {
                throw new TypeError(`${what}: a chunk is not an ArrayBuffer or a view on one`);
            }
            count?.add(bytes.length);
            if (bytes.length) {
                controller.enqueue(bytes.slice()); // whoever wrote it may go on using it
            }
        },
        flush: () => count?.end(),
    };
}

export class IdentityTransformStream extends TransformStream {
    constructor() {
        super(bytesThrough("IdentityTransformStream"));
    }
}
expose(IdentityTransformStream, "IdentityTransformStream");

export class FixedLengthStream extends TransformStream {
    constructor(expectedLength: number | bigint) {
        need(1, arguments.length, "FixedLengthStream constructor");
        const expected = Number(expectedLength);
        if (!(Number.isSafeInteger(expected) && expected >= 0)) {
            throw new TypeError("FixedLengthStream constructor: the length is not a number of bytes");
        }
        let left = expected;
        super(bytesThrough("FixedLengthStream", {
            add(length) {
                left -= length;
                if (left < 0) {
                    throw new TypeError(`FixedLengthStream: more was written than the ${expected} bytes that were announced`);
                }
            },
            end() {
                if (left > 0) {
                    throw new TypeError(`FixedLengthStream: it ended ${left} bytes before the ${expected} that were announced`);
                }
            },
        }));
    }
}
expose(FixedLengthStream, "FixedLengthStream");

Object.defineProperty(ReadableStreamBYOBReader.prototype, "readAtLeast", {
    value: function readAtLeast(this: ReadableStreamBYOBReader, min: number, view: Uint8Array) {
        return this.read(view, { min });
    },
    writable: true, enumerable: true, configurable: true,
});

Object.defineProperty(Headers.prototype, "getAll", {
    value: function getAll(this: Headers, name: string): string[] {
        need(1, arguments.length, "Headers.getAll");
        if (String(name).toLowerCase() !== "set-cookie") {
            throw new TypeError("Headers.getAll: only \"set-cookie\" has several values; the others are joined, see get()");
        }
        return this.getSetCookie();
    },
    writable: true, enumerable: true, configurable: true,
});
