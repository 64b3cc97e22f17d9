// SPDX-License-Identifier: Apache-2.0
//
// Web platform tests (web-platform-tests/wpt): those that are scripts and need no document, that is .any.js, .worker.js and .window.js.
// Each is testharness.js, what its META lines name, and itself, evaluated one after the other. Files that tests fetch come from a server of the
// suite's own kind (wpt_server.py) if there is a Python that has it, else from a plain one, and areas that need its handlers are left out.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { type Engine, limpetEngine, nodeEngine } from './engine.ts';
import { commitOf, filesOf, type Result, type Suite, type Test } from './suite.ts';
import preamble from './wpt-preamble.guest.js';

/** Folders that are run; each is an area. */
const AREAS = [
    'FileAPI', 'WebCryptoAPI', 'compression', 'console', 'dom/abort', 'dom/events', 'encoding', 'eventsource', 'fetch/api', 'fetch/content-encoding',
    'fetch/content-type', 'fetch/data-urls', 'html/webappapis', 'hr-time', 'mimesniff', 'performance-timeline', 'streams', 'url', 'urlpattern',
    'user-timing', 'wasm', 'webidl', 'webmessaging', 'xhr/formdata',
];

/** Areas most of whose tests ask handlers of the suite's server. */
const NEEDS_SERVER = new Set(['eventsource', 'fetch/api', 'fetch/content-encoding', 'fetch/content-type']);

/** What is about pages, or about what a browser does between them. */
const NOT_HERE = new Map([
    ['fetch/api/cors/', 'origins: a function has none'],
    ['fetch/api/credentials/', 'cookies of a browser'],
    ['fetch/api/policies/', 'policies of a page'],
    ['fetch/api/crashtests/', 'pages'],
    ['.tentative.', 'tentative'],
]);

const PATIENCE_MS = 10_000;
const PATIENCE_LONG_MS = 60_000;

export interface WptOptions {
    /** A Python with the package wptserve. */
    python?: string;
}

interface Site {
    url: string;
    hasHandlers: boolean;
    ports: number[];
    stop(): Promise<void>;
}

/** The suite's own server. */
async function handlersSite(root: string, python: string): Promise<Site> {
    const child: ChildProcess = spawn(python, [path.join(process.env.LIMPET_ROOT!, 'tests/conformance/wpt_server.py'), root], { stdio: ['pipe', 'pipe', 'inherit'] });
    const lines = createInterface({ input: child.stdout! });
    const [line] = (await Promise.race([once(lines, 'line'), once(child, 'exit').then(() => [''])])) as [string];
    const ports = line.split(' ').slice(1).map(Number);
    if (ports.length !== 2) throw new Error(`${python} could not start wpt_server.py: is the package wptserve installed for it?`);
    return {
        url: `http://localhost:${ports[0]}`,
        hasHandlers: true,
        ports,
        async stop() {
            const ended = once(child, 'exit');
            child.stdin!.end(); // its own children hold the pipes, so it must end them
            await ended;
            child.stdout!.destroy();
        },
    };
}

/** Files as they are. */
async function plainSite(root: string): Promise<Site> {
    const server = http.createServer((req, res) => {
        const file = path.join(root, path.normalize(decodeURIComponent(new URL(req.url!, 'http://x').pathname)));
        fs.readFile(file, (error, data) => {
            res.writeHead(error ? 404 : 200, { 'content-type': file.endsWith('.json') ? 'application/json' : 'text/plain' });
            res.end(error ? '' : data);
        });
    });
    await once(server.listen(0, '127.0.0.1'), 'listening');
    const { port } = server.address() as AddressInfo;
    return {
        url: `http://localhost:${port}`,
        hasHandlers: false,
        ports: [port],
        async stop() {
            server.closeAllConnections();
            await once(server.close(), 'close');
        },
    };
}

interface Meta {
    scripts: string[];
    variants: string[];
    isLong: boolean;
    globals: string[];
}

