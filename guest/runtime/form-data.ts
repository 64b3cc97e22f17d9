// SPDX-License-Identifier: Apache-2.0
//
// FormData (XHR §5) and its two wire formats: multipart/form-data (RFC 7578, with the escaping of the
// HTML standard) and form-urlencoded. A multipart body is searched as a Latin-1 string, because the
// engine's own indexOf is a hundred times faster than a loop over bytes in interpreted code.

import { Blob, blobBytes, blobOf, File, fileOf } from "./blob.ts";
import { concat, expose, need, pairIterator, usv } from "./interface.ts";
import { mimeOfHeader } from "./mime.ts";
import { native } from "./native.ts";
import { parseUrlencoded } from "./search-params.ts";

export type FormDataValue = string | File;

const Iterator = pairIterator<FormDataValue>("FormData");

function valueOf(value: unknown, fileName: string | undefined, what: string): FormDataValue {
    if (!(value instanceof Blob)) {
        if (fileName !== undefined) {
            throw new TypeError(`${what}: a file name needs a Blob as value`);
        }
        return usv(value);
    }
    if (value instanceof File) {
        return fileName === undefined
            ? value : fileOf(value, fileName, { lastModified: value.lastModified });
    }
    return fileOf(value, fileName ?? "blob");
}

let listOf: (form: FormData) => (string | FormDataValue)[];

export class FormData {
    #list: (string | FormDataValue)[] = [];

    static {
        listOf = (form) => form.#list;
    }

    constructor(form?: undefined) {
        if (form !== undefined) {
            throw new TypeError("FormData constructor: there are no form elements here");
        }
    }

