// SPDX-License-Identifier: Apache-2.0
//
// fs.glob(): the paths of the tree that a pattern matches.

import { cwd as processFolder } from "../process.ts";
import { invalidArgType } from "./errors.ts";
import { Dirent } from "./fs-types.ts";
import { find, isFolder, type Node } from "./fs-tree.ts";
import { compileSegment, expandBraces, matches } from "./glob.ts";
import { posix } from "./paths.ts";
import { validateFunction, validateObject, validateString } from "./validate.ts";

interface Found {
    path: string; // as the pattern has it: of cwd, or absolute
    absolute: string;
    node: Node;
}

function look(absolute: string): Node | undefined {
    try {
        return find(absolute, "lstat", false).node;
    } catch {
        return undefined; // a file where a folder would have to be
    }
}

function entry(found: Found, isWithTypes: boolean): any {
    return isWithTypes ? new Dirent(posix.basename(found.absolute), posix.dirname(found.absolute), found.node) : found.path;
}

export function glob(pattern: any, options: any = {}): any[] {
    for (const one of Array.isArray(pattern) ? pattern : [pattern]) {
        validateString(one, "pattern");
    }
    validateObject(options, "options");
    const { cwd = processFolder(), exclude, withFileTypes = false } = options as any;
    const folder = cwd instanceof URL ? decodeURIComponent(cwd.pathname) : String(cwd);
    if (exclude !== undefined && !Array.isArray(exclude)) {
        validateFunction(exclude, "options.exclude");
    }
    const isExcluded = (found: Found): boolean => (Array.isArray(exclude)
        ? exclude.some((one) => matches(found.path, posix.normalize(one))) : Boolean(exclude?.(entry(found, withFileTypes))));
    const out = new Map<string, Found>();

    const visit = (found: Found, segments: (string | RegExp)[], at: number): void => {
        if (at > 0 && found.path !== "" && isExcluded(found)) {
            return;
        }
        if (at === segments.length) {
            out.set(found.absolute, found);
            return;
        }
        const segment = segments[at]!, isLast = at === segments.length - 1;
        const child = (name: string, next: number): void => {
            const path = posix.join(found.path, name), absolute = posix.join(found.absolute, name);
            const node = look(absolute);
            if (node && (next === segments.length || isFolder(node))) {
                visit({ path: path === "." ? "" : path, absolute, node }, segments, next);
            }
        };
        if (typeof segment === "string" && segment !== "**") {
            child(segment, at + 1);
            return;
        }
        if (segment === "**") {
            visit(found, segments, at + 1);
        }
        for (const [name, node] of found.node.children ?? []) {
            if (segment === "**") {
                child(name, isFolder(node) || !isLast ? at : at + 1);
            } else if ((segment as RegExp).test(name)) {
                child(name, at + 1);
            }
        }
    };

    for (const one of (Array.isArray(pattern) ? pattern : [pattern]).flatMap(expandBraces)) {
        const isAbsolute = one.startsWith("/"), absolute = isAbsolute ? "/" : posix.resolve(folder);
        const node = look(absolute);
        const segments = one.split("/").filter((segment: string) => segment !== "" && segment !== ".")
            .map((segment: string) => (segment === "**" ? segment : compileSegment(segment)));
        if (node && isFolder(node) && segments.length) {
            visit({ path: isAbsolute ? "/" : "", absolute, node }, segments, 0);
        }
    }
    return [...out.values()].map((found) => entry(found, withFileTypes));
}
