// SPDX-License-Identifier: Apache-2.0
//
// What node:fs says of files: Stats, Dirent, Dir.

import { fs as c } from "./constants.ts";
import { coded } from "./errors.ts";
import type { Node } from "./fs-tree.ts";

const kinds = {
    isFile: "S_IFREG", isDirectory: "S_IFDIR", isSymbolicLink: "S_IFLNK", isCharacterDevice: "S_IFCHR", isBlockDevice: "S_IFBLK",
    isFIFO: "S_IFIFO", isSocket: "S_IFSOCK",
} as const;

export function Stats(this: any, node: Node, isBig: boolean): void {
    const n = (value: number): any => (isBig ? BigInt(Math.trunc(value)) : value);
    const blocks = Math.ceil(node.size / 512);
    Object.assign(this, {
        dev: n(1), mode: n(node.mode), nlink: n(node.nlink), uid: n(0), gid: n(0), rdev: n(0), blksize: n(4096), ino: n(node.ino), size: n(node.size),
        blocks: n(blocks), atimeMs: n(node.atime), mtimeMs: n(node.mtime), ctimeMs: n(node.ctime), birthtimeMs: n(node.birthtime),
    });
    for (const name of ["atime", "mtime", "ctime", "birthtime"] as const) {
        if (isBig) {
            this[`${name}Ns`] = BigInt(Math.trunc(node[name])) * 1_000_000n;
        }
        this[name] = new Date(node[name]);
    }
}

export class Dirent {
    name: any;
    parentPath: string;
    path: string;
    #mode: number;
    constructor(name: any, parent: string, node: Node) {
        this.name = name;
        this.parentPath = this.path = parent;
        this.#mode = node.mode;
    }
    static modeOf(entry: Dirent): number {
        return entry.#mode;
    }
}

for (const [name, kind] of Object.entries(kinds)) {
    Stats.prototype[name] = function (this: any): boolean {
        return (Number(this.mode) & c.S_IFMT!) === c[kind];
    };
    (Dirent.prototype as any)[name] = function (this: Dirent): boolean {
        return (Dirent.modeOf(this) & c.S_IFMT!) === c[kind];
    };
}

export class Dir {
    path: string;
    #entries: Dirent[] | undefined;
    constructor(path: string, entries: Dirent[]) {
        this.path = path;
        this.#entries = entries;
    }
    #open(): Dirent[] {
        if (!this.#entries) {
            throw coded(Error, "ERR_DIR_CLOSED", "Directory handle was closed");
        }
        return this.#entries;
    }
    readSync(): Dirent | null {
        return this.#open().shift() ?? null;
    }
    read(callback?: any): any {
        const entry = this.readSync();
        if (callback) {
            queueMicrotask(() => callback(null, entry));
            return undefined;
        }
        return Promise.resolve(entry);
    }
    closeSync(): void {
        this.#open();
        this.#entries = undefined;
    }
    close(callback?: any): any {
        this.closeSync();
        if (callback) {
            queueMicrotask(() => callback(null));
            return undefined;
        }
        return Promise.resolve();
    }
    async* entries(): AsyncGenerator<Dirent> {
        for (let entry = this.readSync(); entry; entry = this.readSync()) {
            yield entry;
        }
        this.closeSync();
    }
    [Symbol.asyncIterator](): AsyncGenerator<Dirent> {
        return this.entries();
    }
}
