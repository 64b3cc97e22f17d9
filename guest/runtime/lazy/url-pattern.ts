// SPDX-License-Identifier: Apache-2.0
//
// URLPattern (WHATWG URL Pattern). The host parses patterns into regular expressions, one a part, and
// brings what is matched into its canonical form; the expressions are compiled and run here.

import { platformClasses } from "../clone.ts";
import { expose, usv } from "../interface.ts";
import { native } from "../native.ts";

const PARSE = 0, PARSE_IGNORING_CASE = 1, MATCHED = 2; // enum deps_pattern_what

const PARTS = ["protocol", "username", "password", "hostname", "port", "pathname", "search", "hash"] as const;
type Part = typeof PARTS[number];

type Init = { [K in Part | "baseURL"]?: string };
type Input = string | Init;
type Groups = Record<string, string | undefined>;
type Result = { inputs: Input[] } & { [K in Part]: { input: string; groups: Groups } };

interface Component {
    pattern: string;
    regexp: RegExp;
    names: string[];
}

/** The texts that the host takes: a text and its base, or the members of an init; and the input as it was understood. */
function readInput(input: unknown, base: unknown, what: string): [texts: (string | undefined)[], input: Input] {
    if (input !== undefined && input !== null && typeof input !== "object" && typeof input !== "function") {
        const text = usv(input);
        return [[text, base === undefined ? undefined : usv(base)], text];
    }
    if (base !== undefined) {
        throw new TypeError(`${what}: a base URL goes with a text; an object has its own, baseURL`);
    }
    const read: Init = {};
    for (const name of ["baseURL", ...PARTS].sort() as (keyof Init)[]) {
        const value = (input as Init | null | undefined)?.[name];
        if (value !== undefined) {
            read[name] = usv(value);
        }
    }
    return [[...PARTS.map((name) => read[name]), read.baseURL], read];
}

/** The engine's regular expressions with flag v refuse outside of classes what the standard refuses inside only:
 *  "-", "/", and signs that are doubled. */
const REFUSED = /\\.|\(\?(?:[a-z]*(?:-[a-z]*)?:|<?[=!]|<)|[-/[\]]|([&!#%,:;<=>@`~])\1/gsu;

function accepted(source: string): string {
    let depth = 0;
    return source.replace(REFUSED, (found) => {
        if (found === "[" || found === "]") {
            depth += found === "[" ? 1 : -1;
        }
        if (depth > 0 || found[0] === "\\" || found[0] === "(" || found === "]") {
            return found;
        }
        return found.replace(/./gs, (c) => `\\x${c.charCodeAt(0).toString(16)}`);
    });
}

function compile(source: string, flags: string, part: string): RegExp {
    try {
        return new RegExp(accepted(source), flags);
    } catch {
        throw new TypeError(`URLPattern constructor: the pattern of ${part} has an invalid regular expression`);
    }
}

export class URLPattern {
    #components = {} as Record<Part, Component>;
    #hasRegExpGroups: boolean;

    constructor(input: Input = {}, base?: unknown, options?: { ignoreCase?: boolean }) {
        // (input, options) or (input, base, options).
        const isOptions = arguments.length < 3 && (base === null || typeof base === "object" || typeof base === "function");
        if (isOptions) {
            options = (base ?? undefined) as { ignoreCase?: boolean } | undefined;
        }
        if (options !== undefined && options !== null && typeof options !== "object" && typeof options !== "function") {
            throw new TypeError("URLPattern constructor: the options are not an object such as { ignoreCase: true }");
        }
        const ignoresCase = Boolean(options?.ignoreCase);
        const [texts] = readInput(input, isOptions ? undefined : base, "URLPattern constructor");
        let answer: string[];
        try {
            answer = native.urlPattern(ignoresCase ? PARSE_IGNORING_CASE : PARSE, texts)!;
        } catch (error) {
            throw new TypeError(`URLPattern constructor: ${(error as Error).message}`);
        }
        let at = 0;
        this.#hasRegExpGroups = answer[at++] === "1";
        for (const part of PARTS) {
            const [pattern, source, count] = answer.slice(at, at += 3) as [string, string, string];
            this.#components[part] = {
                pattern, regexp: compile(source, ignoresCase ? "vi" : "v", part), names: answer.slice(at, at += Number(count)),
            };
        }
    }

    #match(input: unknown, base: unknown, what: string): Result | null {
        const [texts, understood] = readInput(input ?? {}, base, what);
        const values = native.urlPattern(MATCHED, texts);
        if (!values) {
            return null;
        }
        const result = { inputs: base === undefined ? [understood] : [understood, usv(base)] } as Result;
        for (const [i, part] of PARTS.entries()) {
            const { regexp, names } = this.#components[part];
            const found = regexp.exec(values[i]!);
            if (!found) {
                return null;
            }
            const groups: Groups = {};
            for (const [k, name] of names.entries()) {
                groups[name] = found[k + 1];
            }
            result[part] = { input: values[i]!, groups };
        }
        return result;
    }

    test(input?: Input, base?: string): boolean {
        return this.#match(input, base, "URLPattern.test") !== null;
    }
    exec(input?: Input, base?: string): Result | null {
        return this.#match(input, base, "URLPattern.exec");
    }
    get protocol(): string {
        return this.#components.protocol.pattern;
    }
    get username(): string {
        return this.#components.username.pattern;
    }
    get password(): string {
        return this.#components.password.pattern;
    }
    get hostname(): string {
        return this.#components.hostname.pattern;
    }
    get port(): string {
        return this.#components.port.pattern;
    }
    get pathname(): string {
        return this.#components.pathname.pattern;
    }
    get search(): string {
        return this.#components.search.pattern;
    }
    get hash(): string {
        return this.#components.hash.pattern;
    }
    get hasRegExpGroups(): boolean {
        return this.#hasRegExpGroups;
    }
}
expose(URLPattern, "URLPattern");
platformClasses.push(URLPattern);
