// SPDX-License-Identifier: Apache-2.0
// No URL ends the server or the request of anyone else: from a query, as a base, through a setter, by an upstream's
// redirect, in a workflow that is resumed at a start.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { after, before, test } from 'node:test';
import { Server, useServer } from './harness.ts';
import { deployWorkflow, start, until } from './workflow-harness.ts';

let upstream: http.Server; // redirects to what its query says
let port = 0;

before(async () => {
    upstream = http.createServer((req, res) => {
        const to = new URL(req.url!, 'http://u').searchParams.get('to')!;
        res.writeHead(302, { location: to });
        res.end();
    });
    upstream.listen(0, '127.0.0.1');
    await once(upstream, 'listening');
    port = (upstream.address() as AddressInfo).port;
});
after(() => {
    upstream.closeAllConnections();
    upstream.close();
});

const server = useServer(() => ({ args: ['--threads', '1', '--egress-allow', `127.0.0.1:${port}`] }));

// A serialization that is just "scheme://" made a parser read past its end; its neighbors come along.
const SHAPES = ['foo://', 'foo://?', 'foo://#', 'foo:///', 'foo://@', 'foo://:@', 'foo://u@', 'foo://:80', 'a:', 'foo:/..//', 'web+x://', 'javascript://', 'foo://[', 'foo:\u00e9'];

const WAYS = `
const upstream = "http://127.0.0.1:${'PORT'}/?to=";
const ways = {
    canParse: (x) => URL.canParse(x),
    parse: (x) => URL.parse(x)?.href ?? null,
    construct: (x) => { const u = new URL(x); return [u.href, u.origin, u.username, u.password, u.host, u.port, u.pathname, u.search, u.hash]; },
    base: (x) => new URL("//", x).href,
    relative: (x) => URL.canParse("", x),
    request: (x) => new Request(x).url,
    fetch: async (x) => (await fetch(x)).status,
    redirect: (x) => Response.redirect(x).headers.get("location"),
    location: async (x) => (await fetch(upstream + encodeURIComponent(x))).status,
    manual: async (x) => (await fetch(upstream + encodeURIComponent(x), { redirect: "manual" })).headers.get("location"),
    setters: (x) => {
        const seen = [];
        for (const start of ["foo://h", "foo://u:p@h:1/p?q#f", "http://h/", "file:///x"]) {
            for (const part of ["protocol", "username", "password", "host", "hostname", "port", "pathname", "search", "hash"]) {
                for (const value of ["", x, "h", "//", "1"]) {
                    const u = new URL(start);
                    u[part] = value;
                    if (!URL.canParse(u.href)) throw new Error(part + " = " + value + " left " + u.href);
                    seen.push(u.href);
                }
            }
        }
        return seen.length;
    },
    emptied: () => { const u = new URL("foo://h"); u.host = ""; return u.href; },
};
export default { async fetch(request) {
    const { way, text } = await request.json();
    try { return Response.json({ value: await ways[way](text) }); }
    catch (e) { return Response.json({ name: e.name }); }
} };`;

async function alive(s: Server, what: string): Promise<void> {
    assert.equal((await s.request('hello')).text, 'hello', what);
    assert.ok(s.isAlive, what);
}

test('every way in, with every shape', async () => {
    const s = await server();
    await s.deploy('hello', 'export default { fetch: () => new Response("hello") };');
    await s.deploy('ways', WAYS.replace('PORT', String(port)), { cpu_ms: 5000, wall_ms: 30_000 });
    for (const way of ['canParse', 'parse', 'construct', 'base', 'relative', 'request', 'fetch', 'redirect', 'location', 'manual', 'setters', 'emptied']) {
        for (const text of SHAPES) {
            const answer = await s.request('ways', '/', { method: 'POST', body: JSON.stringify({ way, text }) });
            assert.equal(answer.status, 200, `${way} ${text}: ${answer.text}`);
            assert.ok('value' in answer.json || ['TypeError', 'RangeError'].includes(answer.json.name), `${way} ${text}: ${answer.text}`);
        }
        await alive(s, way);
    }
    const ask = async (way: string, text: string) => (await s.request('ways', '/', { method: 'POST', body: JSON.stringify({ way, text }) })).json.value;
    assert.equal(await ask('canParse', 'foo://'), true);
    assert.deepEqual(await ask('construct', 'foo://'), ['foo://', 'null', '', '', '', '', '', '', '']);
    assert.equal(await ask('emptied', ''), 'foo://');
    assert.equal((await s.metrics()).get('limpet_crate_panics_total'), 0);
});

test('a user without a password has none', async () => {
    const s = await server();
    await s.deploy('users', `export default { fetch: () => Response.json(["http://me@h/", "http://me:@h/", "http://:pw@h/", "http://me:pw@h/", "postgres://me@h/db", "http://h/"]
        .map((x) => { const u = new URL(x); return [u.username, u.password, u.host]; })) };`);
    assert.deepEqual((await s.request('users')).json, [['me', '', 'h'], ['me', '', 'h'], ['', 'pw', 'h'], ['me', 'pw', 'h'], ['me', '', 'h'], ['', '', 'h']]);
});

test('a workflow with such a URL neither ends the server nor its next start', async () => {
    const first = await Server.start({ args: ['--threads', '1'] });
    await deployWorkflow(first, 'odd', `
import { step, waitForEvent, workflow } from "limpet";
export default workflow(async () => {
    const outside = URL.canParse("foo://");
    const inside = await step("inside", () => new URL("foo://").href);
    await waitForEvent("go");
    return [outside, inside, new URL("foo://").password];
});`);
    const id = await start(first, 'odd');
    await until('it waits', async () => (await first.api('GET', `/executions/${id}`)).json.status === 'suspended');
    await first.kill();
    const second = await first.revive();
    try {
        const signal = await second.api('POST', `/executions/${id}/signal`, { name: 'go', data: null });
        assert.ok(signal.status < 300, signal.text);
        const end = await until('its end', async () => {
            const row = (await second.api('GET', `/executions/${id}?wait=30s`)).json;
            return row.status === 'completed' ? row : undefined;
        });
        assert.deepEqual(end.output, [true, 'foo://', '']);
    } finally {
        await second.stop();
    }
});
