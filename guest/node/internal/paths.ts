// SPDX-License-Identifier: Apache-2.0
//
// node:path for both kinds of systems. A kind is its separators and how a path begins: `root` says how much of it
// is the device ("C:", "\\server\share") and how much its root.

import { cwd } from "../process.ts";
import { matches } from "./glob.ts";
import { validateObject, validateString } from "./validate.ts";

interface Root {
    device: string;
    isAbsolute: boolean;
    length: number; // of device and the first separator(s)
}

interface Kind {
    sep: string;
    delimiter: string;
    isSeparator(c: string | undefined): boolean;
    root(path: string): Root;
}

const posixKind: Kind = {
    sep: "/",
    delimiter: ":",
    isSeparator: (c) => c === "/",
    root: (path) => ({ device: "", isAbsolute: path.startsWith("/"), length: path.startsWith("/") ? 1 : 0 }),
};

const isSlash = (c: string | undefined): boolean => c === "/" || c === "\\";

const win32Kind: Kind = {
    sep: "\\",
    delimiter: ";",
    isSeparator: isSlash,
    root(path) {
        if (isSlash(path[0])) {
            const unc = /^[\\/]{2}([^\\/]+)[\\/]+([^\\/]+)([\\/]?)/.exec(path);
            return unc ? { device: `\\\\${unc[1]}\\${unc[2]}`, isAbsolute: true, length: unc[0].length }
                : { device: "", isAbsolute: true, length: 1 };
        }
        if (/^[A-Za-z]:/.test(path)) {
            return { device: path.slice(0, 2), isAbsolute: isSlash(path[2]), length: isSlash(path[2]) ? 3 : 2 };
        }
        return { device: "", isAbsolute: false, length: 0 };
    },
};

/** Resolves "." and ".."; what would lead above the start stays when the path is relative. */
function squeeze(path: string, allowsAbove: boolean, kind: Kind): string {
    const parts: string[] = [];
    for (const part of path.split(kind === win32Kind ? /[\\/]/ : "/")) {
        if (part === "" || part === ".") {
            continue;
        }
        if (part !== "..") {
            parts.push(part);
        } else if (parts.length && parts.at(-1) !== "..") {
            parts.pop();
        } else if (allowsAbove) {
            parts.push("..");
        }
    }
    return parts.join(kind.sep);
}

