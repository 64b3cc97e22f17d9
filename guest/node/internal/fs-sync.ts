// SPDX-License-Identifier: Apache-2.0
//
// The synchronous functions of node:fs, of which the others are made.

import { native } from "limpet:internal";
import { Buffer } from "../buffer.ts";
import { Dir, Dirent, Stats } from "./fs-types.ts";
import { coded, invalidArgType, invalidArgValue, systemError } from "./errors.ts";
import { fs as c } from "./constants.ts";
import { glob } from "./fs-glob.ts";
import {
    attach, checkWritable, closeFile, detach, existing, find, isFolder, isLink, makeNode, openFile, opened, readAt, resize, writeAt,
    type Node,
} from "./fs-tree.ts";
import { posix } from "./paths.ts";
import { validateBoolean, validateFunction, validateInteger, validateObject } from "./validate.ts";

export function pathOf(path: any, name = "path"): string {
    if (path instanceof URL) {
        if (path.protocol !== "file:") {
            throw coded(TypeError, "ERR_INVALID_URL_SCHEME", "The URL must be of scheme file");
        }
        if (/%2f/i.test(path.pathname)) {
            throw coded(TypeError, "ERR_INVALID_FILE_URL_PATH", "File URL path must not include encoded / characters");
        }
        path = decodeURIComponent(path.pathname);
    } else if (path instanceof Uint8Array) {
        path = Buffer.from(path).toString();
    } else if (typeof path !== "string") {
        throw invalidArgType(name, ["string", "Buffer", "URL"], path);
    }
    if (path.includes("\0")) {
        throw invalidArgValue(name, path, "must be a string, Uint8Array, or URL without null bytes");
    }
    return path;
}

function fdOf(fd: any): number {
    validateInteger(fd, "fd", 0, 2 ** 31 - 1);
    return fd;
}

function encodingOf(options: any): string | undefined {
    const encoding = typeof options === "string" ? options : options?.encoding;
    if (encoding !== undefined && encoding !== null && encoding !== "buffer" && !Buffer.isEncoding(encoding)) {
        throw invalidArgValue("encoding", encoding, "is invalid encoding");
    }
    return encoding ?? undefined;
}

function named(name: string, options: any): any {
    return encodingOf(options) === "buffer" ? Buffer.from(name) : name;
}

const flagNames: Record<string, number> = {
    "r": c.O_RDONLY!, "rs": c.O_RDONLY! | c.O_SYNC!, "sr": c.O_RDONLY! | c.O_SYNC!, "r+": c.O_RDWR!, "rs+": c.O_RDWR! | c.O_SYNC!, "sr+": c.O_RDWR! | c.O_SYNC!,
    "w": c.O_TRUNC! | c.O_CREAT! | c.O_WRONLY!, "wx": c.O_TRUNC! | c.O_CREAT! | c.O_WRONLY! | c.O_EXCL!, "xw": c.O_TRUNC! | c.O_CREAT! | c.O_WRONLY! | c.O_EXCL!,
    "w+": c.O_TRUNC! | c.O_CREAT! | c.O_RDWR!, "wx+": c.O_TRUNC! | c.O_CREAT! | c.O_RDWR! | c.O_EXCL!, "xw+": c.O_TRUNC! | c.O_CREAT! | c.O_RDWR! | c.O_EXCL!,
    "a": c.O_APPEND! | c.O_CREAT! | c.O_WRONLY!, "ax": c.O_APPEND! | c.O_CREAT! | c.O_WRONLY! | c.O_EXCL!, "xa": c.O_APPEND! | c.O_CREAT! | c.O_WRONLY! | c.O_EXCL!,
    "as": c.O_APPEND! | c.O_CREAT! | c.O_WRONLY! | c.O_SYNC!, "sa": c.O_APPEND! | c.O_CREAT! | c.O_WRONLY! | c.O_SYNC!,
    "a+": c.O_APPEND! | c.O_CREAT! | c.O_RDWR!, "ax+": c.O_APPEND! | c.O_CREAT! | c.O_RDWR! | c.O_EXCL!, "xa+": c.O_APPEND! | c.O_CREAT! | c.O_RDWR! | c.O_EXCL!,
    "as+": c.O_APPEND! | c.O_CREAT! | c.O_RDWR! | c.O_SYNC!, "sa+": c.O_APPEND! | c.O_CREAT! | c.O_RDWR! | c.O_SYNC!,
};

