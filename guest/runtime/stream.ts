// SPDX-License-Identifier: Apache-2.0
//
// Where streams meet the host. The classes themselves come from the package web-streams-polyfill,
// which passes the web platform tests; its fields (`_state`, `_disturbed`, `_reader`) are stable within
// the pinned version and stand for the standard's internal slots.
//
// A stream made by streamFromSource() remembers its host source in `sources` until somebody takes it:
// such a stream, if untouched, is never read here, the host moves the bytes. Sources are pulled only
// when a reader asks (high-water mark 0), one chunk at a time, which is the back-pressure.

import { ReadableStream } from "web-streams-polyfill";
import { concat } from "./interface.ts";
import { native } from "./native.ts";

/** Bytes asked of a source at once; one chunk then fits a fraction of a body window of the host. */
const READ_BYTES = 64 * 1024;

/** Bytes given to a sink at once: a chunk may have any size, and is written as the sink takes it. */
const WRITE_BYTES = 256 * 1024;

interface Slots {
    _state: "readable" | "closed" | "errored";
    _disturbed: boolean;
    _reader: unknown;
}

/** The package's async iterators do not inherit from the language's. */
const iteratorProto = Object.getPrototypeOf(new ReadableStream().values()) as object;
Object.setPrototypeOf(iteratorProto, Object.getPrototypeOf(Object.getPrototypeOf((async function* () {}).prototype)) as object);
Reflect.deleteProperty(iteratorProto, Symbol.asyncIterator);

const sources = new WeakMap<ReadableStream, number>();

function slots(stream: unknown): Slots {
    return stream as Slots;
}

export function streamFromSource(source: number): ReadableStream<Uint8Array> {
    const stream = new ReadableStream({
        type: "bytes",
        async pull(controller) {
            const chunk = await native.streamRead(source, READ_BYTES);
            if (chunk) {
                controller.enqueue(chunk);
            } else {
                controller.close();
                controller.byobRequest?.respond(0);
            }
        },
        cancel() {
            native.streamClose(source);
        },
    }, { highWaterMark: 0 }) as ReadableStream<Uint8Array>;
    sources.set(stream, source);
    return stream;
}

export function streamFromBytes(bytes: Uint8Array): ReadableStream<Uint8Array> {
    return new ReadableStream({
        type: "bytes",
        pull(controller) {
            if (bytes.length) {
                // A copy: enqueueing detaches the buffer, and these bytes may be someone's.
                controller.enqueue(bytes.slice());
            }
            controller.close();
            controller.byobRequest?.respond(0);
        },
    }, { highWaterMark: 0 }) as ReadableStream<Uint8Array>;
}

export function streamTakeSource(stream: unknown): number {
    const source = sources.get(stream as ReadableStream);
    if (source === undefined || streamState(stream) !== 0 || slots(stream)._state !== "readable") {
        return 0;
    }
    sources.delete(stream as ReadableStream);
    (stream as ReadableStream).getReader(); // locked for good
    slots(stream)._disturbed = true;
    return source;
}

export function isStream(value: unknown): value is ReadableStream {
    return value instanceof ReadableStream;
}

export function streamState(stream: unknown): number {
    const { _disturbed, _reader } = slots(stream);
    return (_disturbed ? 1 : 0) | (_reader === undefined ? 0 : 2);
}

function chunkBytes(chunk: unknown): Uint8Array<ArrayBuffer> {
    if (!(chunk instanceof Uint8Array)) {
        const what = chunk === null ? "null" : typeof chunk === "object" ? chunk.constructor?.name ?? "an object" : `a ${typeof chunk}`;
        throw new TypeError(
            `the chunks of a body stream must be Uint8Array, but one is ${what}`
            + (typeof chunk === "string" ? "; put a TextEncoderStream in between: stream.pipeThrough(new TextEncoderStream())" : ""),
        );
    }
    return chunk as Uint8Array<ArrayBuffer>;
}

/** Calls `each` for every chunk and waits for it; what fails cancels the stream. */
async function forEachChunk(
    stream: ReadableStream, each: (chunk: unknown) => unknown,
): Promise<void> {
    const reader = stream.getReader();
    try {
        for (;;) {
            const { done, value } = await reader.read();
            if (done) {
                return;
            }
            const waiting = each(value);
            if (waiting) {
                await waiting;
            }
        }
    } catch (error) {
        // The failure that matters is this one; a failing cancel adds nothing to it.
        reader.cancel(error).catch(() => {});
        throw error;
    }
}

export async function streamReadAll(stream: unknown): Promise<Uint8Array> {
    const parts: Uint8Array<ArrayBuffer>[] = [];
    let length = 0;
    const source = streamTakeSource(stream);
    if (source) {
        for (;;) {
            const chunk = await native.streamRead(source, READ_BYTES);
            if (!chunk) {
                break;
            }
            parts.push(chunk);
            length += chunk.length;
        }
    } else {
        await forEachChunk(stream as ReadableStream, (chunk) => {
            const bytes = chunkBytes(chunk);
            parts.push(bytes);
            length += bytes.length;
        });
    }
    return parts.length === 1 ? parts[0]! : concat(parts, length);
}

export async function streamToSink(stream: unknown, sink: number): Promise<void> {
    await forEachChunk(stream as ReadableStream, (chunk) => {
        const bytes = chunkBytes(chunk);
        return bytes.length === 0 ? undefined // an empty write is not the end
            : bytes.length <= WRITE_BYTES ? native.streamWrite(sink, bytes) : writePieces(sink, bytes);
    });
}

/** A chunk whose buffer is given away meanwhile fails the stream: subarray() throws then. */
async function writePieces(sink: number, bytes: Uint8Array): Promise<void> {
    const { length } = bytes;
    for (let at = 0; at < length; at += WRITE_BYTES) {
        const piece = bytes.subarray(at, at + WRITE_BYTES);
        if (piece.length !== Math.min(WRITE_BYTES, length - at)) {
            throw new TypeError("a chunk of a body stream was made smaller while it was being sent");
        }
        await native.streamWrite(sink, piece);
    }
}
