// SPDX-License-Identifier: Apache-2.0
//
// node:net. Sockets connect by TCP connections of the host, as cloudflare:sockets does; to listen fails with a clear error.

import { native } from "limpet:internal";
import EventEmitter from "./events.ts";
import { Buffer } from "./buffer.ts";
import { coded } from "./internal/errors.ts";
import { nextTick } from "./internal/tick.ts";
import { validateInteger, validateString } from "./internal/validate.ts";
import Stream from "./stream.ts";

const v4 = /^(?:(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)(?:\.(?!$)|$)){4}$/;

export function isIPv4(text: unknown): boolean {
    return v4.test(`${text}`);
}

export function isIPv6(text: unknown): boolean {
    const [address, zone] = `${text}`.split("%");
    if (zone === "" || !/^[0-9a-fA-F:.]+$/.test(address!)) {
        return false;
    }
    const sides = address!.split("::");
    if (sides.length > 2) {
        return false;
    }
    let groups = 0;
    for (const [i, side] of sides.entries()) {
        const parts = side === "" ? [] : side.split(":");
        for (const [k, part] of parts.entries()) {
            const isLast = i === sides.length - 1 && k === parts.length - 1;
            if (part.includes(".")) {
                if (!isLast || !v4.test(part)) {
                    return false;
                }
                groups += 2;
            } else if (/^[0-9a-fA-F]{1,4}$/.test(part)) {
                groups++;
            } else {
                return false;
            }
        }
    }
    return sides.length === 2 ? groups < 8 : groups === 8;
}

export function isIP(text: unknown): 0 | 4 | 6 {
    return isIPv4(text) ? 4 : isIPv6(text) ? 6 : 0;
}

const READ_BYTES = 64 * 1024;

/** The error of a connection, with a code as Node has them. */
function failure(error: any, host: string, port: unknown): Error {
    const text = `${error?.message}`;
    const code = /connection refused/.test(text) ? "ECONNREFUSED" : /reset/.test(text) ? "ECONNRESET" : /took longer/.test(text) ? "ETIMEDOUT"
        : /no address|not found|look/.test(text) ? "ENOTFOUND" : /broken pipe/.test(text) ? "EPIPE" : undefined;
    return code ? coded(Error, code, `connect ${code} ${host}:${port}: ${text}`, { syscall: "connect", address: host, port }) : error;
}

/** source, sink, address of the other side, own. */
export async function openWire(host: string, port: number, isSecure: boolean): Promise<any> {
    const bytes = await native.tcpConnect(host, port, isSecure ? 1 : 0);
    const view = new DataView(bytes.buffer, bytes.byteOffset);
    const text = (at: number) => native.utf8Decode(bytes.subarray(at + 4, at + 4 + view.getUint32(at, true)));
    return { source: view.getUint32(0, true), sink: view.getUint32(4, true), remote: text(8), local: text(12 + view.getUint32(8, true)) };
}

function splitAddress(text: string): any {
    const at = text.lastIndexOf(":");
    const address = text.slice(0, at).replace(/^\[|\]$/g, "");
    return { address, port: Number(text.slice(at + 1)), family: isIPv6(address) ? "IPv6" : "IPv4" };
}

export function _normalizeArgs(args: any[]): any[] {
    let options: any = {};
    const [first, second] = args;
    if (typeof first === "object" && first !== null) {
        options = first;
    } else if (typeof first === "string" && !/^\d+$/.test(first)) {
        options.path = first;
    } else {
        options.port = first;
        if (typeof second === "string") {
            options.host = second;
        }
    }
    const last = args.at(-1);
    return [options, typeof last === "function" ? last : null];
}

