// SPDX-License-Identifier: Apache-2.0
// Service bindings: one function calls another without network, by fetch() and by methods.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Answer, errorOf, type Server, until, useServer } from './harness.ts';

const server = useServer({ args: ['--threads', '2'] });

const to = (service: string, more: object = {}) => ({ type: 'service', name: 'SVC', service, ...more });

/** A function that is bound to another as SVC, and whose answer is what `body` returns. */
async function caller(s: Server, name: string, bindings: object[], body: string): Promise<void> {
    await s.deploy(name, `export default { async fetch(request, env, ctx) { ${body} } };`, { bindings });
}

async function json(answer: Promise<Answer>): Promise<any> {
    const { status, text, json } = await answer;
    assert.equal(status, 200, text);
    return json;
}

test('fetch() gives method, URL, headers and body, and gets the answer', async () => {
    const s = await server();
    await s.deploy('echo', `export default { async fetch(request) {
        return new Response(request.method + " " + request.url + " " + request.headers.get("x-a") + " " + await request.text(),
            { status: 201, statusText: "Made", headers: { "x-b": "two", "set-cookie": "a=1" } });
    } };`);
    await caller(s, 'asks', [to('echo')], `
        const r = await env.SVC.fetch("https://any.example:1/p?q#f", { method: "PUT", body: "hällo", headers: { "x-a": "one" } });
        return Response.json([r.status, r.statusText, r.headers.get("x-b"), r.headers.getSetCookie(), r.url, r.redirected, await r.text()]);`);
    assert.deepEqual(await json(s.request('asks')),
        [201, 'Made', 'two', ['a=1'], 'https://any.example:1/p?q#f', false, 'PUT https://any.example:1/p?q one hällo']);
    await caller(s, 'passes', [to('echo')], 'return env.SVC.fetch(request);');
    const passed = await s.request('passes', '/x?y', { method: 'POST', body: 'b', headers: { 'x-a': 'h' } });
    assert.equal(passed.status, 201);
    assert.equal(passed.text, `POST http://${s.host('passes')}/x?y h b`);
});

test('answers without a body, and HEAD', async () => {
    const s = await server();
    await s.deploy('bare', 'export default { fetch(r) { return r.method === "HEAD" ? new Response("unseen", { headers: { "x-h": "1" } }) : new Response(null, { status: 204 }); } };');
    await caller(s, 'asks-bare', [to('bare')], `
        const a = await env.SVC.fetch("http://s/"), b = await env.SVC.fetch("http://s/", { method: "HEAD" });
        return Response.json([a.status, a.body, b.headers.get("x-h"), await b.text()]);`);
    assert.deepEqual(await json(s.request('asks-bare')), [204, null, '1', '']);
});

test('redirects are followed through the binding, as fetch() follows them', async () => {
    const s = await server();
    await s.deploy('hops', `export default { async fetch(request) {
        const { pathname } = new URL(request.url);
        if (pathname === "/end") return new Response(request.method + (await request.text()));
        if (pathname === "/loop") return Response.redirect("http://s/loop", 302);
        return new Response(null, { status: Number(pathname.slice(1)), headers: { location: "/end" } });
    } };`);
    await caller(s, 'hopper', [to('hops')], `
        const out = [];
        for (const [path, init] of [["302", { method: "POST", body: "x" }], ["307", { method: "POST", body: "x" }], ["303", { method: "PUT", body: "x" }],
            ["302", { redirect: "manual" }]]) {
            const r = await env.SVC.fetch("http://s/" + path, init);
            out.push([r.status, r.url, r.redirected, await r.text()]);
        }
        for (const [path, init] of [["302", { redirect: "error" }], ["loop", {}], ["307", { method: "POST", body: new Blob(["x"]).stream() }]])
            out.push(await env.SVC.fetch("http://s/" + path, init).then((r) => r.status, (e) => e.name));
        return Response.json(out);`);
    assert.deepEqual(await json(s.request('hopper')), [
        [200, 'http://s/end', true, 'GET'], [200, 'http://s/end', true, 'POSTx'], [200, 'http://s/end', true, 'GET'],
        [302, 'http://s/302', false, ''], 'TypeError', 'TypeError', 'TypeError']);
});

