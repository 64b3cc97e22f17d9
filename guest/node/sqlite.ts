// SPDX-License-Identifier: Apache-2.0
//
// node:sqlite: it can be imported; what is called says why it is not here, and what to use instead.

import { refused, refusedClass } from "./internal/errors.ts";

const why = "each function has its own database: import { sql } from \"limpet\"";

export const DatabaseSync = refusedClass("DatabaseSync", why);
export const StatementSync = refusedClass("StatementSync", why);
export const backup = refused("sqlite.backup", why);
export const constants: any = {};

export default {
    DatabaseSync, StatementSync, backup, constants,
};