export function Socket(this: any, options?: any): any {
    if (!(this instanceof (Socket as any))) {
        return new (Socket as any)(options);
    }
    Stream.Duplex.call(this, { ...typeof options === "object" && options, autoDestroy: true, emitClose: true, decodeStrings: true });
    this.connecting = false;
    this.pending = true;
    this.bytesRead = this.bytesWritten = 0;
    this.timeout = 0;
    this.allowHalfOpen = Boolean(options?.allowHalfOpen);
    return this;
}
Object.setPrototypeOf(Socket.prototype, Stream.Duplex.prototype);
Object.setPrototypeOf(Socket, Stream.Duplex);

Object.assign(Socket.prototype, {
    connect(this: any, ...args: any[]): any {
        const [options, callback] = Array.isArray(args[0]) ? args[0] : _normalizeArgs(args);
        if (callback) {
            this.once("connect", callback);
        }
        this.connecting = true;
        this.pending = true;
        if (options.path !== undefined) {
            nextTick(() => this.destroy(coded(Error, "ENOENT", `connect ENOENT ${options.path}: there are no sockets of the file system here`, { syscall: "connect", address: options.path })));
            return this;
        }
        const host = `${options.host ?? "localhost"}`, port = Number(options.port);
        this._host = host;
        this._attach(openWire(host, port, Boolean(this._isSecure)), host, port);
        return this;
    },
    /** The connection is there, or fails. */
    _attach(this: any, opening: Promise<any>, host: string, port: unknown): void {
        opening.then((wire) => {
            if (this.destroyed) {
                native.streamEnd(wire.sink, 1);
                return;
            }
            this._wire = wire;
            const remote = splitAddress(wire.remote), local = splitAddress(wire.local);
            [this.remoteAddress, this.remotePort, this.remoteFamily] = [remote.address, remote.port, remote.family];
            [this.localAddress, this.localPort, this.localFamily] = [local.address, local.port, local.family];
            this.connecting = this.pending = false;
            this._touch();
            this.emit("connect");
            this.emit("ready");
            this.emit("_wire");
        }, (error) => {
            this.connecting = false;
            this.destroy(failure(error, host, port));
        });
    },
    _whenOpen(this: any, go: () => void): void {
        if (this._wire) {
            go();
        } else {
            this.once("_wire", go);
        }
    },
    _read(this: any): void {
        if (this._isReading || this._isLent) {
            return;
        }
        this._isReading = true;
        this._whenOpen(() => native.streamRead(this._wire.source, READ_BYTES).then((chunk: any) => {
            const to = this._heir ?? this; // TLS has taken over meanwhile
            this._isReading = false;
            to._isReading = false;
            to._touch();
            if (chunk) {
                to.bytesRead += chunk.length;
                to.push(Buffer.from(chunk.buffer, chunk.byteOffset, chunk.length));
            } else {
                to.push(null);
                to.read(0);
            }
        }, (error: any) => {
            const to = this._heir ?? this;
            to._isReading = false;
            if (!to.destroyed) {
                to.destroy(failure(error, to._host, to.remotePort));
            }
        }));
    },
    _write(this: any, chunk: any, encoding: any, callback: any): void {
        this._whenOpen(() => {
            this.bytesWritten += chunk.length;
            this._touch();
            native.streamWrite(this._wire.sink, chunk).then(() => callback(), (error: any) => callback(failure(error, this._host, this.remotePort)));
        });
    },
    _writev(this: any, chunks: any[], callback: any): void {
        this._write(Buffer.concat(chunks.map(({ chunk }) => chunk)), "buffer", callback);
    },
    _final(this: any, callback: any): void {
        if (!this._wire && !this.connecting) {
            callback();
            return;
        }
        this._whenOpen(() => {
            native.streamEnd(this._wire.sink, 0);
            callback();
        });
    },
    _destroy(this: any, error: any, callback: any): void {
        clearTimeout(this._timer);
        this.connecting = false;
        if (this._wire && !this._isLent) {
            native.streamEnd(this._wire.sink, this.writableFinished ? 0 : 1);
            native.streamClose(this._wire.source);
        }
        callback(error);
    },
    /** Something came or went: the timeout begins anew. */
    _touch(this: any): void {
        clearTimeout(this._timer);
        if (this.timeout > 0 && !this.destroyed) {
            this._timer = setTimeout(() => this.emit("timeout"), this.timeout);
        }
    },
    setTimeout(this: any, ms: number, callback?: any): any {
        this.timeout = ms;
        if (callback) {
            this[ms === 0 ? "removeListener" : "once"]("timeout", callback);
        }
        this._touch();
        return this;
    },
    setKeepAlive(this: any): any {
        return this;
    },
    setNoDelay(this: any): any {
        return this;
    },
    ref(this: any): any {
        return this;
    },
    unref(this: any): any {
        return this;
    },
    address(this: any): any {
        return this._wire ? { address: this.localAddress, port: this.localPort, family: this.localFamily } : {};
    },
    destroySoon(this: any): void {
        if (this.writable) {
            this.end();
        }
        if (this.writableFinished) {
            this.destroy();
        } else {
            this.once("finish", this.destroy);
        }
    },
    resetAndDestroy(this: any): any {
        return this.destroy();
    },
});
Object.defineProperty(Socket.prototype, "readyState", {
    get(this: any) {
        return this.connecting ? "opening" : this.destroyed ? "closed" : "open";
    }, configurable: true,
});
const Stream_ = Socket;

