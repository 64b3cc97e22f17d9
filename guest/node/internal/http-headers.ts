// SPDX-License-Identifier: Apache-2.0
//
// What node:http makes of header fields.

import { coded } from "./errors.ts";

const token = /^[\^_`a-zA-Z\-0-9!#$%&'*+.|~]+$/;
// eslint-disable-next-line no-control-regex
const badValue = /[^\t\x20-\x7e\x80-\xff]/;

export const isToken = (text: string): boolean => token.test(text);
export const isFieldText = (text: string): boolean => !badValue.test(text);

export function validateHeaderName(name: unknown, label = "Header name"): void {
    if (typeof name !== "string" || !isToken(name)) {
        throw coded(TypeError, "ERR_INVALID_HTTP_TOKEN", `${label} must be a valid HTTP token ["${name}"]`);
    }
}

export function validateHeaderValue(name: string, value: unknown): void {
    if (value === undefined) {
        throw coded(TypeError, "ERR_HTTP_INVALID_HEADER_VALUE", `Invalid value "${value}" for header "${name}"`);
    }
    if (!isFieldText(String(value))) {
        throw coded(TypeError, "ERR_INVALID_CHAR", `Invalid character in header content ["${name}"]`);
    }
}

/** Of which only the first counts. */
const singles = new Set(["age", "authorization", "content-length", "content-type", "etag", "expires", "from", "host", "if-modified-since",
    "if-unmodified-since", "last-modified", "location", "max-forwards", "proxy-authorization", "referer", "retry-after", "server", "user-agent"]);

export interface Fields {
    headers: Record<string, any>;
    headersDistinct: Record<string, string[]>;
    rawHeaders: string[];
}

export function fieldsOf(pairs: Iterable<[string, string]>): Fields {
    const headers: Record<string, any> = {}, headersDistinct: Record<string, string[]> = Object.create(null);
    const rawHeaders: string[] = [];
    for (const [rawName, value] of pairs) {
        const name = rawName.toLowerCase();
        rawHeaders.push(rawName, value);
        (headersDistinct[name] ??= []).push(value);
        if (name === "set-cookie") {
            (headers[name] ??= []).push(value);
        } else if (headers[name] === undefined) {
            headers[name] = value;
        } else if (!singles.has(name)) {
            headers[name] += `${name === "cookie" ? "; " : ", "}${value}`;
        }
    }
    return { headers, headersDistinct, rawHeaders };
}

/** Those that belong to a connection, which is the host's. */
const hopByHop = new Set(["connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade", "te", "trailer"]);

/** What fetch() and Response take of the fields that code has set. */
export function webHeaders(fields: Iterable<[string, any]>, dropsHost: boolean): Headers {
    const out = new Headers();
    for (const [name, value] of fields) {
        const key = name.toLowerCase();
        if (hopByHop.has(key) || (dropsHost && (key === "host" || key === "content-length" || key === "expect"))) {
            continue;
        }
        for (const one of Array.isArray(value) ? value : [value]) {
            out.append(name, String(one));
        }
    }
    return out;
}