test('what the other throws is thrown, and logged where it happened', async () => {
    const s = await server();
    await s.deploy('throws', 'export default { fetch() { throw new RangeError("too far"); } };');
    await caller(s, 'catches', [to('throws')], `
        try { await env.SVC.fetch("http://s/"); } catch (e) { return Response.json([e instanceof Error, e.message]); }`);
    assert.deepEqual(await json(s.request('catches')), [true, 'RangeError: too far']);
    await until('the log', async () => (await s.api('GET', '/functions/throws/logs')).json.some((l: any) => l.text.includes('too far')));
});

test('code reaches what is bound to it, and nothing else', async () => {
    const s = await server();
    await s.deploy('other', 'export default { fetch: () => new Response("other") };');
    await caller(s, 'narrow', [to('other')], `
        return Response.json([typeof env.SVC, typeof env.other, "SVC" in env, Object.keys(env), String(env.SVC), env.SVC === env.SVC,
            JSON.stringify(process.env)]);`);
    assert.deepEqual(await json(s.request('narrow')), ['object', 'undefined', true, ['SVC'], '[object Fetcher]', true, '{}']);
    for (const [bindings, what] of [
        [[to('nobody')], /no function of that name/], [[to('other', { entrypoint: '9' })], /name of an export/],
        [[to('other'), to('other')], /two bindings/], [[{ type: 'nothing', name: 'A' }], /unknown type/], [[{ type: 'service', name: 'A' }], /lacks/],
        [[to('other', { more: 1 })], /unknown member/], ['SVC', /no array/], [[to('../x')], /name of a function/]] as const) {
        const answer = await s.api('POST', '/functions', { name: 'refused', source: 'export default { fetch() {} };', bindings });
        assert.match(errorOf(answer, 400, 'invalid').message, what);
    }
    await s.api('POST', '/namespaces', { name: 'far' });
    const far = await s.api('POST', '/namespaces/far/functions', { name: 'reaches', source: 'export default { fetch() {} };', bindings: [to('other')] });
    assert.match(errorOf(far, 400, 'invalid').message, /no function of that name/);
});

test('a service that is deleted later is named by the error, and found again when it is back', async () => {
    const s = await server();
    await s.deploy('fickle', 'export default { fetch: () => new Response("here") };');
    await caller(s, 'holds', [to('fickle')], 'return env.SVC.fetch(request).then((r) => r, (e) => Response.json([e.message, e.code]));');
    assert.equal((await s.request('holds')).text, 'here');
    await s.api('DELETE', '/functions/fickle');
    const [message, code] = await json(s.request('holds'));
    assert.match(message, /fickle.*any more/);
    assert.equal(code, 'not_found');
    await s.deploy('fickle', 'export default { fetch: () => new Response("back") };');
    assert.equal((await s.request('holds')).text, 'back');
});

test('calls in a circle end with an error that says so', async () => {
    const s = await server();
    await caller(s, 'ring', [to('ring')], 'return env.SVC.fetch(request).then((r) => r, (e) => Response.json([e.code, e.message]));');
    const [code, message] = await json(s.request('ring'));
    assert.equal(code, 'limit_calls');
    assert.match(message, /32 calls/);
});

