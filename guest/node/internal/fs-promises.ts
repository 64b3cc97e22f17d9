// SPDX-License-Identifier: Apache-2.0
//
// fs.promises, and FileHandle.

import { Buffer } from "../buffer.ts";
import EventEmitter from "../events.ts";
import { fs as constants } from "./constants.ts";
import { AbortError, systemError, unavailable } from "./errors.ts";
import { ReadStream, WriteStream } from "./fs-streams.ts";
import { sync } from "./fs-sync.ts";

export class FileHandle extends (EventEmitter as any) {
    #fd: number;
    constructor(fd: number) {
        super();
        this.#fd = fd;
    }
    get fd(): number {
        return this.#fd;
    }
    /** The descriptor of a file that was not closed. */
    #open(syscall: string): number {
        if (this.#fd < 0) {
            throw systemError("EBADF", syscall);
        }
        return this.#fd;
    }
    async appendFile(data: any, options?: any): Promise<void> {
        sync.appendFile(this.#open("write"), await gathered(data), options);
    }
    async chmod(mode: any): Promise<void> {
        sync.fchmod(this.#open("fchmod"), mode);
    }
    async chown(uid: any, gid: any): Promise<void> {
        sync.fchown(this.#open("fchown"), uid, gid);
    }
    async close(): Promise<void> {
        if (this.#fd >= 0) {
            sync.close(this.#fd);
            this.#fd = -1;
            (this as any).emit("close");
        }
    }
    async datasync(): Promise<void> {
        this.#open("fdatasync");
    }
    async sync(): Promise<void> {
        this.#open("fsync");
    }
    async read(buffer?: any, offset?: any, length?: any, position?: any): Promise<any> {
        if (!ArrayBuffer.isView(buffer)) {
            ({ buffer = Buffer.alloc(16384), offset, length, position } = buffer ?? {});
        }
        return { bytesRead: sync.read(this.#open("read"), buffer, offset, length, position), buffer };
    }
    async readFile(options?: any): Promise<any> {
        return sync.readFile(this.#open("read"), options);
    }
    async readv(buffers: any[], position?: any): Promise<any> {
        return { bytesRead: sync.readv(this.#open("read"), buffers, position), buffers };
    }
    async* readLines(options?: any): AsyncGenerator<string> {
        const text: string = sync.readFile(this.#open("read"), { encoding: "utf8", ...options });
        yield* text.replace(/\r?\n$/, "").split(/\r?\n/);
    }
    readableWebStream(): ReadableStream {
        const bytes = sync.readFile(this.#open("read"));
        return new Blob([bytes]).stream();
    }
    createReadStream(options?: any): any {
        return new (ReadStream as any)(undefined, { ...options, fd: this });
    }
    createWriteStream(options?: any): any {
        return new (WriteStream as any)(undefined, { ...options, fd: this });
    }
    async stat(options?: any): Promise<any> {
        return sync.fstat(this.#open("fstat"), options);
    }
    async truncate(length?: number): Promise<void> {
        sync.ftruncate(this.#open("ftruncate"), length);
    }
    async utimes(atime: any, mtime: any): Promise<void> {
        sync.futimes(this.#open("futime"), atime, mtime);
    }
    async write(data: any, ...rest: any[]): Promise<any> {
        return { bytesWritten: sync.write(this.#open("write"), data, ...rest), buffer: data };
    }
    async writeFile(data: any, options?: any): Promise<void> {
        sync.writeFile(this.#open("write"), await gathered(data), options);
    }
    async writev(buffers: any[], position?: any): Promise<any> {
        return { bytesWritten: sync.writev(this.#open("write"), buffers, position), buffers };
    }
    async [(Symbol as any).asyncDispose ?? Symbol.for("Symbol.asyncDispose")](): Promise<void> {
        await this.close();
    }
}

/** What is written may be an iterable of pieces. */
async function gathered(data: any): Promise<any> {
    if (typeof data === "string" || ArrayBuffer.isView(data) || typeof data !== "object" || data === null
        || !(Symbol.asyncIterator in data || Symbol.iterator in data)) {
        return data;
    }
    const parts: any[] = [];
    for await (const part of data) {
        parts.push(typeof part === "string" ? Buffer.from(part) : part);
    }
    return Buffer.concat(parts);
}

const pathOrHandle = (file: any): any => (file instanceof FileHandle ? (file as any).fd : file);

function checkSignal(options: any): void {
    if (options?.signal?.aborted) {
        throw new AbortError(undefined, { cause: options.signal.reason });
    }
}

export const promises: Record<string, any> = { constants };
for (const name of ["access", "chmod", "chown", "copyFile", "cp", "lchmod", "lchown", "link", "lstat", "lutimes", "mkdir", "mkdtemp", "opendir", "readdir",
    "readlink", "realpath", "rename", "rm", "rmdir", "stat", "statfs", "symlink", "truncate", "unlink", "utimes"]) {
    promises[name] = { [name]: async (...args: any[]) => sync[name](...args) }[name];
}
Object.assign(promises, {
    async appendFile(file: any, data: any, options?: any): Promise<void> {
        sync.appendFile(pathOrHandle(file), await gathered(data), options);
    },
    async open(path: any, flags?: any, mode?: any): Promise<FileHandle> {
        return new FileHandle(sync.open(path, flags, mode));
    },
    async readFile(file: any, options?: any): Promise<any> {
        checkSignal(options);
        return sync.readFile(pathOrHandle(file), options);
    },
    async writeFile(file: any, data: any, options?: any): Promise<void> {
        checkSignal(options);
        sync.writeFile(pathOrHandle(file), await gathered(data), options);
    },
    watch(): never {
        throw unavailable("fs.promises.watch()", "nothing but this code changes its files");
    },
    async* glob(pattern: any, options?: any): AsyncGenerator<any> {
        yield* sync.glob(pattern, options);
    },
});
