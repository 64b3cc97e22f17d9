// SPDX-License-Identifier: Apache-2.0
//
// caches.default and caches.open() of Workers. Responses are kept by the host (src/cache), which is asked as workerd asks its
// cache: GET, PUT and PURGE by a request of their own, so that bodies stream and workflows record what they see.

import { console } from "../console.ts";
import { expose, need, usv } from "../interface.ts";
import { native } from "../native.ts";

const NAME_MAX = 1024;

/** What the host knows is missing, and no Response: it has other words for it. */
const MISS = 504;

const ours = Symbol();

/** Its body is not looked at. */
function requestOf(input: RequestInfo | URL, what: string): Request {
    const request = input instanceof Request ? input : new Request(input as RequestInfo);
    if (!/^https?:/.test(request.url)) {
        throw new TypeError(`${what}: the key has to be an http: or https: URL`);
    }
    return request;
}

/** The URL of a key: its fragment is no part of it. */
const keyOf = (request: Request): string => request.url.replace(/#.*$/s, "");

/** "default" is the name of caches.default only. */
const hostName = (name: string | undefined): string => name === undefined ? "default" : `=${encodeURIComponent(name)}`;

class Cache {
    #name: string;

    constructor(caller?: typeof ours, name?: string) {
        if (caller !== ours) {
            throw new TypeError("Illegal constructor: use caches.default or caches.open()");
        }
        this.#name = hostName(name);
    }

    #ask(url: string, init: RequestInit): Promise<Response> {
        return native.fetchCache(new Request(url, init), this.#name);
    }

    async match(input: RequestInfo | URL, options?: { ignoreMethod?: boolean }): Promise<Response | undefined> {
        need(1, arguments.length, "Cache.match");
        const request = requestOf(input, "Cache.match");
        if (request.method !== "GET" && !options?.ignoreMethod) {
            return undefined;
        }
        const response = await this.#ask(keyOf(request), { headers: request.headers });
        if (response.headers.get("cf-cache-status") === null && response.status === MISS) {
            return undefined;
        }
        return response;
    }

    async put(input: RequestInfo | URL, response: Response): Promise<void> {
        need(2, arguments.length, "Cache.put");
        const request = requestOf(input, "Cache.put");
        if (!(response instanceof Response)) {
            throw new TypeError("Cache.put: the second argument is no Response");
        }
        if (request.method !== "GET") {
            throw new TypeError(`Cache.put: only responses to GET requests are kept, not to ${request.method}`);
        }
        if (response.type === "error") {
            throw new TypeError("Cache.put: an error response is not kept");
        }
        if (response.status === 206) {
            throw new TypeError("Cache.put: a part of a response (206) is not kept; put the whole, match() answers ranges of it");
        }
        if (response.headers.get("vary")?.includes("*")) {
            throw new TypeError("Cache.put: a response with 'Vary: *' is never the same, and not kept");
        }
        if (response.bodyUsed || response.body?.locked) {
            throw new TypeError("Cache.put: the body was read already; put response.clone() before it is");
        }
        if (response.status === 304) {
            console.warn("Cache.put: a 304 has no content to keep, so nothing was put");
            return;
        }
        const headers = new Headers(response.headers);
        headers.set("limpet-status", `${response.status} ${response.statusText}`);
        const stored = await this.#ask(keyOf(request), { method: "PUT", headers, body: response.body, duplex: "half" } as RequestInit);
        if (stored.status === 413) {
            throw new Error("Cache.put: there is no room for it; docs/cache.md has the limits");
        }
    }

    async delete(input: RequestInfo | URL, options?: { ignoreMethod?: boolean }): Promise<boolean> {
        need(1, arguments.length, "Cache.delete");
        const request = requestOf(input, "Cache.delete");
        if (request.method !== "GET" && !options?.ignoreMethod) {
            return false;
        }
        return (await this.#ask(keyOf(request), { method: "PURGE" })).status === 200;
    }
}
expose(Cache, "Cache");

class CacheStorage {
    #default = new Cache(ours);

    constructor(caller?: typeof ours) {
        if (caller !== ours) {
            throw new TypeError("Illegal constructor: use the global caches");
        }
    }
    get default(): Cache {
        return this.#default;
    }
    async open(name: string): Promise<Cache> {
        need(1, arguments.length, "CacheStorage.open");
        const text = usv(name);
        if (text.length >= NAME_MAX) {
            throw new TypeError(`CacheStorage.open: the name has ${text.length} characters, more than ${NAME_MAX - 1}`);
        }
        return new Cache(ours, text);
    }
}
expose(CacheStorage, "CacheStorage");

export const caches = new CacheStorage(ours);
export { Cache, CacheStorage };