export function flagsOf(flags: any, fallback = "r"): number {
    flags ??= fallback;
    if (typeof flags === "number") {
        return flags;
    }
    if (!Object.hasOwn(flagNames, flags)) {
        throw invalidArgValue("flags", flags);
    }
    return flagNames[flags]!;
}

function modeOf(mode: any, fallback: number): number {
    if (mode === undefined || mode === null) {
        return fallback;
    }
    if (typeof mode === "string") {
        if (!/^[0-7]+$/.test(mode)) {
            throw invalidArgValue("mode", mode, "must be a 32-bit unsigned integer or an octal string");
        }
        return Number.parseInt(mode, 8);
    }
    validateInteger(mode, "mode", 0, 2 ** 32 - 1);
    return mode;
}

function requiredMode(mode: any): number {
    if (typeof mode !== "string" && typeof mode !== "number") {
        throw invalidArgType("mode", "number", mode);
    }
    return modeOf(mode, 0);
}

function ownerOf(uid: any, gid: any): void {
    validateInteger(uid, "uid", -1, 2 ** 32 - 1);
    validateInteger(gid, "gid", -1, 2 ** 32 - 1);
}

/** Options that may be the encoding alone. */
function checkOptions(options: any): any {
    if (options === undefined || options === null || typeof options === "function") {
        return {};
    }
    if (typeof options !== "string" && typeof options !== "object") {
        throw invalidArgType("options", ["string", "Object"], options);
    }
    encodingOf(options);
    return typeof options === "string" ? { encoding: options } : options;
}

function checkFlags(options: any, ...names: string[]): any {
    if (options === undefined || options === null) {
        return {};
    }
    validateObject(options, "options");
    for (const name of names) {
        if ((options as any)[name] !== undefined) {
            validateBoolean((options as any)[name], `options.${name}`);
        }
    }
    return options;
}

function bytesOf(data: any, encoding?: any): Uint8Array {
    if (typeof data === "string") {
        return Buffer.from(data, typeof encoding === "string" && Buffer.isEncoding(encoding) ? encoding : "utf8");
    }
    if (!ArrayBuffer.isView(data)) {
        throw invalidArgType("data", ["string", "Buffer", "TypedArray", "DataView"], data);
    }
    return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
}

function timeOf(time: any): number {
    if (time instanceof Date) {
        return time.getTime();
    }
    const seconds = Number(time);
    if (Number.isNaN(seconds)) {
        throw invalidArgType("time", ["Date", "Time in seconds"], time);
    }
    return seconds * 1000;
}

function statOf(node: Node, options: any): any {
    return new (Stats as any)(node, Boolean(options?.bigint));
}

function checkFile(node: Node, syscall: string): void {
    if (isFolder(node)) {
        throw systemError("EISDIR", syscall);
    }
}

/** Runs fn with the file of a path or of a descriptor. */
function withFile<T>(file: any, flags: number, mode: number, fn: (fd: number) => T): T {
    if (typeof file === "number" && Number.isInteger(file)) {
        return fn(fdOf(file));
    }
    const fd = openFile(pathOf(file), flags, mode);
    try {
        return fn(fd);
    } finally {
        closeFile(fd);
    }
}

function removeTree(place: any, path: string): void {
    if (isFolder(place.node)) {
        for (const [name, node] of [...place.node.children]) {
            removeTree({ parent: place.node, name, node }, posix.join(path, name));
        }
    }
    detach(place, "rm", path);
}

function walk(node: Node, folder: string, prefix: string, isRecursive: boolean, out: { name: string; parent: string; node: Node }[]): void {
    for (const [name, child] of [...node.children!].sort(([a], [b]) => (a < b ? -1 : 1))) {
        out.push({ name: prefix + name, parent: folder, node: child });
        if (isRecursive && isFolder(child)) {
            walk(child, posix.join(folder, name), `${prefix}${name}/`, true, out);
        }
    }
}

