// SPDX-License-Identifier: Apache-2.0
//
// node:process. What it says of the process is the same everywhere; variables, clock and log are the host's and
// asked for when they are used, so that nothing of them is in an image.

import { native } from "limpet:internal";
import EventEmitter from "./events.ts";
import { coded, invalidArgType, unavailable } from "./internal/errors.ts";
import { nextTick } from "./internal/tick.ts";
import "./internal/install.ts";
import { versions as all } from "./internal/versions.ts";

export { nextTick };

/* ---- variables ---- */

const changed: Record<string, string> = Object.create(null);
const deleted = new Set<string>();

function variable(name: string | symbol): string | undefined {
    if (typeof name === "symbol") {
        return undefined;
    }
    return name in changed ? changed[name] : deleted.has(name) ? undefined : native.envGet(name);
}

function variableNames(): string[] {
    return [...new Set([...native.envList().map(([name]: [string, string]) => name), ...Object.keys(changed)])]
        .filter((name) => !deleted.has(name));
}

/** The module's variables. What is assigned is seen by this code alone. */
export const env: Record<string, string | undefined> = new Proxy(Object.create(Object.prototype), {
    get: (target, name) => variable(name) ?? Reflect.get(Object.prototype, name),
    has: (target, name) => variable(name) !== undefined || name in Object.prototype,
    set(target, name, value) {
        if (typeof name === "symbol") {
            throw new TypeError("Cannot convert a Symbol value to a string");
        }
        changed[name] = String(value);
        deleted.delete(name);
        return true;
    },
    deleteProperty(target, name) {
        if (typeof name === "string") {
            delete changed[name];
            deleted.add(name);
        }
        return true;
    },
    defineProperty(target, name, descriptor) {
        if ("value" in descriptor && typeof name === "string") {
            changed[name] = String(descriptor.value);
            deleted.delete(name);
            return true;
        }
        throw coded(TypeError, "ERR_INVALID_OBJECT_DEFINE_PROPERTY", "'process.env' does not accept an accessor(getter/setter) descriptor");
    },
    ownKeys: () => variableNames(),
    getOwnPropertyDescriptor(target, name) {
        const value = variable(name);
        return value === undefined ? undefined : { value, writable: true, enumerable: true, configurable: true };
    },
}) as Record<string, string | undefined>;

/* ---- clocks ---- */

export const hrtime: any = function hrtime(since?: [number, number]): [number, number] {
    if (since !== undefined && !Array.isArray(since)) {
        throw invalidArgType("time", "Array", since);
    }
    const ns = hrtime.bigint();
    let seconds = Number(ns / 1_000_000_000n), rest = Number(ns % 1_000_000_000n);
    if (since) {
        seconds -= since[0];
        rest -= since[1];
        if (rest < 0) {
            seconds--;
            rest += 1e9;
        }
    }
    return [seconds, rest];
};
hrtime.bigint = function bigint(): bigint {
    return BigInt(Math.round(native.clock(1) * 1e6));
};

export function uptime(): number {
    return native.clock(1) / 1000;
}

/* ---- where it runs ---- */

let folder = "/bundle";

export function cwd(): string {
    return folder;
}

export function chdir(path: string): void {
    if (typeof path !== "string") {
        throw invalidArgType("directory", "string", path);
    }
    const { resolve } = native.require("node:path") as any;
    folder = resolve(path);
}

export const title = "limpet";
export const argv: string[] = ["/usr/bin/limpet", "/bundle/index.js"];
export const argv0 = "limpet";
export const execArgv: string[] = [];
export const execPath = "/usr/bin/limpet";
export const platform = "linux";
export const arch = "x64";
export const pid = 1;
export const ppid = 0;
export const version = `v${all.node}`;
export const versions = Object.freeze(all);
export const release = { name: "node", lts: "Iron", sourceUrl: "", headersUrl: "" };
export const config = { target_defaults: {}, variables: {} };
export const features = {
    inspector: false, debug: false, uv: false, ipv6: true, tls_alpn: true, tls_sni: true, tls_ocsp: false, tls: true,
    cached_builtins: true, require_module: false, typescript: false,
};
export const allowedNodeEnvironmentFlags = new Set<string>();
export let exitCode: number | undefined;
export const debugPort = 0;
export const report = {};
export const permission = undefined;
export const binding = () => {
    throw unavailable("process.binding()", "there is nothing of Node's inside here");
};
export const moduleLoadList: string[] = [];

export function memoryUsage(): any {
    return { rss: 0, heapTotal: 0, heapUsed: 0, external: 0, arrayBuffers: 0 };
}
memoryUsage.rss = () => 0;

export const constrainedMemory = (): number => 0;
export const availableMemory = (): number => 0;

export function cpuUsage(): any {
    const user = Math.round(native.clock(1) * 1000);
    return { user, system: 0 };
}

export function resourceUsage(): any {
    return {
        userCPUTime: cpuUsage().user, systemCPUTime: 0, maxRSS: 0, sharedMemorySize: 0, unsharedDataSize: 0, unsharedStackSize: 0,
        minorPageFault: 0, majorPageFault: 0, swappedOut: 0, fsRead: 0, fsWrite: 0, ipcSent: 0, ipcReceived: 0, signalsCount: 0,
        voluntaryContextSwitches: 0, involuntaryContextSwitches: 0,
    };
}

