// SPDX-License-Identifier: Apache-2.0
//
// The module `limpet`, and with it everything else that a function sees: naming this package in
// "types" of a tsconfig declares the globals and derp:runtime/* too.

/// <reference path="globals.d.ts" />
/// <reference path="derp.d.ts" />
/// <reference path="handlers.d.ts" />

import type * as derpEnv from "derp:runtime/env";
import type * as derpLogger from "derp:runtime/logger";
import type { exec, transaction } from "derp:runtime/sql";

export type { Cursor, Row, SqlParameter, SqlValue } from "derp:runtime/sql";

/** The module's own SQLite database; synchronous, durable before the answer leaves. */
export declare const sql: {
    readonly exec: typeof exec;
    readonly transaction: typeof transaction;
};

/** Environment variables of the function. */
export declare const env: {
    readonly get: typeof derpEnv.get;
    readonly getOrDefault: typeof derpEnv.getOrDefault;
    /** All of them. */
    toObject(): Record<string, string>;
};

/** Lines of the function's log, by level. */
export declare const log: {
    readonly debug: typeof derpLogger.debug;
    readonly info: typeof derpLogger.info;
    readonly warn: typeof derpLogger.warn;
    readonly error: typeof derpLogger.error;
};
