// SPDX-License-Identifier: Apache-2.0
//
// node:fs on the file system of internal/fs-tree.ts. Callbacks come later, as in Node, though nothing waits.

import { fs as constants } from "./internal/constants.ts";
import { unavailable } from "./internal/errors.ts";
import { promises } from "./internal/fs-promises.ts";
import { ReadStream, WriteStream } from "./internal/fs-streams.ts";
import { sync } from "./internal/fs-sync.ts";
import { Dir, Dirent, Stats } from "./internal/fs-types.ts";
import { nextTick } from "./internal/tick.ts";
import { validateFunction } from "./internal/validate.ts";

export { constants, Dir, Dirent, promises, ReadStream, Stats, WriteStream };
export { ReadStream as FileReadStream, WriteStream as FileWriteStream };
export const { F_OK, R_OK, W_OK, X_OK } = constants as any;

/** name(…args, callback) of nameSync(…args): results gives what the callback gets after null. */
function called(name: string, results: (value: any, args: any[]) => any[] = (value) => (value === undefined ? [] : [value])): any {
    return { [name](...args: any[]): void {
        const callback = args.pop();
        validateFunction(callback, "cb");
        let given: any[];
        try {
            const value = sync[name](...args);
            given = [null, ...results(value, args)];
        } catch (error) {
            const { code } = error as any;
            if (typeof code === "string" && /^ERR_(INVALID|OUT_OF_RANGE)/.test(code)) { // wrong arguments are told at once
                throw error;
            }
            given = [error];
        }
        nextTick(callback, ...given);
    } }[name];
}

const promisifyArgs = Symbol.for("limpet.promisifyArgs");
const withNames = (fn: any, ...names: string[]): any => Object.defineProperty(fn, promisifyArgs, { value: names });

export const access = called("access");
export const appendFile = called("appendFile");
export const chmod = called("chmod");
export const chown = called("chown");
export const close = called("close");
export const copyFile = called("copyFile");
export const cp = called("cp");
export const fchmod = called("fchmod");
export const fchown = called("fchown");
export const fdatasync = called("fdatasync");
export const fstat = called("fstat");
export const fsync = called("fsync");
export const ftruncate = called("ftruncate");
export const futimes = called("futimes");
export const lchmod = called("lchmod");
export const lchown = called("lchown");
export const link = called("link");
export const lstat = called("lstat");
export const lutimes = called("lutimes");
export const mkdir = called("mkdir");
export const mkdtemp = called("mkdtemp");
export const open = called("open");
export const opendir = called("opendir");
export const readFile = called("readFile");
export const readdir = called("readdir");
export const readlink = called("readlink");
export const rename = called("rename");
export const rm = called("rm");
export const rmdir = called("rmdir");
export const stat = called("stat");
export const statfs = called("statfs");
export const symlink = called("symlink");
export const truncate = called("truncate");
export const unlink = called("unlink");
export const utimes = called("utimes");
export const writeFile = called("writeFile");
export const read = withNames(called("read", (count, args) => [count, args[1]]), "bytesRead", "buffer");
export const readv = withNames(called("readv", (count, args) => [count, args[1]]), "bytesRead", "buffers");
export const write = withNames(called("write", (count, args) => [count, args[1]]), "bytesWritten", "buffer");
export const writev = withNames(called("writev", (count, args) => [count, args[1]]), "bytesWritten", "buffers");
export const realpath = called("realpath");
realpath.native = realpath;
export const glob = called("glob");

export function exists(path: any, callback: any): void {
    validateFunction(callback, "cb");
    nextTick(callback, sync.exists(path));
}
Object.defineProperty(exists, Symbol.for("nodejs.util.promisify.custom"), { value: async (path: any) => sync.exists(path) });

export const {
    access: accessSync, appendFile: appendFileSync, chmod: chmodSync, chown: chownSync, close: closeSync, copyFile: copyFileSync,
    cp: cpSync, fchmod: fchmodSync, fchown: fchownSync, fdatasync: fdatasyncSync, fstat: fstatSync, fsync: fsyncSync,
    ftruncate: ftruncateSync, futimes: futimesSync, lchmod: lchmodSync, lchown: lchownSync, link: linkSync, lstat: lstatSync, lutimes: lutimesSync,
    mkdir: mkdirSync, mkdtemp: mkdtempSync, open: openSync, opendir: opendirSync, readFile: readFileSync, readdir: readdirSync,
    readlink: readlinkSync, rename: renameSync, rm: rmSync, rmdir: rmdirSync, stat: statSync, statfs: statfsSync,
    symlink: symlinkSync, truncate: truncateSync, unlink: unlinkSync, utimes: utimesSync, writeFile: writeFileSync,
    exists: existsSync, read: readSync, readv: readvSync, realpath: realpathSync, write: writeSync, writev: writevSync,
    glob: globSync,
} = sync;
realpathSync.native = realpathSync;

const refuse = (name: string, why: string) => (): never => {
    throw unavailable(`fs.${name}()`, why);
};
export const watch = refuse("watch", "nothing but this code changes its files");
export const watchFile = refuse("watchFile", "nothing but this code changes its files");
export const unwatchFile = (): void => {};

export function createReadStream(path: any, options?: any): any {
    return new (ReadStream as any)(path, options);
}

export function createWriteStream(path: any, options?: any): any {
    return new (WriteStream as any)(path, options);
}

export async function openAsBlob(path: any, options: any = {}): Promise<Blob> {
    return new Blob([sync.readFile(path)], options);
}

export default {
    Dir, Dirent, F_OK, FileReadStream: ReadStream, FileWriteStream: WriteStream, R_OK, ReadStream, Stats, W_OK, WriteStream, X_OK, constants,
    promises,
    access, accessSync, appendFile, appendFileSync, chmod, chmodSync, chown, chownSync, close, closeSync, copyFile, copyFileSync,
    cp, cpSync, createReadStream, createWriteStream, exists, existsSync, fchmod, fchmodSync, fchown, fchownSync, fdatasync,
    fdatasyncSync, fstat, fstatSync, fsync, fsyncSync, ftruncate, ftruncateSync, futimes, futimesSync, glob, globSync, lchmod,
    lchmodSync, lchown, lchownSync, link, linkSync, lstat, lstatSync, lutimes, lutimesSync, mkdir, mkdirSync, mkdtemp,
    mkdtempSync, open, openAsBlob, openSync, opendir, opendirSync, read, readFile, readFileSync, readSync, readdir, readdirSync,
    readlink, readlinkSync, readv, readvSync, realpath, realpathSync, rename, renameSync, rm, rmSync, rmdir, rmdirSync, stat,
    statSync, statfs, statfsSync, symlink, symlinkSync, truncate, truncateSync, unlink, unlinkSync, unwatchFile, utimes,
    utimesSync, watch, watchFile, write, writeFile, writeFileSync, writeSync, writev, writevSync,
};