test('bodies stream both ways, with back-pressure', async () => {
    const s = await server();
    await s.deploy('mirror', 'export default { fetch: (request) => new Response(request.body) };');
    await caller(s, 'streams', [to('mirror')], `
        const total = 24 * 1024 * 1024, chunk = new Uint8Array(64 * 1024);
        let sent = 0, ahead = 0, got = 0;
        const body = new ReadableStream({ pull(c) {
            if (sent === total) return c.close();
            chunk.fill(sent / chunk.length); c.enqueue(chunk.slice()); sent += chunk.length; ahead = Math.max(ahead, sent - got);
        } });
        const r = await env.SVC.fetch("http://s/", { method: "POST", body });
        for await (const part of r.body) {
            for (let at = 0; at < part.length; at += 4096)
                if (part[at] !== (((got + at) / chunk.length | 0) & 255)) throw new Error("wrong at " + (got + at));
            got += part.length;
        }
        return Response.json([sent, got, ahead < 4 * 1024 * 1024]);`);
    assert.deepEqual(await json(s.request('streams')), [24 * 1024 * 1024, 24 * 1024 * 1024, true]);
    await caller(s, 'large', [to('mirror')], `
        const body = new Uint8Array(5 * 1024 * 1024).fill(7);
        const back = new Uint8Array(await (await env.SVC.fetch("http://s/", { method: "POST", body })).arrayBuffer());
        return Response.json([back.length, back.every((b) => b === 7)]);`);
    assert.deepEqual(await json(s.request('large')), [5 * 1024 * 1024, true]);
});

test('aborting ends it on both sides', async () => {
    const s = await server();
    await s.deploy('slow', `export default { async fetch(request) {
        console.log("began");
        request.signal.addEventListener("abort", () => console.log("heard of it"));
        if (request.url.endsWith("/head")) await new Promise((r) => setTimeout(r, 60000));
        return new Response(new ReadableStream({ async pull(c) { c.enqueue(new Uint8Array(1000)); await new Promise((r) => setTimeout(r, 5)); } }));
    } };`);
    await caller(s, 'aborts', [to('slow')], `
        const out = [];
        for (const path of ["/head", "/body"]) {
            const c = new AbortController();
            const p = env.SVC.fetch("http://s" + path, { signal: c.signal });
            const r = path === "/body" ? await p : (setTimeout(() => c.abort(), 20), p);
            if (path === "/body") { const reader = (await r).body.getReader(); await reader.read(); c.abort(); out.push(await reader.read().then(() => "no", (e) => e.name)); }
            else out.push(await r.then(() => "no", (e) => e.name));
        }
        return Response.json(out);`);
    assert.deepEqual(await json(s.request('aborts')), ['AbortError', 'AbortError']);
    await until('the other to hear', async () => (await s.api('GET', '/functions/slow/logs')).json.filter((l: any) => l.text === 'heard of it').length >= 1);
});