function metaOf(source: string): Meta {
    const meta: Meta = { scripts: [], variants: [], isLong: false, globals: [] };
    for (const [, name, value] of source.matchAll(/^\/\/ META: (\w+)=(.*?)\s*$/gm)) {
        if (name === 'script') meta.scripts.push(value!);
        if (name === 'variant') meta.variants.push(value!);
        if (name === 'timeout') meta.isLong = value === 'long';
        if (name === 'global') meta.globals = value!.split(',');
    }
    for (const [, list] of source.matchAll(/^importScripts\(([^)]*)\)/gm)) {
        for (const [, script] of list!.matchAll(/["'`]([^"'`]+)["'`]/g)) if (!script!.endsWith('/testharness.js')) meta.scripts.push(script!);
    }
    return meta;
}

export async function wpt(root: string, options: WptOptions): Promise<Suite> {
    const site = options.python ? await handlersSite(root, options.python) : await plainSite(root);
    const skipped = new Map<string, number>();
    const tests: Test[] = [];
    const harness = { preamble, 'testharness.js': fs.readFileSync(path.join(root, 'resources/testharness.js'), 'utf8') };
    const texts = new Map<string, Promise<string>>();
    /** A script as the server gives it: with what it fills in. */
    const text = (file: string) => {
        if (!texts.has(file)) texts.set(file, textOf(root, file, site));
        return texts.get(file)!;
    };
    for (const area of AREAS) {
        for (const file of filesOf(root, area, (f) => /\.(any|window|worker)\.js$/.test(f) && !f.includes('/resources/'))) {
            const meta = metaOf(fs.readFileSync(path.join(root, file), 'utf8'));
            const reason = reasonToSkip(file, area, meta, site);
            if (reason) {
                skipped.set(reason, (skipped.get(reason) ?? 0) + 1);
                continue;
            }
            for (const variant of meta.variants.length ? meta.variants : ['']) {
                tests.push({ id: file + variant, area, run: (engine) => runOne(engine, file, variant, meta, site, text) });
            }
        }
    }
    return {
        kind: 'wpt',
        commit: commitOf(root),
        tests,
        skipped,
        engines: {
            limpet: () => limpetEngine(harness, [], site.ports.flatMap((port) => [`127.0.0.1:${port}`, `localhost:${port}`])),
            node: async () => nodeEngine(harness, []),
        },
        stop: () => site.stop(),
    };
}

function reasonToSkip(file: string, area: string, meta: Meta, site: Site): string | undefined {
    if (NEEDS_SERVER.has(area) && !site.hasHandlers) return "needs the suite's server: see --python";
    if (meta.globals.length && meta.globals.every((g) => g.startsWith('shadowrealm') || g === 'serviceworker')) return 'globals of others';
    for (const [part, reason] of NOT_HERE) if (file.includes(part)) return reason;
    return undefined;
}

/** Scripts have other names in the suite than on its server, in one case. */
async function textOf(root: string, file: string, site: Site): Promise<string> {
    const real = file === '/resources/WebIDLParser.js' ? '/resources/webidl2/lib/webidl2.js' : file;
    const at = path.join(root, real);
    if (!fs.existsSync(at)) throw new Error(`the suite has no ${real}`);
    if (!/\.sub\./.test(real) || !site.hasHandlers) return fs.readFileSync(at, 'utf8');
    return await (await fetch(site.url + real)).text();
}

/** One text, since what an indirect eval declares with let and const ends with it. So does what strict code declares: it is sloppy. */
const joined = (scripts: string[]): string => `;${scripts.join('\n;\n')}`;

async function runOne(engine: Engine, file: string, variant: string, meta: Meta, site: Site, text: (file: string) => Promise<string>): Promise<Result[]> {
    const url = new URL(`/${file.replace(/\.js$/, file.endsWith('.any.js') ? '.worker.html' : '.html')}${variant}`, site.url).href;
    const from = `http://x/${file}`;
    const failed = (message: string): Result[] => [{ subtest: '(the whole)', isPassed: false, message }];
    let scripts: string[];
    try {
        scripts = await Promise.all([...meta.scripts.map((s) => new URL(s, from).pathname), `/${file}`].map(text));
    } catch (e) {
        return failed((e as Error).message);
    }
    const { error, lines, isLate } = await engine.run({
        scripts: [{ name: 'preamble' }, { name: 'testharness.js' }, { text: '__wptWatch();' }, ...(engine.name === 'limpet' ? [{ text: joined(scripts) }] : scripts.map((s) => ({ text: s })))],
        wait: meta.isLong ? PATIENCE_LONG_MS : PATIENCE_MS,
        global: { __wpt: { url, isNode: engine.name !== 'limpet', isRelative: /^(fetch|eventsource)\//.test(file) } },
    });
    const results: Result[] = [];
    const seen = new Map<string, number>();
    let end: [number, string | null] | undefined;
    for (const line of lines) {
        if (line.startsWith('E')) end = JSON.parse(line.slice(1));
        if (!line.startsWith('R')) continue;
        const [name, status, message] = JSON.parse(line.slice(1)) as [string, number, string | null];
        // a later test of the same name has a number
        const count = (seen.get(name) ?? 0) + 1;
        seen.set(name, count);
        results.push({ subtest: count === 1 ? name : `${name} (${count})`, isPassed: status === 0, message: message ?? '' });
    }
    if (error) results.push(...failed(`${error.name}: ${error.message}`));
    else if (!end || isLate) results.push(...failed('it did not end in time'));
    else if (end[0] === 1) results.push(...failed(`the harness: ${end[1]}`));
    return results;
}
