// SPDX-License-Identifier: Apache-2.0
//
// cloudflare:sockets: TCP connections as two streams, as Workers have them. node:net and node:tls stand on it.

import { ReadableStream, WritableStream } from "web-streams-polyfill";
import { bytesOf, expose, usv } from "../interface.ts";
import { native } from "../native.ts";
import { platformClasses } from "../clone.ts";

const READ_BYTES = 64 * 1024;

type SecureTransport = "off" | "on" | "starttls";
interface SocketOptions { secureTransport?: SecureTransport; allowHalfOpen?: boolean }
interface SocketInfo { remoteAddress: string; localAddress: string }
interface Wire { source: number; sink: number; info: SocketInfo; host: string }

function text(bytes: Uint8Array<ArrayBuffer>, at: number): string {
    const length = new DataView(bytes.buffer, bytes.byteOffset).getUint32(at, true);
    return native.utf8Decode(bytes.subarray(at + 4, at + 4 + length));
}

async function open(host: string, port: number, isSecure: boolean): Promise<Wire> {
    const bytes = await native.tcpConnect(host, port, isSecure ? 1 : 0);
    const view = new DataView(bytes.buffer, bytes.byteOffset);
    const remoteAddress = text(bytes, 8);
    const localAddress = text(bytes, 12 + view.getUint32(8, true));
    return { source: view.getUint32(0, true), sink: view.getUint32(4, true), info: { remoteAddress, localAddress }, host };
}

const ours = Symbol();

export class Socket {
    readonly readable: ReadableStream;
    readonly writable: WritableStream;
    readonly opened: Promise<SocketInfo>;
    readonly closed: Promise<void>;
    readonly secureTransport: SecureTransport;
    #upgraded = false;
    #wire: Promise<Wire>;
    #resolveClosed!: () => void;
    #rejectClosed!: (error: unknown) => void;
    #readController!: ReadableStreamDefaultController | ReadableByteStreamController;
    #writeController!: WritableStreamDefaultController;
    #isReadOver = false;
    #isWriteOver = false;
    #isIdle = true;

    constructor(caller: typeof ours, wire: Promise<Wire>, secure: SecureTransport, options: SocketOptions) {
        if (caller !== ours) {
            throw new TypeError("Illegal constructor: use connect()");
        }
        this.secureTransport = secure;
        this.#wire = wire;
        this.opened = wire.then(({ info }) => info);
        this.closed = new Promise((resolve, reject) => {
            this.#resolveClosed = resolve;
            this.#rejectClosed = reject;
        });
        this.opened.catch(() => {});
        this.closed.catch(() => {});
        this.readable = new ReadableStream({
            type: "bytes",
            start: (controller) => {
                this.#readController = controller as ReadableByteStreamController;
            },
            pull: async (given) => {
                const controller = given as ReadableByteStreamController;
                const { source } = await wire;
                this.#isIdle = false;
                const chunk = await native.streamRead(source, READ_BYTES);
                this.#isIdle = true;
                if (chunk) {
                    controller.enqueue(chunk);
                    return;
                }
                controller.close();
                controller.byobRequest?.respond(0);
                this.#isReadOver = true;
                if (!options.allowHalfOpen) {
                    await this.#endWriting();
                }
                this.#check();
            },
            cancel: async () => {
                const { source } = await wire;
                this.#isReadOver = true;
                native.streamClose(source);
                this.#check();
            },
        }, { highWaterMark: 0 });
        this.writable = new WritableStream({
            start: (controller) => {
                this.#writeController = controller as unknown as WritableStreamDefaultController;
            },
            write: async (chunk: unknown) => {
                const bytes = typeof chunk === "string" ? chunk : bytesOf(chunk);
                if (bytes === undefined) {
                    throw new TypeError("a socket is written bytes: an ArrayBuffer, a view, or a string");
                }
                const { sink } = await wire;
                await native.streamWrite(sink, bytes);
            },
            close: () => this.#endWriting(),
            abort: async () => {
                const { sink } = await wire;
                this.#isWriteOver = this.#isReadOver = true;
                native.streamEnd(sink, 1);
                this.#check();
            },
        });
        wire.catch((error) => this.#fail(error));
    }

    get upgraded(): boolean {
        return this.#upgraded;
    }

    async #endWriting(): Promise<void> {
        if (this.#isWriteOver) {
            return;
        }
        this.#isWriteOver = true;
        native.streamEnd((await this.#wire).sink, 0);
        this.#check();
    }

    #fail(error: unknown): void {
        this.#isReadOver = this.#isWriteOver = true;
        this.#rejectClosed(error);
        try {
            this.#readController.error(error);
        } catch { /* closed or failed already */ }
        try {
            this.#writeController.error(error);
        } catch { /* likewise */ }
    }

    #check(): void {
        if (this.#isReadOver && this.#isWriteOver) {
            this.#resolveClosed();
        }
    }

