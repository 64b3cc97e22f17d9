// SPDX-License-Identifier: Apache-2.0
//
// `ctx.storage.sql`: the actor's own database. A statement runs to its end where exec() is called; its cursor goes over rows that
// are there.

import { expose, toText } from "../interface.ts";
import { native, type SqlValue } from "../native.ts";

type Value = ArrayBuffer | string | number | null;

/** Blobs are ArrayBuffers, and integers numbers, however large. */
function valueOf(value: unknown): Value {
    if (value instanceof Uint8Array) {
        return value.buffer as ArrayBuffer;
    }
    return typeof value === "bigint" ? Number(value) : value as Value;
}

class RawIterator {
    #cursor: SqlStorageCursor;
    constructor(cursor: SqlStorageCursor) {
        this.#cursor = cursor;
    }
    next(): IteratorResult<Value[]> {
        const value = take(this.#cursor);
        return value ? { done: false, value } : { done: true, value: undefined };
    }
    toArray(): Value[][] {
        return [...this];
    }
    [Symbol.iterator](): this {
        return this;
    }
}

/** The next row, as a list. */
let take: (cursor: SqlStorageCursor) => Value[] | undefined;

export class SqlStorageCursor {
    readonly columnNames: string[];
    readonly rowsRead: number;
    readonly rowsWritten: number;
    #rows: unknown[][];
    #at = 0;

    static {
        take = (cursor) => {
            const row = cursor.#rows[cursor.#at];
            if (!row) {
                return undefined;
            }
            cursor.#rows[cursor.#at++] = [];
            return row.map(valueOf);
        };
    }

    constructor(columns: string[], rows: unknown[][], changes: number) {
        this.columnNames = columns;
        this.#rows = rows;
        this.rowsRead = rows.length;
        this.rowsWritten = changes;
    }
    next(): IteratorResult<Record<string, Value>> {
        const row = take(this);
        if (!row) {
            return { done: true, value: undefined };
        }
        const value: Record<string, Value> = {};
        for (let i = 0; i < row.length; i++) {
            Object.defineProperty(value, this.columnNames[i]!, {
                value: row[i], writable: true, enumerable: true, configurable: true,
            });
        }
        return { done: false, value };
    }
    toArray(): Record<string, Value>[] {
        return [...this];
    }
    one(): Record<string, Value> {
        const first = this.next();
        if (first.done) {
            throw new Error("Expected exactly one result from SQL query, but got no results.");
        }
        if (this.#at < this.#rows.length) {
            throw new Error("Expected exactly one result from SQL query, but got multiple results.");
        }
        return first.value;
    }
    raw(): RawIterator {
        return new RawIterator(this);
    }
    [Symbol.iterator](): this {
        return this;
    }
}
expose(SqlStorageCursor, "Cursor");

export class SqlStorage {
    exec(query: string, ...bindings: SqlValue[]): SqlStorageCursor {
        if (arguments.length < 1) {
            throw new TypeError("exec() needs the text of a statement");
        }
        const result = native.sqlExec(toText(query), bindings);
        return new SqlStorageCursor(result.columns, result.rows, result.changes);
    }
    /** Bytes that the database has, the storage's keys among them. */
    get databaseSize(): number {
        return native.storeSize();
    }
}
expose(SqlStorage, "SqlStorage");
