// SPDX-License-Identifier: Apache-2.0
//
// http.request(): the request goes out by fetch() when it is ended. Redirects are the caller's, and the body of the answer comes
// decoded, so its fields say nothing of a coding.

import { Buffer } from "../buffer.ts";
import EventEmitter from "../events.ts";
import { coded, invalidArgType, invalidArgValue } from "./errors.ts";
import { IncomingMessage, OutgoingMessage } from "./http-message.ts";
import { nextTick } from "./tick.ts";
import net from "../net.ts";
import { urlToHttpOptions } from "../url.ts";

export function Agent(this: any, options?: any): any {
    if (!(this instanceof (Agent as any))) {
        return new (Agent as any)(options);
    }
    EventEmitter.call(this);
    this.options = { __proto__: null, path: null, ...options };
    this.defaultPort = 80;
    this.protocol = "http:";
    this.requests = Object.create(null);
    this.sockets = Object.create(null);
    this.freeSockets = Object.create(null);
    this.keepAlive = Boolean(options?.keepAlive);
    this.keepAliveMsecs = options?.keepAliveMsecs ?? 1000;
    this.maxSockets = options?.maxSockets ?? Infinity;
    this.maxFreeSockets = options?.maxFreeSockets ?? 256;
    this.maxTotalSockets = options?.maxTotalSockets ?? Infinity;
    this.scheduling = options?.scheduling ?? "lifo";
    return this;
}
Object.setPrototypeOf(Agent.prototype, EventEmitter.prototype);
Object.setPrototypeOf(Agent, EventEmitter);
Agent.defaultMaxSockets = Infinity;
Object.assign(Agent.prototype, {
    getName: (options: any = {}): string => [options.host || "localhost", options.port || "", options.localAddress || "",
        ...options.family === 4 || options.family === 6 ? [options.family] : [], ...options.socketPath ? [options.socketPath] : []].join(":"),
    createConnection: net.createConnection,
    keepSocketAlive: (): boolean => true,
    reuseSocket(): void {},
    destroy(): void {},
});
export const globalAgent = new (Agent as any)({ keepAlive: true });

