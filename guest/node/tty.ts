// SPDX-License-Identifier: Apache-2.0
//
// node:tty, and process.stdin, stdout and stderr: what is written is logged line by line.

import { native } from "limpet:internal";
import { Buffer } from "./buffer.ts";
import { unavailable } from "./internal/errors.ts";
import Stream from "./stream.ts";

export const isatty = (): boolean => false;

export class ReadStream extends (Stream.Readable as any) {
    fd: number;
    isTTY = false;
    constructor(fd: number) {
        super({ read() {
            (this as any).push(null);
        } });
        this.fd = fd;
    }
    setRawMode(): never {
        throw unavailable("setRawMode()", "there is no terminal");
    }
    ref(): this {
        return this;
    }
    unref(): this {
        return this;
    }
}

export class WriteStream extends (Stream.Writable as any) {
    fd: number;
    isTTY = false;
    #line = "";
    constructor(fd: number) {
        super({ decodeStrings: false });
        this.fd = fd;
    }
    /** Whole lines go at once; the rest when it ends its line, or when the code has come to rest. */
    _write(chunk: any, encoding: any, callback: () => void): void {
        const lines = (this.#line + (typeof chunk === "string" ? chunk : Buffer.from(chunk).toString())).split("\n");
        const hadRest = this.#line !== "";
        this.#line = lines.pop()!;
        for (const line of lines) {
            native.log(this.fd === 2 ? 3 : 1, line);
        }
        if (this.#line !== "" && !hadRest) {
            queueMicrotask(() => this.#flush());
        }
        callback();
    }
    #flush(): void {
        if (this.#line !== "") {
            native.log(this.fd === 2 ? 3 : 1, this.#line);
            this.#line = "";
        }
    }
    _destroy(error: any, callback: (error: any) => void): void {
        callback(error);
    }
    getColorDepth(): number {
        return 1;
    }
    hasColors(): boolean {
        return false;
    }
    getWindowSize(): [number, number] {
        return [80, 24];
    }
    clearLine(direction: number, callback?: () => void): boolean {
        callback?.();
        return true;
    }
    cursorTo(x: number, y?: number, callback?: () => void): boolean {
        callback?.();
        return true;
    }
    moveCursor(x: number, y: number, callback?: () => void): boolean {
        callback?.();
        return true;
    }
    clearScreenDown(callback?: () => void): boolean {
        callback?.();
        return true;
    }
    ref(): this {
        return this;
    }
    unref(): this {
        return this;
    }
}

/** For process.stdin, stdout, stderr. */
export function standardStream(fd: 0 | 1 | 2): any {
    const stream: any = fd === 0 ? new ReadStream(0) : new WriteStream(fd);
    stream._type = "pipe";
    stream._isStdio = true;
    return stream;
}

const all = { ReadStream, WriteStream, isatty };
Object.defineProperty(all, "standardStream", { value: standardStream });
export default all;
