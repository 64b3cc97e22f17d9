// SPDX-License-Identifier: Apache-2.0
//
// D1: a SQL database that is bound to the code, with Cloudflare's names. What a call resolves to is on disk.

import { native, type PackedResult, type SqlValue } from "../native.ts";

const ATOMIC = 1, DUMP = 2;
const HEAD_BYTES = 28; // of a result (src/host/statements.h)
const PARAMETERS_MAX = 100;

type Statement = [sql: string, params: SqlValue[]];

interface Answer {
    size: number;
    commit: number;
    duration: number;
    results: PackedResult[];
}

interface Meta {
    served_by: string;
    served_by_primary: boolean;
    duration: number;
    changes: number;
    last_row_id: number;
    changed_db: boolean;
    size_after: number;
    rows_read: number;
    rows_written: number;
}

interface Result {
    success: true;
    meta: Meta;
    results: Record<string, unknown>[];
}

function failure(prefix: string, error: unknown): Error {
    const { message, code } = error as { message: string; code?: string };
    if (code !== "sql" && code !== "invalid" && code !== "forbidden") {
        return error as Error; // limits and the like say what to do
    }
    const text = `${message.replace(/\btransaction\(fn\)/, "batch()")}: ${/constraint failed/.test(message) ? "SQLITE_CONSTRAINT" : "SQLITE_ERROR"}`;
    return new Error(`${prefix}: ${text}`, { cause: new Error(text) });
}

/** As workerd takes values: what it has no form for is an error that names it. */
function bound(value: unknown): SqlValue {
    switch (typeof value) {
        case "number":
        case "string":
            return value;
        case "boolean":
            return value ? 1 : 0;
        case "object":
            if (value === null || value instanceof ArrayBuffer || ArrayBuffer.isView(value)) {
                return value;
            }
            if (Array.isArray(value) && value.every((b) => typeof b === "number" && b >= 0 && b < 256)) {
                return new Uint8Array(value as number[]);
            }
    }
    const text = `Type '${typeof value}' not supported for value '${String(value)}'`;
    throw new Error(`D1_TYPE_ERROR: ${text}`, { cause: new Error(text) });
}

/** Blobs are arrays of numbers, and integers beyond 2^53 lose digits, as there. */
function shown(value: unknown): unknown {
    return typeof value === "bigint" ? Number(value) : value instanceof Uint8Array ? Array.from(value) : value;
}

const rowsOf = ({ columns, rows }: PackedResult): Record<string, unknown>[] => rows.map((row) => {
    const object: Record<string, unknown> = {};
    columns.forEach((name, k) => object[name] = shown(row[k]));
    return object;
});

function metaOf(answer: Answer, of: PackedResult): Meta {
    return {
        served_by: "limpet", served_by_primary: true, duration: answer.duration,
        changes: of.changes, last_row_id: Number(of.lastRowId), changed_db: of.isWriting, size_after: answer.size,
        rows_read: of.rowsRead, rows_written: of.rowsWritten,
    };
}

const resultOf = (answer: Answer, of: PackedResult): Result =>
    ({ success: true, meta: metaOf(answer, of), results: rowsOf(of) });

/** Where statements are sent, and what it has last seen. */
class Sender {
    readonly #binding: string;
    seen = 0;

