// SPDX-License-Identifier: Apache-2.0
// EventSource against an origin: events as the standard parses them, and how it connects again.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Origin, until, useServer } from './harness.ts';

const asked: { path: string; lastId?: string; accept?: string }[] = [];
let closed = 0;

const origin = new Origin((req, res) => {
    const before = asked.filter((a) => a.path === req.url).length;
    asked.push({ path: req.url!, lastId: req.headers['last-event-id'] as string | undefined, accept: req.headers.accept });
    const head = (type = 'text/event-stream; charset=utf-8') => res.writeHead(200, { 'content-type': type });
    switch (req.url) {
    case '/parse': {
        head();
        const text = '\ufeff: a comment\nretry: 1\ndata: one\ndata:two\n\nevent: named\r\nid: 7\r\ndata:  é \r\n\r\nid: 8\n\ndata\n\ndata\ndata\r\rid: a\0b\ndata: same id\n\nnonsense: x\ndata: {"last": true}\n\ndata: never ends';
        for (const byte of Buffer.from(text)) res.write(Buffer.of(byte));
        res.end();
        break;
    }
    case '/again':
        head();
        res.end(before === 0 ? 'retry: 5\nid: é1\ndata: first\n\n' : `data: again\n\n`);
        break;
    case '/gone': res.writeHead(204).end(); break;
    case '/html': head('text/html').end('data: x\n\n'); break;
    case '/broken':
        if (before === 0) return void res.destroy();
        head();
        res.write('data: up\n\n');
        break;
    default:
        head();
        res.on('close', () => closed++);
        res.write('data: open\n\n');
    }
});

const server = useServer(() => ({ args: ['--egress-allow', `127.0.0.1:${origin.port}`] }));

async function inside(body: string) {
    const s = await server();
    await s.deploy('events', `const base = "http://127.0.0.1:${origin.port}";\nexport default { async fetch(request) { const seen = []; ${body} } };`);
    const res = await s.request('events', '/');
    assert.equal(res.status, 200, res.text);
    return res.json;
}

test('events as the standard parses them', async () => {
    const [events, states] = await inside(`
const source = new EventSource(base + "/parse"), states = [source.readyState];
await new Promise((done) => {
    source.onopen = () => states.push(source.readyState);
    const note = (e) => { seen.push([e.type, e.data, e.lastEventId, e.origin === base, e instanceof MessageEvent]); if (e.data === '{"last": true}') { source.close(); done(); } };
    source.addEventListener("message", note);
    source.addEventListener("named", note);
});
states.push(source.readyState, source.url === base + "/parse", source.withCredentials, EventSource.CLOSED);
return Response.json([seen, states]);`);
    assert.deepEqual(events, [
        ['message', 'one\ntwo', '', true, true],
        ['named', ' é ', '7', true, true],
        ['message', '', '8', true, true],
        ['message', '\n', '8', true, true],
        ['message', 'same id', '8', true, true],
        ['message', '{"last": true}', '8', true, true],
    ]);
    assert.deepEqual(states, [0, 1, 2, true, false, 2]);
    assert.equal(asked[0]!.accept, 'text/event-stream');
});

test('it connects again with the last id, after the pause that the stream asked for', async () => {
    assert.deepEqual(await inside(`
const source = new EventSource(base + "/again");
await new Promise((done) => { source.onerror = () => seen.push(["error", source.readyState]); source.onmessage = (e) => { seen.push([e.data, e.lastEventId]); if (e.data === "again") done(); }; });
source.close();
return Response.json(seen);`), [['first', 'é1'], ['error', 0], ['again', 'é1']]);
    assert.deepEqual(asked.filter((a) => a.path === '/again').map((a) => a.lastId && Buffer.from(a.lastId, 'latin1').toString()), [undefined, 'é1']);
});

test('what is no event stream ends it', async () => {
    assert.deepEqual(await inside(`
for (const path of ["/gone", "/html"]) await new Promise((done) => { const source = new EventSource(base + path); source.onopen = () => seen.push("open"); source.onerror = () => { seen.push(source.readyState); done(); }; });
try { new EventSource("/relative"); } catch (e) { seen.push(e.name); }
return Response.json(seen);`), [2, 2, 'SyntaxError']);
});

test('closing it closes the connection', async () => {
    assert.deepEqual(await inside(`
const source = new EventSource(base + "/open");
await new Promise((done) => { source.onmessage = (e) => { seen.push(e.data); source.close(); done(); }; });
return Response.json(seen);`), ['open']);
    await until('the origin sees it closed', () => closed > 0);
});

test('a fetcher of its own, and a stream that is there already', async () => {
    assert.deepEqual(await inside(`
const fetcher = { fetch: (request) => { seen.push(request.headers.get("accept")); return new Response("data: mine\\n\\n", { headers: { "content-type": "text/event-stream" } }); } };
const source = new EventSource("https://anything.invalid/x", { fetcher });
await new Promise((done) => { source.onmessage = (e) => { seen.push(e.data, e.origin); source.close(); done(); }; });
const made = EventSource.from(new Response("event: x\\ndata: 1\\n\\n").body);
await new Promise((done) => { made.addEventListener("x", (e) => seen.push(e.data)); made.onerror = () => { seen.push(made.readyState); done(); }; });
return Response.json(seen);`), ['text/event-stream', 'mine', 'null', '1', 2]);
});