function write(fd: any, data: any, ...rest: any[]): number {
    const file = opened(fdOf(fd), "write");
    if ((file.flags & 3) === c.O_RDONLY) {
        throw systemError("EBADF", "write");
    }
    let bytes: Uint8Array, position: any;
    if (typeof data === "string") {
        bytes = bytesOf(data, rest[1]);
        position = rest[0];
    } else {
        bytes = bytesOf(data);
        let [offset, length] = rest;
        position = rest[2];
        if (offset !== null && typeof offset === "object") {
            ({ offset, length, position } = offset);
        }
        offset ??= 0;
        length ??= bytes.length - offset;
        validateInteger(offset, "offset", 0, bytes.length);
        validateInteger(length, "length", 0, bytes.length - offset);
        bytes = bytes.subarray(offset, offset + length);
    }
    if (fd === 1 || fd === 2) {
        (native.require("node:process") as any)[fd === 1 ? "stdout" : "stderr"].write(Buffer.from(bytes));
        return bytes.length;
    }
    const at = file.flags & c.O_APPEND! ? file.node.size : typeof position === "number" ? position : file.position;
    writeAt(file.node, at, bytes);
    if (typeof position !== "number") {
        file.position = at + bytes.length;
    }
    return bytes.length;
}

function read(fd: any, buffer: any, offset?: any, length?: any, position?: any): number {
    const file = opened(fdOf(fd), "read");
    checkFile(file.node, "read");
    if (!ArrayBuffer.isView(buffer)) {
        throw invalidArgType("buffer", ["Buffer", "TypedArray", "DataView"], buffer);
    }
    if (offset !== null && typeof offset === "object") {
        ({ offset, length, position } = offset);
    }
    const to = new Uint8Array(buffer.buffer, buffer.byteOffset, buffer.byteLength);
    offset ??= 0;
    length ??= to.length - offset;
    validateInteger(offset, "offset", 0, to.length);
    validateInteger(length, "length", 0, to.length - offset);
    const isPositioned = typeof position === "number" && position >= 0 || typeof position === "bigint" && position >= 0n;
    const bytes = readAt(file.node, isPositioned ? Number(position) : file.position, length);
    to.set(bytes, offset);
    if (!isPositioned) {
        file.position += bytes.length;
    }
    return bytes.length;
}

function mkdir(path: any, options?: any): string | undefined {
    const { recursive = false, mode = undefined } = typeof options === "object" && options !== null ? options : { mode: options };
    const text = pathOf(path);
    validateBoolean(recursive, "options.recursive");
    if (mode !== undefined && mode !== null && typeof mode !== "string" && typeof mode !== "number") {
        throw invalidArgType("mode", "number", mode);
    }
    const make = (at: string): string | undefined => {
        const place = find(at, "mkdir");
        if (place.node) {
            if (recursive && isFolder(place.node)) {
                return undefined;
            }
            throw systemError("EEXIST", "mkdir", text);
        }
        attach(place, makeNode(c.S_IFDIR! | modeOf(mode, 0o777)), "mkdir", text);
        return place.path;
    };
    if (!recursive) {
        make(text);
        return undefined;
    }
    let first: string | undefined, at = "/";
    for (const part of posix.resolve(text).split("/").filter(Boolean)) {
        at = posix.join(at, part);
        const made = make(at);
        first ??= made;
    }
    return first;
}

