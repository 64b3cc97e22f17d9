// SPDX-License-Identifier: Apache-2.0
//
// node:url. The legacy functions are Node's, as the package unenv has them; those for files are ours.

import legacy from "unenv/node/url";
import { coded, invalidArgType } from "./internal/errors.ts";
import { posix, win32 } from "./internal/paths.ts";
import { missingArgs, validateString } from "./internal/validate.ts";

export const URL = globalThis.URL;
export const URLSearchParams = globalThis.URLSearchParams;
export const { Url } = legacy as any;

export function parse(url: any, parseQueryString?: boolean, slashesDenoteHost?: boolean): any {
    if (url instanceof Url) {
        return url;
    }
    validateString(url, "url");
    return legacy.parse(url, parseQueryString as any, slashesDenoteHost as any);
}

export function resolve(from: string, to: string): string {
    return parse(from, false, true).resolve(to);
}

export function resolveObject(from: any, to: any): any {
    return from ? parse(from, false, true).resolveObject(to) : to;
}

export function format(url: any, options?: any): string {
    if (url instanceof URL) {
        if (options !== undefined && options !== null && typeof options !== "object") {
            throw invalidArgType("options", "Object", options);
        }
        const { fragment = true, unicode = false, search = true, auth = true } = options ?? {};
        const copy = new URL(url.href);
        if (!fragment) {
            copy.hash = "";
        }
        if (!search) {
            copy.search = "";
        }
        if (!auth) {
            copy.username = copy.password = "";
        }
        return unicode && copy.hostname ? copy.href.replace(copy.hostname, domainToUnicode(copy.hostname)) : copy.href;
    }
    if (typeof url === "string") {
        return parse(url).format();
    }
    if (typeof url !== "object" || url === null) {
        throw invalidArgType("urlObject", ["Object", "string"], url);
    }
    return Url.prototype.format.call(url);
}

export function domainToASCII(domain: string): string {
    if (arguments.length < 1) {
        throw missingArgs("domain");
    }
    domain = `${domain}`;
    try {
        return domain === "" ? "" : new URL(`ws://${domain}`).hostname;
    } catch {
        return "";
    }
}

export function domainToUnicode(domain: string): string {
    if (arguments.length < 1) {
        throw missingArgs("domain");
    }
    const ascii = domainToASCII(`${domain}`);
    return ascii ? (legacy as any).domainToUnicode(ascii) : "";
}

export function fileURLToPath(url: any, options?: any): string {
    if (typeof url === "string") {
        url = new URL(url);
    } else if (typeof url?.href !== "string" || typeof url.protocol !== "string" || url.auth !== undefined || url.path !== undefined) {
        throw invalidArgType("path", ["string", "URL"], url);
    }
    if (url.protocol !== "file:") {
        throw coded(TypeError, "ERR_INVALID_URL_SCHEME", "The URL must be of scheme file");
    }
    const isWindows = Boolean(options?.windows);
    if ((isWindows ? /%(2f|5c)/i : /%2f/i).test(url.pathname)) {
        throw coded(TypeError, "ERR_INVALID_FILE_URL_PATH", `File URL path must not include encoded ${isWindows ? "\\ or " : ""}/ characters`);
    }
    const path = decodeURIComponent(url.pathname);
    if (isWindows) {
        const local = path.replaceAll("/", "\\");
        if (url.hostname !== "") {
            return `\\\\${domainToUnicode(url.hostname)}${local}`;
        }
        if (!/^\\[A-Za-z]:/.test(local)) {
            throw coded(TypeError, "ERR_INVALID_FILE_URL_PATH", "File URL path must be absolute");
        }
        return local.slice(1);
    }
    if (url.hostname !== "") {
        throw coded(TypeError, "ERR_INVALID_FILE_URL_HOST", 'File URL host must be "localhost" or empty on linux');
    }
    return path;
}

const escapes: Record<string, string> = { "%": "%25", "\\": "%5C", "\n": "%0A", "\r": "%0D", "\t": "%09", "?": "%3F", "#": "%23" };

export function pathToFileURL(path: string, options?: any): URL {
    validateString(path, "path");
    const isWindows = Boolean(options?.windows);
    const kind = isWindows ? win32 : posix;
    const url = new URL("file:///");
    if (isWindows && path.startsWith("\\\\")) {
        const [, host, rest] = /^\\\\(?:\?\\UNC\\)?([^\\]+)(\\.*)?$/.exec(path) ?? [];
        if (!host || !rest) {
            throw coded(TypeError, "ERR_INVALID_ARG_VALUE", `The argument 'path' Missing UNC resource path. Received '${path}'`);
        }
        url.hostname = host;
        url.pathname = rest.replaceAll("\\", "/").replace(/[%\n\r\t?#]/g, (c) => escapes[c]!);
        return url;
    }
    let resolved: string = kind.resolve(path);
    if (/[/]$/.test(path) || (isWindows && path.endsWith("\\"))) {
        resolved += resolved.endsWith(kind.sep) ? "" : kind.sep;
    }
    resolved = resolved.replace(isWindows ? /[%\n\r\t?#]/g : /[%\\\n\r\t?#]/g, (c) => escapes[c]!);
    return new URL(`file://${isWindows ? "/" : ""}${isWindows ? resolved.replaceAll("\\", "/") : resolved}`);
}

export function urlToHttpOptions(url: any): any {
    const { hostname, pathname, port, username, password, search } = url;
    return {
        __proto__: null, ...url, protocol: url.protocol,
        hostname: typeof hostname === "string" && hostname.startsWith("[") ? hostname.slice(1, -1) : hostname,
        hash: url.hash, search, pathname, path: `${pathname || ""}${search || ""}`, href: url.href,
        ...port !== "" && { port: Number(port) },
        ...(username || password) && { auth: `${decodeURIComponent(username)}:${decodeURIComponent(password)}` },
    };
}

export default {
    Url, parse, resolve, resolveObject, format, URL, URLSearchParams, domainToASCII, domainToUnicode, pathToFileURL, fileURLToPath,
    urlToHttpOptions,
};