    append(name: string, value: string | Blob, fileName?: string): void {
        need(2, arguments.length, "FormData.append");
        this.#list.push(usv(name), valueOf(
            value, fileName === undefined ? undefined : usv(fileName), "FormData.append",
        ));
    }

    delete(name: string): void {
        need(1, arguments.length, "FormData.delete");
        name = usv(name);
        const list = this.#list;
        let kept = 0;
        for (let i = 0; i < list.length; i += 2) {
            if (list[i] !== name) {
                list[kept++] = list[i]!;
                list[kept++] = list[i + 1]!;
            }
        }
        list.length = kept;
    }

    get(name: string): FormDataValue | null {
        need(1, arguments.length, "FormData.get");
        name = usv(name);
        const list = this.#list;
        for (let i = 0; i < list.length; i += 2) {
            if (list[i] === name) {
                return list[i + 1]!;
            }
        }
        return null;
    }

    getAll(name: string): FormDataValue[] {
        need(1, arguments.length, "FormData.getAll");
        name = usv(name);
        return this.#list.filter((_, i, list) => i % 2 === 1 && list[i - 1] === name);
    }

    has(name: string): boolean {
        need(1, arguments.length, "FormData.has");
        return this.get(name) !== null;
    }

    set(name: string, value: string | Blob, fileName?: string): void {
        need(2, arguments.length, "FormData.set");
        name = usv(name);
        const entry = valueOf(
            value, fileName === undefined ? undefined : usv(fileName), "FormData.set",
        );
        const list = this.#list;
        let kept = 0;
        let done = false;
        for (let i = 0; i < list.length; i += 2) {
            if (list[i] !== name) {
                list[kept++] = list[i]!;
                list[kept++] = list[i + 1]!;
            } else if (!done) {
                done = true;
                list[kept++] = name;
                list[kept++] = entry;
            }
        }
        list.length = kept;
        if (!done) {
            list.push(name, entry);
        }
    }

    forEach(
        fn: (value: FormDataValue, name: string, form: FormData) => void, thisArg: unknown = undefined,
    ): void {
        need(1, arguments.length, "FormData.forEach");
        if (typeof fn !== "function") {
            throw new TypeError("FormData.forEach: the argument is not a function");
        }
        const list = this.#list;
        for (let i = 0; i < list.length; i += 2) {
            fn.call(thisArg, list[i + 1]!, list[i] as string, this);
        }
    }

    entries(): IterableIterator<[string, FormDataValue]> {
        return new Iterator(this.#list, "key+value");
    }
    keys(): IterableIterator<string> {
        return new Iterator(this.#list, "key");
    }
    values(): IterableIterator<FormDataValue> {
        return new Iterator(this.#list, "value");
    }
    declare [Symbol.iterator]: () => IterableIterator<[string, FormDataValue]>;
}
expose(FormData, "FormData");
Object.defineProperty(FormData.prototype, Symbol.iterator, {
    value: FormData.prototype.entries, writable: true, configurable: true,
});

/** Line ends as a form sends them. */
function withCrlf(text: string): string {
    return text.replace(/\r\n?|\n/g, "\r\n");
}

function escapeName(name: string): string {
    return name.replace(/[\r\n"]/g, (c) => (c === '"' ? "%22" : c === "\r" ? "%0D" : "%0A"));
}

/** The multipart body of a form, and its content type with a fresh boundary. */
export function serializeFormData(form: FormData): [Uint8Array, string] {
    const random = native.random(16);
    const boundary = `----limpet${Array.from(random, (b) => b.toString(16).padStart(2, "0")).join("")}`;
    const parts: Uint8Array[] = [];
    let length = 0;
    const add = (part: string | Uint8Array) => {
        const bytes = typeof part === "string" ? native.utf8Encode(part) : part;
        parts.push(bytes);
        length += bytes.length;
    };
    const list = listOf(form);
    for (let i = 0; i < list.length; i += 2) {
        const name = escapeName(withCrlf(list[i] as string));
        const value = list[i + 1]!;
        const head = `--${boundary}\r\nContent-Disposition: form-data; name="${name}"`;
        if (typeof value === "string") {
            add(`${head}\r\n\r\n${withCrlf(value)}\r\n`);
        } else {
            add(`${head}; filename="${escapeName(value.name)}"\r\n`
                + `Content-Type: ${value.type || "application/octet-stream"}\r\n\r\n`);
            add(blobBytes(value));
            add("\r\n");
        }
    }
    add(`--${boundary}--\r\n`);
    return [concat(parts, length), `multipart/form-data; boundary=${boundary}`];
}

/** The parameters of a Content-Disposition. Between quotes nothing is escaped but by percent signs (HTML §4.10.21.8),
 *  so a text ends at its next quote. Senders of old escape quotes by backslashes: a quote after one that no
 *  parameter's end follows is part of the text. */
function dispositionOf(header: string): Map<string, string> | undefined {
    const after = (from: number) => {
        while (header[from] === " " || header[from] === "\t") {
            from++;
        }
        return from;
    };
    const next = (from: number) => {
        const found = header.indexOf(";", from);
        return found < 0 ? header.length : found;
    };
    let at = next(0);
    if (header.slice(0, at).trimEnd().toLowerCase() !== "form-data") {
        return undefined;
    }
    const parameters = new Map<string, string>();
    while (at < header.length) {
        const start = after(at + 1);
        const equals = header.indexOf("=", start);
        at = next(start);
        if (equals < 0 || equals > at) {
            continue; // a parameter without a value
        }
        const from = after(equals + 1);
        let value = header.slice(from, at).trimEnd();
        if (header[from] === '"') {
            let end = header.indexOf('"', from + 1);
            while (end >= 0 && header[end - 1] === "\\" && (header[after(end + 1)] ?? ";") !== ";") {
                end = header.indexOf('"', end + 1);
            }
            value = header.slice(from + 1, end < 0 ? header.length : end).replaceAll('\\"', '"');
            at = end < 0 ? header.length : next(end);
        }
        const name = header.slice(start, equals).trimEnd().toLowerCase();
        if (!parameters.has(name)) {
            parameters.set(name, value);
        }
    }
    return parameters;
}

function unescapeName(name: string): string {
    return name.replace(/%0A|%0D|%22/gi, (c) => decodeURIComponent(c));
}

function fileNameOf(parameters: Map<string, string>): string | undefined {
    const extended = /^utf-8'[^']*'(.*)$/i.exec(parameters.get("filename*") ?? "")?.[1];
    if (extended !== undefined) {
        try {
            return decodeURIComponent(extended);
        } catch {
            // Not percent-encoded UTF-8: the plain parameter is the better name.
        }
    }
    const plain = parameters.get("filename");
    return plain === undefined ? undefined : unescapeName(plain).toWellFormed();
}

/** The end of the delimiter line at `at` (after CR LF), -1 for the last delimiter, 0 if it is none. */
function delimiterEnd(text: string, at: number): number {
    if (text.startsWith("--", at)) {
        return -1;
    }
    while (text[at] === " " || text[at] === "\t") {
        at++;
    }
    return text.startsWith("\r\n", at) ? at + 2 : 0;
}

function bad(detail: string): TypeError {
    return new TypeError(`the body is not valid multipart/form-data: ${detail}`);
}

function parseMultipart(bytes: Uint8Array<ArrayBuffer>, boundary: string): FormData {
    const form = new FormData();
    const list = listOf(form);
    const text = native.latin1Decode(bytes);
    const delimiter = `\r\n--${boundary}`;
    let at = text.startsWith(delimiter.slice(2)) ? delimiter.length - 2 : -1;
    if (at < 0) {
        const first = text.indexOf(delimiter); // what stands before the first delimiter is ignored
        if (first < 0) {
            throw bad("the boundary is not in it");
        }
        at = first + delimiter.length;
    }
    for (;;) {
        const headStart = delimiterEnd(text, at);
        if (headStart < 0) {
            return form;
        }
        // The search starts at the line end before, so that a part without headers is found too.
        const headEnd = headStart ? text.indexOf("\r\n\r\n", headStart - 2) : -1;
        if (headEnd < 0) {
            throw bad("a part has no end of its headers");
        }
        let disposition: Map<string, string> | undefined;
        let type: string | undefined;
        for (const line of native.utf8Decode(bytes.subarray(headStart, headEnd)).split("\r\n")) {
            const header = /^([^:\s]+):\s*(.*?)\s*$/.exec(line);
            const key = header?.[1]!.toLowerCase();
            if (key === "content-disposition") {
                disposition = dispositionOf(header![2]!);
            } else if (key === "content-type") {
                type = header![2]!;
            }
        }
        const name = disposition?.get("name");
        if (!disposition || name === undefined) {
            throw bad("a part has no Content-Disposition: form-data with a name");
        }
        const start = headEnd + 4;
        // Starting at the blank line's own CR LF finds the delimiter of an empty part.
        let end = text.indexOf(delimiter, start - 2);
        while (end >= 0 && delimiterEnd(text, end + delimiter.length) === 0) {
            end = text.indexOf(delimiter, end + delimiter.length); // a longer word, not the delimiter
        }
        if (end < 0) {
            throw bad("the last delimiter is missing");
        }
        const body = bytes.subarray(start, Math.max(start, end));
        const fileName = fileNameOf(disposition);
        list.push(unescapeName(name).toWellFormed(), fileName === undefined
            ? native.utf8Decode(body)
            : fileOf(blobOf(body, type ?? "text/plain"), fileName));
        at = end + delimiter.length;
    }
}

/** Parses a body by its content type; a TypeError says what is wrong. */
export function parseFormData(bytes: Uint8Array<ArrayBuffer>, contentType: string): FormData {
    const mime = mimeOfHeader(contentType);
    if (mime?.essence === "application/x-www-form-urlencoded") {
        const form = new FormData();
        parseUrlencoded(native.utf8Decode(bytes), listOf(form) as string[]);
        return form;
    }
    if (mime?.essence !== "multipart/form-data") {
        throw new TypeError(
            `formData() needs a multipart/form-data or application/x-www-form-urlencoded body, not `
            + (contentType ? `"${mime?.essence ?? contentType}"` : "one without a content type"),
        );
    }
    const boundary = mime.parameters.get("boundary");
    if (!boundary) {
        throw new TypeError("the content type multipart/form-data has no boundary");
    }
    return parseMultipart(bytes, boundary);
}