function copyTree(from: string, to: string, options: any): void {
    const source = options.dereference ? existing(from, "cp") : existing(from, "cp", false);
    if (options.filter && !options.filter(from, to)) {
        return;
    }
    mkdir(posix.dirname(posix.resolve(to)), { recursive: true });
    const target = find(to, "cp", Boolean(options.dereference)).node;
    if (isFolder(source)) {
        if (target && !isFolder(target)) {
            throw coded(Error, "ERR_FS_CP_DIR_TO_NON_DIR", `Cannot overwrite non-directory with directory: cp returned EISDIR (cannot overwrite non-directory ${to} with directory ${from}) ${to}`);
        }
        if (`${posix.resolve(to)}/`.startsWith(`${posix.resolve(from)}/`)) {
            throw coded(Error, "ERR_FS_CP_EINVAL", `Invalid src or dest: cp returned EINVAL (cannot copy ${from} to a subdirectory of self ${to}) ${to}`);
        }
        if (!options.recursive) {
            throw coded(Error, "ERR_FS_EISDIR", `Recursive option not enabled, cannot copy a directory: cp ${from}`);
        }
        mkdir(to, { recursive: true });
        for (const name of source.children!.keys()) {
            copyTree(posix.join(from, name), posix.join(to, name), options);
        }
        return;
    }
    if (target && isFolder(target)) {
        throw coded(Error, "ERR_FS_CP_NON_DIR_TO_DIR", `Cannot overwrite directory with non-directory: cp returned ENOTDIR (cannot overwrite directory ${to} with non-directory ${from}) ${to}`);
    }
    if (target && options.force === false) {
        if (options.errorOnExist) {
            throw coded(Error, "ERR_FS_CP_EEXIST", `Target already exists: cp returned EEXIST (${to} already exists) ${to}`);
        }
        return;
    }
    if (isLink(source)) {
        if (find(to, "cp", false).node) {
            sync.unlink(to);
        }
        sync.symlink(source.target!, to);
    } else {
        if (target && isLink(target)) {
            sync.unlink(to);
        }
        sync.copyFile(from, to, options.mode);
    }
}

function checkBuffers(fd: number, buffers: any): number {
    if (!Array.isArray(buffers) || !buffers.every((one) => ArrayBuffer.isView(one))) {
        throw invalidArgType("buffers", "ArrayBufferView[]", buffers);
    }
    return fd;
}