function make(kind: Kind): any {
    const isWin = kind === win32Kind;

    function normalize(path: string): string {
        validateString(path, "path");
        if (path.length === 0) {
            return ".";
        }
        if (isWin && path.length === 1) {
            return isSlash(path) ? "\\" : path;
        }
        const root = kind.root(path);
        if (isWin && root.length === path.length && root.device.startsWith("\\\\")) {
            return `${root.device}\\`;
        }
        let tail = squeeze(path.slice(root.length), !root.isAbsolute, kind);
        if (tail.length === 0 && !root.isAbsolute) {
            tail = ".";
        }
        if (tail.length > 0 && kind.isSeparator(path.at(-1))) {
            tail += kind.sep;
        }
        return `${root.device}${root.isAbsolute ? kind.sep : ""}${tail}`;
    }

    function join(...paths: string[]): string {
        for (const path of paths) {
            validateString(path, "path");
        }
        const some = paths.filter((path) => path.length > 0);
        if (!some.length) {
            return ".";
        }
        let joined = some.join(kind.sep);
        if (isWin) { // only a first part that is meant as UNC stays one
            const first = some[0]!;
            let slashes = 0;
            while (isSlash(first[slashes])) {
                slashes++;
            }
            const keeps = slashes === 2 && first.length > 2;
            if (!keeps) {
                let all = 0;
                while (isSlash(joined[all])) {
                    all++;
                }
                if (all >= 2) {
                    joined = `\\${joined.slice(all)}`;
                }
            }
        }
        return normalize(joined);
    }

    function resolve(...paths: string[]): string {
        let device = "", tail = "", isAbsolute = false;
        for (let i = paths.length - 1; i >= -1; i--) {
            let path: string;
            if (i >= 0) {
                path = paths[i]!;
                validateString(path, `paths[${i}]`);
                if (path.length === 0) {
                    continue;
                }
            } else {
                path = cwd();
            }
            const root = kind.root(path);
            if (root.device && device && root.device.toLowerCase() !== device.toLowerCase()) {
                continue;
            }
            device ||= root.device;
            if (!isAbsolute) {
                tail = `${path.slice(root.length)}${kind.sep}${tail}`;
                isAbsolute = root.isAbsolute;
            }
            if (isAbsolute && (!isWin || device)) {
                break;
            }
        }
        tail = squeeze(tail, !isAbsolute, kind);
        return `${device}${isAbsolute ? kind.sep : ""}${tail}` || ".";
    }

    function isAbsolute(path: string): boolean {
        validateString(path, "path");
        return kind.root(path).isAbsolute;
    }

    function relative(from: string, to: string): string {
        validateString(from, "from");
        validateString(to, "to");
        if (from === to) {
            return "";
        }
        const fold = (text: string): string => (isWin ? text.toLowerCase() : text);
        const a = resolve(from), b = resolve(to);
        if (fold(a) === fold(b)) {
            return "";
        }
        const parts = (path: string): string[] => path.split(kind.sep).filter((part) => part !== "");
        const x = parts(a), y = parts(b);
        let same = 0;
        while (same < x.length && same < y.length && fold(x[same]!) === fold(y[same]!)) {
            same++;
        }
        if (isWin && same === 0) {
            return b;
        }
        return [...x.slice(same).map(() => ".."), ...y.slice(same)].join(kind.sep);
    }

    /** Where the last part begins and ends, without separators behind it. */
    function lastPart(path: string): [start: number, end: number] {
        const from = isWin && /^[A-Za-z]:/.test(path) ? 2 : 0;
        let end = path.length;
        while (end > from && kind.isSeparator(path[end - 1])) {
            end--;
        }
        let start = end;
        while (start > from && !kind.isSeparator(path[start - 1])) {
            start--;
        }
        return [start, end];
    }

    function dirname(path: string): string {
        validateString(path, "path");
        if (path.length === 0) {
            return ".";
        }
        if (path.length === 1) {
            return kind.isSeparator(path) ? path : ".";
        }
        let from = 0;
        if (isWin) {
            const root = kind.root(path);
            const isUnc = root.device.startsWith("\\\\");
            if (isUnc && root.length === path.length) {
                return path;
            }
            from = isUnc || root.device ? root.length : root.isAbsolute ? 1 : 0;
        } else if (path[0] === "/") {
            from = 1;
        }
        let end = path.length;
        while (end > from && kind.isSeparator(path[end - 1])) {
            end--;
        }
        while (end > from && !kind.isSeparator(path[end - 1])) {
            end--;
        }
        if (end <= from) {
            return from ? path.slice(0, from) : ".";
        }
        end--; // the separator before the last part
        if (!isWin && end === 1 && from === 1) {
            return "//";
        }
        return path.slice(0, Math.max(end, from)) || ".";
    }

    function basename(path: string, suffix?: string): string {
        if (suffix !== undefined) {
            validateString(suffix, "suffix");
        }
        validateString(path, "path");
        const [start, end] = lastPart(path);
        const name = path.slice(start, end);
        return suffix !== undefined && suffix.length > 0 && name.endsWith(suffix) && name !== suffix
            ? name.slice(0, -suffix.length) : suffix !== undefined && suffix === path ? "" : name;
    }

    function extname(path: string): string {
        validateString(path, "path");
        const [start, end] = lastPart(path);
        const name = path.slice(start, end);
        const dot = name.lastIndexOf(".");
        return dot <= 0 || name === ".." ? "" : name.slice(dot);
    }

    function format(object: any): string {
        validateObject(object, "pathObject");
        const { dir, root, base, name, ext } = object as any;
        const dotted = ext ? `${ext[0] === "." ? "" : "."}${ext}` : "";
        const last = base || `${name || ""}${dotted}`;
        const folder = dir || root;
        return !folder ? last : folder === root ? `${folder}${last}` : `${folder}${kind.sep}${last}`;
    }

    function parse(path: string): any {
        validateString(path, "path");
        const found = kind.root(path);
        const root = path.slice(0, found.length);
        const [start, end] = lastPart(path);
        const base = path.slice(Math.max(start, root.length), Math.max(end, root.length));
        const dot = base.lastIndexOf(".");
        const isQuirk = !isWin && root === "/" && start === 1; // Node takes "/.." for a name with an extension
        const hasExt = dot > 0 && (base !== ".." || isQuirk);
        let dir = root;
        if (start > root.length) {
            dir = path.slice(0, start - 1);
        }
        return { root, dir, base, ext: hasExt ? base.slice(dot) : "", name: hasExt ? base.slice(0, dot) : base };
    }

    function toNamespacedPath(path: any): any {
        if (!isWin || typeof path !== "string" || path.length === 0) {
            return path;
        }
        const resolved = resolve(path);
        if (resolved.length <= 2) {
            return path;
        }
        if (resolved.startsWith("\\\\")) {
            return resolved[2] !== "?" && resolved[2] !== "." ? `\\\\?\\UNC\\${resolved.slice(2)}` : resolved;
        }
        return /^[A-Za-z]:\\/.test(resolved) ? `\\\\?\\${resolved}` : path;
    }

    /** Simple patterns: *, **, ?, [abc], {a,b}. */
    function matchesGlob(path: string, pattern: string): boolean {
        validateString(path, "path");
        validateString(pattern, "pattern");
        const slashed = (text: string): string => (isWin ? text.replaceAll("\\", "/") : text);
        return matches(slashed(path), slashed(pattern));
    }

    return {
        resolve, normalize, isAbsolute, join, relative, toNamespacedPath, dirname, basename, extname, format, parse, matchesGlob,
        sep: kind.sep, delimiter: kind.delimiter, win32: null, posix: null, _makeLong: toNamespacedPath,
    };
}

export const posix = make(posixKind);
export const win32 = make(win32Kind);
posix.win32 = win32.win32 = win32;
posix.posix = win32.posix = posix;