test('methods: values, errors, promises, properties; named entrypoints and props', async () => {
    const s = await server();
    await s.deploy('math', `
        import { WorkerEntrypoint } from "cloudflare:workers";
        class Base extends WorkerEntrypoint { inherited() { return "base"; } }
        export default class extends Base {
            kept = "an instance's";
            get version() { return 3; }
            add(a, b) { return a + b; }
            async later(v) { await new Promise((r) => setTimeout(r, 1)); return v; }
            fail() { throw Object.assign(new RangeError("far"), { detail: { n: 1 }, cause: new TypeError("why") }); }
            fn() { return () => 1; }
            fetch(request) { return new Response("class " + new URL(request.url).pathname + " " + JSON.stringify(this.ctx.props)); }
        }
        export class Admin extends WorkerEntrypoint {
            who() { return [this.ctx.props, this.env.PLACE, this.ctx.exports !== undefined]; }
            fetch() { return Response.json(this.ctx.props); }
        }
        export const plain = { fetch: (request, env, ctx) => Response.json(["plain", ctx.props]) };`, { vars: { PLACE: 'here' } });
    await caller(s, 'rpc', [to('math'), { ...to('math', { entrypoint: 'Admin', props: { role: 'boss', n: [1] } }), name: 'ADMIN' },
        { ...to('math', { entrypoint: 'plain' }), name: 'PLAIN' }, { ...to('math', { entrypoint: 'Nobody' }), name: 'NOBODY' }], `
        const said = (p) => p.then((v) => v, (e) => e.name + ": " + e.message);
        const error = await env.SVC.fail().catch((e) => e);
        return Response.json([
            await env.SVC.add(1, 2), await env.SVC.add("a", "b"), await env.SVC.inherited(), await env.SVC.version,
            (await env.SVC.later(new Map([[1, new Set([new Date(5)])]]))).get(1).values().next().value.getTime(),
            [error instanceof RangeError, error.message, error.detail, error.cause.name, error.remote, /fail/.test(error.stack)],
            await said(env.SVC.kept()), await said(env.SVC.toStrin()), await said(env.SVC.constructor === Object ? Promise.resolve("plain") : Promise.resolve("own")),
            await said(env.SVC.fn()), await said((async () => env.SVC.add(() => 1))()),
            await env.ADMIN.who(), await (await env.ADMIN.fetch("http://s/")).json(), await (await env.SVC.fetch("http://s/p")).text(),
            await (await env.PLAIN.fetch("http://s/")).json(), await said(env.PLAIN.x()), await said(env.NOBODY.fetch("http://s/"))]);`);
    const got = await json(s.request('rpc'));
    assert.deepEqual(got.slice(0, 6), [3, 'ab', 'base', 3, 5, [true, 'far', { n: 1 }, 'TypeError', true, true]]);
    assert.match(got[6], /no method 'kept'/);
    assert.match(got[7], /no method 'toStrin'/);
    assert.match(got[9], /DataCloneError/);
    assert.match(got[10], /DataCloneError/);
    assert.deepEqual(got.slice(11, 15), [[{ role: 'boss', n: [1] }, 'here', true], { role: 'boss', n: [1] }, 'class /p {}', ['plain', {}]]);
    assert.match(got[15], /no class that extends WorkerEntrypoint/);
    assert.match(got[16], /no entrypoint 'Nobody'; it exports Admin, default/);
    assert.equal((await s.request('math', '/x')).text, 'class /x {}');
});

test('ctx.exports calls the module itself', async () => {
    const s = await server();
    await s.deploy('selfish', `
        import { WorkerEntrypoint } from "cloudflare:workers";
        export class Inner extends WorkerEntrypoint { who() { return this.ctx.props; } fetch() { return new Response("inner"); } }
        export default { async fetch(request, env, ctx) {
            const { Inner } = ctx.exports;
            return Response.json([Object.keys(ctx.exports).sort(), await Inner.who(), await Inner({ props: { a: 1 } }).who(), await (await Inner.fetch("http://s/")).text()]);
        } };`);
    assert.deepEqual(await json(s.request('selfish')), [['Inner', 'default'], {}, { a: 1 }, 'inner']);
});

test('a module that keeps its state has one instance, whichever thread is asked', async () => {
    const s = await server();
    await s.deploy('tally', 'let n = 0; export default { async fetch(request) { const body = await request.text(); return new Response(++n + body); } };', { isolation: 'module' });
    await caller(s, 'counts', [to('tally')], 'return env.SVC.fetch("http://s/", { method: "POST", body: "!" });');
    const answers: string[] = [];
    for (let i = 0; i < 8; i++)  // connections of their own, so that both threads get some
        answers.push(...await Promise.all([s.request('tally'), s.request('counts'), s.request('tally', '/', { method: 'POST', body: 'x'.repeat(600_000) })].map(async (r) => (await r).text)));
    assert.deepEqual(answers.map((t) => parseInt(t)).sort((a, b) => a - b), Array.from({ length: 24 }, (_, k) => k + 1));
    assert.equal(answers.filter((t) => t.length > 600_000).length, 8);
    const run = await s.execute('tally');
    assert.equal(run.json.output, '25{}');
});