export const sync: Record<string, any> = {
    access(path: any, mode?: any): void {
        const text = pathOf(path);
        mode ??= 0;
        validateInteger(mode, "mode", 0, 7);
        const { node, parent } = find(text, "access");
        if (!node) {
            throw systemError("ENOENT", "access", text);
        }
        if (mode & c.W_OK! && (parent.isReadOnly || node.isReadOnly)) {
            throw systemError("EROFS", "access", text);
        }
        if (mode & c.X_OK! && !(node.mode & 0o111)) {
            throw systemError("EACCES", "access", text);
        }
    },
    appendFile(file: any, data: any, options?: any): void {
        const { flag, ...rest } = checkOptions(options);
        sync.writeFile(file, data, { ...rest, flag: flag ?? "a" });
    },
    chmod(path: any, mode: any): void {
        const text = pathOf(path);
        const bits = requiredMode(mode);
        const place = find(text, "chmod");
        if (!place.node) {
            throw systemError("ENOENT", "chmod", text);
        }
        checkWritable(isFolder(place.node) ? place.node : place.parent, "chmod", text);
        place.node.mode = (place.node.mode & c.S_IFMT!) | (bits & 0o7777);
        place.node.ctime = Date.now();
    },
    fchmod(fd: any, mode: any): void {
        const at = fdOf(fd), bits = requiredMode(mode), { node } = opened(at, "fchmod");
        node.mode = (node.mode & c.S_IFMT!) | (bits & 0o7777);
    },
    /** Links have no modes of their own, as on Linux. */
    lchmod(path: any, mode: any): void {
        const text = pathOf(path);
        requiredMode(mode);
        existing(text, "lchmod", false);
    },
    chown(path: any, uid: any, gid: any): void {
        const text = pathOf(path);
        ownerOf(uid, gid);
        existing(text, "chown");
    },
    lchown(path: any, uid: any, gid: any): void {
        const text = pathOf(path);
        ownerOf(uid, gid);
        existing(text, "lchown", false);
    },
    fchown(fd: any, uid: any, gid: any): void {
        const at = fdOf(fd);
        ownerOf(uid, gid);
        opened(at, "fchown");
    },
    close(fd: any): void {
        closeFile(fdOf(fd));
    },
    copyFile(from: any, to: any, mode: any = 0): void {
        const source = pathOf(from, "src"), dest = pathOf(to, "dest");
        validateInteger(mode, "mode", 0, 7);
        const node = find(source, "copyfile").node;
        if (!node) {
            throw systemError("ENOENT", "copyfile", source, dest);
        }
        if (isFolder(node)) {
            throw systemError("EISDIR", "copyfile", source, dest);
        }
        const target = find(dest, "copyfile");
        if (target.node && mode & c.COPYFILE_EXCL!) {
            throw systemError("EEXIST", "copyfile", source, dest);
        }
        sync.writeFile(dest, Buffer.from(readAt(node, 0, node.size)), { mode: node.mode & 0o777 });
    },
    cp(from: any, to: any, options?: any): void {
        options = checkFlags(options, "dereference", "errorOnExist", "force", "preserveTimestamps", "recursive", "verbatimSymlinks");
        if (options.mode !== undefined) {
            validateInteger(options.mode, "options.mode", 0, 7);
        }
        if (options.filter !== undefined) {
            validateFunction(options.filter, "options.filter");
        }
        copyTree(pathOf(from, "src"), pathOf(to, "dest"), options);
    },
    exists(path: any): boolean {
        try {
            return Boolean(find(pathOf(path), "access").node);
        } catch {
            return false;
        }
    },
    fdatasync(fd: any): void {
        opened(fdOf(fd), "fdatasync");
    },
    fsync(fd: any): void {
        opened(fdOf(fd), "fsync");
    },
    fstat(fd: any, options?: any): any {
        const at = fdOf(fd);
        checkFlags(options, "bigint");
        return statOf(opened(at, "fstat").node, options);
    },
    ftruncate(fd: any, length?: any): void {
        fdOf(fd);
        length ??= 0;
        validateInteger(length, "len");
        const file = opened(fdOf(fd), "ftruncate");
        if ((file.flags & 3) === c.O_RDONLY) {
            throw systemError("EINVAL", "ftruncate");
        }
        resize(file.node, Math.max(0, length));
    },
    futimes(fd: any, atime: any, mtime: any): void {
        const at = fdOf(fd), times = { atime: timeOf(atime), mtime: timeOf(mtime) };
        Object.assign(opened(at, "futime").node, times);
    },
    link(from: any, to: any): void {
        const source = pathOf(from, "existingPath"), dest = pathOf(to, "newPath");
        const node = find(source, "link").node;
        if (!node) {
            throw systemError("ENOENT", "link", source, dest);
        }
        const place = find(dest, "link", false);
        if (place.node) {
            throw systemError("EEXIST", "link", source, dest);
        }
        attach(place, node, "link", dest);
        node.nlink++;
    },
    lstat(path: any, options?: any): any {
        const text = pathOf(path);
        checkFlags(options, "bigint", "throwIfNoEntry");
        try {
            return statOf(existing(text, "lstat", false), options);
        } catch (error) {
            if (options?.throwIfNoEntry === false && (error as any).code === "ENOENT") {
                return undefined;
            }
            throw error;
        }
    },
    lutimes(path: any, atime: any, mtime: any): void {
        const text = pathOf(path), times = { atime: timeOf(atime), mtime: timeOf(mtime) };
        Object.assign(existing(text, "lutime", false), times);
    },
    mkdir,
    mkdtemp(prefix: any, options?: any): any {
        const text = pathOf(prefix, "prefix");
        checkOptions(options);
        const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
        const path = text + Array.from({ length: 6 }, () => letters[Math.floor(Math.random() * letters.length)]).join("");
        try {
            mkdir(path, { mode: 0o700 });
        } catch (error) {
            const { code } = error as any;
            throw code ? systemError(code, "mkdtemp", `${text}XXXXXX`) : error;
        }
        return named(path, options);
    },
    open(path: any, flags?: any, mode?: any): number {
        return openFile(pathOf(path), flagsOf(flags), modeOf(mode, 0o666));
    },
    opendir(path: any, options?: any): any {
        const text = pathOf(path);
        options = checkOptions(options);
        if (options.bufferSize !== undefined) {
            validateInteger(options.bufferSize, "options.bufferSize", 1, 2 ** 32 - 1);
        }
        checkFlags(options, "recursive");
        return new Dir(text, sync.readdir(text, { ...options, withFileTypes: true }));
    },
    read,
    readdir(path: any, options?: any): any {
        const text = pathOf(path);
        options = checkFlags(checkOptions(options), "recursive", "withFileTypes");
        const node = existing(text, "scandir");
        if (!isFolder(node)) {
            throw systemError("ENOTDIR", "scandir", text);
        }
        const found: { name: string; parent: string; node: Node }[] = [];
        walk(node, text, "", Boolean(options?.recursive), found);
        return options?.withFileTypes ? found.map((one) => new Dirent(named(posix.basename(one.name), options), one.parent, one.node))
            : found.map(({ name }) => named(name, options));
    },
    readFile(file: any, options?: any): any {
        options = checkOptions(options);
        const encoding = encodingOf(options);
        return withFile(file, flagsOf(options?.flag), 0o666, (fd) => {
            const open = opened(fd, "read");
            checkFile(open.node, "read");
            const from = typeof file === "number" ? open.position : 0;
            const bytes = Buffer.from(readAt(open.node, from, open.node.size));
            if (typeof file === "number") {
                open.position = open.node.size;
            }
            return encoding && encoding !== "buffer" ? bytes.toString(encoding) : bytes;
        });
    },
    readlink(path: any, options?: any): any {
        const text = pathOf(path);
        checkOptions(options);
        const node = existing(text, "readlink", false);
        if (!isLink(node)) {
            throw systemError("EINVAL", "readlink", text);
        }
        return named(node.target!, options);
    },
    readv(fd: any, buffers: any[], position?: any): number {
        checkBuffers(fdOf(fd), buffers);
        let all = 0;
        for (const buffer of buffers) {
            const done = read(fd, buffer, 0, buffer.byteLength, typeof position === "number" ? position + all : null);
            all += done;
            if (done < buffer.byteLength) {
                break;
            }
        }
        return all;
    },
    realpath(path: any, options?: any): any {
        const text = pathOf(path);
        checkOptions(options);
        const place = find(text, "realpath");
        if (!place.node) {
            throw systemError("ENOENT", "realpath", text);
        }
        return named(place.path, options);
    },
    rename(from: any, to: any): void {
        const source = pathOf(from, "oldPath"), dest = pathOf(to, "newPath");
        const a = find(source, "rename", false), b = find(dest, "rename", false);
        if (!a.node) {
            throw systemError("ENOENT", "rename", source, dest);
        }
        if (a.node === b.node) {
            return;
        }
        checkWritable(a.parent, "rename", source, dest);
        checkWritable(b.parent, "rename", source, dest);
        if (isFolder(a.node) && `${b.path}/`.startsWith(`${a.path}/`)) {
            throw systemError("EINVAL", "rename", source, dest);
        }
        if (b.node) {
            if (isFolder(b.node) && !isFolder(a.node)) {
                throw systemError("EISDIR", "rename", source, dest);
            }
            if (!isFolder(b.node) && isFolder(a.node)) {
                throw systemError("ENOTDIR", "rename", source, dest);
            }
            if (isFolder(b.node) && b.node.children!.size) {
                throw systemError("ENOTEMPTY", "rename", source, dest);
            }
            detach(b, "rename", dest);
        }
        const { nlink } = a.node;
        detach(a, "rename", source);
        attach(b, a.node, "rename", dest);
        a.node.nlink = nlink;
    },
    rm(path: any, options?: any): void {
        const text = pathOf(path);
        options = checkFlags(options, "force", "recursive");
        if (options.retryDelay !== undefined) {
            validateInteger(options.retryDelay, "options.retryDelay", 0, 2 ** 31 - 1);
        }
        if (options.maxRetries !== undefined) {
            validateInteger(options.maxRetries, "options.maxRetries", 0, 2 ** 32 - 1);
        }
        let place;
        try {
            place = find(text, "rm", false);
        } catch (error) {
            if (options.force && (error as any).code === "ENOENT") {
                return;
            }
            throw error;
        }
        if (!place.node) {
            if (options.force) {
                return;
            }
            throw systemError("ENOENT", "rm", text);
        }
        if (isFolder(place.node) && !options.recursive) {
            throw coded(Error, "ERR_FS_EISDIR", `Path is a directory: rm returned EISDIR (is a directory) ${text}`, { errno: 21, syscall: "rm", path: text });
        }
        removeTree(place, text);
    },
    rmdir(path: any, options?: any): void {
        const text = pathOf(path);
        checkFlags(options, "recursive");
        const place = find(text, "rmdir", false);
        if (!place.node) {
            throw systemError("ENOENT", "rmdir", text);
        }
        if (!isFolder(place.node)) {
            throw systemError("ENOTDIR", "rmdir", text);
        }
        if (place.node.children!.size && !options?.recursive) {
            throw systemError("ENOTEMPTY", "rmdir", text);
        }
        removeTree(place, text);
    },
    stat(path: any, options?: any): any {
        const text = pathOf(path);
        checkFlags(options, "bigint", "throwIfNoEntry");
        try {
            return statOf(existing(text, "stat"), options);
        } catch (error) {
            if (options?.throwIfNoEntry === false && ["ENOENT", "ENOTDIR"].includes((error as any).code)) {
                return undefined;
            }
            throw error;
        }
    },
    statfs(path: any, options?: any): any {
        const text = pathOf(path);
        checkFlags(options, "bigint");
        existing(text, "statfs");
        const n = (value: number): any => (options?.bigint ? BigInt(value) : value);
        return { type: n(0x01021994), bsize: n(4096), blocks: n(16384), bfree: n(8192), bavail: n(8192), files: n(16384), ffree: n(8192) };
    },
    symlink(target: any, path: any, type?: any): void {
        const to = pathOf(target, "target"), text = pathOf(path);
        if (type !== undefined && type !== null && !["dir", "file", "junction"].includes(type)) {
            throw coded(Error, "ERR_FS_INVALID_SYMLINK_TYPE", `Symlink type must be one of "dir", "file", or "junction". Received "${type}"`);
        }
        const place = find(text, "symlink", false);
        if (place.node) {
            throw systemError("EEXIST", "symlink", to, text);
        }
        const node = makeNode(c.S_IFLNK! | 0o777);
        node.target = to;
        node.size = to.length;
        attach(place, node, "symlink", text);
    },
    truncate(path: any, length?: any): void {
        length ??= 0;
        validateInteger(length, "len");
        withFile(path, c.O_RDWR!, 0o666, (fd) => sync.ftruncate(fd, length));
    },
    unlink(path: any): void {
        const text = pathOf(path);
        const place = find(text, "unlink", false);
        if (!place.node) {
            throw systemError("ENOENT", "unlink", text);
        }
        if (isFolder(place.node)) {
            throw systemError("EISDIR", "unlink", text);
        }
        detach(place, "unlink", text);
    },
    utimes(path: any, atime: any, mtime: any): void {
        const text = pathOf(path), times = { atime: timeOf(atime), mtime: timeOf(mtime) };
        Object.assign(existing(text, "utime"), times);
    },
    write,
    writeFile(file: any, data: any, options?: any): void {
        const { encoding, mode, flag, flush } = checkOptions(options);
        if (flush !== undefined && flush !== null) {
            validateBoolean(flush, "options.flush");
        }
        const bytes = bytesOf(data, encoding);
        withFile(file, flagsOf(flag, "w"), modeOf(mode, 0o666), (fd) => {
            checkFile(opened(fd, "write").node, "write");
            write(fd, bytes);
        });
    },
    writev(fd: any, buffers: any[], position?: any): number {
        opened(checkBuffers(fdOf(fd), buffers), "write");
        let all = 0;
        for (const buffer of buffers) {
            all += write(fd, buffer, 0, buffer.byteLength, typeof position === "number" ? position + all : null);
        }
        return all;
    },
    glob,
};
