// SPDX-License-Identifier: Apache-2.0
//
// Patterns of paths, as minimatch and so Node have them: * ? [a-z] {a,b} ** and +(a|b) with its kin. A leading dot is
// matched by a dot, and by ** only.

/** The index of the bracket that closes the one at `from`; -1: none. */
function closing(text: string, from: number, open: string, close: string): number {
    for (let i = from, depth = 0; i < text.length; i++) {
        if (text[i] === "\\") {
            i++;
        } else if (text[i] === open) {
            depth++;
        } else if (text[i] === close && --depth === 0) {
            return i;
        }
    }
    return -1;
}

/** The parts between separators that stand in no brackets. */
function splitOutside(text: string, separator: string): string[] {
    const parts = [""];
    for (let i = 0, depth = 0; i < text.length; i++) {
        const c = text[i]!;
        depth += c === "{" || c === "(" ? 1 : c === "}" || c === ")" ? -1 : 0;
        if (c === separator && depth === 0) {
            parts.push("");
        } else {
            parts[parts.length - 1] += c === "\\" ? c + (text[++i] ?? "") : c;
        }
    }
    return parts;
}

const PATTERNS_MAX = 10_000;

/** "a{b,c}{1..3}" as all that it stands for. */
export function expandBraces(pattern: string): string[] {
    for (let from = 0; (from = pattern.indexOf("{", from)) >= 0; from++) {
        const to = closing(pattern, from, "{", "}");
        if (to < 0 || pattern[from - 1] === "$") {
            continue;
        }
        const inside = pattern.slice(from + 1, to), range = /^(-?\d+)\.\.(-?\d+)$/.exec(inside);
        let parts = splitOutside(inside, ",");
        if (range) {
            const [first, last] = [Number(range[1]), Number(range[2])], step = first <= last ? 1 : -1;
            parts = Array.from({ length: Math.min(Math.abs(last - first) + 1, PATTERNS_MAX) }, (_, i) => String(first + i * step));
        } else if (parts.length < 2) {
            continue;
        }
        const before = pattern.slice(0, from), after = expandBraces(pattern.slice(to + 1));
        return parts.flatMap(expandBraces).flatMap((part) => after.map((rest) => before + part + rest)).slice(0, PATTERNS_MAX);
    }
    return [pattern];
}

function sourceOf(text: string): string {
    let source = "";
    for (let i = 0; i < text.length; i++) {
        const c = text[i]!;
        const end = text[i + 1] === "(" && "*+?@!".includes(c) ? closing(text, i + 1, "(", ")") : -1;
        if (end >= 0) {
            const choices = splitOutside(text.slice(i + 2, end), "|").map(sourceOf).join("|"), rest = sourceOf(text.slice(end + 1));
            return source + (c === "!" ? `(?!(?:${choices})${rest}$)[^/]*?` : `(?:${choices})${c === "@" ? "" : c}`) + rest;
        }
        if (c === "*") {
            source += "[^/]*";
        } else if (c === "?") {
            source += "[^/]";
        } else if (c === "[" && text.indexOf("]", i + 2) > 0) {
            const to = text.indexOf("]", i + 2);
            source += `[${text.slice(i + 1, to).replace(/^!/, "^").replace(/[\\[]/g, "\\$&")}]`;
            i = to;
        } else {
            source += (c === "\\" && i + 1 < text.length ? text[++i]! : c).replace(/[\\^$.|+()[\]{}*?/]/g, "\\$&");
        }
    }
    return source;
}

const hasMagic = (segment: string): boolean => /[*?[\\]|[+@!]\(/.test(segment);
const segmentSource = (segment: string): string => (/^(?:[*?[]|[+@!]\()/.test(segment) ? "(?!\\.)" : "") + sourceOf(segment);

/** A segment between slashes: a name, or what names have to match. */
export function compileSegment(segment: string): string | RegExp {
    return hasMagic(segment) ? new RegExp(`^${segmentSource(segment)}$`) : segment;
}

/** Does a whole path match? Both with "/". */
export function matches(path: string, pattern: string): boolean {
    return expandBraces(pattern).some((one) => {
        const segments = one.split("/");
        const source = segments.map((segment, i) => {
            const isLast = i === segments.length - 1;
            if (segment === "**") {
                return isLast ? ".*" : "(?:[^/]+/)*";
            }
            return segmentSource(segment) + (isLast ? "" : "/");
        }).join("");
        return new RegExp(`^${source}$`).test(path);
    });
}
