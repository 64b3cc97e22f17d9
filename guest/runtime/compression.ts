// SPDX-License-Identifier: Apache-2.0
//
// CompressionStream and DecompressionStream (Compression Streams), around a codec of the host that is
// made with the first chunk. No TransformStream: that hands on all that comes of a chunk at once, which
// for a small chunk can be gigabytes. Here the codec is run a piece at a time, and only as long as the
// reader is not far behind.

import { ReadableStream, WritableStream } from "web-streams-polyfill";
import { expose, need, toText } from "./interface.ts";
import { native } from "./native.ts";

/** What goes into the codec, and comes out of it, in one call: ABI_CODEC_BYTES. */
const PIECE_BYTES = 64 * 1024;
/** As much may wait for the reader before the rest of a chunk does. */
const AHEAD_BYTES = 256 * 1024;

const formats = ["deflate", "deflate-raw", "gzip", "br", "zstd"];

type Bytes = Uint8Array<ArrayBuffer>;

const empty = new Uint8Array();

/** The bytes of a chunk, as the standard's BufferSource: nothing that is shared. */
function chunkBytes(chunk: unknown, what: string): Bytes {
    const isView = ArrayBuffer.isView(chunk);
    const buffer = isView ? chunk.buffer : chunk;
    if (!(buffer instanceof ArrayBuffer)) {
        throw new TypeError(`${what}: a chunk is not an ArrayBuffer or a view on one`);
    }
    return isView ? new Uint8Array(buffer, chunk.byteOffset, chunk.byteLength) : new Uint8Array(buffer);
}

class Pipe {
    readonly readable: ReadableStream<Bytes>;
    readonly writable: WritableStream<unknown>;
    #format: number;
    #isDecoder: boolean;
    #what: string;
    #codec = 0; // 0: not made yet, or given up
    #isOver = false;
    #isWanted = false; // somebody reads and there is nothing
    #wake: (() => void) | undefined;
    #error: { reason: unknown } | undefined;
    #out!: ReadableStreamDefaultController<Bytes>;
    #sink!: { error(reason: unknown): void };

    constructor(what: string, format: unknown, isDecoder: boolean) {
        const name = toText(format);
        this.#what = what;
        this.#format = formats.indexOf(name === "brotli" ? "br" : name); // as the standard calls it, and as HTTP does
        this.#isDecoder = isDecoder;
        if (this.#format < 0) {
            throw new TypeError(`${what} constructor: there is no format "${name}"; there are ${formats.join(", ")}`);
        }
        this.readable = new ReadableStream<Bytes>({
            start: (controller) => {
                this.#out = controller as ReadableStreamDefaultController<Bytes>;
            },
            pull: () => {
                this.#isWanted = true;
                this.#wake?.();
            },
            cancel: (reason) => this.#fail(reason, false),
        }, { highWaterMark: 0, size: (chunk) => chunk!.byteLength }) as ReadableStream<Bytes>;
        this.writable = new WritableStream<unknown>({
            start: (controller) => {
                this.#sink = controller;
            },
            write: (chunk) => this.#guarded(() => this.#write(chunk)),
            close: () => this.#guarded(() => this.#close()),
            abort: (reason) => this.#fail(reason, true),
        });
    }

    #end(): void {
        if (this.#codec) {
            native.codecEnd(this.#codec);
            this.#codec = 0;
        }
    }

    #fail(reason: unknown, isByWriter: boolean): void {
        if (this.#error) {
            return;
        }
        this.#error = { reason };
        this.#end();
        if (isByWriter) {
            this.#out.error(reason);
        } else {
            this.#sink.error(reason);
        }
        this.#wake?.();
    }

    /** What fails one side fails the other. */
    async #guarded(run: () => Promise<void>): Promise<void> {
        try {
            await run();
        } catch (error) {
            this.#fail(error, true);
            throw error;
        }
    }

    /** Until the reader wants more than `ahead` bytes that wait for it. */
    async #ready(ahead: number): Promise<void> {
        while (!this.#isWanted && !this.#error && -this.#out.desiredSize! >= ahead) {
            await new Promise<void>((resolve) => {
                this.#wake = resolve;
            });
            this.#wake = undefined;
        }
        if (this.#error) {
            throw this.#error.reason;
        }
    }

    /** Runs the codec on one piece; true: there is more to come without further input. */
    #run(bytes: Uint8Array, isLast: boolean): [taken: number, isMore: boolean] {
        this.#codec ||= native.codecNew(this.#format, this.#isDecoder);
        const [taken, isOver, out] = native.codecRun(this.#codec, bytes, isLast);
        this.#isOver = isOver;
        if (out) {
            this.#isWanted = false;
            this.#out.enqueue(out);
        }
        return [taken, !isOver && out?.length === PIECE_BYTES];
    }

    async #write(chunk: unknown): Promise<void> {
        await this.#ready(0);
        const bytes = chunkBytes(chunk, this.#what);
        let at = 0;
        let isMore = bytes.length > 0;
        while (isMore) {
            const [taken, isFull] = this.#run(bytes.subarray(at, at + PIECE_BYTES), false);
            at += taken;
            isMore = isFull || at < bytes.length;
            if (isMore) {
                await this.#ready(AHEAD_BYTES);
            }
        }
    }

    async #close(): Promise<void> {
        while (!this.#isOver) {
            this.#run(empty, true);
            if (this.#error) {
                throw this.#error.reason;
            }
        }
        this.#end();
        this.#out.close();
    }
}

export class CompressionStream {
    #pipe: Pipe;
    constructor(format: string) {
        need(1, arguments.length, "CompressionStream constructor");
        this.#pipe = new Pipe("CompressionStream", format, false);
    }
    get readable() {
        return this.#pipe.readable;
    }
    get writable() {
        return this.#pipe.writable;
    }
}
expose(CompressionStream, "CompressionStream");

export class DecompressionStream {
    #pipe: Pipe;
    constructor(format: string) {
        need(1, arguments.length, "DecompressionStream constructor");
        this.#pipe = new Pipe("DecompressionStream", format, true);
    }
    get readable() {
        return this.#pipe.readable;
    }
    get writable() {
        return this.#pipe.writable;
    }
}
expose(DecompressionStream, "DecompressionStream");
