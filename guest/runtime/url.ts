// SPDX-License-Identifier: Apache-2.0
//
// URL (WHATWG URL §6.1). The host parses; a URL here is one record of offsets into its href, and each
// getter is a slice. Changes made through searchParams are written back lazily, when a part is next
// read, so that filling in many parameters costs one host op.

import { expose, need, toText, usv } from "./interface.ts";
import { native, type UrlRecord } from "./native.ts";
import { paramsOfUrl, paramsReplace, type URLSearchParams } from "./search-params.ts";

// Indices into UrlRecord.
const SCHEME_END = 0, USERNAME_START = 1, USERNAME_END = 2, PASSWORD_START = 3, PASSWORD_END = 4,
    HOST_START = 5, HOST_END = 6, PATH_START = 7, PATH_END = 8, PORT = 9, QUERY_START = 10,
    FRAGMENT_START = 11, ORIGIN = 12, HREF = 13, PARAMS = 14, IS_STALE = 15;

// enum deps_url_part.
const PROTOCOL = 0, USERNAME = 1, PASSWORD = 2, HOST = 3, HOSTNAME = 4, URL_PORT = 5, PATHNAME = 6,
    SEARCH = 7, HASH = 8;

/** native makes USVStrings of texts by itself. */
function parse(url: unknown, base: unknown): UrlRecord | undefined {
    const text = typeof url === "string" ? url : toText(url);
    return base === undefined ? native.urlParse(text)
        : native.urlParse(text, typeof base === "string" ? base : toText(base));
}

/** The host's limit of a text. */
const URL_BYTES_MAX = 4 * 1024 * 1024;

function invalid(input: unknown, base?: unknown): TypeError {
    const { length } = native.utf8Encode(usv(input));
    return Object.assign(
        new TypeError(length <= URL_BYTES_MAX ? "Invalid URL"
            : `Invalid URL: it has ${length} bytes, more than the 4 MiB that one may have (docs/limits.md)`),
        { code: "ERR_INVALID_URL", input: usv(input) },
        base === undefined ? undefined : { base: usv(base) },
    );
}

/** Lets URL.parse() hand its record to the constructor without parsing again. */
let ready: UrlRecord | undefined;

/** All of its state is in one record, since each private field costs as much as a getter: also the
 *  URLSearchParams, once they were asked for, and whether they have changed since the record was made. */
export class URL {
    #record: UrlRecord;

    static canParse(url: string, base: string | undefined = undefined): boolean {
        need(1, arguments.length, "URL.canParse");
        return parse(url, base) !== undefined;
    }

    static parse(url: string, base: string | undefined = undefined): URL | null {
        need(1, arguments.length, "URL.parse");
        ready = parse(url, base);
        return ready ? new URL("") : null;
    }

    // Who counts arguments has an object made of them; with none and with undefined it is a TypeError.
    constructor(url: string | URL, base: string | URL | undefined = undefined) {
        const record = ready ?? parse(url, base);
        ready = undefined;
        if (!record) {
            throw invalid(url, base);
        }
        this.#record = record;
    }

    /** Another record, of the same URL after a change. */
    #take(record: UrlRecord | undefined): boolean {
        if (record) {
            record[PARAMS] = this.#record[PARAMS];
            this.#record = record;
        }
        return record !== undefined;
    }

    #fresh(): UrlRecord {
        const record = this.#record;
        if (record[IS_STALE]) {
            record[IS_STALE] = false;
            this.#take(native.urlSet(record[HREF], SEARCH, record[PARAMS]!.toString()));
        }
        return this.#record;
    }

    #set(part: number, value: unknown): boolean {
        return this.#take(native.urlSet(this.#fresh()[HREF], part, usv(value)));
    }

    #query(): string {
        const record = this.#fresh();
        const start = record[QUERY_START];
        if (start < 0) {
            return "";
        }
        const fragment = record[FRAGMENT_START];
        return fragment < 0 ? record[HREF].slice(start) : record[HREF].slice(start, fragment - 1);
    }

    #replaceParams(): void {
        const params = this.#record[PARAMS];
        if (params) {
            paramsReplace(params, this.#query());
        }
    }

    get href(): string {
        return this.#fresh()[HREF];
    }
    set href(value: string) {
        if (!this.#take(native.urlParse(usv(value)))) {
            throw invalid(value);
        }
        this.#replaceParams();
    }

    get origin(): string {
        const record = this.#record, origin = record[ORIGIN];
        return typeof origin === "number" ? record[HREF].slice(0, origin) : origin;
    }

    get protocol(): string {
        const record = this.#record;
        return record[HREF].slice(0, record[SCHEME_END] + 1);
    }
    set protocol(value: string) {
        this.#set(PROTOCOL, value);
    }

    get username(): string {
        const record = this.#record;
        return record[HREF].slice(record[USERNAME_START], record[USERNAME_END]);
    }
    set username(value: string) {
        this.#set(USERNAME, value);
    }

    get password(): string {
        const record = this.#record;
        return record[HREF].slice(record[PASSWORD_START], record[PASSWORD_END]);
    }
    set password(value: string) {
        this.#set(PASSWORD, value);
    }

    get host(): string {
        const record = this.#record;
        const name = record[HREF].slice(record[HOST_START], record[HOST_END]);
        return record[PORT] < 0 ? name : `${name}:${record[PORT]}`;
    }
    set host(value: string) {
        this.#set(HOST, value);
    }

    get hostname(): string {
        const record = this.#record;
        return record[HREF].slice(record[HOST_START], record[HOST_END]);
    }
    set hostname(value: string) {
        this.#set(HOSTNAME, value);
    }

    get port(): string {
        const port = this.#record[PORT];
        return port < 0 ? "" : String(port);
    }
    set port(value: string) {
        this.#set(URL_PORT, value);
    }

    get pathname(): string {
        const record = this.#fresh(); // dropping a query may strip spaces from an opaque path
        return record[HREF].slice(record[PATH_START], record[PATH_END]);
    }
    set pathname(value: string) {
        this.#set(PATHNAME, value);
    }

    get search(): string {
        const query = this.#query();
        return query === "" ? "" : `?${query}`;
    }
    set search(value: string) {
        this.#set(SEARCH, value);
        this.#replaceParams();
    }

    get searchParams(): URLSearchParams {
        return this.#record[PARAMS] ??= paramsOfUrl(this.#query(), () => {
            this.#record[IS_STALE] = true;
        });
    }

    get hash(): string {
        const record = this.#fresh();
        const start = record[FRAGMENT_START];
        return start < 0 || start === record[HREF].length ? "" : record[HREF].slice(start - 1);
    }
    set hash(value: string) {
        this.#set(HASH, value);
    }

    toString(): string {
        return this.#fresh()[HREF];
    }
    toJSON(): string {
        return this.#fresh()[HREF];
    }
}
expose(URL, "URL");
