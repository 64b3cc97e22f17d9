// SPDX-License-Identifier: Apache-2.0
//
// IncomingMessage, OutgoingMessage and ServerResponse. They are functions, since packages call them on objects of
// their own, and keep their state in properties that no package uses.

import { Buffer } from "../buffer.ts";
import { coded, invalidArgType } from "./errors.ts";
import { fieldsOf, validateHeaderName, validateHeaderValue, webHeaders } from "./http-headers.ts";
import { STATUS_CODES } from "./http-names.ts";
import { nextTick } from "./tick.ts";
import Stream from "../stream.ts";

/* ---- what comes in ---- */

export function IncomingMessage(this: any, socket?: any): any {
    if (!(this instanceof (IncomingMessage as any))) {
        return new (IncomingMessage as any)(socket);
    }
    Stream.Readable.call(this, { autoDestroy: true, highWaterMark: 16 * 1024 });
    this.socket = socket ?? null;
    this.httpVersion = "1.1";
    this.httpVersionMajor = 1;
    this.httpVersionMinor = 1;
    this.complete = false;
    this.aborted = false;
    this.upgrade = false;
    this.url = "";
    this.method = null;
    this.statusCode = null;
    this.statusMessage = null;
    this.headers = {};
    this.headersDistinct = Object.create(null);
    this.rawHeaders = [];
    this.trailers = {};
    this.trailersDistinct = Object.create(null);
    this.rawTrailers = [];
    this._reader = undefined;
    return this;
}
Object.setPrototypeOf(IncomingMessage.prototype, Stream.Readable.prototype);
Object.setPrototypeOf(IncomingMessage, Stream.Readable);

Object.assign(IncomingMessage.prototype, {
    /** Takes head and body of a web message. */
    _from(this: any, message: Request | Response): any {
        Object.assign(this, fieldsOf(message.headers as any));
        this._body = message.body;
        return this;
    },
    _read(this: any): void {
        if (!this._body) {
            this.complete = true;
            this.push(null);
            return;
        }
        this._reader ??= this._body.getReader();
        this._reader.read().then(({ done, value }: any) => {
            if (done) {
                this.complete = true;
                this._body = null;
                this.push(null);
            } else {
                this.push(Buffer.from(value.buffer, value.byteOffset, value.byteLength));
            }
        }, (error: unknown) => {
            this.aborted = true;
            this.destroy(Object.assign(new Error("aborted", { cause: error }), { code: "ECONNRESET" }));
        });
    },
    _destroy(this: any, error: unknown, callback: (error: unknown) => void): void {
        if (!this.complete && this._body) {
            (this._reader ?? this._body).cancel(error).catch(() => {});
        }
        callback(error);
    },
    setTimeout(this: any, ms: number, callback?: any): any {
        if (callback) {
            this.on("timeout", callback);
        }
        return this;
    },
});
Object.defineProperty(IncomingMessage.prototype, "connection", {
    configurable: true, get(this: any) {
        return this.socket;
    }, set(this: any, value: any) {
        this.socket = value;
    },
});

/* ---- what goes out ---- */

export function OutgoingMessage(this: any, options?: any): any {
    if (!(this instanceof (OutgoingMessage as any))) {
        return new (OutgoingMessage as any)(options);
    }
    Stream.Writable.call(this, { autoDestroy: true, highWaterMark: 64 * 1024, decodeStrings: true, emitClose: true });
    this._fields = new Map();
    this._isHeadSent = false;
    this.sendDate = true;
    this.shouldKeepAlive = true;
    this.useChunkedEncodingByDefault = true;
    this.chunkedEncoding = false;
    this.socket = null;
    this.req = undefined;
    this._hasBody = true;
    this._header = null;
    return this;
}
Object.setPrototypeOf(OutgoingMessage.prototype, Stream.Writable.prototype);
Object.setPrototypeOf(OutgoingMessage, Stream.Writable);

function fields(message: any): Map<string, [string, any]> {
    return message._fields ??= new Map();
}

function checkUnsent(message: any, what: string): void {
    if (message._isHeadSent) {
        throw coded(Error, "ERR_HTTP_HEADERS_SENT", `Cannot ${what} headers after they are sent to the client`);
    }
}

