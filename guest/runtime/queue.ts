// SPDX-License-Identifier: Apache-2.0
//
// Bindings of queues: what sends messages. Bodies are encoded here, by their content type; the host keeps bytes.

import { native } from "./native.ts";

const types: Record<string, number> = { json: 0, text: 1, bytes: 2, v8: 3 };
const MESSAGES_MAX = 100, MESSAGE_BYTES_MAX = 128 * 1024;

interface Options {
    contentType?: string;
    delaySeconds?: number;
}

function encode(body: unknown, type: string): Uint8Array {
    switch (type) {
        case "json": {
            const text = JSON.stringify(body);
            if (text === undefined) {
                throw new TypeError("a message of content type \"json\" must be a value that JSON has");
            }
            return native.utf8Encode(text);
        }
        case "text":
            if (typeof body !== "string") {
                throw new TypeError("a message of content type \"text\" must be a string");
            }
            return native.utf8Encode(body);
        case "bytes":
            if (body instanceof ArrayBuffer) {
                return new Uint8Array(body);
            }
            if (ArrayBuffer.isView(body)) {
                return new Uint8Array(body.buffer as ArrayBuffer, body.byteOffset, body.byteLength);
            }
            throw new TypeError("a message of content type \"bytes\" must be an ArrayBuffer or a view of one");
        case "v8":
            return native.serialize(body);
        default:
            throw new TypeError(`the content type '${type}' is none of json, text, bytes, v8`);
    }
}

function whole(value: unknown, min: number, max: number, what: string, otherwise: number): number {
    if (value === undefined || value === null) {
        return otherwise;
    }
    const number = Math.ceil(Number(value));
    if (!(number >= min && number <= max)) {
        throw new TypeError(`${what} must be a number from ${min} to ${max}`);
    }
    return number;
}

/** Little-endian, each: i32 delay in seconds, u32 type, lstr body (src/store/message.h). */
class Writer {
    #parts: Uint8Array[] = [];
    #len = 0;

    add(body: unknown, options: Options, otherwise: Options): void {
        const type = options.contentType ?? "json";
        const bytes = encode(body, type);
        if (bytes.length > MESSAGE_BYTES_MAX) {
            throw new TypeError(`a message has ${bytes.length} bytes, more than the ${MESSAGE_BYTES_MAX} that it may have`);
        }
        const head = new DataView(new ArrayBuffer(12));
        head.setInt32(0, whole(options.delaySeconds ?? otherwise.delaySeconds, 0, 604_800, "delaySeconds", -1), true);
        head.setUint32(4, types[type]!, true);
        head.setUint32(8, bytes.length, true);
        for (const part of [new Uint8Array(head.buffer), bytes]) {
            this.#parts.push(part);
            this.#len += part.length;
        }
    }
    bytes(): Uint8Array {
        const all = new Uint8Array(this.#len);
        let at = 0;
        for (const part of this.#parts) {
            all.set(part, at);
            at += part.length;
        }
        return all;
    }
}

export class Queue {
    #name: string;
    constructor(name: string) {
        this.#name = name;
    }
    async send(body: unknown, options: Options = {}): Promise<void> {
        const writer = new Writer();
        writer.add(body, options ?? {}, {});
        await native.queueSend(this.#name, writer.bytes());
    }
    async sendBatch(messages: Iterable<Options & { body: unknown }>, options: Options = {}): Promise<void> {
        const writer = new Writer();
        let count = 0;
        for (const message of messages) {
            if (count++ === MESSAGES_MAX) {
                throw new TypeError(`sendBatch() takes at most ${MESSAGES_MAX} messages`);
            }
            writer.add(message.body, message, options ?? {});
        }
        if (count > 0) {
            await native.queueSend(this.#name, writer.bytes());
        }
    }
    get [Symbol.toStringTag](): string {
        return "Queue";
    }
}
