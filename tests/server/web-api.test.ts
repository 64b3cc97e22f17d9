// SPDX-License-Identifier: Apache-2.0
// The web's basics as a guest sees them in the real server. The guest's own tests go deeper; here it is that each is there and works
// end to end.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Server, useServer } from './harness.ts';

const server = useServer();

/** Each runs in a request of its own and returns a JSON-able value. */
const CASES: Record<string, [string, unknown]> = {
    url: ['const u = new URL("../b?x=1#f", "https://user:pw@ex%41mple.com:8443/a/c"); return [u.href, u.origin, u.host, u.pathname, u.search, u.hash, URL.canParse("nope")];',
        ['https://user:pw@example.com:8443/b?x=1#f', 'https://example.com:8443', 'example.com:8443', '/b', '?x=1', '#f', false]],
    'url idna': ['return new URL("http://bücher.example/ü?ö").href;', 'http://xn--bcher-kva.example/%C3%BC?%C3%B6'],
    'url invalid': ['try { new URL("/relative"); } catch (e) { return e.name; }', 'TypeError'],
    'search params': ['const p = new URLSearchParams("a=1&b=2&a=3+4"); p.append("c", "ü&"); p.sort(); return [p.getAll("a"), p.toString(), [...p.keys()], p.size];',
        [['1', '3 4'], 'a=1&a=3+4&b=2&c=%C3%BC%26', ['a', 'a', 'b', 'c'], 4]],
    'url searchParams': ['const u = new URL("http://x/?a=1"); u.searchParams.set("b", "2 3"); return u.href;', 'http://x/?a=1&b=2+3'],
    headers: ['const h = new Headers([["A", "1"], ["b", "2"]]); h.append("a", "3"); h.delete("B"); return [[...h], h.get("a"), h.has("b")];', [[['a', '1, 3']], '1, 3', false]],
    'headers set-cookie': ['const h = new Headers(); h.append("set-cookie", "a=1"); h.append("set-cookie", "b=2"); return h.getSetCookie();', ['a=1', 'b=2']],
    request: ['const r = new Request("http://x/y", { method: "post", body: "hi", headers: { a: "b" } }); const c = r.clone(); return [r.method, r.url, await r.text(), await c.text(), r.bodyUsed, r.headers.get("content-type")];',
        ['POST', 'http://x/y', 'hi', 'hi', true, 'text/plain;charset=UTF-8']],
    response: ['const r = new Response(JSON.stringify({ a: 1 }), { status: 418, statusText: "teapot" }); return [r.status, r.statusText, r.ok, await r.json()];', [418, 'teapot', false, { a: 1 }]],
    'response static': ['return [Response.redirect("http://x/y", 303).headers.get("location"), Response.error().type, (await Response.json([1]).text())];', ['http://x/y', 'error', '[1]']],
    'response kinds': ['return [await new Response(new Uint8Array([104, 105])).text(), (await new Response("ä").arrayBuffer()).byteLength, await new Response(new URLSearchParams({ a: "b" })).text(), await new Response(new Blob(["x", "y"])).text()];', ['hi', 2, 'a=b', 'xy']],
    'form data': ['const f = new FormData(); f.append("a", "1"); f.append("f", new File(["data"], "n.txt", { type: "text/plain" })); const g = await new Response(f).formData(); return [g.get("a"), g.get("f").name, await g.get("f").text()];', ['1', 'n.txt', 'data']],
    streams: ['const s = new ReadableStream({ start(c) { c.enqueue("a"); c.enqueue("b"); c.close(); } }); const [x, y] = s.tee(); const all = []; for await (const v of x) all.push(v); const r = y.getReader(); all.push((await r.read()).value); return all;', ['a', 'b', 'a']],
    'transform stream': ['const t = new TransformStream({ transform(v, c) { c.enqueue(v * 2); } }); const w = t.writable.getWriter(); w.write(1); w.write(2); w.close(); const all = []; for await (const v of t.readable) all.push(v); return all;', [2, 4]],
    'text codec': ['const e = new TextEncoder().encode("aé😀"); return [e.length, new TextDecoder().decode(e), new TextDecoder("utf-8", { fatal: false }).decode(new Uint8Array([0x61, 0xff])), new TextEncoder().encodeInto("éé", new Uint8Array(3))];', [7, 'aé😀', 'a�', { read: 1, written: 2 }]],
    'text decoder fatal': ['try { new TextDecoder("utf-8", { fatal: true }).decode(new Uint8Array([0xff])); } catch (e) { return e.name; }', 'TypeError'],
    abort: ['const c = new AbortController(); let seen; c.signal.addEventListener("abort", () => (seen = true)); c.abort(new Error("why")); try { c.signal.throwIfAborted(); } catch (e) { return [seen, c.signal.aborted, e.message]; }', [true, true, 'why']],
    'abort timeout': ['const s = AbortSignal.timeout(5); await new Promise((r) => s.addEventListener("abort", r)); return s.reason.name;', 'TimeoutError'],
    'abort any': ['const a = new AbortController(); const s = AbortSignal.any([a.signal, new AbortController().signal]); a.abort(); return s.aborted;', true],
    timers: ['const order = []; setTimeout(() => order.push("b"), 20); setTimeout((x) => order.push(x), 1, "a"); const gone = setTimeout(() => order.push("never"), 5); clearTimeout(gone); let n = 0; await new Promise((r) => { const i = setInterval(() => { order.push("i"); if (++n === 3) { clearInterval(i); r(); } }, 15); }); return [order[0], order.includes("b"), order.includes("never"), n];', ['a', true, false, 3]],
    'microtask order': ['const o = []; setTimeout(() => o.push("timer"), 0); queueMicrotask(() => o.push("micro")); Promise.resolve().then(() => o.push("then")); o.push("sync"); await new Promise((r) => setTimeout(r, 5)); return o;', ['sync', 'micro', 'then', 'timer']],
    'structured clone': ['const a = { d: new Date(0), m: new Map([[1, new Set(["x"])]]), b: new Uint8Array([1, 2]), e: new RangeError("r") }; a.self = a; const c = structuredClone(a); return [c !== a, c.self === c, c.d.getTime(), [...c.m.get(1)], [...c.b], c.e.name];', [true, true, 0, ['x'], [1, 2], 'RangeError']],
    'structured clone refuses': ['try { structuredClone(() => 1); } catch (e) { return e.name; }', 'DataCloneError'],
    base64: ['return [btoa("hé"), atob("aOk="), (() => { try { btoa("€"); } catch (e) { return e.name; } })()];', ['aOk=', 'hé', 'InvalidCharacterError']],
    digest: ['const h = async (n) => [...new Uint8Array(await crypto.subtle.digest(n, new TextEncoder().encode("abc")))].map((b) => b.toString(16).padStart(2, "0")).join(""); return [await h("SHA-1"), await h("SHA-256"), (await h("SHA-384")).length, (await h({ name: "SHA-512" })).slice(0, 16)];',
        ['a9993e364706816aba3e25717850c26c9cd0d89d', 'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad', 96, 'ddaf35a193617aba']],
    'random values': ['const a = crypto.getRandomValues(new Uint32Array(4)); let e; try { crypto.getRandomValues(new Uint8Array(65537)); } catch (x) { e = x.name; } return [a.length, a.some((v) => v > 0), e];', [4, true, 'QuotaExceededError']],
    performance: ['const a = performance.now(); await new Promise((r) => setTimeout(r, 10)); const b = performance.now(); return [a >= 0 && a < 5000, b - a >= 8, performance.timeOrigin > 1.6e12];', [true, true, true]],
    date: ['const d = Date.now(); return [d > 1.6e12, Math.abs(new Date().getTime() - d) < 1000];', [true, true]],
    events: ['const t = new EventTarget(); let got; t.addEventListener("x", (e) => (got = e.type), { once: true }); t.dispatchEvent(new Event("x")); return got;', 'x'],
    'dom exception': ['const e = new DOMException("m", "AbortError"); return [e.name, e.code, e instanceof Error];', ['AbortError', 20, true]],
    modern: ['return [Object.groupBy([1, 2, 3], (n) => (n % 2 ? "odd" : "even")).odd, [3, 1].toSorted(), typeof Promise.withResolvers, new Set([1, 2]).union(new Set([3])).size, "a-b".replaceAll("-", "+"), (12345678901234567890n * 2n).toString()];', [[1, 3], [1, 3], 'function', 3, 'a+b', '24691357802469135780']],
    regexp: ['return ["2026-01-02".match(/(?<y>\\\\d{4})-(?<m>\\\\d\\\\d)/).groups.y, /\\\\p{Lu}/u.test("É"), "aBc".replace(/b/i, (x) => x + x)];', ['2026', true, 'aBBc']],
    globals: ['return [typeof process, typeof require, typeof globalThis.limpet, typeof Buffer, self === globalThis, typeof eval("1 + 1")];', ['object', 'undefined', 'undefined', 'function', true, 'number']],
    'scopes of workers': ['return [globalThis instanceof WorkerGlobalScope, self instanceof ServiceWorkerGlobalScope, ({}) instanceof WorkerGlobalScope, (() => { try { new WorkerGlobalScope(); } catch (e) { return e.name; } })(), origin, Cloudflare.compatibilityFlags];', [true, true, false, 'TypeError', 'null', {}]],
    'observers of performance': ['const o = new PerformanceObserver(() => {}); o.observe({ entryTypes: ["mark"] }); performance.mark("a"); const bad = (f) => { try { f(); return "taken"; } catch (e) { return e.name; } }; return [PerformanceObserver.supportedEntryTypes, o.takeRecords().map((e) => e.name), bad(() => o.observe()), bad(() => o.observe({ type: "a", entryTypes: [] })), bad(() => new PerformanceObserver())];', [['mark', 'measure'], ['a'], 'TypeError', 'TypeError', 'TypeError']],
    'observers of performance are told': ['performance.mark("before"); const seen = []; await new Promise((resolve) => { const o = new PerformanceObserver((list, self) => { for (const e of list.getEntries()) seen.push(e.name); if (seen.length > 1) { self.disconnect(); resolve(); } }); o.observe({ type: "mark", buffered: true }); performance.mark("after"); }); return seen;', ['before', 'after']],
    'iterators of headers are live': ['const h = new Headers({ a: "1", b: "2", c: "3" }); const seen = []; for (const [name] of h) { seen.push(name); h.delete("b"); } return [seen, Object.prototype.toString.call(h.keys()), Object.keys(Object.getPrototypeOf(h.keys()))];', [['a', 'c'], '[object Headers Iterator]', ['next']]],
    'a request has a signal of its own': ['const c = new AbortController(); const r = new Request("http://x/", { signal: c.signal }); const before = r.signal !== c.signal && r.clone().signal !== r.signal; c.abort("why"); return [before, r.signal.aborted, r.signal.reason];', [true, true, 'why']],
    'a digest of what a getter changes': ['const data = new Uint8Array(1); return new Uint8Array(await crypto.subtle.digest({ get name() { data[0] = 1; return "SHA-1"; } }, data))[0];', 191],
    'cf of requests that code makes': ['const given = { a: 1 }; const r = new Request("http://x/", { cf: given }); return [r.cf === given, r.clone().cf === given, new Request(r).cf.a, new Request("http://x/").cf === undefined, new Request(r, { cf: null }).cf === undefined, (() => { try { new Request("http://x/", { cf: 1 }); } catch (e) { return e.name; } })(), new Response("").cf === undefined];', [true, true, 1, true, true, 'TypeError', true]],
    navigator: ['return typeof navigator === "undefined" || typeof navigator.userAgent === "string";', true],
};