Object.assign(OutgoingMessage.prototype, {
    setHeader(this: any, name: any, value: any): any {
        checkUnsent(this, "set");
        validateHeaderName(name);
        for (const one of Array.isArray(value) ? value : [value]) {
            validateHeaderValue(name, one);
        }
        fields(this).set(name.toLowerCase(), [name, value]);
        return this;
    },
    setHeaders(this: any, headers: any): any {
        checkUnsent(this, "set");
        if (!headers || Array.isArray(headers) || typeof headers.keys !== "function" || typeof headers.get !== "function") {
            throw invalidArgType("headers", ["Headers", "Map"], headers);
        }
        const cookies: string[] = [];
        for (const [name, value] of headers) {
            if (name === "set-cookie") {
                cookies.push(...Array.isArray(value) ? value : [value]);
            } else {
                this.setHeader(name, value);
            }
        }
        if (cookies.length) {
            this.setHeader("set-cookie", cookies);
        }
        return this;
    },
    appendHeader(this: any, name: any, value: any): any {
        checkUnsent(this, "append");
        validateHeaderName(name);
        validateHeaderValue(name, value);
        const known = fields(this).get(name.toLowerCase());
        fields(this).set(name.toLowerCase(), known ? [known[0], [].concat(known[1], value)] : [name, value]);
        return this;
    },
    getHeader(this: any, name: any): any {
        if (typeof name !== "string") {
            throw invalidArgType("name", "string", name);
        }
        return fields(this).get(name.toLowerCase())?.[1];
    },
    getHeaders(this: any): any {
        const out = Object.create(null);
        for (const [key, [, value]] of fields(this)) {
            out[key] = value;
        }
        return out;
    },
    getHeaderNames(this: any): string[] {
        return [...fields(this).keys()];
    },
    getRawHeaderNames(this: any): string[] {
        return [...fields(this).values()].map(([name]) => name);
    },
    hasHeader(this: any, name: any): boolean {
        if (typeof name !== "string") {
            throw invalidArgType("name", "string", name);
        }
        return fields(this).has(name.toLowerCase());
    },
    removeHeader(this: any, name: any): void {
        if (typeof name !== "string") {
            throw invalidArgType("name", "string", name);
        }
        checkUnsent(this, "remove");
        fields(this).delete(name.toLowerCase());
    },
    flushHeaders(this: any): void {
        this._sendHead?.();
    },
    addTrailers(): void {},
    setTimeout(this: any, ms: number, callback?: any): any {
        if (callback) {
            this.on("timeout", callback);
        }
        return this;
    },
    cork(): void {},
    uncork(): void {},
    _implicitHeader(): void {},
    /** What a Response or a fetch() takes. */
    _webHeaders(this: any, dropsHost: boolean): Headers {
        return webHeaders(fields(this).values(), dropsHost);
    },
});
for (const [name, get] of Object.entries({
    headersSent: (message: any) => Boolean(message._isHeadSent),
    connection: (message: any) => message.socket,
    finished: (message: any) => Boolean(message._writableState?.ending),
    _headers: (message: any) => message.getHeaders(),
})) {
    Object.defineProperty(OutgoingMessage.prototype, name, {
        configurable: true, get(this: any) {
            return get(this);
        }, set() {},
    });
}

/* ---- answers ---- */

export function ServerResponse(this: any, req: any, options?: any): any {
    if (!(this instanceof (ServerResponse as any))) {
        return new (ServerResponse as any)(req, options);
    }
    (OutgoingMessage as any).call(this, options);
    this.req = req;
    this.statusCode = 200;
    this.statusMessage = undefined;
    this._respond = undefined; // (Response) => void: where the answer goes
    this._controller = undefined; // of a body that is streamed
    this._wake = undefined;
    this._chunks = [];
    return this;
}
Object.setPrototypeOf(ServerResponse.prototype, OutgoingMessage.prototype);
Object.setPrototypeOf(ServerResponse, OutgoingMessage);

function hasNoBody(res: any): boolean {
    return res.req?.method === "HEAD" || res.statusCode === 204 || res.statusCode === 304 || res.statusCode === 205;
}

