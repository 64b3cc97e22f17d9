// SPDX-License-Identifier: Apache-2.0
//
// TextEncoderStream and TextDecoderStream (Encoding §7): a TransformStream around the engine's coders.

import { TransformStream } from "web-streams-polyfill";
import { bytesOf, expose, toText } from "./interface.ts";

export class TextEncoderStream {
    #transform: TransformStream<string, Uint8Array>;
    #pending = ""; // a high surrogate whose other half comes with the next chunk

    constructor() {
        const encoder = new TextEncoder();
        this.#transform = new TransformStream({
            transform: (chunk, controller) => {
                let text = this.#pending + toText(chunk);
                this.#pending = "";
                const last = text.charCodeAt(text.length - 1);
                if (last >= 0xd800 && last <= 0xdbff) {
                    this.#pending = text.slice(-1);
                    text = text.slice(0, -1);
                }
                if (text) {
                    controller.enqueue(encoder.encode(text));
                }
            },
            flush: (controller) => {
                if (this.#pending) {
                    controller.enqueue(encoder.encode(this.#pending)); // alone: the replacement character
                }
            },
        });
    }
    get encoding(): string {
        return "utf-8";
    }
    get readable() {
        return this.#transform.readable;
    }
    get writable() {
        return this.#transform.writable;
    }
}
expose(TextEncoderStream, "TextEncoderStream");

export class TextDecoderStream {
    #decoder: TextDecoder;
    #transform: TransformStream<ArrayBuffer | ArrayBufferView, string>;

    constructor(label?: string, options?: { fatal?: boolean; ignoreBOM?: boolean }) {
        const decoder = this.#decoder = new TextDecoder(label, options);
        this.#transform = new TransformStream({
            transform(chunk, controller) {
                const bytes = bytesOf(chunk);
                if (!bytes) {
                    throw new TypeError("TextDecoderStream: a chunk is not a buffer");
                }
                const text = decoder.decode(bytes, { stream: true });
                if (text) {
                    controller.enqueue(text);
                }
            },
            flush(controller) {
                const text = decoder.decode();
                if (text) {
                    controller.enqueue(text);
                }
            },
        });
    }
    get encoding(): string {
        return this.#decoder.encoding;
    }
    get fatal(): boolean {
        return this.#decoder.fatal;
    }
    get ignoreBOM(): boolean {
        return this.#decoder.ignoreBOM;
    }
    get readable() {
        return this.#transform.readable;
    }
    get writable() {
        return this.#transform.writable;
    }
}
expose(TextDecoderStream, "TextDecoderStream");
