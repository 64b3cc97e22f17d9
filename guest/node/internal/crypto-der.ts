// SPDX-License-Identifier: Apache-2.0
//
// As much of DER and PEM as keys and certificates take to be read and written.

import { Buffer } from "../buffer.ts";
import { coded } from "./errors.ts";

export interface Element {
    tag: number;
    contents: Uint8Array;
    all: Uint8Array;
}

function broken(): Error {
    return coded(Error, "ERR_OSSL_ASN1_WRONG_TAG", "error:0D0680A8:asn1 encoding routines::wrong tag");
}

export function elements(der: Uint8Array): Element[] {
    const out: Element[] = [];
    for (let at = 0; at < der.length;) {
        const tag = der[at]!;
        let length = der[at + 1]!, begin = at + 2;
        if (length & 0x80) {
            const count = length & 0x7f;
            if (count === 0 || count > 4) {
                throw broken();
            }
            length = 0;
            for (let i = 0; i < count; i++) {
                length = length * 256 + der[begin++]!;
            }
        }
        if (!(begin + length <= der.length)) {
            throw broken();
        }
        out.push({ tag, contents: der.subarray(begin, begin + length), all: der.subarray(at, begin + length) });
        at = begin + length;
    }
    return out;
}

export function put(tag: number, ...parts: Uint8Array[]): any {
    const contents = Buffer.concat(parts);
    const { length } = contents;
    const head = length < 128 ? [tag, length] : length < 256 ? [tag, 0x81, length]
        : length < 65536 ? [tag, 0x82, length >> 8, length & 255] : [tag, 0x83, length >> 16, length >> 8 & 255, length & 255];
    return Buffer.concat([Buffer.from(head), contents]);
}

export function integer(bytes: Uint8Array): any {
    let at = 0;
    while (at < bytes.length - 1 && bytes[at] === 0) {
        at++;
    }
    const short = bytes.subarray(at);
    return put(2, short[0]! & 0x80 ? Buffer.concat([Buffer.from([0]), short]) : short);
}

export function pemDecode(text: string): { label: string; der: any; headers: string } | undefined {
    const found = /-----BEGIN ([A-Z0-9 ]+)-----\s*([^-]*?)-----END \1-----/.exec(text);
    if (!found) {
        return undefined;
    }
    const [headers, body] = /\n\s*\n/.test(found[2]!) && /:/.test(found[2]!) ? found[2]!.split(/\n\s*\n/) : ["", found[2]!];
    return { label: found[1]!, der: Buffer.from(body!.replace(/\s/g, ""), "base64"), headers: headers! };
}

export function pemEncode(label: string, der: any): string {
    return `-----BEGIN ${label}-----\n${der.toString("base64").replace(/.{64}(?=.)/g, "$&\n")}\n-----END ${label}-----\n`;
}

/** ECDSA's two numbers in DER, and as their plain bytes. */
export function signatureToDer(plain: Uint8Array): any {
    const half = plain.length / 2;
    return put(0x30, integer(plain.subarray(0, half)), integer(plain.subarray(half)));
}

export function signatureFromDer(der: Uint8Array, fieldBytes: number): any {
    const out = Buffer.alloc(2 * fieldBytes);
    const [sequence] = elements(der);
    for (const [i, { contents }] of elements(sequence!.contents).entries()) {
        let at = 0;
        while (at < contents.length - 1 && contents[at] === 0) {
            at++;
        }
        const number = contents.subarray(at);
        if (number.length > fieldBytes || i > 1) {
            throw broken();
        }
        out.set(number, (i + 1) * fieldBytes - number.length);
    }
    return out;
}
