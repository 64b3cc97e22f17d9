// SPDX-License-Identifier: Apache-2.0
//
// derp:runtime/sql: the module's own SQLite database, synchronous. exec() runs at once; the cursor holds
// the rows as arrays and makes objects only of those that are asked for.

import { native, type SqlResult, type SqlValue } from "../native.ts";

type Row = Record<string, unknown>;

function rowObject(columns: string[], row: unknown[]): Row {
    const object: Row = {};
    for (let i = 0; i < columns.length; i++) {
        object[columns[i]!] = row[i];
    }
    return object;
}

export class SqlCursor {
    #result: SqlResult;

    constructor(result: SqlResult) {
        this.#result = result;
    }

    get columns(): string[] {
        return [...this.#result.columns];
    }
    get changes(): number {
        return this.#result.changes;
    }
    get rowsAffected(): number {
        return this.#result.changes;
    }
    get lastInsertRowid(): number | bigint {
        return this.#result.lastRowId;
    }

    toArray(): Row[] {
        const { columns, rows } = this.#result;
        return rows.map((row) => rowObject(columns, row));
    }

    first(): Row | undefined {
        const { columns, rows } = this.#result;
        return rows.length ? rowObject(columns, rows[0]!) : undefined;
    }

    one(): Row {
        const { columns, rows } = this.#result;
        if (rows.length !== 1) {
            throw new Error(rows.length
                ? `one(): the query returned ${rows.length} rows, not exactly one; add LIMIT 1 or use first()`
                : "one(): the query returned no row; use first() if there may be none");
        }
        return rowObject(columns, rows[0]!);
    }

    raw(): unknown[][] {
        return this.#result.rows;
    }

    *[Symbol.iterator](): IterableIterator<Row> {
        const { columns, rows } = this.#result;
        for (const row of rows) {
            yield rowObject(columns, row);
        }
    }

    toJSON(): Row[] {
        return this.toArray();
    }
}

export function exec(sql: string, ...params: SqlValue[]): SqlCursor {
    if (typeof sql !== "string") {
        throw new TypeError(`exec(): the SQL must be a string, not ${sql === null ? "null" : typeof sql}`);
    }
    return new SqlCursor(native.sqlExec(sql, params));
}

function rollBack(): void {
    try {
        native.sqlTransaction(2);
    } catch {
        // SQLite may have rolled back by itself; the error that brought us here is the one to tell.
    }
}

const noPromises = "transaction(): the function must not be async: SQL is synchronous here, and the "
    + "transaction ends when the function returns";

export function transaction<T>(fn: () => T): T {
    if (typeof fn !== "function") {
        throw new TypeError("transaction(): the argument is not a function");
    }
    if (Object.prototype.toString.call(fn) === "[object AsyncFunction]") {
        throw new TypeError(noPromises);
    }
    native.sqlTransaction(0);
    let value: T;
    try {
        value = fn();
        if (typeof (value as { then?: unknown } | null | undefined)?.then === "function") {
            // Its outcome no longer matters to anyone.
            (value as unknown as Promise<unknown>).then(() => {}, () => {});
            throw new TypeError(noPromises);
        }
        native.sqlTransaction(1);
    } catch (error) {
        rollBack();
        throw error;
    }
    return value;
}
