// SPDX-License-Identifier: Apache-2.0
//
// The modules derp:runtime/*, as in derp. Everything here is synchronous.

declare module "derp:runtime/types" {
    /** What handle() gets: `body` is the parsed JSON of the request. */
    export interface Request<T = any> {
        body: T;
        /** Of `execute`, what the caller sent; over HTTP, the method, url and headers. */
        metadata: Record<string, any>;
    }

    /** The answer: made by success() or error(). */
    export type Response = globalThis.Response;

    /** The shape of `export const handler`. */
    export interface Handler<T = any> {
        /** Called once for each version, before its first handle(). */
        setup?(): void | Promise<void>;
        handle(req: Request<T>): unknown;
    }
}

declare module "derp:runtime/context" {
    export function getInfo(): { functionName: string; executionId: string };
    /** An answer with the value as JSON; nothing becomes null. */
    export function success(value?: unknown): Response;
    /** An answer that says what went wrong: a failed execution, or over HTTP an answer with this status
     *  (400 to 599; 500 if not given). `value` is a message, an Error, or an error object of your own. */
    export function error(value: unknown, status?: number): Response;
}

declare module "derp:runtime/logger" {
    export function debug(...data: unknown[]): void;
    export function info(...data: unknown[]): void;
    export function warn(...data: unknown[]): void;
    export function error(...data: unknown[]): void;
}

declare module "derp:runtime/http" {
    export interface HttpRequest {
        /** "GET" if not given. */
        method?: string;
        url: string;
        headers?: [string, string][] | Record<string, string> | Headers;
        body?: string | ArrayBuffer | ArrayBufferView | null;
    }

    export interface HttpResponse {
        readonly status: number;
        readonly statusText: string;
        readonly headers: [string, string][];
        /** The body as text. */
        readonly body: string;
        /** Whether the status is 200 to 299. */
        readonly ok: boolean;
        bytes(): Uint8Array;
        text(): string;
        json<T = any>(): T;
        /** The values of a header joined by ", ", or undefined. */
        header(name: string): string | undefined;
    }

    /** Sends a request and waits for the whole answer. A status such as 404 is no exception. */
    export function fetch(request: HttpRequest | string): HttpResponse;
    /** Fetches JSON and parses it, whatever the status. */
    export function getJson<T = any>(url: string): { status: number; body: T };
}

declare module "derp:runtime/sql" {
    /** Integers beyond 2^53 come as bigint, blobs as Uint8Array. */
    export type SqlValue = null | number | bigint | string | Uint8Array;
    export type SqlParameter = SqlValue | undefined | boolean | ArrayBuffer | ArrayBufferView;
    export type Row = Record<string, any>;

    export interface Cursor<T = Row> extends Iterable<T> {
        /** All rows. */
        toArray(): T[];
        /** The one row there is; throws if there is none or more than one. */
        one(): T;
        /** The first row, or undefined. */
        first(): T | undefined;
        /** All rows as arrays of values, in the order of `columns`. */
        raw(): SqlValue[][];
        readonly columns: string[];
        /** Rows inserted, updated or deleted. */
        readonly changes: number;
        readonly rowsAffected: number;
        readonly lastInsertRowid: number | bigint;
    }

    /** Runs SQL; `?` take the parameters in order. Of several statements, the last one takes them. */
    export function exec<T = Row>(sql: string, ...params: SqlParameter[]): Cursor<T>;
    /** Runs fn in a transaction and returns its value; rolls back if fn throws. May be nested.
     *  fn must not be async: SQL is synchronous. */
    export function transaction<T>(fn: () => T): T extends PromiseLike<unknown> ? never : T;
}

declare module "derp:runtime/env" {
    export function get(name: string): string | undefined;
    export function getOrDefault(name: string, value: string): string;
}
