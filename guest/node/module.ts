// SPDX-License-Identifier: Apache-2.0
//
// node:module: require() of the platform's modules by name. Files and packages are in the bundle already.

import { native } from "limpet:internal";
import { coded, refused } from "./internal/errors.ts";
import { names } from "./internal/names.ts";
import { validateString } from "./internal/validate.ts";

const bundled = "files and packages are bundled when a function is deployed; import them with a literal path or name";

/** Of these the bare names are packages' (src/script/bundle_node.c). */
const prefixed = ["sqlite", "test"];

export const builtinModules: string[] = names.filter((name) => !prefixed.includes(name));

export function isBuiltin(name: unknown): boolean {
    return typeof name === "string" && (name.startsWith("node:") ? names.includes(name.slice(5)) : builtinModules.includes(name));
}

function load(name: string): unknown {
    validateString(name, "id");
    if (isBuiltin(name)) {
        return native.require(`node:${name.replace(/^node:/, "")}`);
    }
    throw coded(Error, "MODULE_NOT_FOUND", `Cannot find module '${name}': ${bundled}`, { requireStack: [] });
}

export function createRequire(from: string | URL): any {
    if (!(from instanceof URL) && (typeof from !== "string" || !/^(file:|\/)/.test(from))) {
        throw coded(TypeError, "ERR_INVALID_ARG_VALUE", `The argument 'filename' must be a file URL object, file URL string, or absolute path string. Received '${String(from)}'`);
    }
    const require: any = (name: string): unknown => load(name);
    require.resolve = (name: string): string => {
        if (isBuiltin(name)) {
            return name;
        }
        throw coded(Error, "MODULE_NOT_FOUND", `Cannot find module '${name}': ${bundled}`, { requireStack: [] });
    };
    require.resolve.paths = (): null => null;
    require.cache = Object.create(null);
    require.extensions = Object.create(null);
    require.main = undefined;
    return require;
}

export function Module(this: any, id = ""): void {
    this.id = id;
    this.exports = {};
    this.loaded = false;
    this.children = [];
    this.paths = [];
    this.filename = null;
}
Module.prototype.require = function require(name: string): unknown {
    return load(name);
};

export const syncBuiltinESMExports = (): void => {};
export const findSourceMap = (): undefined => undefined;
export const enableCompileCache = (): any => ({ status: 3 });
export const getCompileCacheDir = (): undefined => undefined;
export const flushCompileCache = (): void => {};
export const register = refused("module.register", bundled);
export const registerHooks = refused("module.registerHooks", bundled);
export const runMain = refused("module.runMain", bundled);
export const findPackageJSON = (): undefined => undefined;
export const stripTypeScriptTypes = refused("module.stripTypeScriptTypes", bundled);
export const SourceMap = class SourceMap {
    payload: any;
    constructor(payload: any) {
        this.payload = payload;
    }
    findEntry(): any {
        return {};
    }
};
export const globalPaths: string[] = [];
export const _extensions = Object.create(null);
export const _cache = Object.create(null);
export const _pathCache = Object.create(null);
export const _load = (name: string): unknown => load(name);
export const _resolveFilename = (name: string): string => createRequire("/bundle/").resolve(name);
export const _nodeModulePaths = (): string[] => [];
export const wrap = (source: string): string => `(function (exports, require, module, __filename, __dirname) { ${source}\n});`;

Object.assign(Module, {
    Module, SourceMap, _cache, _extensions, _load, _nodeModulePaths, _pathCache, _resolveFilename, builtinModules, createRequire,
    enableCompileCache, findPackageJSON, findSourceMap, flushCompileCache, getCompileCacheDir, globalPaths, isBuiltin, register,
    registerHooks, runMain, stripTypeScriptTypes, syncBuiltinESMExports, wrap,
});
export default Module as any;
