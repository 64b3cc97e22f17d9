// SPDX-License-Identifier: Apache-2.0
//
// http.Server: listen() names it by a port, and requests of the platform are given to it: by handleAsNodeRequest() and
// httpServerHandler() of cloudflare:node, and to the first that listens where a module exports nothing.

import { coded } from "./errors.ts";
import { IncomingMessage, ServerResponse } from "./http-message.ts";
import { nextTick } from "./tick.ts";
import net from "../net.ts";

const servers = new Map<number, any>();
let lastPort = 49151;

export function Server(this: any, options?: any, listener?: any): any {
    if (!(this instanceof (Server as any))) {
        return new (Server as any)(options, listener);
    }
    if (typeof options === "function") {
        [options, listener] = [{}, options];
    }
    (net.Server as any).call(this, options);
    this._options = options ?? {};
    this.timeout = 0;
    this.keepAliveTimeout = 5000;
    this.headersTimeout = 60000;
    this.requestTimeout = 300000;
    this.maxHeadersCount = null;
    this.maxRequestsPerSocket = 0;
    this._port = undefined;
    if (listener) {
        this.on("request", listener);
    }
    return this;
}
Object.setPrototypeOf(Server.prototype, net.Server.prototype);
Object.setPrototypeOf(Server, net.Server);

let isListening = false;

Object.assign(Server.prototype, {
    listen(this: any, ...args: any[]): any {
        const callback = args.find((arg) => typeof arg === "function");
        const first = args[0];
        const asked = first !== null && typeof first === "object" ? first.port : first;
        const port = Number(asked) || ++lastPort;
        if (this._port !== undefined) {
            throw coded(Error, "ERR_SERVER_ALREADY_LISTEN", "Listen method has been called more than once without closing.");
        }
        if (callback) {
            this.once("listening", callback);
        }
        if (servers.has(port)) {
            nextTick(() => this.emit("error", coded(Error, "EADDRINUSE", `listen EADDRINUSE: address already in use :::${port}`,
                { errno: -98, syscall: "listen", address: "::", port })));
            return this;
        }
        this._port = port;
        this.listening = true;
        servers.set(port, this);
        if (!isListening) {
            isListening = true;
            addEventListener("fetch", ((event: any) => {
                const [server] = servers.values();
                if (server) {
                    event.respondWith(answer(server, event.request));
                }
            }) as any);
        }
        nextTick(() => this.emit("listening"));
        return this;
    },
    close(this: any, callback?: any): any {
        const wasOpen = this._port !== undefined;
        if (wasOpen) {
            servers.delete(this._port);
            this._port = undefined;
            this.listening = false;
            nextTick(() => this.emit("close"));
        }
        if (callback) {
            if (wasOpen) {
                this.once("close", callback);
            } else {
                nextTick(callback, coded(Error, "ERR_SERVER_NOT_RUNNING", "Server is not running."));
            }
        }
        return this;
    },
    address(this: any): any {
        return this._port === undefined ? null : { address: "::", family: "IPv6", port: this._port };
    },
    setTimeout(this: any, ms: number, callback?: any): any {
        this.timeout = ms;
        if (callback) {
            this.on("timeout", callback);
        }
        return this;
    },
    closeAllConnections(): void {},
    closeIdleConnections(): void {},
});
Server.prototype[(Symbol as any).asyncDispose ?? Symbol.for("Symbol.asyncDispose")] = function (this: any): Promise<void> {
    return new Promise((resolve) => this.close(() => resolve()));
};

export function createServer(options?: any, listener?: any): any {
    return new (Server as any)(options, listener);
}

/** What stands for the connection of a request. */
function socketOf(url: URL, request: Request): any {
    const socket: any = new (net.Socket as any)();
    const isTls = url.protocol === "https:";
    socket.pending = socket.connecting = false;
    socket.encrypted = isTls;
    socket.authorized = isTls;
    socket.localPort = Number(url.port) || (isTls ? 443 : 80);
    socket.localAddress = url.hostname;
    const forwarded = request.headers.get("x-forwarded-for");
    socket.remoteAddress = forwarded ? forwarded.split(",")[0]!.trim() : "127.0.0.1";
    socket.remotePort = 0;
    socket.remoteFamily = socket.remoteAddress?.includes(":") ? "IPv6" : "IPv4";
    return socket;
}

/** Lets a server answer a request. */
export function answer(server: any, request: Request): Promise<Response> {
    const url = new URL(request.url);
    const socket = socketOf(url, request);
    const { IncomingMessage: In = IncomingMessage, ServerResponse: Out = ServerResponse } = server._options ?? {};
    const req = new In(socket)._from(request);
    req.method = request.method;
    req.url = `${url.pathname}${url.search}`;
    if (req.headers.host === undefined) {
        req.headers.host = url.host;
        req.rawHeaders.unshift("Host", url.host);
    }
    if (request.body && req.headers["content-length"] === undefined && req.headers["transfer-encoding"] === undefined) {
        req.headers["transfer-encoding"] = "chunked"; // so that packages know of the body
        req.rawHeaders.push("Transfer-Encoding", "chunked");
    }
    const res = new Out(req);
    res.assignSocket(socket);
    return new Promise((resolve) => {
        res._respond = resolve;
        request.signal?.addEventListener("abort", () => {
            if (!req.complete) {
                req.aborted = true;
                req.emit("aborted");
            }
            req.destroy();
            res.destroy();
        }, { once: true });
        res.once("finish", () => {
            if (!req.readableEnded) { // what nobody reads must not keep the request open
                req.resume();
            }
        });
        if (!server.emit("request", req, res)) {
            res.statusCode = 501;
            res.end("the http server has no listener for \"request\"");
        }
    });
}

export function serverAt(port: number): any {
    return servers.get(port);
}