export function connect(...args: any[]): any {
    const [options, callback] = _normalizeArgs(args);
    return new (Socket as any)(options).connect(options, ...callback ? [callback] : []);
}
export const createConnection = connect;

export function Server(this: any, options?: any, listener?: any): any {
    if (!(this instanceof (Server as any))) {
        return new (Server as any)(options, listener);
    }
    EventEmitter.call(this);
    if (typeof options === "function") {
        listener = options;
    }
    if (typeof listener === "function") {
        this.on("connection", listener);
    }
    this.listening = false;
    this.maxConnections = undefined;
    return this;
}
Object.setPrototypeOf(Server.prototype, EventEmitter.prototype);
Object.setPrototypeOf(Server, EventEmitter);
Object.assign(Server.prototype, {
    listen(this: any): any {
        const error = coded(Error, "ERR_SOCKET_UNAVAILABLE", "listen: TCP servers cannot run here; serve HTTP with node:http or a fetch handler", { syscall: "listen" });
        nextTick(() => this.emit("error", error));
        return this;
    },
    close(this: any, callback?: any): any {
        if (callback) {
            this.once("close", callback);
        }
        this.listening = false;
        nextTick(() => this.emit("close"));
        return this;
    },
    address: () => null,
    getConnections: (callback: any) => nextTick(callback, null, 0),
    ref(this: any): any {
        return this;
    },
    unref(this: any): any {
        return this;
    },
});

export function createServer(options?: any, listener?: any): any {
    return new (Server as any)(options, listener);
}

/** An address as one big number of so many bits. */
function bitsOf(address: string): bigint {
    if (isIPv4(address)) {
        return address.split(".").reduce((sum, part) => sum << 8n | BigInt(part), 0n);
    }
    const [head, tail] = address.split("%")[0]!.replace(/(\d+\.\d+\.\d+\.\d+)$/, (text) => {
        const bits = bitsOf(text);
        return `${(bits >> 16n).toString(16)}:${(bits & 0xffffn).toString(16)}`;
    }).split("::");
    const parts = (text?: string) => (text ? text.split(":") : []);
    const a = parts(head), b = parts(tail);
    return [...a, ...Array(8 - a.length - b.length).fill("0"), ...b].reduce((sum, part) => sum << 16n | BigInt(`0x${part}`), 0n);
}