const MODULE = `
const cases = {
${Object.entries(CASES).map(([name, [body]]) => `${JSON.stringify(name)}: async () => { ${body.replaceAll('\\\\', '\\')} }`).join(',\n')}
};
export default { async fetch(request) { return Response.json((await cases[decodeURIComponent(new URL(request.url).pathname.slice(1))]()) ?? null); } };`;

for (const [name, [, expected]] of Object.entries(CASES)) {
    test(name, async () => {
        const s = await server();
        await s.deploy('web', MODULE);
        const res = await s.request('web', '/' + encodeURIComponent(name));
        assert.equal(res.status, 200, res.text);
        assert.deepEqual(res.json, expected);
    });
}

test('request.cf says how a request came, and passThroughOnException() that it does nothing', async () => {
    const s = await server();
    await s.deploy('cf', `export default { fetch(request, env, ctx) {
        if (new URL(request.url).pathname === '/pass') { ctx.passThroughOnException(); throw new Error('no'); }
        return Response.json([request.cf, request.cf === request.cf, new Request(request).cf, request.clone().cf, request.cf.country === undefined]);
    } };`);
    const cf = { httpProtocol: 'HTTP/1.1', tlsVersion: '', clientAcceptEncoding: 'gzip, br' };
    assert.deepEqual((await s.request('cf', '/', { headers: { 'accept-encoding': 'gzip, br' } })).json, [cf, true, cf, cf, true]);
    assert.equal((await s.request('cf', '/pass')).status, 500);
    const { until } = await import('./harness.ts');
    await until('the warning', async () => ((await s.api('GET', '/functions/cf/logs')).json as { level: string; text: string }[]).find((l) => l.level === 'warn' && /no origin behind this function/.test(l.text)));
});

