// SPDX-License-Identifier: Apache-2.0
//
// fs.ReadStream and WriteStream, over functions with callbacks: those of node:fs (as they are when they are called, since packages
// put others into their place), of `options.fs`, or of a FileHandle.

import { Buffer } from "../buffer.ts";
import fs from "../fs.ts";
import { coded, invalidArgType, outOfRange } from "./errors.ts";
import { FileHandle } from "./fs-promises.ts";
import { pathOf } from "./fs-sync.ts";
import Stream from "../stream.ts";
import { nextTick } from "./tick.ts";
import { validateAbortSignal, validateBoolean, validateFunction, validateInteger, validateObject } from "./validate.ts";

interface Files {
    open?: any;
    read?: any;
    write?: any;
    writev?: any;
    close?: any;
    fsync?: any;
}

function filesOf(handle: any): Files {
    const later = (promise: Promise<any>, callback: any, ...values: any[]): void => {
        promise.then((result) => nextTick(callback, null, ...values.map((name) => result[name])), (error) => nextTick(callback, error));
    };
    return {
        read: (_fd: number, buffer: any, offset: any, length: any, position: any, callback: any) => later(
            handle.read(buffer, offset, length, position), callback, "bytesRead", "buffer"),
        write: (_fd: number, buffer: any, offset: any, length: any, position: any, callback: any) => later(
            handle.write(buffer, offset, length, position), callback, "bytesWritten", "buffer"),
        writev: (_fd: number, buffers: any, position: any, callback: any) => later(
            handle.writev(buffers, position), callback, "bytesWritten", "buffers"),
        fsync: (_fd: number, callback: any) => later(handle.sync(), callback),
        close: (_fd: number, callback: any) => later(handle.close(), callback),
    };
}

function optionsOf(options: any): any {
    if (options === undefined || options === null) {
        return {};
    }
    if (typeof options === "string") {
        if (!Buffer.isEncoding(options) && options !== "buffer") {
            throw coded(TypeError, "ERR_INVALID_ARG_VALUE", `The argument 'encoding' is invalid encoding. Received '${options}'`);
        }
        return { encoding: options };
    }
    if (typeof options !== "object") {
        throw invalidArgType("options", ["string", "Object"], options);
    }
    validateAbortSignal(options.signal, "options.signal");
    if (options.encoding !== undefined && options.encoding !== null && options.encoding !== "buffer" && !Buffer.isEncoding(options.encoding)) {
        throw coded(TypeError, "ERR_INVALID_ARG_VALUE", `The property 'options.encoding' is invalid encoding. Received '${options.encoding}'`);
    }
    const copy: any = {};
    for (const name in options) { // what it inherits counts, too
        copy[name] = options[name];
    }
    return copy;
}

/** The functions that options.fs has, and Node's for the others. */
function mixed(own: any): Files {
    const files: Files = {};
    for (const name of ["open", "read", "write", "writev", "close", "fsync"] as const) {
        const chosen = own[name] === undefined ? (fs as any)[name] : own[name];
        files[name] = typeof chosen === "function" ? (...args: any[]) => chosen.apply(own, args) : chosen;
    }
    return files;
}

/** What both have: where the file is, and how it is spoken to. */
function begin(stream: any, path: any, options: any, needs: string[]): void {
    options.autoDestroy = options.autoClose ?? true;
    if (options.fs !== undefined && options.fs !== null) {
        validateObject(options.fs, "options.fs");
    }
    stream._fs = options.fs ? mixed(options.fs) : fs;
    if (options.fd === undefined || options.fd === null) {
        stream.fd = null;
        validateFunction(stream._fs.open, "options.fs.open");
        stream.path = pathOf(path);
    } else if (typeof options.fd === "number") {
        validateInteger(options.fd, "fd", 0, 2 ** 31 - 1);
        stream.fd = options.fd;
    } else if (options.fd instanceof FileHandle) {
        if (options.fs) {
            throw coded(Error, "ERR_METHOD_NOT_IMPLEMENTED", "The FileHandle with fs method is not implemented");
        }
        stream.fd = (options.fd as any).fd;
        stream._fs = filesOf(options.fd);
        (options.fd as any).once("close", () => stream.close());
    } else {
        throw invalidArgType("fd", ["number", "FileHandle"], options.fd);
    }
    for (const name of [...needs, ...(options.autoDestroy ? ["close"] : [])]) {
        validateFunction(stream._fs[name], `options.fs.${name}`);
    }
    stream.mode = options.mode ?? 0o666;
    stream.start = options.start;
    stream.pos = undefined;
    if (stream.start !== undefined) {
        validateInteger(stream.start, "start", 0);
        stream.pos = stream.start;
    }
}

export function ReadStream(this: any, path: any, options?: any): any {
    if (!(this instanceof (ReadStream as any))) {
        return new (ReadStream as any)(path, options);
    }
    options = optionsOf(options);
    options.highWaterMark ??= 64 * 1024;
    begin(this, path, options, ["read"]);
    this.flags = options.flags ?? "r";
    this.end = options.end ?? Infinity;
    if (this.end !== Infinity) {
        validateInteger(this.end, "end", 0);
        if (this.start !== undefined && this.start > this.end) {
            throw outOfRange("start", `<= "end" (here: ${this.end})`, this.start);
        }
    }
    this.bytesRead = 0;
    const { encoding, ...rest } = options;
    Stream.Readable.call(this, rest);
    if (encoding && encoding !== "buffer") {
        this.setEncoding(encoding);
    }
    return this;
}
Object.setPrototypeOf(ReadStream.prototype, Stream.Readable.prototype);
Object.setPrototypeOf(ReadStream, Stream.Readable);

