// SPDX-License-Identifier: Apache-2.0
//
// Node's streams from the web's, and the other way round.

import { Buffer } from "../buffer.ts";
import { invalidArgType } from "./errors.ts";

function bytesOf(chunk: any): any {
    return typeof chunk === "string" ? chunk : ArrayBuffer.isView(chunk)
        ? Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength) : chunk instanceof ArrayBuffer ? Buffer.from(chunk) : chunk;
}

export function readableFromWeb(Stream: any, web: any, options: any = {}): any {
    if (!(web instanceof ReadableStream)) {
        throw invalidArgType("readableStream", "ReadableStream", web);
    }
    const reader = web.getReader();
    let isOver = false;
    const readable = new Stream.Readable({
        ...options,
        read() {
            reader.read().then(({ done, value }: any) => {
                if (done) {
                    isOver = true;
                    readable.push(null);
                } else {
                    readable.push(options.objectMode ? value : bytesOf(value));
                }
            }, (error: unknown) => {
                isOver = true;
                readable.destroy(error);
            });
        },
        destroy(error: unknown, callback: (error: unknown) => void) {
            if (isOver) {
                callback(error);
                return;
            }
            reader.cancel(error).then(() => callback(error), callback);
        },
    });
    reader.closed.catch((error: unknown) => readable.destroy(error));
    return readable;
}

export function readableToWeb(Stream: any, readable: any, options: any = {}): ReadableStream {
    if (typeof readable?._readableState !== "object") {
        throw invalidArgType("streamReadable", "stream.Readable", readable);
    }
    if (readable.destroyed || readable.readable === false) {
        const empty = new ReadableStream();
        void empty.cancel();
        return empty;
    }
    const isObjects = readable.readableObjectMode;
    let stop = false;
    return new ReadableStream({
        start(controller) {
            readable.pause();
            Stream.finished(readable, { writable: false }, (error: any) => {
                if (stop) {
                    return;
                }
                stop = true;
                if (error) {
                    controller.error(error);
                } else {
                    controller.close();
                }
            });
            readable.on("error", () => {});
            readable.on("data", (chunk: any) => {
                if (stop) {
                    return;
                }
                controller.enqueue(typeof chunk === "string" && !isObjects ? new TextEncoder().encode(chunk)
                    : Buffer.isBuffer(chunk) && !isObjects ? new Uint8Array(chunk) : chunk);
                if ((controller.desiredSize ?? 0) <= 0) {
                    readable.pause();
                }
            });
        },
        pull() {
            readable.resume();
        },
        cancel(reason) {
            stop = true;
            readable.destroy(reason);
        },
    }, options?.strategy ?? (isObjects ? new CountQueuingStrategy({ highWaterMark: readable.readableHighWaterMark })
        : new ByteLengthQueuingStrategy({ highWaterMark: readable.readableHighWaterMark }) as any));
}

export function writableFromWeb(Stream: any, web: any, options: any = {}): any {
    if (!(web instanceof WritableStream)) {
        throw invalidArgType("writableStream", "WritableStream", web);
    }
    const writer = web.getWriter();
    let isOver = false;
    const writable = new Stream.Writable({
        ...options,
        write(chunk: any, encoding: string, callback: any) {
            writer.ready.then(() => writer.write(chunk)).then(() => callback(), callback);
        },
        final(callback: any) {
            isOver = true;
            writer.close().then(() => callback(), callback);
        },
        destroy(error: any, callback: any) {
            if (isOver) {
                callback(error);
                return;
            }
            (error ? writer.abort(error) : writer.close()).then(() => callback(error), () => callback(error));
        },
    });
    writer.closed.catch((error: unknown) => writable.destroy(error));
    return writable;
}

export function writableToWeb(Stream: any, writable: any): WritableStream {
    if (typeof writable?._writableState !== "object") {
        throw invalidArgType("streamWritable", "stream.Writable", writable);
    }
    let fail: ((error: unknown) => void) | undefined;
    writable.on("error", (error: unknown) => fail?.(error));
    return new WritableStream({
        start(controller) {
            fail = (error) => controller.error(error);
            Stream.finished(writable, { readable: false }, (error: any) => {
                if (error) {
                    controller.error(error);
                }
            });
        },
        write(chunk) {
            return new Promise<void>((resolve, reject) => {
                const isRoom = writable.write(bytesOf(chunk), (error: any) => error && reject(error));
                if (isRoom) {
                    resolve();
                } else {
                    writable.once("drain", resolve);
                    writable.once("close", resolve);
                }
            });
        },
        close() {
            return new Promise<void>((resolve, reject) => {
                Stream.finished(writable, { readable: false }, (error: any) => (error ? reject(error) : resolve()));
                writable.end();
            });
        },
        abort(reason) {
            writable.destroy(reason);
        },
    });
}

/** Gives the classes their conversions. */
export function adapt(Stream: any): void {
    const { Readable, Writable, Duplex } = Stream;
    Readable.fromWeb = (web: any, options: any) => readableFromWeb(Stream, web, options);
    Readable.toWeb = (readable: any, options: any) => readableToWeb(Stream, readable, options);
    Writable.fromWeb = (web: any, options: any) => writableFromWeb(Stream, web, options);
    Writable.toWeb = (writable: any) => writableToWeb(Stream, writable);
    Duplex.fromWeb = (pair: any, options: any) => Duplex.from({
        readable: readableFromWeb(Stream, pair.readable, options), writable: writableFromWeb(Stream, pair.writable, options),
    });
    Duplex.toWeb = (duplex: any) => ({ readable: readableToWeb(Stream, duplex), writable: writableToWeb(Stream, duplex) });
    const { from } = Duplex;
    Duplex.from = (body: any) => (body instanceof ReadableStream ? readableFromWeb(Stream, body)
        : body instanceof WritableStream ? writableFromWeb(Stream, body) : from(body));
    Stream.isDestroyed ??= (stream: any) => Boolean(stream?.destroyed);
    Stream.isWritable ??= (stream: any) => Boolean(stream?.writable);
    let marks = [16 * 1024, 16];
    Stream.getDefaultHighWaterMark ??= (isObjects: boolean) => marks[isObjects ? 1 : 0];
    Stream.setDefaultHighWaterMark ??= (isObjects: boolean, value: number) => {
        marks = isObjects ? [marks[0]!, value] : [value, marks[1]!];
    };
}