    constructor(binding: string) {
        this.#binding = binding;
    }
    async send(statements: Statement[], flags = 0, prefix = "D1_ERROR"): Promise<Answer> {
        try {
            const answer = native.sqlUnpack(await native.d1Run(this.#binding, native.sqlPack(flags, statements)));
            this.seen = answer.commit;
            return answer;
        } catch (error) {
            throw failure(prefix, error);
        }
    }
}

let statementOf: (statement: D1PreparedStatement) => Statement;

export class D1PreparedStatement {
    readonly #sender: Sender;
    readonly #sql: string;
    readonly #params: SqlValue[];

    static {
        statementOf = (statement) => [statement.#sql, statement.#params];
    }
    constructor(sender: Sender, sql: string, params: SqlValue[]) {
        this.#sender = sender;
        this.#sql = sql;
        this.#params = params;
    }
    get statement(): string {
        return this.#sql;
    }
    get params(): SqlValue[] {
        return [...this.#params];
    }
    bind(...values: unknown[]): D1PreparedStatement {
        if (values.length > PARAMETERS_MAX * 10) {
            throw new RangeError(`bind(): ${values.length} values, more than a statement may have`);
        }
        return new D1PreparedStatement(this.#sender, this.#sql, values.map(bound));
    }
    async #run(): Promise<[Answer, PackedResult]> {
        const answer = await this.#sender.send([statementOf(this)]);
        return [answer, answer.results[0]!];
    }
    async first(column?: string): Promise<unknown> {
        const [, of] = await this.#run();
        const row = rowsOf(of)[0];
        if (!row || column === undefined) {
            return row ?? null;
        }
        if (!(column in row)) {
            throw new Error(`D1_COLUMN_NOTFOUND: Column not found (${column})`, { cause: new Error("Column not found") });
        }
        return row[column];
    }
    async all(): Promise<Result> {
        return resultOf(...await this.#run());
    }
    run(): Promise<Result> {
        return this.all();
    }
    async raw(options?: { columnNames?: boolean }): Promise<unknown[][]> {
        const [, { columns, rows }] = await this.#run();
        const all = rows.map((row) => row.map(shown));
        return options?.columnNames ? [columns, ...all] : all;
    }
}

/** 8-8-8-32 hexadecimal digits, as Cloudflare's; they grow with the commits. */
function bookmarkOf(commit: number): string {
    const hex = (value: number, digits: number): string => value.toString(16).padStart(digits, "0");
    const high = Math.floor(commit / 2 ** 32), low = commit % 2 ** 32;
    return `${hex(high, 8)}-${hex(low, 8)}-${hex(0, 8)}-${hex(commit, 32)}`;
}

class Database {
    protected readonly sender: Sender;

    constructor(sender: Sender) {
        this.sender = sender;
    }
    prepare(query: string): D1PreparedStatement {
        return new D1PreparedStatement(this.sender, String(query), []);
    }
    async batch(statements: D1PreparedStatement[]): Promise<Result[]> {
        const answer = await this.sender.send([...statements].map(statementOf), ATOMIC);
        return answer.results.map((of) => resultOf(answer, of));
    }
}

export class D1DatabaseSession extends Database {
    #given: string | null;

    constructor(sender: Sender, constraint: string) {
        super(sender);
        this.#given = constraint.startsWith("first-") ? null : constraint;
    }
    getBookmark(): string | null {
        return this.sender.seen > 0 ? bookmarkOf(this.sender.seen) : this.#given;
    }
}

export class D1Database extends Database {
    readonly #binding: string;

    constructor(binding: string) {
        super(new Sender(binding));
        this.#binding = binding;
    }
    async exec(query: string): Promise<{ count: number; duration: number }> {
        const text = String(query).trim();
        const { results, duration } = await this.sender.send([[text, []]], 0, "D1_EXEC_ERROR");
        return { count: results[0]!.statements, duration };
    }
    /** The database as SQLite's file has it. */
    async dump(): Promise<ArrayBuffer> {
        try {
            const bytes = await native.d1Run(this.#binding, native.sqlPack(DUMP, []));
            return bytes.buffer.slice(bytes.byteOffset + HEAD_BYTES, bytes.byteOffset + bytes.byteLength);
        } catch (error) {
            throw failure("D1_DUMP_ERROR", error);
        }
    }
    withSession(constraint: string = "first-unconstrained"): D1DatabaseSession {
        const text = String(constraint ?? "").trim();
        if (text === "") {
            throw new Error("D1_SESSION_ERROR: Invalid constraintOrBookmark");
        }
        return new D1DatabaseSession(new Sender(this.#binding), text);
    }
}

for (const [name, type] of Object.entries({ D1Database, D1DatabaseSession, D1PreparedStatement })) {
    Object.defineProperty(type, "name", { value: name, configurable: true });
    Object.defineProperty(type.prototype, Symbol.toStringTag, { value: name, configurable: true });
}

export default (name: string): D1Database => new D1Database(name);
