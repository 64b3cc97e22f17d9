// SPDX-License-Identifier: Apache-2.0
//
// node:repl: it can be imported; what is called says why it is not here, and what to use instead.

import { refused, refusedClass } from "./internal/errors.ts";

const why = "there is no terminal";

export const REPLServer = refusedClass("REPLServer", why);
export const REPL_MODE_SLOPPY: any = Symbol("repl-sloppy");
export const REPL_MODE_STRICT: any = Symbol("repl-strict");
export const Recoverable = refusedClass("Recoverable", why);
export const builtinModules: any = [];
export const isValidSyntax = refused("repl.isValidSyntax", why);
export const start = refused("repl.start", why);
export const writer: any = (value: unknown): string => String(value);

export default {
    REPLServer, REPL_MODE_SLOPPY, REPL_MODE_STRICT, Recoverable, builtinModules, isValidSyntax, start, writer,
};
