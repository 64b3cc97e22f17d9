// SPDX-License-Identifier: Apache-2.0
//
// node:net. Addresses are understood; there are no sockets: to connect or to listen fails with a clear error.

import EventEmitter from "./events.ts";
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

/** What a connection fails with. */
export function noSockets(host: string | undefined, port: unknown): Error {
    return coded(Error, "ERR_SOCKET_UNAVAILABLE",
        `connect ${host ?? "localhost"}:${port}: TCP connections cannot be made from here; reach the service by HTTP with fetch()`,
        { syscall: "connect", address: host, port });
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
        const [options, callback] = _normalizeArgs(args);
        if (callback) {
            this.once("connect", callback);
        }
        this.connecting = true;
        nextTick(() => {
            this.connecting = false;
            this.destroy(noSockets(options.path ?? options.host, options.port));
        });
        return this;
    },
    _read() {},
    _write(this: any, chunk: any, encoding: any, callback: any): void {
        callback(noSockets(undefined, undefined));
    },
    _final(callback: any): void {
        callback();
    },
    setTimeout(this: any, ms: number, callback?: any): any {
        this.timeout = ms;
        if (callback) {
            this[ms === 0 ? "removeListener" : "once"]("timeout", callback);
        }
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
    address: () => ({}),
    destroySoon(this: any): void {
        this.end();
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
