// SPDX-License-Identifier: Apache-2.0
//
// MIME types as the WHATWG's MIME Sniffing standard parses and writes them, and as Fetch takes them out of
// a content-type header.

export interface MimeType {
    essence: string; // type/subtype in lower case
    parameters: Map<string, string>; // names in lower case
}

const TOKEN = /^[-!#$%&'*+.^`|~\w]+$/;
const QUOTED_CHARACTERS = /^[\t\x20-\x7e\x80-\xff]*$/;

function trim(text: string): string {
    return text.replace(/^[\t\n\r ]+|[\t\n\r ]+$/g, "");
}

/** The quoted text whose opening quote is at `at`, and the place after the closing one, which may be missing. */
function quoted(text: string, at: number): [value: string, end: number] {
    let value = "";
    for (at++; at < text.length && text[at] !== '"'; at++) {
        if (text[at] === "\\" && at + 1 < text.length) {
            at++;
        }
        value += text[at]!;
    }
    return [value, Math.min(at + 1, text.length)];
}

/** The place of the next one of the marks, or the end. */
function until(text: string, at: number, marks: string): number {
    while (at < text.length && !marks.includes(text[at]!)) {
        at++;
    }
    return at;
}

export function mimeParse(input: string): MimeType | undefined {
    const text = trim(input);
    let at = until(text, 0, ";");
    const [type, subtype, more] = text.slice(0, at).replace(/[\t\n\r ]+$/, "").split("/");
    if (more !== undefined || !TOKEN.test(type ?? "") || !TOKEN.test(subtype ?? "")) {
        return undefined;
    }
    const parameters = new Map<string, string>();
    while (at < text.length) {
        const start = at + 1;
        at = until(text, start, ";=");
        const name = text.slice(start, at).replace(/^[\t\n\r ]+/, "").toLowerCase();
        if (text[at] !== "=") {
            continue;
        }
        let value: string;
        const isQuoted = text[++at] === '"';
        if (isQuoted) {
            [value, at] = quoted(text, at);
            at = until(text, at, ";");
        } else {
            const from = at;
            at = until(text, at, ";");
            value = text.slice(from, at).replace(/[\t\n\r ]+$/, "");
        }
        if (TOKEN.test(name) && (isQuoted || value !== "") && QUOTED_CHARACTERS.test(value)
            && !parameters.has(name)) {
            parameters.set(name, value);
        }
    }
    return { essence: `${type}/${subtype}`.toLowerCase(), parameters };
}

export function mimeText({ essence, parameters }: MimeType): string {
    let text = essence;
    for (const [name, value] of parameters) {
        text += `;${name}=${TOKEN.test(value) ? value : `"${value.replace(/["\\]/g, "\\$&")}"`}`;
    }
    return text;
}

/** The values of a list separated by commas, which may stand in quotes. */
function listed(header: string): string[] {
    const values: string[] = [];
    let start = 0;
    for (let at = 0; at <= header.length;) {
        at = until(header, at, ',"');
        if (header[at] === '"') {
            at = quoted(header, at)[1];
        } else {
            values.push(header.slice(start, at));
            start = ++at;
        }
    }
    return values;
}

/** "Extract a MIME type" of Fetch: what the values of a content-type header say together. */
export function mimeOfHeader(header: string): MimeType | undefined {
    let found: MimeType | undefined;
    let charset: string | undefined;
    for (const value of listed(header)) {
        const mime = mimeParse(value);
        if (!mime || mime.essence === "*/*") {
            continue;
        }
        if (mime.essence !== found?.essence) {
            charset = mime.parameters.get("charset");
        } else if (!mime.parameters.has("charset") && charset !== undefined) {
            mime.parameters.set("charset", charset);
        }
        found = mime;
    }
    return found;
}
