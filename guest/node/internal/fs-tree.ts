// SPDX-License-Identifier: Apache-2.0
//
// The file system that code sees: /tmp, which can be written, and /bundle, which cannot. It lies in the guest's memory, so it
// belongs to one request where isolates do (and counts towards the memory limit), and top-level code can put files into it
// for all of them.

import { cwd } from "../process.ts";
import { systemError } from "./errors.ts";
import { fs as constants } from "./constants.ts";
import { posix } from "./paths.ts";

export interface Node {
    ino: number;
    mode: number; // with the kind of S_IFMT
    nlink: number;
    atime: number;
    mtime: number;
    ctime: number;
    birthtime: number;
    data?: Uint8Array; // of a file; longer than size
    size: number;
    children?: Map<string, Node>; // of a folder
    target?: string; // of a link
    isReadOnly?: boolean;
}

const LINKS_MAX = 40;
let lastIno = 1;

function now(): number {
    return Date.now();
}

export function makeNode(mode: number): Node {
    const at = now();
    const kind = mode & constants.S_IFMT!;
    return {
        ino: ++lastIno, mode, nlink: kind === constants.S_IFDIR ? 2 : 1, atime: at, mtime: at, ctime: at, birthtime: at, size: 0,
        ...kind === constants.S_IFDIR && { children: new Map() }, ...kind === constants.S_IFREG && { data: new Uint8Array(0) },
    };
}

function makeRoot(): Node {
    const root = makeNode(constants.S_IFDIR! | 0o755);
    const tmp = makeNode(constants.S_IFDIR! | 0o777);
    const bundle = makeNode(constants.S_IFDIR! | 0o555);
    const dev = makeNode(constants.S_IFDIR! | 0o755);
    const nothing = makeNode(constants.S_IFCHR! | 0o666);
    dev.children!.set("null", nothing);
    for (const [name, node] of [["tmp", tmp], ["bundle", bundle], ["dev", dev]] as const) {
        root.children!.set(name, node);
    }
    root.isReadOnly = bundle.isReadOnly = dev.isReadOnly = true;
    return root;
}

let root: Node | undefined;

export const isFolder = (node: Node): boolean => (node.mode & constants.S_IFMT!) === constants.S_IFDIR;
export const isFile = (node: Node): boolean => (node.mode & constants.S_IFMT!) === constants.S_IFREG;
export const isLink = (node: Node): boolean => (node.mode & constants.S_IFMT!) === constants.S_IFLNK;
export const isNothing = (node: Node): boolean => (node.mode & constants.S_IFMT!) === constants.S_IFCHR;

export interface Place {
    parent: Node;
    name: string; // "" for the root
    node: Node | undefined;
    path: string; // without links
}

/** Where a path leads. follows: also through a link at its end. */
export function find(path: string, syscall: string, follows = true, depth = 0): Place {
    root ??= makeRoot();
    const shown = path;
    const parts = posix.resolve(cwd(), path).split("/").filter((part: string) => part !== "");
    const place: Place = { parent: root, name: "", node: root, path: "/" };
    const walked: string[] = [];
    for (const [i, part] of parts.entries()) {
        const isLast = i === parts.length - 1;
        if (!place.node) {
            throw systemError("ENOENT", syscall, shown);
        }
        if (!isFolder(place.node)) {
            throw systemError("ENOTDIR", syscall, shown);
        }
        const node: Node | undefined = place.node.children!.get(part);
        if (node && isLink(node) && (!isLast || follows)) {
            if (depth > LINKS_MAX) {
                throw systemError("ELOOP", syscall, shown);
            }
            const target = posix.resolve(`/${walked.join("/")}`, node.target);
            try {
                return find(posix.join(target, ...parts.slice(i + 1)), syscall, follows, depth + 1);
            } catch (error) {
                const code = (error as any).code;
                throw code ? systemError(code, syscall, shown) : error;
            }
        }
        walked.push(part);
        Object.assign(place, { parent: place.node, name: part, node, path: `/${walked.join("/")}` });
    }
    return place;
}

