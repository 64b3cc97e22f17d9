// SPDX-License-Identifier: Apache-2.0
//
// test262 (tc39/test262, a folder with harness/ and test/): each script in sloppy and in strict mode, as its flags say.
// Scripts are evaluated by indirect eval. It differs from a script of its own in that its declarations can be deleted, and
// that lexical ones end with it: those of the harness are therefore made variables.
import fs from 'node:fs';
import path from 'node:path';
import { type Engine, type Job, limpetEngine, nodeEngine } from './engine.ts';
import { commitOf, filesOf, type Result, type Suite, type Test } from './suite.ts';

/** What the engine does not ship, or what cannot be tried in a function. */
const UNSHIPPED = new Map([
    ['Atomics', 'threads that share memory'],
    ['Atomics.pause', 'threads that share memory'],
    ['Atomics.waitAsync', 'threads that share memory'],
    ['SharedArrayBuffer', 'threads that share memory'],
    ['cross-realm', 'one realm a function'],
    ['ShadowRealm', 'not in the engine'],
    ['Temporal', 'not in the engine'],
    ['await-dictionary', 'not in the engine'],
    ['decorators', 'not in the engine'],
    ['explicit-resource-management', 'not in the engine'],
    ['source-phase-imports', 'not in the engine'],
    ['source-phase-imports-module-source', 'not in the engine'],
    ['immutable-arraybuffer', 'not in the engine'],
    ['import-defer', 'not in the engine'],
    ['iterator-chunking', 'not in the engine'],
    ['iterator-includes', 'not in the engine'],
    ['Iterator.prototype.join', 'not in the engine'],
    ['joint-iteration', 'not in the engine'],
    ['import-bytes', 'modules are bundled'],
    ['import-text', 'modules are bundled'],
    ['import-attributes', 'modules are bundled'],
    ['json-modules', 'modules are bundled'],
    ['tail-call-optimization', 'in no engine but one'],
    ['IsHTMLDDA', 'browsers only'],
    ['host-gc-required', 'the collector is not for functions to call'],
]);

interface Meta {
    flags: string[];
    includes: string[];
    features: string[];
    negative?: { phase: string; type: string };
}

/** The few forms of YAML that headers of tests have. */
function metaOf(source: string): Meta {
    const yaml = /\/\*---\r?\n?([\s\S]*?)---\*\//.exec(source)?.[1]?.replaceAll('\r', '\n') ?? '';
    const list = (name: string): string[] => {
        const inline = new RegExp(`^${name}:\\s*\\[([\\s\\S]*?)\\]`, 'm').exec(yaml);
        const block = new RegExp(`^${name}:\\s*\\n((?:\\s+-.*\\n?)+)`, 'm').exec(yaml);
        const items = inline ? inline[1]!.split(',') : block ? block[1]!.split('\n').map((l) => l.replace(/^\s+-\s*/, '')) : [];
        return items.map((s) => s.replace(/#.*/, '').trim()).filter(Boolean);
    };
    const negative = /^negative:\s*\n((?:\s+.*\n?)+)/m.exec(yaml)?.[1];
    return {
        flags: list('flags'),
        includes: list('includes'),
        features: list('features'),
        negative: negative ? { phase: /phase:\s*(\w+)/.exec(negative)![1]!, type: /type:\s*(\w+)/.exec(negative)![1]! } : undefined,
    };
}

/** What hosts offer to tests, as far as a function can. */
const HOST = `globalThis.$262 = {
    global: globalThis,
    evalScript: (text) => (0, eval)(text),
    detachArrayBuffer: (buffer) => { structuredClone(buffer, { transfer: [buffer] }); },
    gc() {},
};`;

const ASYNC_END = 'Test262:Async';
const ASYNC_WAIT_MS = 20_000;

export function test262(root: string): Suite {
    const sources: Record<string, string> = { host: HOST };
    for (const file of filesOf(root, 'harness', (f) => f.endsWith('.js'))) {
        const text = fs.readFileSync(path.join(root, file), 'utf8');
        sources[file.slice('harness/'.length)] = text.replace(/^(?:const|let) (?=\w)/gm, 'var ').replace(/^class (\w+)/gm, 'var $1 = class $1');
    }
    const skipped = new Map<string, number>();
    const tests: Test[] = [];
    for (const file of filesOf(root, 'test', (f) => f.endsWith('.js') && !f.includes('_FIXTURE'))) {
        const source = fs.readFileSync(path.join(root, file), 'utf8');
        const meta = metaOf(source);
        const reason = reasonToSkip(file, meta);
        if (reason) {
            skipped.set(reason, (skipped.get(reason) ?? 0) + 1);
            continue;
        }
        const id = file.slice('test/'.length);
        for (const isStrict of modesOf(meta)) {
            tests.push({ id: isStrict ? `${id} (strict)` : id, area: areaOf(id), run: (engine) => runOne(engine, path.join(root, file), isStrict) });
        }
    }
    const preloaded = ['host', 'assert.js', 'sta.js'];
    return {
        kind: 'test262',
        commit: commitOf(root),
        tests,
        skipped,
        engines: { limpet: () => limpetEngine(sources, preloaded), node: async () => nodeEngine(sources, preloaded) },
    };
}

const areaOf = (id: string) => (/^(built-ins|language)\/[^/]+/.exec(id)?.[0] ?? id.split('/')[0]!);

function reasonToSkip(file: string, meta: Meta): string | undefined {
    if (file.startsWith('test/staging/')) return 'staging: not yet part of the suite';
    if (file.startsWith('test/harness/')) return 'tests of the harness itself';
    if (meta.flags.includes('module')) return 'modules are bundled';
    if (meta.flags.includes('CanBlockIsTrue')) return 'threads that share memory';
    if (meta.features.includes('dynamic-import') && !meta.negative) return 'modules are bundled';
    for (const feature of meta.features) {
        const reason = UNSHIPPED.get(feature);
        if (reason) return reason;
    }
    return undefined;
}

function modesOf({ flags }: Meta): boolean[] {
    if (flags.includes('onlyStrict')) return [true];
    if (flags.includes('noStrict') || flags.includes('raw')) return [false];
    return [false, true];
}

async function runOne(engine: Engine, file: string, isStrict: boolean): Promise<Result[]> {
    const source = fs.readFileSync(file, 'utf8');
    const meta = metaOf(source);
    const isAsync = meta.flags.includes('async');
    const includes = [...(isAsync ? ['doneprintHandle.js'] : []), ...meta.includes];
    const job: Job = {
        scripts: [...includes.map((name) => ({ name })), { text: isStrict ? `"use strict";\n${source}` : source }],
        wait: isAsync ? ASYNC_WAIT_MS : 0,
        until: ASYNC_END,
    };
    const { error, lines, isLate } = await engine.run(job);
    const result = (isPassed: boolean, message: string): Result[] => [{ subtest: '', isPassed, message }];
    if (meta.negative) {
        if (!error) return result(false, `nothing was thrown where ${meta.negative.type} is (${meta.negative.phase})`);
        return result(error.name === meta.negative.type, `${error.name} was thrown where ${meta.negative.type} is: ${error.message}`);
    }
    if (error) return result(false, `${error.name}: ${error.message}`);
    if (!isAsync) return result(true, '');
    const end = lines.find((line) => line.startsWith(ASYNC_END));
    return result(end === `${ASYNC_END}TestComplete`, end ?? (isLate ? 'it did not end in time' : 'it said nothing'));
}