export class SocketAddress {
    address: string;
    port: number;
    family: string;
    flowlabel: number;
    constructor({ address, port = 0, family = "ipv4", flowlabel = 0 }: any = {}) {
        this.family = family;
        this.address = address ?? (family === "ipv6" ? "::" : "127.0.0.1");
        this.port = port;
        this.flowlabel = flowlabel;
        if (isIP(this.address) !== (family === "ipv6" ? 6 : 4)) {
            throw coded(Error, "ERR_INVALID_ADDRESS", "Invalid address");
        }
    }
    toJSON(): any {
        return { address: this.address, port: this.port, family: this.family, flowlabel: this.flowlabel };
    }
}

export class BlockList {
    #rules: { family: string; from: bigint; to: bigint; text: string }[] = [];
    #add(text: string, family: string, from: bigint, to: bigint): void {
        this.#rules.unshift({ text, family: family.toLowerCase(), from, to });
    }
    #text(address: any, family: string): [string, string] {
        if (address instanceof SocketAddress) {
            return [address.address, address.family];
        }
        validateString(address, "address");
        if (isIP(address) === 0) {
            throw coded(Error, "ERR_INVALID_ADDRESS", "Invalid address");
        }
        return [address, family];
    }
    addAddress(address: any, family = "ipv4"): void {
        const [text, kind] = this.#text(address, family);
        this.#add(`Address: ${kind === "ipv4" ? "IPv4" : "IPv6"} ${text}`, kind, bitsOf(text), bitsOf(text));
    }
    addRange(start: any, end: any, family = "ipv4"): void {
        const [a, kind] = this.#text(start, family), [b] = this.#text(end, family);
        if (bitsOf(a) > bitsOf(b)) {
            throw coded(TypeError, "ERR_INVALID_ARG_VALUE", `The argument 'start' must come before end. Received '${a}'`);
        }
        this.#add(`Range: ${kind === "ipv4" ? "IPv4" : "IPv6"} ${a}-${b}`, kind, bitsOf(a), bitsOf(b));
    }
    addSubnet(net: any, prefix: number, family = "ipv4"): void {
        const [text, kind] = this.#text(net, family);
        const width = kind === "ipv4" ? 32 : 128;
        validateInteger(prefix, "prefix", 0, width);
        const host = BigInt(width - prefix);
        const from = bitsOf(text) >> host << host;
        this.#add(`Subnet: ${kind === "ipv4" ? "IPv4" : "IPv6"} ${text}/${prefix}`, kind, from, from | (1n << host) - 1n);
    }
    check(address: any, family = "ipv4"): boolean {
        let [text, kind] = this.#text(address, family);
        kind = kind.toLowerCase();
        const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(text);
        if (mapped && kind === "ipv6") {
            text = mapped[1]!;
            kind = "ipv4";
        }
        const bits = bitsOf(text);
        return this.#rules.some((rule) => rule.family === kind && bits >= rule.from && bits <= rule.to);
    }
    get rules(): string[] {
        return this.#rules.map(({ text }) => text);
    }
    static isBlockList(value: unknown): boolean {
        return value instanceof BlockList;
    }
}

let autoSelect = true, autoSelectTimeout = 250;
export const getDefaultAutoSelectFamily = (): boolean => autoSelect;
export const setDefaultAutoSelectFamily = (value: boolean): void => {
    autoSelect = value;
};
export const getDefaultAutoSelectFamilyAttemptTimeout = (): number => autoSelectTimeout;
export const setDefaultAutoSelectFamilyAttemptTimeout = (value: number): void => {
    autoSelectTimeout = value;
};
export const _createServerHandle = (): number => -95;
export const _setSimultaneousAccepts = (): void => {};
export { Stream_ as Stream };

export default {
    BlockList, Server, Socket, SocketAddress, Stream: Socket, _normalizeArgs, connect, createConnection, createServer,
    getDefaultAutoSelectFamily, getDefaultAutoSelectFamilyAttemptTimeout, isIP, isIPv4, isIPv6, setDefaultAutoSelectFamily,
    setDefaultAutoSelectFamilyAttemptTimeout,
};
