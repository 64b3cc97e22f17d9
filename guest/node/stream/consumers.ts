// SPDX-License-Identifier: Apache-2.0
//
// node:stream/consumers.

import { Buffer } from "../buffer.ts";

type Source = AsyncIterable<any> | Iterable<any>;

export async function buffer(stream: Source): Promise<any> {
    const chunks: any[] = [];
    for await (const chunk of stream) {
        chunks.push(typeof chunk === "string" ? Buffer.from(chunk) : Buffer.from(chunk.buffer ?? chunk, chunk.byteOffset, chunk.byteLength));
    }
    return Buffer.concat(chunks);
}

export async function arrayBuffer(stream: Source): Promise<ArrayBuffer> {
    const bytes = await buffer(stream);
    return bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength);
}

export async function blob(stream: Source): Promise<Blob> {
    return new Blob([await buffer(stream)]);
}

export async function text(stream: Source): Promise<string> {
    const decoder = new TextDecoder();
    let out = "";
    for await (const chunk of stream) {
        out += typeof chunk === "string" ? chunk : decoder.decode(chunk, { stream: true });
    }
    return out + decoder.decode();
}

export async function json(stream: Source): Promise<any> {
    return JSON.parse(await text(stream));
}

export default { arrayBuffer, blob, buffer, json, text };
