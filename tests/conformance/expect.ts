// SPDX-License-Identifier: Apache-2.0
//
// Expectation files: which results of an area are known to fail, and why. A line "# reason" is that of the lines below;
// a line is "test" or "test | subtest" (a JSON string where it has quotes or controls); "*" is every subtest of the test.
import fs from 'node:fs';
import path from 'node:path';
import type { Result, Test } from './suite.ts';

const UNEXPLAINED = 'not explained yet';

/** Key of a result: what a line of the file says. */
export function keyOf(test: string, subtest: string): string {
    if (subtest === '') return test;
    return `${test} | ${/["\u0000-\u001f\u007f-\u{10ffff}]|^\s|\s$/u.test(subtest) ? JSON.stringify(subtest).replace(/[\u007f-\uffff]/g, escaped) : subtest}`;
}

const escaped = (c: string) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`;

export class Expectations {
    private readonly reasons = new Map<string, string>();
    private readonly file: string;

    constructor(folder: string, kind: string, area: string) {
        this.file = path.join(folder, `${kind}-${area.replaceAll('/', '-')}.txt`);
        if (!fs.existsSync(this.file)) return;
        let reason = UNEXPLAINED;
        for (const line of fs.readFileSync(this.file, 'utf8').split('\n')) {
            if (line.startsWith('# ')) reason = line.slice(2);
            else if (line !== '') this.reasons.set(line, reason);
        }
    }

    /** Why the result is expected to fail; undefined: it is expected to pass. */
    reason(test: string, subtest: string): string | undefined {
        return this.reasons.get(keyOf(test, subtest)) ?? this.reasons.get(`${test} | *`);
    }

    /** Lines of tests that ran, none of whose results they are any more, or that pass. */
    stale(ran: { test: Test; results: Result[] }[]): string[] {
        const found: string[] = [];
        for (const { test, results } of ran) {
            const failing = new Set(results.filter((r) => !r.isPassed).map((r) => keyOf(test.id, r.subtest)));
            for (const key of this.reasons.keys()) {
                const isOfTest = key === test.id || key.startsWith(`${test.id} | `);
                if (isOfTest && (key === `${test.id} | *` ? failing.size === 0 : !failing.has(key))) found.push(key);
            }
        }
        return found;
    }

    /** Writes what failed now; lines of tests that did not run stay, and reasons stay. */
    update(ran: { test: Test; results: Result[] }[]): void {
        const groups = new Map<string, string[]>();
        const add = (key: string, reason: string) => groups.set(reason, [...(groups.get(reason) ?? []), key]);
        const ids = new Set(ran.map((r) => r.test.id));
        for (const [key, reason] of this.reasons) {
            if (!ids.has(key.split(' | ')[0]!)) add(key, reason);
            else if (key.endsWith(' | *') && ran.some((r) => key === `${r.test.id} | *` && r.results.some((x) => !x.isPassed))) add(key, reason);
        }
        for (const { test, results } of ran) {
            if (this.reasons.has(`${test.id} | *`)) continue;
            for (const r of results) {
                if (r.isPassed) continue;
                const key = keyOf(test.id, r.subtest);
                add(key, this.reasons.get(key) ?? UNEXPLAINED);
            }
        }
        if (groups.size === 0) return fs.rmSync(this.file, { force: true });
        const text = [...groups].map(([reason, keys]) => `# ${reason}\n${[...new Set(keys)].sort().join('\n')}\n`).sort().join('\n');
        fs.writeFileSync(this.file, text);
    }
}
