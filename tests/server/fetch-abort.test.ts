// SPDX-License-Identifier: Apache-2.0
// Aborts and time limits of fetch() hold until the last byte of the body: the reader hears the signal's reason at once, and the
// origin sees the connection closed.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { until, useServer, Origin } from './harness.ts';
import { complete, deployWorkflow } from './workflow-harness.ts';

const closed: string[] = [];

// Heads and ten bytes; the rest never comes.
const origin = new Origin((req, res) => {
    res.on('close', () => res.writableFinished || closed.push(req.url!));
    if (req.url === '/gate') { // opens once the steps before have let go of their answers
        const left = ['/step-timeout', '/step-unread'];
        until('answers of earlier steps are closed', () => left.every((path) => closed.includes(path))).then(() => res.end('open'), () => res.destroy());
        return;
    }
    if (req.url!.startsWith('/whole')) {
        res.end('all of it');
        return;
    }
    res.writeHead(200, { 'content-length': 20 });
    res.write('ten bytes.');
});

const server = useServer(() => ({ args: ['--threads', '1', '--egress-allow', `127.0.0.1:${origin.port}`] }));

let serial = 0;
async function inside(body: string, options = {}) {
    const s = await server();
    const name = `abort-${serial++}`;
    await s.deploy(name, `const base = "http://127.0.0.1:${origin.port}/${name}";\nexport default { async fetch(request) { ${body} } };`, options);
    return { name, ask: () => s.request(name, '/') };
}
const isClosed = (name: string) => until(`the origin sees ${name} closed`, () => closed.includes(`/${name}`));

const readers: Record<string, string> = {
    'text()': 'await r.text();',
    'arrayBuffer()': 'await r.arrayBuffer();',
    'a reader': 'const reader = r.body.getReader(); await reader.read(); await reader.read();',
    'for await': 'for await (const chunk of r.body) ;',
    'a clone': 'await Promise.all([r.clone().text(), r.text()]);',
    'pipeThrough': 'await new Response(r.body.pipeThrough(new TransformStream())).text();',
};

for (const [what, code] of Object.entries(readers)) {
    test(`AbortSignal.timeout ends ${what}`, async () => {
        const { name, ask } = await inside(`
const r = await fetch(base, { signal: AbortSignal.timeout(300) });
try { ${code} return new Response("read"); } catch (e) { return new Response(e.name + (e instanceof DOMException)); }`);
        assert.equal((await ask()).text, 'TimeoutErrortrue');
        await isClosed(name);
    });

    test(`an AbortController ends ${what}, with its reason`, async () => {
        const { name, ask } = await inside(`
const c = new AbortController(), reason = { it: "is mine" };
const r = await fetch(base, { signal: c.signal });
setTimeout(() => c.abort(reason), 20);
try { ${code} return new Response("read"); } catch (e) { return new Response(String(e === reason)); }`);
        assert.equal((await ask()).text, 'true');
        await isClosed(name);
    });
}

test('a body that nobody reads is closed, and reading it later fails', async () => {
    const { name, ask } = await inside(`
const c = new AbortController();
const r = await fetch(base, { signal: c.signal }), s = await fetch(base + "/2", { signal: c.signal });
const body = s.body;
c.abort();
const out = [];
try { await r.text(); } catch (e) { out.push(e.name); }
try { await body.getReader().read(); } catch (e) { out.push(e.name); }
return Response.json(out);`);
    assert.deepEqual((await ask()).json, ['AbortError', 'AbortError']);
    await isClosed(name);
    await isClosed(`${name}/2`);
});

test('an answer that is passed on breaks off', async () => {
    const { name, ask } = await inside('return fetch(base, { signal: AbortSignal.timeout(300) });');
    await assert.rejects(ask(), /aborted|hang up|terminated|reset/);
    await isClosed(name);
});

test('a request body that is piped from an answer breaks off', async () => {
    const { name, ask } = await inside(`
const c = new AbortController();
const r = await fetch(base, { signal: c.signal });
setTimeout(() => c.abort(), 20);
try { await (await fetch(base + "/up", { method: "POST", body: r.body, duplex: "half" })).text(); return new Response("?"); }
catch (e) { return new Response(e.name); }`);
    await ask();
    await isClosed(name);
});

test('an abort after the end changes nothing, and leaves no listener behind', async () => {
    const { ask } = await inside(`
const c = new AbortController();
let listeners = 0;
const add = c.signal.addEventListener, remove = c.signal.removeEventListener;
c.signal.addEventListener = function (...a) { listeners++; return add.apply(this, a); };
c.signal.removeEventListener = function (...a) { listeners--; return remove.apply(this, a); };
const whole = base.replace("/abort", "/whole/abort");
const texts = [];
for (let i = 0; i < 10; i++) texts.push(await (await fetch(whole, { signal: c.signal })).text());
for await (const chunk of (await fetch(whole, { signal: c.signal })).body) texts.push(chunk.length);
await (await fetch(whole, { signal: c.signal })).body.cancel();
c.abort();
return Response.json([texts.length, texts[0], listeners]);`);
    assert.deepEqual((await ask()).json, [11, 'all of it', 0]);
});

test('the signal of a Request counts, too', async () => {
    const { name, ask } = await inside(`
const r = await fetch(new Request(base, { signal: AbortSignal.any([AbortSignal.timeout(300), new AbortController().signal]) }));
try { await r.text(); return new Response("read"); } catch (e) { return new Response(e.name); }`);
    assert.equal((await ask()).text, 'TimeoutError');
    await isClosed(name);
});

test('isolated by module: one request is aborted, the other goes on', async () => {
    const { name, ask } = await inside(`
const signal = globalThis.n ? undefined : AbortSignal.timeout(200); globalThis.n = 1;
if (!signal) return new Response("second");
try { await (await fetch(base, { signal })).text(); } catch (e) { return new Response(e.name); }`, { isolation: 'module' });
    assert.equal((await ask()).text, 'TimeoutError');
    assert.equal((await ask()).text, 'second');
    await isClosed(name);
});

test('in steps of workflows, by the signal and by the end of the step', async () => {
    const s = await server();
    await deployWorkflow(s, 'abort-steps', `
import { step, workflow } from "limpet";
export default workflow(async () => {
    const out = [];
    out.push(await step("signal", async () => {
        const r = await fetch("http://127.0.0.1:${origin.port}/step-signal", { signal: AbortSignal.timeout(200) });
        try { return await r.text(); } catch (e) { return e.name; }
    }));
    try {
        await step("timeout", { timeout: 300, retries: 0 }, async () => (await fetch("http://127.0.0.1:${origin.port}/step-timeout")).text());
    } catch (e) { out.push("step failed"); }
    await step("unread", async () => { await fetch("http://127.0.0.1:${origin.port}/step-unread"); });
    out.push(await step("after", async () => (await fetch("http://127.0.0.1:${origin.port}/gate")).text()));
    return out;
});`);
    assert.deepEqual(await complete(s, 'abort-steps', null, { wait: '30s' }), ['TimeoutError', 'step failed', 'open']);
    for (const path of ['step-signal', 'step-timeout', 'step-unread']) await isClosed(path);
});
