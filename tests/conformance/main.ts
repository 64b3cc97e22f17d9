// SPDX-License-Identifier: Apache-2.0
//
// tests/conformance/run BUILD --suite DIR [--only TEXT]... [--every N] [--jobs N] [--peer] [--from FILE]... [--python FILE] [--update] [--doc] [--json FILE] [--verbose]
//
// Which suite a folder holds is seen from its files. Exit status: 0 when exactly what the expectation files name failed.
import fs from 'node:fs';
import path from 'node:path';
import { parseArgs } from 'node:util';
import type { Engine } from './engine.ts';
import { Expectations } from './expect.ts';
import { type AreaCount, writeSection } from './report.ts';
import type { Result, Suite, Test } from './suite.ts';
import { test262 } from './test262.ts';
import { wpt } from './wpt.ts';

const USAGE = `tests/conformance/run BUILD --suite DIR
  --only TEXT    only tests whose path has TEXT (may be repeated)
  --every N      each N-th test only
  --jobs N       tests at once (4)
  --peer         run Node beside, and count what passes there
  --from FILE    run nothing: results are in FILE, which --json wrote (may be repeated; later ones replace)
  --python FILE  a Python with wptserve (web platform tests)
  --update       rewrite the expectation files: what failed now is expected to
  --doc          rewrite the suite's section of docs/conformance.md
  --json FILE    write all results
  --verbose      tell each failure, expected ones too`;

const root = process.env.LIMPET_ROOT!;
const { values: options } = parseArgs({
    options: {
        suite: { type: 'string' },
        only: { type: 'string', multiple: true },
        every: { type: 'string', default: '1' },
        jobs: { type: 'string', default: '4' },
        peer: { type: 'boolean', default: false },
        from: { type: 'string', multiple: true },
        python: { type: 'string' },
        update: { type: 'boolean', default: false },
        doc: { type: 'boolean', default: false },
        json: { type: 'string' },
        verbose: { type: 'boolean', default: false },
    },
});

function suiteOf(folder: string): Promise<Suite> | Suite {
    const has = (file: string) => fs.existsSync(path.join(folder, file));
    if (has('harness/assert.js') && has('test')) return test262(folder);
    if (has('resources/testharness.js')) return wpt(folder, { python: options.python });
    throw new Error(`${folder} is no suite that is known here: test262 has harness/assert.js, web platform tests have resources/testharness.js`);
}

/** Runs all tests, some at once, in the order in which they stand. */
async function runAll(tests: Test[], engine: Engine, jobs: number): Promise<Map<string, Result[]>> {
    const results = new Map<string, Result[]>();
    let next = 0;
    let told = 0;
    const worker = async () => {
        while (next < tests.length) {
            const test = tests[next++]!;
            results.set(test.id, await test.run(engine));
            if (process.stderr.isTTY && results.size - told >= 100) process.stderr.write(`\r${engine.name}: ${(told = results.size)} of ${tests.length} `);
        }
    };
    await Promise.all(Array.from({ length: jobs }, worker));
    if (told) process.stderr.write('\r\x1b[K');
    return results;
}

async function runOn(make: () => Promise<Engine>, tests: Test[], jobs: number): Promise<Map<string, Result[]>> {
    const engine = await make();
    try {
        return await runAll(tests, engine, jobs);
    } finally {
        await engine.stop();
    }
}

function main(suite: Suite, ours: Map<string, Result[]>, theirs: Map<string, Result[]> | undefined, tests: Test[]): boolean {
    const areas = groupBy(tests);
    const counts: AreaCount[] = [];
    let isAsExpected = true;
    for (const [area, members] of areas) {
        const expectations = new Expectations(path.join(root, 'tests/conformance/expect'), suite.kind, area);
        const ran = members.map((test) => ({ test, results: ours.get(test.id)! }));
        const count: AreaCount = { area, passed: 0, total: 0, peerPassed: 0, bothPassed: 0 };
        for (const { test, results } of ran) {
            const passedThere = new Set((theirs?.get(test.id) ?? []).filter((r) => r.isPassed).map((r) => r.subtest));
            count.peerPassed += passedThere.size;
            for (const r of results) {
                count.total++;
                if (r.isPassed) {
                    count.passed++;
                    if (passedThere.has(r.subtest)) count.bothPassed++;
                    continue;
                }
                const reason = expectations.reason(test.id, r.subtest);
                const mark = passedThere.has(r.subtest) ? ' (the peer passes)' : '';
                if (!reason && !options.update) isAsExpected = false;
                if (!reason || options.verbose) console.log(`${reason ? 'known' : 'FAILED'}: ${test.id}${r.subtest ? ` | ${r.subtest}` : ''}${mark}\n    ${reason ? `${reason}: ` : ''}${r.message.slice(0, 300)}`);
            }
        }
        if (options.update) expectations.update(ran);
        else
            for (const key of expectations.stale(ran)) {
                isAsExpected = false;
                console.log(`passes now, so take it out of the expectations: ${key}`);
            }
        counts.push(count);
    }
    for (const c of counts) console.log(`${c.area.padEnd(40)} ${String(c.passed).padStart(6)} of ${String(c.total).padStart(6)}${theirs ? `   of the peer's ${c.peerPassed}: ${c.bothPassed}` : ''}`);
    const sum = (field: 'passed' | 'total' | 'peerPassed' | 'bothPassed') => counts.reduce((n, c) => n + c[field], 0);
    console.log(`${suite.kind} ${suite.commit}: ${sum('passed')} of ${sum('total')} passed${theirs ? `; of the ${sum('peerPassed')} that the peer passes: ${sum('bothPassed')}` : ''}`);
    if (options.doc) writeSection(path.join(root, 'docs/conformance.md'), suite, counts, theirs !== undefined);
    return isAsExpected;
}

/** Results of earlier runs. */
function resultsOf(whose: 'ours' | 'theirs'): Map<string, Result[]> {
    const files = options.from!.map((file) => JSON.parse(fs.readFileSync(file, 'utf8')) as Partial<Record<'ours' | 'theirs', [string, Result[]][]>>);
    return new Map(files.flatMap((file) => file[whose] ?? []));
}

function groupBy(tests: Test[]): Map<string, Test[]> {
    const groups = new Map<string, Test[]>();
    for (const test of tests) groups.set(test.area, [...(groups.get(test.area) ?? []), test]);
    return groups;
}

if (!options.suite) {
    console.error(USAGE);
    process.exit(2);
}
const suite = await suiteOf(path.resolve(options.suite));
try {
    const every = Number(options.every);
    const tests = suite.tests.filter((t) => !options.only || options.only.some((text) => t.id.includes(text))).filter((_, i) => i % every === 0);
    if (tests.length === 0) throw new Error('no test is left to run: see --only and --every');
    const jobs = Number(options.jobs);
    const isRun = !options.from;
    const ours = isRun ? await runOn(suite.engines.limpet, tests, jobs) : resultsOf('ours');
    const earlier = isRun ? undefined : resultsOf('theirs');
    const theirs = earlier?.size ? earlier : options.peer && suite.engines.node ? await runOn(suite.engines.node, tests, Math.min(jobs, 4)) : undefined;
    const known = tests.filter((t) => ours.has(t.id));
    if (options.json) fs.writeFileSync(options.json, JSON.stringify({ ours: [...ours], theirs: theirs && [...theirs] }));
    process.exitCode = main(suite, ours, theirs, known) ? 0 : 1;
} finally {
    await suite.stop?.();
}
