// SPDX-License-Identifier: Apache-2.0
//
// fs.ReadStream and WriteStream.

import { Buffer } from "../buffer.ts";
import { pathOf, sync } from "./fs-sync.ts";
import Stream from "../stream.ts";
import { validateInteger } from "./validate.ts";

export function ReadStream(this: any, path: any, options: any = {}): any {
    if (!(this instanceof (ReadStream as any))) {
        return new (ReadStream as any)(path, options);
    }
    options = typeof options === "string" ? { encoding: options } : options ?? {};
    for (const name of ["start", "end"]) {
        if (options[name] !== undefined && options[name] !== Infinity) {
            validateInteger(options[name], name, 0);
        }
    }
    Stream.Readable.call(this, { highWaterMark: 64 * 1024, ...options });
    this.path = options.fd === undefined ? pathOf(path) : path;
    this.fd = typeof options.fd === "number" ? options.fd : options.fd?.fd ?? null;
    this.flags = options.flags ?? "r";
    this.mode = options.mode ?? 0o666;
    this.start = options.start;
    this.end = options.end ?? Infinity;
    this.pos = this.start;
    this.bytesRead = 0;
    this._closes = options.autoClose !== false;
    return this;
}
Object.setPrototypeOf(ReadStream.prototype, Stream.Readable.prototype);
Object.setPrototypeOf(ReadStream, Stream.Readable);
Object.assign(ReadStream.prototype, {
    _construct(this: any, callback: any): void {
        construct(this, callback);
    },
    _read(this: any, size: number): void {
        const left = this.end === Infinity ? size : Math.min(size, this.end - (this.pos ?? this.bytesRead) + 1);
        if (left <= 0) {
            this.push(null);
            return;
        }
        try {
            const buffer = Buffer.alloc(left);
            const done = sync.read(this.fd, buffer, 0, left, this.pos);
            this.bytesRead += done;
            if (this.pos !== undefined) {
                this.pos += done;
            }
            this.push(done ? buffer.subarray(0, done) : null);
        } catch (error) {
            this.destroy(error);
        }
    },
    _destroy(this: any, error: any, callback: any): void {
        shut(this, error, callback);
    },
    close(this: any, callback?: any): void {
        if (callback) {
            Stream.finished(this, () => callback());
        }
        this.destroy();
    },
});

export function WriteStream(this: any, path: any, options: any = {}): any {
    if (!(this instanceof (WriteStream as any))) {
        return new (WriteStream as any)(path, options);
    }
    options = typeof options === "string" ? { encoding: options } : options ?? {};
    Stream.Writable.call(this, { decodeStrings: true, ...options });
    this.path = options.fd === undefined ? pathOf(path) : path;
    this.fd = typeof options.fd === "number" ? options.fd : options.fd?.fd ?? null;
    this.flags = options.flags ?? "w";
    this.mode = options.mode ?? 0o666;
    this.start = options.start;
    this.pos = this.start;
    this.bytesWritten = 0;
    this._closes = options.autoClose !== false;
    if (options.encoding) {
        this.setDefaultEncoding(options.encoding);
    }
    return this;
}
Object.setPrototypeOf(WriteStream.prototype, Stream.Writable.prototype);
Object.setPrototypeOf(WriteStream, Stream.Writable);
Object.assign(WriteStream.prototype, {
    _construct(this: any, callback: any): void {
        construct(this, callback);
    },
    _write(this: any, chunk: any, encoding: any, callback: any): void {
        try {
            const done = sync.write(this.fd, chunk, 0, chunk.length, this.pos);
            this.bytesWritten += done;
            if (this.pos !== undefined) {
                this.pos += done;
            }
        } catch (error) {
            callback(error);
            return;
        }
        callback();
    },
    _destroy(this: any, error: any, callback: any): void {
        shut(this, error, callback);
    },
    close(this: any, callback?: any): void {
        if (callback) {
            Stream.finished(this, () => callback());
        }
        this.end();
    },
});
for (const Class of [ReadStream, WriteStream]) {
    Object.defineProperty(Class.prototype, "pending", {
        configurable: true, get(this: any) {
            return this.fd === null;
        },
    });
}

function construct(stream: any, callback: any): void {
    if (typeof stream.fd === "number") {
        callback();
        return;
    }
    try {
        stream.fd = sync.open(stream.path, stream.flags, stream.mode);
    } catch (error) {
        callback(error);
        return;
    }
    callback();
    stream.emit("open", stream.fd);
    stream.emit("ready");
}

function shut(stream: any, error: any, callback: any): void {
    const { fd } = stream;
    stream.fd = null;
    if (typeof fd === "number" && stream._closes) {
        try {
            sync.close(fd);
        } catch (failure) {
            error ??= failure;
        }
    }
    callback(error);
}
