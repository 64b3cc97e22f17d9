// SPDX-License-Identifier: Apache-2.0
//
// util.MIMEType and MIMEParams (the MIME Sniffing standard).

import { coded } from "./errors.ts";

const token = /^[!#$%&'*+.^_`|~A-Za-z0-9-]+$/;
// eslint-disable-next-line no-control-regex
const quotable = /^[\t\u0020-\u007e\u0080-\u00ff]*$/;

function invalid(what: string, text: string, at: number): Error {
    return coded(TypeError, "ERR_INVALID_MIME_SYNTAX", `The MIME syntax for a ${what} in "${text}" is invalid${at >= 0 ? ` at ${at}` : ""}`);
}

export class MIMEParams {
    #map = new Map<string, string>();
    delete(name: string): void {
        this.#map.delete(`${name}`);
    }
    get(name: string): string | null {
        return this.#map.get(`${name}`) ?? null;
    }
    has(name: string): boolean {
        return this.#map.has(`${name}`);
    }
    set(name: string, value: string): void {
        name = `${name}`;
        value = `${value}`;
        if (!token.test(name)) {
            throw invalid("parameter name", name, name.search(/[^!#$%&'*+.^_`|~A-Za-z0-9-]/));
        }
        if (!quotable.test(value)) {
            throw invalid("parameter value", value, -1);
        }
        this.#map.set(name, value);
    }
    entries(): IterableIterator<[string, string]> {
        return this.#map.entries();
    }
    keys(): IterableIterator<string> {
        return this.#map.keys();
    }
    values(): IterableIterator<string> {
        return this.#map.values();
    }
    [Symbol.iterator](): IterableIterator<[string, string]> {
        return this.#map.entries();
    }
    toJSON(): string {
        return this.toString();
    }
    toString(): string {
        return [...this.#map].map(([name, value]) => `${name}=${value !== "" && token.test(value) ? value
            : `"${value.replace(/["\\]/g, "\\$&")}"`}`).join(";");
    }
    /** Reads "; a=b; c=\"d\"". */
    static read(params: MIMEParams, text: string): void {
        const part = /;[\t\n\r ]*([^;=]*)(?:=("(?:\\[^]|[^"\\])*"?[^;]*|[^;]*))?/g;
        for (const [, rawName, rawValue] of text.matchAll(part)) {
            const name = rawName!.trimEnd().toLowerCase();
            if (rawValue === undefined || !token.test(name) || params.#map.has(name)) {
                continue;
            }
            const isQuoted = rawValue.startsWith('"');
            const value = isQuoted ? /^"((?:\\[^]|[^"\\])*)/.exec(rawValue)![1]!.replace(/\\([^])/g, "$1") : rawValue.trimEnd();
            if ((value !== "" || isQuoted) && quotable.test(value)) {
                params.#map.set(name, value);
            }
        }
    }
}

export class MIMEType {
    #type = "";
    #subtype = "";
    #params = new MIMEParams();
    constructor(input: string) {
        const text = `${input}`.replace(/^[\t\n\r ]+|[\t\n\r ]+$/g, "");
        const slash = text.indexOf("/");
        const type = slash < 0 ? text : text.slice(0, slash);
        if (slash < 0 || !token.test(type)) {
            throw invalid("type", text, slash < 0 ? -1 : type.search(/[^!#$%&'*+.^_`|~A-Za-z0-9-]/));
        }
        const end = text.indexOf(";", slash);
        const subtype = text.slice(slash + 1, end < 0 ? undefined : end).trimEnd();
        if (!token.test(subtype)) {
            throw invalid("subtype", text, -1);
        }
        this.#type = type.toLowerCase();
        this.#subtype = subtype.toLowerCase();
        if (end >= 0) {
            MIMEParams.read(this.#params, text.slice(end));
        }
    }
    get type(): string {
        return this.#type;
    }
    set type(value: string) {
        value = `${value}`;
        if (!token.test(value)) {
            throw invalid("type", value, -1);
        }
        this.#type = value.toLowerCase();
    }
    get subtype(): string {
        return this.#subtype;
    }
    set subtype(value: string) {
        value = `${value}`;
        if (!token.test(value)) {
            throw invalid("subtype", value, -1);
        }
        this.#subtype = value.toLowerCase();
    }
    get essence(): string {
        return `${this.#type}/${this.#subtype}`;
    }
    get params(): MIMEParams {
        return this.#params;
    }
    toJSON(): string {
        return this.toString();
    }
    toString(): string {
        const params = this.#params.toString();
        return params ? `${this.essence};${params}` : this.essence;
    }
}