/** Opens a file that has no descriptor; packages give streams an open() of their own, which tells by its event. */
function construct(this: any, callback: (error?: any) => void): void {
    if (typeof this.fd === "number") {
        callback();
        return;
    }
    if (this.open !== openAnew) {
        const { emit } = this;
        this.emit = function (...args: any[]): any {
            if (args[0] === "open" || args[0] === "error") {
                this.emit = emit;
                callback(args[0] === "error" ? args[1] : undefined);
                return args[0] === "open" ? emit.apply(this, args) : true;
            }
            return emit.apply(this, args);
        };
        this.open();
        return;
    }
    this._fs.open(this.path, this.flags, this.mode, (error: any, fd: number) => {
        if (error) {
            callback(error);
            return;
        }
        this.fd = fd;
        callback();
        this.emit("open", fd);
        this.emit("ready");
    });
}

/** open() has no work left, since the constructor does it. */
function openAnew(): void {}

function destroy(this: any, error: any, callback: any): void {
    const { fd } = this;
    this.fd = null;
    if (typeof fd === "number" && typeof this._fs.close === "function") {
        this._fs.close(fd, (failure: any) => callback(failure ?? error));
    } else {
        callback(error);
    }
}

Object.assign(ReadStream.prototype, {
    open: openAnew,
    _construct: construct,
    _read(this: any, size: number): void {
        const left = Math.min(this.end - (this.pos ?? this.bytesRead) + 1, size);
        if (left <= 0) {
            this.push(null);
            return;
        }
        this._fs.read(this.fd, Buffer.allocUnsafeSlow(left), 0, left, this.pos, (error: any, count: number, buffer: any) => {
            if (error) {
                if (this.autoClose) {
                    this.destroy(error);
                } else {
                    this.emit("error", error);
                }
                return;
            }
            if (count > 0) {
                this.bytesRead += count;
                if (this.pos !== undefined) {
                    this.pos += count;
                }
            }
            this.push(count > 0 ? count === buffer.length ? buffer : buffer.subarray(0, count) : null);
        });
    },
    _destroy: destroy,
    close(this: any, callback?: any): void {
        if (callback) {
            Stream.finished(this, callback);
        }
        this.destroy();
    },
});

export function WriteStream(this: any, path: any, options?: any): any {
    if (!(this instanceof (WriteStream as any))) {
        return new (WriteStream as any)(path, options);
    }
    options = optionsOf(options);
    options.decodeStrings = true;
    begin(this, path, options, []);
    this.flags = options.flags ?? "w";
    if (!this._fs.write && !this._fs.writev) {
        throw invalidArgType("options.fs.write", "function", this._fs.write);
    }
    for (const name of ["write", "writev"]) {
        if (this._fs[name]) {
            validateFunction(this._fs[name], `options.fs.${name}`);
        }
    }
    if (options.flush !== undefined && options.flush !== null) {
        validateBoolean(options.flush, "options.flush");
        if (options.flush) {
            validateFunction(this._fs.fsync, "options.fs.fsync");
        }
    }
    this._flushes = Boolean(options.flush);
    this.bytesWritten = 0;
    if (!this._fs.write) {
        this._write = null;
    }
    if (!this._fs.writev) {
        this._writev = null;
    }
    const { encoding, ...rest } = options;
    Stream.Writable.call(this, rest);
    if (encoding && encoding !== "buffer") {
        this.setDefaultEncoding(encoding);
    }
    return this;
}
Object.setPrototypeOf(WriteStream.prototype, Stream.Writable.prototype);
Object.setPrototypeOf(WriteStream, Stream.Writable);

function wrote(stream: any, error: any, count: number, callback: any): void {
    if (error) {
        callback(error);
        return;
    }
    stream.bytesWritten += count;
    if (stream.pos !== undefined) {
        stream.pos += count;
    }
    callback();
}

Object.assign(WriteStream.prototype, {
    open: openAnew,
    _construct: construct,
    _write(this: any, chunk: any, _encoding: any, callback: any): void {
        this._fs.write(this.fd, chunk, 0, chunk.length, this.pos, (error: any, count: number) => wrote(this, error, count, callback));
    },
    _writev(this: any, pieces: any[], callback: any): void {
        this._fs.writev(this.fd, pieces.map(({ chunk }) => chunk), this.pos, (error: any, count: number) => wrote(this, error, count, callback));
    },
    _destroy(this: any, error: any, callback: any): void {
        const { fd } = this;
        if (this._flushes && typeof fd === "number") {
            this._fs.fsync(fd, (failure: any) => destroy.call(this, error ?? failure, callback));
        } else {
            destroy.call(this, error, callback);
        }
    },
    close(this: any, callback?: any): void {
        if (callback) {
            if (this.closed) {
                nextTick(callback);
                return;
            }
            this.on("close", callback);
        }
        if (!this.autoClose) {
            this.on("finish", this.destroy);
        }
        this.end();
    },
    destroySoon: Stream.Writable.prototype.end,
});
for (const [Class, state] of [[ReadStream, "_readableState"], [WriteStream, "_writableState"]] as const) {
    Object.defineProperties(Class.prototype, {
        pending: {
            configurable: true, get(this: any) {
                return this.fd === null;
            },
        },
        autoClose: {
            configurable: true, get(this: any) {
                return this[state].autoDestroy;
            }, set(this: any, value: boolean) {
                this[state].autoDestroy = value;
            },
        },
    });
}
