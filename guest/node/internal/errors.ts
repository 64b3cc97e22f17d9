// SPDX-License-Identifier: Apache-2.0
//
// Errors as Node's: an ordinary class, a `code`, and texts that say what was expected and what came.

import { inspect } from "limpet:internal";

type AnyError = Error & { code?: string; [key: string]: any };

/** An error of that class with a code, which its text names. */
export function coded(Class: any, code: string, message: string, more?: object): AnyError {
    const error = new Class(message);
    Object.defineProperty(error, "toString", {
        value(this: Error) {
            return `${this.name} [${code}]: ${this.message}`;
        }, enumerable: false, writable: true, configurable: true,
    });
    if (typeof error.stack === "string" && !error.stack.includes(`[${code}]`)) {
        error.stack = error.stack.replace(/^(\w+)(?=:)/, `$1 [${code}]`);
    }
    error.code = code;
    return more ? Object.assign(error, more) : error;
}

/** " Received …": what a value is, for texts about wrong arguments. */
export function received(value: unknown): string {
    if (value === undefined || value === null) {
        return ` Received ${value}`;
    }
    if (typeof value === "function") {
        return ` Received function ${value.name}`;
    }
    if (typeof value === "object") {
        const name = value.constructor?.name;
        return name ? ` Received an instance of ${name}` : ` Received ${inspect(value, { depth: -1 })}`;
    }
    let text = inspect(value, { colors: false });
    if (text.length > 28) {
        text = `${text.slice(0, 25)}...`;
    }
    return ` Received type ${typeof value} (${text})`;
}

const kinds = ["string", "function", "number", "object", "Function", "Object", "boolean", "bigint", "symbol"];

function listed(words: string[]): string {
    return words.length > 2
        ? `${words.slice(0, -1).join(", ")}, or ${words.at(-1)}` : words.join(" or ");
}

export function invalidArgType(name: string, expected: string | string[], value: unknown): AnyError {
    const all = Array.isArray(expected) ? expected : [expected];
    const types = all.filter((one) => kinds.includes(one)).map((one) => one.toLowerCase());
    const instances = all.filter((one) => !kinds.includes(one) && /^[A-Z]/.test(one));
    const others = all.filter((one) => !kinds.includes(one) && !/^[A-Z]/.test(one));
    const said: string[] = [];
    if (instances.length && types.includes("object")) {
        types.splice(types.indexOf("object"), 1);
        instances.push("Object");
    }
    if (types.length) {
        said.push(`${types.length > 1 ? "one of type" : "of type"} ${listed(types)}`);
    }
    if (instances.length) {
        said.push(`an instance of ${listed(instances)}`);
    }
    if (others.length) {
        said.push(others.length > 1 ? `one of ${listed(others)}` : `${others[0] !== others[0].toLowerCase() ? "an " : ""}${others[0]}`);
    }
    const subject = name.endsWith(" argument") ? `The ${name}` : `The "${name}" ${name.includes(".") ? "property" : "argument"}`;
    return coded(TypeError, "ERR_INVALID_ARG_TYPE", `${subject} must be ${said.join(" or ")}.${received(value)}`);
}

export function invalidArgValue(name: string, value: unknown, reason = "is invalid"): AnyError {
    let text = inspect(value);
    if (text.length > 128) {
        text = `${text.slice(0, 128)}...`;
    }
    return coded(TypeError, "ERR_INVALID_ARG_VALUE",
        `The ${name.includes(".") ? "property" : "argument"} '${name}' ${reason}. Received ${text}`);
}

function grouped(digits: string): string {
    return digits.replace(/\B(?=(\d{3})+$)/g, "_");
}

export function outOfRange(name: string, range: string, value: unknown): AnyError {
    let text: string;
    if (Number.isInteger(value) && Math.abs(value as number) > 2 ** 32) {
        text = String(value).replace(/\d+/, grouped);
    } else if (typeof value === "bigint") {
        text = String(value);
        if (value > 2n ** 32n || value < -(2n ** 32n)) {
            text = text.replace(/\d+/, grouped);
        }
        text += "n";
    } else {
        text = inspect(value);
    }
    return coded(RangeError, "ERR_OUT_OF_RANGE", `The value of "${name}" is out of range. It must be ${range}. Received ${text}`);
}

/** For what this platform cannot do: says why, and what to use instead. */
export function unavailable(what: string, why: string, code = "ERR_METHOD_NOT_IMPLEMENTED"): AnyError {
    return coded(Error, code, `${what} is not available here: ${why}`);
}

/** A function of that name which throws so. */
export function refused(what: string, why: string): any {
    const fn = function (): never {
        throw unavailable(what, why);
    };
    Object.defineProperty(fn, "name", { value: what.split(".").at(-1) });
    return fn;
}

/** A class of that name which cannot be made. */
export function refusedClass(what: string, why: string): any {
    return { [what]: class {
        constructor() {
            throw unavailable(`new ${what}()`, why);
        }
    } }[what];
}

export class AbortError extends Error {
    code = "ABORT_ERR";
    constructor(message = "The operation was aborted", options?: ErrorOptions) {
        super(message, options);
        this.name = "AbortError";
    }
}

/** An errno error as the file system's: "ENOENT: no such file or directory, open '/x'". */
export function systemError(code: string, syscall: string, path?: string, dest?: string): AnyError {
    const known = errnos[code] ?? [-1, "unknown error"];
    const error: AnyError = new Error(
        `${code}: ${known[1]}, ${syscall}${path === undefined ? "" : ` '${path}'`}${dest === undefined ? "" : ` -> '${dest}'`}`);
    error.errno = known[0];
    error.code = code;
    error.syscall = syscall;
    if (path !== undefined) {
        error.path = path;
    }
    if (dest !== undefined) {
        error.dest = dest;
    }
    return error;
}

export const errnos: Record<string, [number, string]> = {
    E2BIG: [-7, "argument list too long"], EACCES: [-13, "permission denied"], EADDRINUSE: [-98, "address already in use"],
    EADDRNOTAVAIL: [-99, "address not available"], EAGAIN: [-11, "resource temporarily unavailable"],
    EBADF: [-9, "bad file descriptor"], EBUSY: [-16, "resource busy or locked"], ECANCELED: [-125, "operation canceled"],
    ECONNABORTED: [-103, "software caused connection abort"], ECONNREFUSED: [-111, "connection refused"],
    ECONNRESET: [-104, "connection reset by peer"], EEXIST: [-17, "file already exists"], EFBIG: [-27, "file too large"],
    EHOSTUNREACH: [-113, "host is unreachable"], EINVAL: [-22, "invalid argument"], EIO: [-5, "i/o error"],
    EISDIR: [-21, "illegal operation on a directory"], ELOOP: [-40, "too many symbolic links encountered"],
    EMFILE: [-24, "too many open files"], ENAMETOOLONG: [-36, "name too long"], ENETUNREACH: [-101, "network is unreachable"],
    ENOENT: [-2, "no such file or directory"], ENOMEM: [-12, "not enough memory"], ENOSPC: [-28, "no space left on device"],
    ENOSYS: [-38, "function not implemented"], ENOTCONN: [-107, "socket is not connected"], ENOTDIR: [-20, "not a directory"],
    ENOTEMPTY: [-39, "directory not empty"], ENOTFOUND: [-3008, "unknown node or service"], ENOTSUP: [-95, "operation not supported on socket"],
    EPERM: [-1, "operation not permitted"], EPIPE: [-32, "broken pipe"], EROFS: [-30, "read-only file system"],
    ETIMEDOUT: [-110, "connection timed out"], EXDEV: [-18, "cross-device link not permitted"],
};
