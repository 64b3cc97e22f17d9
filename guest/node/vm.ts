// SPDX-License-Identifier: Apache-2.0
//
// node:vm: it can be imported; what is called says why it is not here, and what to use instead.

import { refused, refusedClass } from "./internal/errors.ts";

const why = "code is bundled when a function is deployed; new Function() and eval() run text in this global scope";

export const Script = refusedClass("Script", why);
export const compileFunction = refused("vm.compileFunction", why);
export const constants: any = { USE_MAIN_CONTEXT_DEFAULT_LOADER: Symbol("vm_dynamic_import_main_context_default") };
export const createContext = refused("vm.createContext", why);
export const createScript = refused("vm.createScript", why);
export const isContext: any = (): boolean => false;
export const measureMemory = refused("vm.measureMemory", why);
export const runInContext = refused("vm.runInContext", why);
export const runInNewContext = refused("vm.runInNewContext", why);
export const runInThisContext = refused("vm.runInThisContext", why);

export default {
    Script, compileFunction, constants, createContext, createScript, isContext, measureMemory, runInContext,
    runInNewContext, runInThisContext,
};
