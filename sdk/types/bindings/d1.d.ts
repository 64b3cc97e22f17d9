// SPDX-License-Identifier: Apache-2.0
//
// D1: SQL databases that are bound to the code (docs/d1.md).

interface D1Meta {
    served_by: string;
    served_by_primary?: boolean;
    /** Milliseconds, of all statements of the call. */
    duration: number;
    /** Rows that the statement inserted, updated or deleted. */
    changes: number;
    last_row_id: number;
    changed_db: boolean;
    /** Bytes of the database. */
    size_after: number;
    rows_read: number;
    rows_written: number;
}

interface D1Response {
    success: true;
    meta: D1Meta & Record<string, unknown>;
    error?: never;
}

type D1Result<T = unknown> = D1Response & { results: T[] };

interface D1ExecResult {
    /** How many statements were run. */
    count: number;
    duration: number;
}

type D1SessionConstraint = "first-primary" | "first-unconstrained";
type D1SessionBookmark = string;

declare abstract class D1PreparedStatement {
    bind(...values: unknown[]): D1PreparedStatement;
    first<T = unknown>(column: string): Promise<T | null>;
    first<T = Record<string, unknown>>(): Promise<T | null>;
    run<T = Record<string, unknown>>(): Promise<D1Result<T>>;
    all<T = Record<string, unknown>>(): Promise<D1Result<T>>;
    raw<T = unknown[]>(options: { columnNames: true }): Promise<[string[], ...T[]]>;
    raw<T = unknown[]>(options?: { columnNames?: false }): Promise<T[]>;
}

declare abstract class D1DatabaseSession {
    prepare(query: string): D1PreparedStatement;
    batch<T = unknown>(statements: D1PreparedStatement[]): Promise<D1Result<T>[]>;
    getBookmark(): D1SessionBookmark | null;
}

declare abstract class D1Database {
    prepare(query: string): D1PreparedStatement;
    /** One transaction. */
    batch<T = unknown>(statements: D1PreparedStatement[]): Promise<D1Result<T>[]>;
    exec(query: string): Promise<D1ExecResult>;
    /** The database as SQLite's file has it, at most 32 MiB. */
    dump(): Promise<ArrayBuffer>;
    withSession(constraintOrBookmark?: D1SessionBookmark | D1SessionConstraint): D1DatabaseSession;
}