Object.assign(ServerResponse.prototype, {
    writeHead(this: any, status: any, reason?: any, headers?: any): any {
        const original = status;
        status |= 0;
        if (status < 100 || status > 999) {
            throw coded(RangeError, "ERR_HTTP_INVALID_STATUS_CODE", `Invalid status code: ${original}`);
        }
        if (this._isHeadSent) {
            throw coded(Error, "ERR_HTTP_HEADERS_SENT", "Cannot write headers after they are sent to the client");
        }
        if (typeof reason === "string") {
            this.statusMessage = reason;
        } else {
            headers ??= reason;
            this.statusMessage ||= STATUS_CODES[status] ?? "unknown";
        }
        this.statusCode = status;
        if (Array.isArray(headers)) {
            const flat = Array.isArray(headers[0]) ? headers.flat() : headers;
            if (flat.length % 2) {
                throw coded(TypeError, "ERR_INVALID_ARG_VALUE", "The argument 'headers' is invalid.");
            }
            const seen = new Set<string>();
            for (let i = 0; i < flat.length; i += 2) {
                const key = String(flat[i]).toLowerCase();
                this[seen.has(key) ? "appendHeader" : "setHeader"](flat[i], flat[i + 1]);
                seen.add(key);
            }
        } else if (headers) {
            for (const [name, value] of Object.entries(headers)) {
                this.setHeader(name, value);
            }
        }
        this._isHeadSent = true;
        this._hasBody = !hasNoBody(this);
        const lines = [...fields(this).values()].flatMap(([name, value]) => [].concat(value).map((one) => `${name}: ${one}\r\n`));
        this._header = `HTTP/1.1 ${this.statusCode} ${this.statusMessage}\r\n${lines.join("")}\r\n`;
        return this;
    },
    writeHeader(this: any, ...args: any[]): any {
        return this.writeHead(...args);
    },
    _implicitHeader(this: any): void {
        this.writeHead(this.statusCode);
    },
    /** Gives the Response, whose body is bytes, or, undefined, what is written from now on. */
    _sendHead(this: any, bytes?: any): void {
        if (!this._isHeadSent) {
            this._implicitHeader();
        }
        const respond = this._respond;
        if (!respond) {
            return;
        }
        this._respond = undefined;
        const init = { status: this.statusCode, statusText: this.statusMessage ?? STATUS_CODES[this.statusCode] ?? "", headers: this._webHeaders(false) };
        if (init.status < 200) {
            init.status = 200;
        }
        if (hasNoBody(this)) {
            respond(new Response(null, init));
        } else if (bytes !== undefined) {
            init.headers.delete("content-length");
            respond(new Response(bytes, init));
        } else {
            respond(new Response(new ReadableStream({
                start: (controller) => {
                    this._controller = controller;
                },
                pull: () => {
                    const wake = this._wake;
                    this._wake = undefined;
                    wake?.();
                },
                cancel: () => {
                    this._controller = undefined;
                    this.destroy();
                },
            }, { highWaterMark: 1 }), init));
        }
    },
    _write(this: any, chunk: any, encoding: string, callback: any): void {
        const bytes = typeof chunk === "string" ? Buffer.from(chunk, encoding) : chunk;
        if (this._writableState.ending && this._respond && this._writableState.length <= bytes.length) {
            this._chunks.push(bytes); // the only one: end() has it
            callback();
            return;
        }
        this._sendHead();
        const controller = this._controller;
        if (!controller || hasNoBody(this)) {
            callback();
            return;
        }
        controller.enqueue(new Uint8Array(bytes));
        if ((controller.desiredSize ?? 1) > 0) {
            callback();
        } else {
            this._wake = callback;
        }
    },
    _final(this: any, callback: any): void {
        if (this._respond) {
            this._sendHead(this._chunks.length === 1 ? this._chunks[0] : Buffer.concat(this._chunks));
        } else {
            this._controller?.close();
            this._controller = undefined;
        }
        callback();
    },
    _destroy(this: any, error: any, callback: any): void {
        const failure = error ?? new Error("the response was destroyed before its end");
        if (!this._writableState.finished) {
            this._controller?.error(failure);
            if (this._respond) {
                this._respond(Promise.reject(failure));
                this._respond = undefined;
            }
        }
        const wake = this._wake;
        this._wake = undefined;
        wake?.();
        callback(error);
    },
    writeContinue(this: any, callback?: any): void {
        if (callback) {
            nextTick(callback);
        }
    },
    writeProcessing(): void {},
    writeEarlyHints(this: any, hints: any, callback?: any): void {
        if (callback) {
            nextTick(callback);
        }
    },
    assignSocket(this: any, socket: any): void {
        this.socket = socket;
        socket._httpMessage = this;
    },
    detachSocket(this: any, socket: any): void {
        socket._httpMessage = null;
        this.socket = null;
    },
});
