// SPDX-License-Identifier: Apache-2.0
//
// URLs that need no network: object URLs of blobs (File API §8), and fetch() of blob: and data: (Fetch §4.2,
// data: URL processor of §6). An object URL is known in the isolate that made it.

import { Blob, blobBytes } from "./blob.ts";
import { need, toText } from "./interface.ts";
import { mimeParse, mimeText } from "./mime.ts";
import { native } from "./native.ts";
import { URL } from "./url.ts";

let blobs: Map<string, Blob> | undefined;

function createObjectURL(blob: Blob): string {
    need(1, arguments.length, "URL.createObjectURL");
    if (!(blob instanceof Blob)) {
        throw new TypeError("URL.createObjectURL: the argument is not a Blob");
    }
    const url = `blob:null/${crypto.randomUUID()}`;
    (blobs ??= new Map()).set(url, blob);
    return url;
}

/** The blob of an object URL; undefined: there is none. */
export function objectFromUrl(url: string): Blob | undefined {
    return blobs?.get(url);
}

function revokeObjectURL(url: string): void {
    need(1, arguments.length, "URL.revokeObjectURL");
    blobs?.delete(toText(url));
}

for (const fn of [createObjectURL, revokeObjectURL]) {
    Object.defineProperty(URL, fn.name, { value: fn, writable: true, enumerable: true, configurable: true });
}

function percentDecode(text: string): Uint8Array<ArrayBuffer> {
    const bytes = native.utf8Encode(text);
    let at = 0;
    for (let i = 0; i < bytes.length; i++, at++) {
        const hex = bytes[i] === 0x25 ? /^[0-9a-f]{2}/i.exec(String.fromCharCode(...bytes.subarray(i + 1, i + 3))) : null;
        bytes[at] = hex ? parseInt(hex[0], 16) : bytes[i]!;
        i += hex ? 2 : 0;
    }
    return bytes.slice(0, at);
}

/** The bytes and the type of a data: URL without fragment; undefined: it is none. */
function dataUrl(url: string): [Uint8Array<ArrayBuffer>, string] | undefined {
    const comma = url.indexOf(",");
    if (comma < 0) {
        return undefined;
    }
    let type = url.slice("data:".length, comma).replace(/^[ \t\n\f\r]+|[ \t\n\f\r]+$/g, "");
    let bytes = percentDecode(url.slice(comma + 1));
    const base64 = /; *base64$/i.exec(type);
    if (base64) {
        type = type.slice(0, base64.index);
        try {
            bytes = Uint8Array.from(atob(native.latin1Decode(bytes)), (c) => c.charCodeAt(0));
        } catch {
            return undefined;
        }
    }
    const mime = mimeParse(type.startsWith(";") ? `text/plain${type}` : type);
    return [bytes, mime ? mimeText(mime) : "text/plain;charset=US-ASCII"];
}

/** The part of a blob that a Range header names; undefined: there is none such. */
function rangeOf(header: string, size: number): [number, number] | undefined {
    const found = /^bytes=[ \t]*(\d*)[ \t]*-[ \t]*(\d*)[ \t]*$/.exec(header);
    if (!found || (found[1] === "" && found[2] === "")) {
        return undefined;
    }
    const [from, to] = [found[1]!, found[2]!];
    const start = from === "" ? Math.max(0, size - Number(to)) : Number(from);
    const end = from === "" || to === "" ? size : Math.min(size, Number(to) + 1);
    return start < end ? [start, end] : undefined;
}

function blobAnswer(blob: Blob, range: string | null): Response {
    const headers = { "content-type": blob.type };
    if (range === null) {
        return new Response(blobBytes(blob), { statusText: "OK", headers: { ...headers, "content-length": String(blob.size) } });
    }
    const part = rangeOf(range, blob.size);
    if (!part) {
        throw new TypeError(`fetch: the range "${range}" is not in the ${blob.size} bytes of this blob`);
    }
    const [start, end] = part;
    return new Response(blobBytes(blob).subarray(start, end), {
        status: 206, statusText: "Partial Content",
        headers: { ...headers, "content-length": String(end - start), "content-range": `bytes ${start}-${end - 1}/${blob.size}` },
    });
}

/** fetch() of a URL that begins with "data:" or "blob:"; throws the TypeError that it rejects with. */
export function fetchLocal(request: Request): Response {
    const url = request.url.replace(/#.*$/s, "");
    if (url.startsWith("data:")) {
        const found = dataUrl(url);
        if (!found) {
            throw new TypeError("fetch: this data: URL has no comma, or base64 that is damaged");
        }
        return new Response(request.method === "HEAD" ? null : found[0], { statusText: "OK", headers: { "content-type": found[1] } });
    }
    const blob = blobs?.get(url);
    if (!blob || request.method !== "GET") {
        throw new TypeError(blob ? "fetch: a blob: URL can only be read, with GET" : "fetch: no blob has this URL; it was revoked, or made elsewhere");
    }
    return blobAnswer(blob, request.headers.get("range"));
}