    /** What was written leaves; nothing more is read. */
    async close(): Promise<void> {
        const wire = await this.#wire.catch(() => undefined);
        if (!wire || this.#upgraded) {
            return;
        }
        if (!this.#isWriteOver) {
            await this.#endWriting();
        }
        if (!this.#isReadOver) {
            this.#isReadOver = true;
            native.streamClose(wire.source);
            try {
                this.#readController.close();
            } catch { /* it has failed */ }
        }
        this.#resolveClosed();
    }

    /** TLS from here on, by a new Socket; this one is done. */
    startTls(options: { expectedServerHostname?: string } = {}): Socket {
        if (this.secureTransport !== "starttls") {
            throw new TypeError(this.secureTransport === "on" ? "the socket speaks TLS already" : "startTls() needs a socket that was made with secureTransport: \"starttls\"");
        }
        if (this.#upgraded || (this.#isReadOver && this.#isWriteOver)) {
            throw new TypeError("startTls() of a socket that is closed, or was called before");
        }
        if (!this.#isIdle || (this.readable.locked && (this.readable as unknown as { _reader?: { _readRequests?: { length: number } } })._reader?._readRequests?.length)) {
            throw new TypeError("startTls() while the socket is being read");
        }
        this.#upgraded = true;
        const host = usv(options.expectedServerHostname ?? "");
        const wire = this.#wire.then(async (old) => {
            await native.tcpStartTls(old.source, host);
            return old;
        });
        this.#resolveClosed();
        return new Socket(ours, wire, "on", {});
    }
}
expose(Socket, "Socket");
platformClasses.push(Socket);

/** "host:port" or its parts. */
function address(value: unknown): [host: string, port: number] {
    if (typeof value === "object" && value !== null) {
        const { hostname, port } = value as { hostname?: unknown; port?: unknown };
        return [usv(hostname), Number(port)];
    }
    const match = /^(\[[^\]]*\]|[^:]*):(\d+)$/.exec(usv(value));
    if (!match) {
        throw new TypeError(`connect(): '${usv(value).slice(0, 200)}' is no address; give "host:port" or { hostname, port }`);
    }
    return [match[1]!, Number(match[2])];
}

export function connect(to: string | { hostname: string; port: number }, options: SocketOptions = {}): Socket {
    const [host, port] = address(to);
    if (host === "" || !Number.isInteger(port) || port < 1 || port > 65535) {
        throw new TypeError("connect(): a host, and a port from 1 to 65535, are needed");
    }
    const secure = options?.secureTransport ?? "off";
    if (secure !== "off" && secure !== "on" && secure !== "starttls") {
        throw new TypeError(`connect(): secureTransport is "off", "on" or "starttls", not '${usv(secure)}'`);
    }
    return new Socket(ours, open(host, port, secure === "on"), secure, options ?? {});
}

export default { connect, Socket };
