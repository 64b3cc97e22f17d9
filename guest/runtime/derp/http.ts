// SPDX-License-Identifier: Apache-2.0
//
// derp:runtime/http: outgoing HTTP that returns when the answer is there. The whole isolate waits, so
// code that makes several requests does better with the global, asynchronous fetch().

import { bytesOf } from "../interface.ts";
import { native } from "../native.ts";

type HeaderList = [string, string][];

interface HttpRequest {
    method?: string;
    url: string;
    headers?: HeaderList | Record<string, string> | Headers;
    body?: string | ArrayBuffer | ArrayBufferView | null;
}

function headerList(headers: HttpRequest["headers"]): HeaderList {
    if (headers === undefined || headers === null) {
        return [];
    }
    const list = Symbol.iterator in headers
        ? [...headers as Iterable<[string, string]>] : Object.entries(headers);
    return list.map((pair) => {
        if (!Array.isArray(pair) || pair.length !== 2) {
            throw new TypeError("fetch(): each header must be a [name, value] pair");
        }
        return [String(pair[0]), String(pair[1])];
    });
}

class HttpResponse {
    status: number;
    statusText: string;
    headers: HeaderList;
    body: string;
    #bytes: Uint8Array;

    constructor(status: number, statusText: string, headers: HeaderList, bytes: Uint8Array) {
        this.status = status;
        this.statusText = statusText;
        this.headers = headers;
        this.body = native.utf8Decode(bytes);
        this.#bytes = bytes;
    }
    get ok(): boolean {
        return this.status >= 200 && this.status < 300;
    }
    bytes(): Uint8Array {
        return this.#bytes;
    }
    text(): string {
        return this.body;
    }
    json(): unknown {
        return JSON.parse(this.body);
    }
    header(name: string): string | undefined {
        const wanted = name.toLowerCase();
        const values = this.headers.filter(([key]) => key.toLowerCase() === wanted);
        return values.length ? values.map(([, value]) => value).join(", ") : undefined;
    }
}

export function fetch(request: HttpRequest | string): HttpResponse {
    const { method = "GET", url, headers, body } = typeof request === "string"
        ? { url: request } as HttpRequest : request;
    if (typeof url !== "string") {
        throw new TypeError("fetch(): the request needs a url, such as { method: \"GET\", url: \"https://…\" }");
    }
    const payload = body ?? undefined;
    if (payload !== undefined && typeof payload !== "string" && !bytesOf(payload)) {
        throw new TypeError("fetch(): the body must be a string or a buffer; use JSON.stringify() for objects");
    }
    return new HttpResponse(
        ...native.fetchWait(String(method).toUpperCase(), url, headerList(headers), payload),
    );
}

export function getJson(url: string): { status: number; body: unknown } {
    const { status, body } = fetch({ url, headers: [["accept", "application/json"]] });
    try {
        return { status, body: JSON.parse(body) };
    } catch (error) {
        throw new SyntaxError(
            `getJson(): ${url} answered ${status} with a body that is not JSON`, { cause: error },
        );
    }
}