test('console writes logs of every level, with objects shown', async () => {
    const s = await server();
    await s.deploy('console', `
export default { fetch() {
    console.debug("d"); console.log("text", 1, { a: [1, { b: null }] }, [1, 2], null, undefined, true, 1n, Symbol("s"), new Error("shown").message);
    console.info("%s is %d", "x", 5); console.warn("w"); console.error(new TypeError("oops")); console.table && console.table([{ a: 1 }]);
    return new Response("ok");
} };`);
    await s.request('console');
    const { until } = await import('./harness.ts');
    const logs = await until('logs', async () => {
        const rows = (await s.api('GET', '/functions/console/logs')).json as { level: string; text: string }[];
        return rows.length >= 5 && rows;
    });
    assert.deepEqual(logs.slice(0, 5).map((l) => l.level), ['debug', 'info', 'info', 'warn', 'error']);
    assert.match(logs[1]!.text, /^text 1 \{ ?a: \[ ?1, \{ ?b: null ?\} ?\] ?\} \[ ?1, 2 ?\] null undefined true 1n Symbol\(s\) shown$/);
    assert.equal(logs[2]!.text, 'x is 5');
    assert.match(logs[4]!.text, /TypeError: oops/);
});

test('top-level code draws other random numbers in each function, version and server, and keeps them over a restart', async () => {
    const source = 'const top = [Math.random(), Math.random()]; export default { fetch: () => Response.json([...top, Math.random()]) };';
    const seen: number[] = [];
    const s = await server();
    for (const [name, code] of [['random-a', source], ['random-b', source], ['random-b', `${source} export const other = 1;`]] as const) {
        await s.deploy(name, code);
        seen.push(...(await s.request(name)).json);
        const again = (await s.request(name)).json;
        assert.deepEqual(again.slice(0, 2), seen.slice(-3, -1), 'the image has one');
        seen.push(again[2]);
    }
    let other = await Server.start();
    try {
        await other.deploy('random-a', source);
        const first = (await other.request('random-a')).json;
        seen.push(...first);
        other = await other.restart();
        assert.deepEqual((await other.request('random-a')).json.slice(0, 2), first.slice(0, 2));
    } finally {
        await other.stop();
    }
    assert.equal(new Set(seen).size, seen.length, JSON.stringify(seen));
});