const zero = () => 0;
export const getuid = zero, geteuid = zero, getgid = zero, getegid = zero;
export const getgroups = () => [0];
const noUsers = (name: string) => () => {
    throw unavailable(`process.${name}()`, "there are no users here");
};
export const setuid = noUsers("setuid"), seteuid = noUsers("seteuid"), setgid = noUsers("setgid"),
    setegid = noUsers("setegid"), setgroups = noUsers("setgroups"), initgroups = noUsers("initgroups");

let mask = 0o22;
export function umask(next?: number): number {
    const old = mask;
    mask = next ?? mask;
    return old;
}

/* ---- ends and signals ---- */

export function exit(code?: number): never {
    throw unavailable(`process.exit(${code ?? exitCode ?? ""})`, "the code shares its process with others; return from the handler, or throw an error");
}

export const reallyExit = exit;

export function abort(): never {
    throw unavailable("process.abort()", "the code shares its process with others; throw an error");
}

export function kill(pid: number, signal?: string | number): boolean {
    if (signal === 0 && pid === 1) {
        return true;
    }
    throw unavailable("process.kill()", "there are no processes here");
}

export function dlopen(): never {
    throw unavailable("process.dlopen()", "no native code can be loaded; use a package built to WebAssembly");
}

/* ---- warnings ---- */

export function emitWarning(warning: any, typeOrOptions?: any, code?: any): void {
    let type = typeOrOptions, detail: string | undefined;
    if (typeOrOptions !== null && typeof typeOrOptions === "object") {
        ({ type, code, detail } = typeOrOptions);
    } else if (typeof typeOrOptions === "function") {
        type = undefined;
    }
    if (typeof warning === "string") {
        const error: any = new Error(warning);
        error.name = String(type || "Warning");
        if (code !== undefined && typeof code !== "function") {
            error.code = code;
        }
        if (detail !== undefined) {
            error.detail = detail;
        }
        warning = error;
    } else if (!(warning instanceof Error)) {
        throw invalidArgType("warning", ["string", "Error"], warning);
    }
    if (warning.name === "DeprecationWarning" && processObject.noDeprecation) {
        return;
    }
    nextTick(() => {
        if (!processObject.emit("warning", warning)) {
            native.log(2, `${warning.code ? `[${warning.code}] ` : ""}${warning.name}: ${warning.message}`);
        }
    });
}

/* ---- streams ---- */

const streams: Record<string, any> = {};

function stream(fd: 0 | 1 | 2): any {
    return streams[fd] ??= (native.require("node:tty") as any).standardStream(fd);
}

export function getBuiltinModule(name: string): unknown {
    const { builtinModules } = native.require("node:module") as any;
    const bare = String(name).replace(/^node:/, "");
    return builtinModules.includes(bare) ? native.require(`node:${bare}`) : undefined;
}

export const assert = (value: unknown, message?: string): void => (native.require("node:assert") as any)(value, message);
export const setUncaughtExceptionCaptureCallback = (): void => {};
export const hasUncaughtExceptionCaptureCallback = (): boolean => false;
export const setSourceMapsEnabled = (): void => {};
export const getActiveResourcesInfo = (): string[] => [];
export const loadEnvFile = (): never => {
    throw unavailable("process.loadEnvFile()", "variables are set with `limpet env set`");
};
export const ref = (): void => {};
export const unref = (): void => {};

function process(): void {}
const processObject: any = Object.create(Object.create(EventEmitter.prototype, {
    constructor: { value: process, writable: true, configurable: true },
}));
Object.defineProperty(process, "name", { value: "process" });
EventEmitter.init.call(processObject);
Object.defineProperty(processObject, Symbol.toStringTag, { value: "process", configurable: true });
Object.assign(processObject, {
    abort, allowedNodeEnvironmentFlags, arch, argv, argv0, assert, availableMemory, binding, chdir, config, constrainedMemory,
    cpuUsage, cwd, debugPort, dlopen, emitWarning, env, execArgv, execPath, exit, exitCode, features, getActiveResourcesInfo,
    getBuiltinModule, getegid, geteuid, getgid, getgroups, getuid, hasUncaughtExceptionCaptureCallback, hrtime, initgroups,
    kill, loadEnvFile, memoryUsage, moduleLoadList, nextTick, pid, platform, ppid, reallyExit, ref, release, report, resourceUsage,
    setSourceMapsEnabled, setUncaughtExceptionCaptureCallback, setegid, seteuid, setgid, setgroups, setuid, title, umask, unref,
    uptime, version, versions,
});
for (const [fd, name] of ["stdin", "stdout", "stderr"].entries()) {
    Object.defineProperty(processObject, name, {
        configurable: true, enumerable: true, get: () => stream(fd as 0 | 1 | 2),
        set(value: unknown) {
            streams[fd] = value;
        },
    });
}

export const on = processObject.on, once = processObject.once, off = processObject.off, emit = processObject.emit,
    addListener = processObject.addListener, removeListener = processObject.removeListener,
    removeAllListeners = processObject.removeAllListeners, listeners = processObject.listeners,
    listenerCount = processObject.listenerCount, eventNames = processObject.eventNames,
    setMaxListeners = processObject.setMaxListeners, getMaxListeners = processObject.getMaxListeners,
    prependListener = processObject.prependListener, prependOnceListener = processObject.prependOnceListener,
    rawListeners = processObject.rawListeners;

export default processObject;
