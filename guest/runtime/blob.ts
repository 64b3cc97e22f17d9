// SPDX-License-Identifier: Apache-2.0
//
// Blob and File (File API §3, §4). The bytes are in memory, one array; slices share it.

import { bytesOf, concat, expose, need, toText, usv } from "./interface.ts";
import { native } from "./native.ts";
import { streamFromBytes } from "./stream.ts";

type Part = Blob | string | ArrayBuffer | ArrayBufferView;

export interface BlobOptions {
    type?: string;
    endings?: "transparent" | "native";
}

/** The bytes themselves, which callers must not change. */
export let blobBytes: (blob: Blob) => Uint8Array<ArrayBuffer>;
/** A blob around bytes that are given away. */
export let blobOf: (bytes: Uint8Array<ArrayBuffer>, type: string) => Blob;

function cleanType(type: unknown): string {
    const text = toText(type);
    return /^[\x20-\x7e]*$/.test(text) ? text.toLowerCase() : "";
}

function needOptions(options: unknown, what: string): void {
    if (options !== undefined && options !== null && typeof options !== "object" && typeof options !== "function") {
        throw new TypeError(`${what} constructor: the options are a ${typeof options}, not an object such as { type }`);
    }
}

export class Blob {
    #bytes: Uint8Array<ArrayBuffer>;
    #type: string;

    static {
        blobBytes = (blob) => blob.#bytes;
        blobOf = (bytes, type) => {
            const blob = new Blob();
            blob.#bytes = bytes;
            blob.#type = cleanType(type);
            return blob;
        };
    }

    constructor(parts: Iterable<Part> = [], options?: BlobOptions | null) {
        if (typeof parts !== "object" || parts === null || !(Symbol.iterator in parts)) {
            throw new TypeError("Blob constructor: the parts are not an iterable object");
        }
        needOptions(options, "Blob");
        const endings = options?.endings ?? "transparent";
        if (endings !== "transparent" && endings !== "native") {
            throw new TypeError(`Blob constructor: endings is "${endings as string}", not "transparent" or "native"`);
        }
        const pieces: Uint8Array[] = [];
        let length = 0;
        for (const part of parts) {
            const piece = part instanceof Blob ? part.#bytes : bytesOf(part) ?? native.utf8Encode(
                endings === "native" ? usv(part).replace(/\r\n?/g, "\n") : usv(part),
            );
            pieces.push(piece);
            length += piece.length;
        }
        // One blob alone can share its bytes, which nobody changes.
        const [first] = Array.isArray(parts) && parts.length === 1 ? parts : [];
        this.#bytes = first instanceof Blob ? first.#bytes : concat(pieces, length);
        this.#type = options?.type === undefined ? "" : cleanType(options.type);
    }

    get size(): number {
        return this.#bytes.length;
    }
    get type(): string {
        return this.#type;
    }
    slice(start?: number, end?: number, type?: string): Blob {
        return blobOf(this.#bytes.subarray(start, end), type === undefined ? "" : type);
    }
    stream() {
        return streamFromBytes(this.#bytes);
    }
    async text(): Promise<string> {
        const text = native.utf8Decode(this.#bytes);
        return text.charCodeAt(0) === 0xfeff ? text.slice(1) : text;
    }
    async arrayBuffer(): Promise<ArrayBuffer> {
        return this.#bytes.slice().buffer;
    }
    async bytes(): Promise<Uint8Array> {
        return this.#bytes.slice();
    }
}
expose(Blob, "Blob");

export class File extends Blob {
    #name: string;
    #lastModified: number;

    constructor(
        parts: Iterable<Part>, name: string, options: BlobOptions & { lastModified?: number } = {},
    ) {
        need(2, arguments.length, "File constructor");
        super(parts, options);
        this.#name = usv(name);
        this.#lastModified = options?.lastModified === undefined
            ? Date.now() : Math.trunc(Number(options.lastModified)) || 0;
    }
    get name(): string {
        return this.#name;
    }
    get lastModified(): number {
        return this.#lastModified;
    }
    get webkitRelativePath(): string {
        return "";
    }
}
expose(File, "File");

/** The same bytes as a file. */
export function fileOf(
    blob: Blob, name: string, options?: BlobOptions & { lastModified?: number },
): File {
    return new File([blob], name, { type: blob.type, ...options });
}