/** The node of a path, which has to be there. */
export function existing(path: string, syscall: string, follows = true): Node {
    const { node } = find(path, syscall, follows);
    if (!node) {
        throw systemError("ENOENT", syscall, path);
    }
    return node;
}

export function checkWritable(parent: Node, syscall: string, path: string, dest?: string): void {
    if (parent.isReadOnly) {
        throw systemError("EROFS", syscall, path, dest);
    }
}

/** Puts a new node at a place. */
export function attach(place: Place, node: Node, syscall: string, path: string): void {
    checkWritable(place.parent, syscall, path);
    place.parent.children!.set(place.name, node);
    place.parent.mtime = place.parent.ctime = now();
    if (isFolder(node)) {
        place.parent.nlink++;
    }
}

export function detach(place: Place, syscall: string, path: string): void {
    checkWritable(place.parent, syscall, path);
    place.parent.children!.delete(place.name);
    place.parent.mtime = place.parent.ctime = now();
    if (isFolder(place.node!)) {
        place.parent.nlink--;
    }
    place.node!.nlink--;
}

export function readAt(node: Node, position: number, length: number): Uint8Array {
    node.atime = now();
    return isNothing(node) ? new Uint8Array(0) : node.data!.subarray(Math.min(position, node.size), Math.min(position + length, node.size));
}

export function writeAt(node: Node, position: number, bytes: Uint8Array): void {
    if (isNothing(node)) {
        return;
    }
    const end = position + bytes.length;
    resize(node, Math.max(node.size, end));
    node.data!.set(bytes, position);
}

/** Cuts, or adds zeros. */
export function resize(node: Node, size: number): void {
    if (isNothing(node)) {
        return;
    }
    if (size > node.data!.length) {
        const room = new Uint8Array(Math.max(size, Math.min(node.data!.length * 2, 2 ** 26)));
        room.set(node.data!.subarray(0, node.size));
        node.data = room;
    } else if (size < node.size) {
        node.data!.fill(0, size, node.size);
    }
    node.size = size;
    node.mtime = node.ctime = now();
}

/* ---- open files ---- */

export interface Open {
    node: Node;
    path: string;
    flags: number;
    position: number;
}

const open = new Map<number, Open>();

export function openFile(path: string, flags: number, mode: number): number {
    const isForWriting = (flags & 3) !== constants.O_RDONLY;
    const place = find(path, "open", !(flags & constants.O_NOFOLLOW!));
    let { node } = place;
    if (!node) {
        if (!(flags & constants.O_CREAT!)) {
            throw systemError("ENOENT", "open", path);
        }
        node = makeNode(constants.S_IFREG! | (mode & 0o7777));
        attach(place, node, "open", path);
    } else {
        if (flags & constants.O_CREAT! && flags & constants.O_EXCL!) {
            throw systemError("EEXIST", "open", path);
        }
        if (isFolder(node) && isForWriting) {
            throw systemError("EISDIR", "open", path);
        }
        if (!isFolder(node) && flags & constants.O_DIRECTORY!) {
            throw systemError("ENOTDIR", "open", path);
        }
        if (isForWriting && !isNothing(node)) {
            checkWritable(place.parent, "open", path);
        }
        if (flags & constants.O_TRUNC!) {
            resize(node, 0);
        }
    }
    let fd = 3;
    while (open.has(fd)) {
        fd++;
    }
    open.set(fd, { node, path: place.path, flags, position: 0 });
    return fd;
}

export function opened(fd: number, syscall: string): Open {
    if (fd >= 0 && fd <= 2 && !open.has(fd)) { // what is written to 1 and 2 is logged
        open.set(fd, { node: makeNode(constants.S_IFCHR! | 0o620), path: `/dev/fd/${fd}`, flags: fd === 0 ? constants.O_RDONLY! : constants.O_WRONLY!, position: 0 });
    }
    const file = open.get(fd);
    if (!file) {
        throw systemError("EBADF", syscall);
    }
    return file;
}

export function closeFile(fd: number): void {
    opened(fd, "close");
    open.delete(fd);
}