export function ClientRequest(this: any, input: any, options?: any, callback?: any): any {
    if (!(this instanceof (ClientRequest as any))) {
        return new (ClientRequest as any)(input, options, callback);
    }
    (OutgoingMessage as any).call(this);
    this._writableState.autoDestroy = false; // the answer is still to come when all is written
    if (typeof input === "string") {
        input = urlToHttpOptions(new URL(input));
    } else if (input instanceof URL) {
        input = urlToHttpOptions(input);
    } else {
        callback = options;
        options = input;
        input = null;
    }
    if (typeof options === "function") {
        callback = options;
        options = input || {};
    } else {
        options = { ...input, ...options };
    }
    const protocol = options.protocol || options.agent?.protocol || options._defaultProtocol || "http:";
    if (protocol !== "http:" && protocol !== "https:") {
        throw coded(TypeError, "ERR_INVALID_PROTOCOL", `Protocol "${protocol}" not supported. Expected "http:"`);
    }
    if (/^[a-z][a-z0-9+.-]*:\/\//i.test(options.path ?? "")) {
        throw invalidArgValue("options.path", options.path, "must not be an absolute URL: name the host by options.host");
    }
    if (options.path && /[^\u0021-\u00ff]/.test(options.path)) {
        throw coded(TypeError, "ERR_UNESCAPED_CHARACTERS", "Request path contains unescaped characters");
    }
    const method = options.method;
    if (method !== undefined && method !== null && typeof method !== "string") {
        throw invalidArgType("options.method", "string", method);
    }
    if (method && !/^[\^_`a-zA-Z\-0-9!#$%&'*+.|~]+$/.test(method)) {
        throw coded(TypeError, "ERR_INVALID_HTTP_TOKEN", `Method must be a valid HTTP token ["${method}"]`);
    }
    this.method = (method || "GET").toUpperCase();
    this.protocol = protocol;
    this.host = options.hostname || options.host || "localhost";
    this.port = options.port;
    this.path = options.path || "/";
    this.agent = options.agent ?? globalAgent;
    this.aborted = false;
    this.reusedSocket = false;
    this.maxHeadersCount = null;
    this.res = null;
    this._chunks = [];
    this._abort = new AbortController();
    this._timer = undefined;
    if (options.headers) {
        const pairs = Array.isArray(options.headers) ? Array.from({ length: options.headers.length / 2 }, (_, i) => [options.headers[2 * i], options.headers[2 * i + 1]])
            : Object.entries(options.headers);
        for (const [name, value] of pairs as [string, any][]) {
            if (value !== undefined) {
                this.setHeader(name, value);
            }
        }
    }
    if (options.auth && !this.hasHeader("authorization")) {
        this.setHeader("Authorization", `Basic ${Buffer.from(options.auth).toString("base64")}`);
    }
    const isDefaultPort = !this.port || Number(this.port) === (protocol === "https:" ? 443 : 80);
    if (!this.hasHeader("host") && options.setHost !== false) {
        const host = net.isIPv6(this.host) ? `[${this.host}]` : this.host;
        this.setHeader("Host", isDefaultPort ? host : `${host}:${this.port}`);
    }
    if (callback) {
        this.once("response", callback);
    }
    if (options.timeout !== undefined) {
        this.setTimeout(options.timeout);
    }
    options.signal?.addEventListener("abort", () => this.destroy(Object.assign(new Error("The operation was aborted"), { name: "AbortError", code: "ABORT_ERR" })), { once: true });
    nextTick(() => {
        if (!this.destroyed) {
            this.socket = new (net.Socket as any)();
            this.socket.connecting = this.socket.pending = false;
            this.emit("socket", this.socket);
        }
    });
    return this;
}
Object.setPrototypeOf(ClientRequest.prototype, OutgoingMessage.prototype);
Object.setPrototypeOf(ClientRequest, OutgoingMessage);

function urlOf(request: any): string {
    const host = net.isIPv6(request.host) ? `[${request.host}]` : request.host;
    return `${request.protocol}//${host}${request.port ? `:${request.port}` : ""}${request.path.startsWith("/") ? "" : "/"}${request.path}`;
}

/** An error as a socket would have given it. */
function failureOf(request: any, cause: any): any {
    const text = String(cause?.message ?? cause);
    const code = cause?.code === "forbidden" ? "EACCES" : /was not found|resolve/i.test(text) ? "ENOTFOUND"
        : /time[d ]?-?out/i.test(text) ? "ETIMEDOUT" : /refused|connect to/i.test(text) ? "ECONNREFUSED" : "ECONNRESET";
    return Object.assign(new Error(text, { cause }), {
        code: cause?.code && typeof cause.code === "string" && /^E[A-Z]+$/.test(cause.code) ? cause.code : code, syscall: "connect",
        ...code === "ENOTFOUND" ? { hostname: request.host } : { address: request.host, port: request.port },
    });
}

async function send(request: any): Promise<void> {
    const hasBody = request._chunks.length > 0 && request.method !== "GET" && request.method !== "HEAD";
    const init: RequestInit = {
        method: request.method, headers: request._webHeaders(true), redirect: "manual", signal: request._abort.signal,
        ...hasBody && { body: request._chunks.length === 1 ? request._chunks[0] : Buffer.concat(request._chunks) },
    };
    let response: Response;
    try {
        response = await fetch(urlOf(request), init);
    } catch (error) {
        if (!request.destroyed) {
            request.destroy(failureOf(request, error));
        }
        return;
    }
    if (request.destroyed) {
        return;
    }
    const res = new (IncomingMessage as any)(request.socket)._from(response);
    res.statusCode = response.status;
    res.statusMessage = response.statusText;
    res.req = request;
    request.res = res;
    clearTimeout(request._timer);
    res.once("close", () => nextTick(() => request.emit("close")));
    if (!request.emit("response", res)) {
        res.resume();
    }
}

Object.assign(ClientRequest.prototype, {
    _write(this: any, chunk: any, encoding: string, callback: any): void {
        this._isHeadSent = true;
        this._chunks.push(typeof chunk === "string" ? Buffer.from(chunk, encoding) : chunk);
        callback();
    },
    _final(this: any, callback: any): void {
        this._isHeadSent = true;
        callback();
        void send(this);
    },
    _destroy(this: any, error: any, callback: any): void {
        clearTimeout(this._timer);
        this._abort.abort();
        if (this.res && !this.res.complete) {
            this.res.destroy(error);
        }
        callback(error ?? (this.res || this.aborted && !this._isHeadSent ? null : Object.assign(new Error("socket hang up"), { code: "ECONNRESET" })));
    },
    abort(this: any): void {
        if (!this.aborted) {
            this.aborted = true;
            nextTick(() => this.emit("abort"));
            this.destroy();
        }
    },
    setTimeout(this: any, ms: number, callback?: any): any {
        if (callback) {
            this.once("timeout", callback);
        }
        clearTimeout(this._timer);
        this.timeout = ms;
        if (ms > 0) {
            this._timer = setTimeout(() => this.emit("timeout"), ms);
        }
        return this;
    },
    setNoDelay(): void {},
    setSocketKeepAlive(): void {},
    onSocket(): void {},
    clearTimeout(this: any, callback?: any): any {
        return this.setTimeout(0, callback);
    },
});

export function request(protocol: string, url: any, options?: any, callback?: any): any {
    if (typeof url === "string" || url instanceof URL) {
        const parsed = new URL(url);
        if (typeof options === "function") {
            return new (ClientRequest as any)(parsed, {}, options);
        }
        return new (ClientRequest as any)(parsed, { ...options }, callback);
    }
    return new (ClientRequest as any)({ ...url, _defaultProtocol: protocol }, options);
}
