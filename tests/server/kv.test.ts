// SPDX-License-Identifier: Apache-2.0
// KV namespaces: what Workers' KV documents, in functions and in workflows, and that what was acknowledged outlives kill -9.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { errorOf, Server, until, useServer } from './harness.ts';
import { deployWorkflow, execute } from './workflow-harness.ts';

const server = useServer({ args: ['--threads', '2'] });
const kv = (name: string, of: string) => ({ type: 'kv', name, kv: of });

/** Runs the one of `bodies` that a request names, with `KV`. */
const RUNS = `
export default { async fetch(request, env) {
    const text = await request.text();
    const show = (v) => v instanceof Map ? { map: [...v].map(([k, x]) => [k, show(x)]) } : v instanceof ArrayBuffer ? [...new Uint8Array(v)] : v;
    try {
        return Response.json({ ok: show(await bodies[text](env.KV, env)) ?? null });
    } catch (e) {
        return Response.json({ error: e.name + ": " + e.message });
    }
} };`;

let at = 0;

/** Deploys a function whose bodies are these; what each returns. */
async function run(s: Server, of: string, ...bodies: string[]): Promise<any[]> {
    const name = `run-${at++}`;
    const table = bodies.map((body, k) => `"${k}": async (KV, env) => { ${body} }`).join(',\n');
    await s.deploy(name, `const bodies = { ${table} };\n${RUNS}`, { bindings: [kv('KV', of)] });
    const answers: any[] = [];
    for (let k = 0; k < bodies.length; k++) {
        const res = await s.request(name, '/', { method: 'POST', body: String(k) });
        assert.equal(res.status, 200, res.text);
        answers.push(res.json.ok !== undefined ? res.json.ok : res.json.error);
    }
    return answers;
}

test('put, get and delete, of every type', async () => {
    const s = await server();
    assert.deepEqual(await run(s, 'types',
        'return KV.get("none");',
        'return KV.put("text", "häl\\u0000lo") ?? 1;',
        'return KV.get("text");',
        'await KV.put("buffer", new Uint8Array([0, 1, 255]).buffer); return KV.get("buffer", "arrayBuffer");',
        'await KV.put("view", new Uint8Array([9, 8, 7, 6]).subarray(1, 3)); return KV.get("view", { type: "arrayBuffer" });',
        'await KV.put("json", JSON.stringify({ a: [1] })); return KV.get("json", "json");',
        'await KV.put("stream", new Blob(["st", "ream"]).stream()); return KV.get("stream");',
        'const r = await KV.get("text", "stream"); return [r instanceof ReadableStream, await new Response(r).text()];',
        'return [await KV.get("none", "json"), await KV.get("none", "stream"), await KV.get("none", "arrayBuffer"), (await KV.getWithMetadata("none")).value];',
        'await KV.delete("text"); await KV.delete("text"); return KV.get("text");',
        'return KV.get("json", { type: "what" });',
        'await KV.put("empty", ""); return [await KV.get("empty"), (await KV.get("empty", "arrayBuffer")).byteLength];',
        'return [Object.prototype.toString.call(KV), Object.keys(KV), typeof KV.constructor];',
    ), [null, null, 'häl\0lo', [0, 1, 255], [8, 7], { a: [1] }, 'stream', [true, 'häl\0lo'], [null, null, null, null], null,
        'TypeError: Unknown response type. Possible types are "text", "arrayBuffer", "json", and "stream".', ['', 0],
        ['[object KvNamespace]', [], 'function']]);
});

test('metadata and many keys', async () => {
    const s = await server();
    assert.deepEqual(await run(s, 'many',
        'await KV.put("a", "1", { metadata: { of: ["a"] } }); await KV.put("b", "{\\"x\\":2}"); const { version, ...r } = await KV.getWithMetadata("a"); return [r, typeof version];',
        'return KV.get(["a", "b", "c"]);',
        'return KV.get(["b"], "json");',
        'const m = await KV.getWithMetadata(["a", "c"]); return [m.get("a").value, m.get("a").metadata, m.get("c")];',
        'return KV.get(["a"], "arrayBuffer");',
        'return KV.get(Array(101).fill("k"));',
        'return KV.get([]);',
        'return (await KV.get(Array.from({ length: 100 }, (_, k) => "k" + k))).size;',
        'await KV.put("a", "2"); return (await KV.getWithMetadata("a")).metadata;',
    ), [[{ value: '1', metadata: { of: ['a'] }, cacheStatus: null }, 'number'], { map: [['a', '1'], ['b', '{"x":2}'], ['c', null]] },
        { map: [['b', { x: 2 }]] }, ['1', { of: ['a'] }, { value: null, metadata: null, cacheStatus: null, version: null }],
        'Error: KV GET_BULK failed: 400 "arrayBuffer" is not a valid type. Use "json" or "text"',
        'Error: KV GET_BULK failed: 400 You can request a maximum of 100 keys', 'Error: KV GET_BULK failed: 400 You must request at least one key', 100, null]);
});

test('lists: order, prefix, pages', async () => {
    const s = await server();
    const [, all, page, rest, prefixed, none] = await run(s, 'lists',
        'await Promise.all(["b", "a:2", "a:1", "ä", "a"].map((k) => KV.put(k, k, k === "b" ? { metadata: 7, expirationTtl: 3600 } : {})));',
        'return KV.list();',
        'return KV.list({ limit: 2 });',
        'const first = await KV.list({ limit: 2 }); return KV.list({ limit: 3, cursor: first.cursor });',
        'return (await KV.list({ prefix: "a:" })).keys;',
        'return KV.list({ prefix: "zz" });');
    assert.deepEqual(all.keys.map((k: any) => k.name), ['a', 'a:1', 'a:2', 'b', 'ä']);
    assert.equal(all.list_complete, true);
    assert.equal(all.cursor, undefined);
    assert.equal(all.keys[3].metadata, 7);
    assert.ok(Math.abs(all.keys[3].expiration - Date.now() / 1000 - 3600) < 60);
    assert.deepEqual(Object.keys(all.keys[0]), ['name']);
    assert.deepEqual([page.keys.length, page.list_complete, typeof page.cursor], [2, false, 'string']);
    assert.deepEqual(rest.keys.map((k: any) => k.name), ['a:2', 'b', 'ä']);
    assert.equal(rest.list_complete, true);
    assert.deepEqual(prefixed, [{ name: 'a:1' }, { name: 'a:2' }]);
    assert.deepEqual(none, { keys: [], list_complete: true, cacheStatus: null });
});

test('what is wrong is said in the words of Workers', async () => {
    const s = await server();
    const answers = await run(s, 'errors',
        'return KV.get("");', 'return KV.put(".", "x");', 'return KV.get("..");', 'return KV.get("k".repeat(513));', 'return KV.put("ä".repeat(257), "x");',
        'return KV.put("k", "x", { expirationTtl: 59 });', 'return KV.put("k", "x", { expirationTtl: -1 });', 'return KV.put("k", "x", { expiration: 5 });',
        'return KV.put("k", "x", { expiration: Math.floor(Date.now() / 1000) + 10 });', 'return KV.put("k", {});', 'return KV.put("k", "x", { metadata: "m".repeat(1023) });',
        'return KV.put("k", new Uint8Array(25 * 1024 * 1024 + 1));', 'return KV.list({ limit: 0 });', 'return KV.list({ limit: 1001 });', 'return KV.list({ cursor: "\\u0100" });',
        'return KV.get("k", { cacheTtl: 5 });', 'return (await KV.put("k".repeat(512), "x")) ?? "fits";', 'return new KV.constructor();');
    const wants = [/^TypeError: Key name cannot be empty/, /"\." is not allowed/, /"\.\." is not allowed/, /^Error: KV GET failed: 414 UTF-8 encoded length of 513 exceeds key length limit of 512/,
        /KV PUT failed: 414 UTF-8 encoded length of 514/, /KV PUT failed: 400 Invalid expiration_ttl of 59. Expiration TTL must be at least 60/, /expiration_ttl of -1. Please specify integer greater than 0/,
        /400 Invalid expiration of 5. Please specify integer greater than the current/, /Expiration times must be at least 60 seconds in the future/, /^TypeError: KV put\(\) accepts only strings/,
        /KV PUT failed: 413 Metadata length of 1025 exceeds limit of 1024/, /KV PUT failed: 413 Value length of 26214401 exceeds limit of 26214400/, /400 Invalid key_count_limit of 0/,
        /400 Invalid key_count_limit of 1001/, /400 Invalid cursor/, /Invalid cache_ttl of 5/, /^fits$/, /Illegal constructor/];
    wants.forEach((want, k) => assert.match(String(answers[k]), want));
});

test('versions and counters', async () => {
    const s = await server();
    assert.deepEqual(await run(s, 'versions',
        `const v = await KV.put("k", "one", { ifVersion: null });
         return [typeof v, await KV.put("k", "x", { ifVersion: null }), (await KV.getWithMetadata("k")).version === v, (await KV.put("k", "two", { ifVersion: v })) > v, await KV.put("k", "x", { ifVersion: v }), await KV.get("k")];`,
        'const { version } = await KV.getWithMetadata("k"); return [await KV.delete("k", { ifVersion: 1 }), await KV.delete("k", { ifVersion: version }), await KV.get("k")];',
        'return [await KV.increment("n"), await KV.increment("n", 41), await KV.increment("n", -50), await KV.get("n")];',
        'const all = await Promise.all(Array.from({ length: 50 }, () => KV.increment("c"))); return [new Set(all).size, Math.max(...all)];',
        'await KV.put("t", "text"); return KV.increment("t");',
        'return KV.increment("n", 0.5);', 'return KV.put("k", "x", { ifVersion: -2 });',
    ), [['number', null, true, true, null, 'two'], [false, true, null], [1, 42, -8, '-8'], [50, 50], 'TypeError: the value of the key is no whole number (count in keys of their own)',
        'TypeError: increment() adds a whole number', 'TypeError: ifVersion is the version of a value, or null: there must be none']);
});

test('large values are files, of the same content one; memory and the store do not hold them', async () => {
    const s = await server();
    const [put, text, stream, sizes, again] = await run(s, 'large',
        'const value = new Uint8Array(5_000_000).fill(97); await Promise.all(["a", "b"].map((k) => KV.put(k, value, { metadata: { n: 5 } }))); return "put";',
        'const t = await KV.get("a"); return [t.length, t[4_999_999]];',
        'let n = 0; for await (const piece of await KV.get("b", "stream")) n += piece.length; return n;',
        'return [(await KV.get("a", "arrayBuffer")).byteLength, (await KV.getWithMetadata("b", "arrayBuffer")).metadata];',
        'await KV.put("a", "short"); await KV.delete("b"); return [await KV.get("a"), await KV.get("b")];');
    assert.deepEqual([put, text, stream, sizes, again], ['put', [5_000_000, 'a'], 5_000_000, [5_000_000, { n: 5 }], ['short', null]]);
    assert.ok((await s.api('GET', '/kv/large')).json.stored_bytes < 1000);
});

test('code reaches what is bound to it, by that name only, and is told when it was deleted', async () => {
    const s = await server();
    const name = 'bound';
    await s.deploy(name, `export default { async fetch(request, env) {
        try { await env.KV.put("k", "v"); return Response.json([await env.KV.get("k"), Object.keys(env), env.OTHER === undefined]); } catch (e) { return Response.json([e.code, e.message]); }
    } };`, { bindings: [kv('KV', 'mine')] });
    assert.deepEqual((await s.request(name)).json, ['v', ['KV'], true]);
    await s.api('POST', '/namespaces', { name: 'far' });
    const far = await s.api('POST', '/namespaces/far/functions?wait=60s', { name: 'f', source: 'export default { fetch: async (r, env) => Response.json(await env.KV.get("k")) };', bindings: [kv('KV', 'mine')] });
    assert.equal(far.status, 200, far.text);
    assert.equal((await s.request('', '/', { host: `f.far.localhost:${s.httpPort}` })).json, null);
    assert.equal((await s.api('DELETE', '/kv/mine?unbind=true')).status, 204);
    const [code, message] = (await s.request(name)).json;
    assert.equal(code, 'not_found');
    assert.match(message, /has been deleted/);
    assert.deepEqual((await s.request('', '/', { host: `f.far.localhost:${s.httpPort}` })).json, null);
});

test('a namespace has a disk quota', async () => {
    const s = await server();
    await s.api('POST', '/namespaces', { name: 'small' });
    const up = await s.api('POST', '/namespaces/small/functions?wait=60s', { name: 'f', bindings: [kv('KV', 'k')],
        source: 'export default { async fetch(r, env) { try { for (let n = 0; n < 100; n++) await env.KV.put("k" + n, "v".repeat(50_000)); return new Response("all"); } catch (e) { return new Response(e.code + " " + e.message); } } };' });
    assert.equal(up.status, 200, up.text);
    const { used } = (await s.api('GET', '/namespaces/small/quota')).json.disk_bytes;
    const set = await s.api('PUT', '/namespaces/small/quota', { disk_bytes: used + 1024 * 1024 });
    assert.equal(set.status, 200, set.text);
    const answer = await s.request('', '/', { host: `f.small.localhost:${s.httpPort}` });
    assert.match(answer.text, /^limit_disk .*disk/);
    assert.ok((await s.api('GET', '/namespaces/small/kv/k')).json.stored_bytes < 1024 * 1024);
});

test('in a workflow puts are a part of its commit, reads are recorded, and what adds is done once', async () => {
    const s = await server();
    await deployWorkflow(s, 'flow', `
        import { WorkflowEntrypoint } from "cloudflare:workers";
        export default class extends WorkflowEntrypoint { async run(event, step) {
            const KV = this.env.KV, seen = [];
            await KV.put("k", "one", { metadata: 1 });
            seen.push(await KV.get("k"));
            await KV.put("k", "two");
            seen.push(await step.do("in a step", async () => { await KV.put("s", "step"); return KV.get("k"); }));
            seen.push((await KV.list()).keys.map((k) => k.name));
            seen.push(await KV.increment("n", 5));
            const version = await KV.put("cas", "a", { ifVersion: null });
            seen.push(typeof version, await KV.put("cas", "b", { ifVersion: null }));
            await KV.delete("k");
            seen.push(await KV.get("k"), await KV.get("s"));
            return seen;
        } }`, { bindings: [kv('KV', 'flow')] });
    const res = await execute(s, 'flow', null, { wait: '60s' });
    assert.deepEqual(res.json.output, ['one', 'two', ['k', 's'], 5, 'number', null, null, 'step'], res.text);
    const journal = (await s.api('GET', `/executions/${res.json.execution_id}/journal?values=1`)).json;
    assert.ok(journal.some((r: any) => r.op === 'kv_record') && journal.some((r: any) => r.op === 'kv_get'), JSON.stringify(journal));
    errorOf(await s.api('GET', '/kv/nobody'), 404, 'not_found');
});

test('kill -9: no acknowledged put is lost, what a workflow adds is added once', async () => {
    let s = await Server.start({ args: ['--threads', '2'] });
    try {
        await s.deploy('puts', `export default { async fetch(request, env) {
            const k = new URL(request.url).searchParams.get("k");
            await env.KV.put(k, k + (k.endsWith("7") ? "x".repeat(70_000) : ""));
            return new Response(k);
        } };`, { bindings: [kv('KV', 'storm')] });
        await deployWorkflow(s, 'adds', `import { WorkflowEntrypoint } from "cloudflare:workers";
            export default class extends WorkflowEntrypoint { async run({ payload: id }, step) {
                const { KV } = this.env;
                let last;
                for (let k = 0; k < 20; k++) { await KV.put("f" + id, String(k)); last = await KV.increment("sum:" + id); await step.sleep("a moment", 5); }
                return [last, await KV.get("f" + id)];
            } }`, { bindings: [kv('KV', 'storm')] });
        const acknowledged: string[] = [];
        const ids: string[] = [];
        for (let round = 0; round < 4; round++) {
            for (let n = 0; n < 4; n++) {
                const res = await execute(s, 'adds', `${round}-${n}`, { id: `${round}-${n}` });
                ids.push(res.json.execution_id);
            }
            let isOver = false;
            const clients = Array.from({ length: 8 }, async (_, c) => {
                for (let n = 0; !isOver; n++) {
                    const k = `${round}.${c}.${n}`;
                    const ok = await s.request('puts', `/?k=${k}`).then((r) => r.status === 200 && r.text === k, () => false);
                    if (ok) acknowledged.push(k);
                }
            });
            const goal = acknowledged.length + 100;
            await until('some puts', () => acknowledged.length >= goal);
            await s.kill();
            isOver = true;
            await Promise.all(clients);
            s = await Server.start({ args: ['--threads', '2'], data: s.data });
        }
        await s.deploy('check', `export default { async fetch(request, env) {
            const keys = await request.json(), lost = [];
            for (let at = 0; at < keys.length; at += 100)
                for (const [k, v] of await env.KV.get(keys.slice(at, at + 100))) if (!v?.startsWith(k)) lost.push(k);
            return Response.json(lost);
        } };`, { bindings: [kv('KV', 'storm')] });
        const lost = await s.request('check', '/', { method: 'POST', body: JSON.stringify(acknowledged) });
        assert.deepEqual(lost.json, [], `of ${acknowledged.length}`);
        for (const id of ids) {
            const end = await until(`the end of ${id}`, async () => {
                const row = (await s.api('GET', `/executions/${id}?wait=30s`)).json;
                return ['completed', 'failed', 'cancelled'].includes(row.status) ? row : undefined;
            });
            assert.deepEqual(end.output, [20, '19'], JSON.stringify(end));
        }
    } finally {
        await s.stop();
    }
});

test('keys by the API', async () => {
    const s = await server();
    assert.equal((await s.api('POST', '/kv', { name: 'api' })).status, 201);
    const put = (key: string, body: string | Buffer, query = '') => s.admin(`/kv/api/values/${encodeURIComponent(key)}${query}`, { method: 'PUT', body });
    const large = Buffer.alloc(300_000, 'z');
    for (const [key, body, query] of [['a/b', 'one'], ['ä', Buffer.from([0, 255])], ['large', large], ['m', 'x', `?metadata=${encodeURIComponent('{"of":"ä"}')}&expiration_ttl=100`], ['empty', '']] as const)
        assert.equal((await put(key, body as Buffer, query)).status, 204, key);
    const get = (key: string) => s.admin(`/kv/api/values/${encodeURIComponent(key)}`);
    assert.equal((await get('a/b')).text, 'one');
    assert.deepEqual([...(await get('ä')).body], [0, 255]);
    assert.ok((await get('large')).body.equals(large));
    assert.equal((await get('empty')).text, '');
    const m = await get('m');
    assert.equal(decodeURIComponent(String(m.headers['limpet-metadata'])), '{"of":"ä"}');
    assert.ok(Number(m.headers['limpet-version']) > 0 && Number(m.headers['limpet-expiration']) > Date.now() / 1000 + 50);
    const keys = (await s.api('GET', '/kv/api/keys')).json;
    assert.deepEqual(keys.map((k: any) => [k.name, k.bytes]), [['a/b', 3], ['empty', 0], ['large', 300_000], ['m', 1], ['ä', 2]]);
    assert.deepEqual(keys[3].metadata, { of: 'ä' });
    let next: string | undefined = '/kv/api/keys?limit=2';
    const seen: string[] = [];
    while (next) {
        const page: any = await s.api('GET', next);
        seen.push(...page.json.map((k: any) => k.name));
        next = /^<(.*)>; rel="next"$/.exec(String(page.headers.link))?.[1];
    }
    assert.deepEqual(seen, keys.map((k: any) => k.name));
    assert.deepEqual((await s.api('GET', '/kv/api/keys?prefix=m')).json.length, 1);
    errorOf(await get('none'), 404, 'not_found');
    errorOf(await put('k'.repeat(513), 'x'), 400, 'invalid');
    errorOf(await put('k', 'x', '?expiration_ttl=5'), 400, 'invalid');
    errorOf(await put('k', 'x', '?metadata=%7B'), 400, 'invalid');
    errorOf(await s.api('GET', '/kv/nobody/keys'), 404, 'not_found');
    assert.equal((await s.api('DELETE', '/kv/api/values/m')).status, 204);
    errorOf(await get('m'), 404, 'not_found');
    assert.equal((await s.api('GET', '/kv/api')).json.items, 4);
});

test('keys by the command line', async () => {
    const s = await server();
    const cli = async (...args: string[]) => {
        const res = await s.cli(args);
        assert.equal(res.code, 0, `${args.join(' ')}: ${res.stderr}`);
        return res.stdout;
    };
    await cli('kv', 'namespace', 'create', 'cli');
    await cli('kv', 'put', 'cli', 'k', 'value', '--metadata', '{"a":1}', '--ttl', '3600');
    assert.equal(await cli('kv', 'get', 'cli', 'k'), 'value');
    assert.match(await cli('kv', 'list', 'cli'), /^KEY .*\nk +5 B +\d+ +\{"a":1\}\n$/);
    assert.equal((await s.admin('/kv/cli/values/bytes', { method: 'PUT', body: Buffer.from([255, 0, 1]) })).status, 204);
    const exported = await cli('kv', 'export', 'cli');
    const lines = exported.trim().split('\n').map((line) => JSON.parse(line));
    assert.deepEqual(lines.map(({ expiration, ...rest }: any) => rest), [{ key: 'bytes', value: '/wAB', base64: true }, { key: 'k', value: 'value', metadata: { a: 1 } }]);
    await cli('kv', 'namespace', 'create', 'copy');
    const file = path.join(s.data, 'export.ndjson');
    fs.writeFileSync(file, exported);
    await cli('kv', 'import', 'copy', file);
    assert.equal(await cli('kv', 'export', 'copy'), exported);
    fs.writeFileSync(file, JSON.stringify([{ key: 'x', value: '1' }, { key: 'y', value: 'eQ==', base64: true }]));
    await cli('kv', 'import', 'copy', file);
    assert.equal(await cli('kv', 'get', 'copy', 'y'), 'y');
    await cli('kv', 'delete', 'copy', 'y');
    assert.equal((await s.cli(['kv', 'get', 'copy', 'y'])).code, 4);
    assert.match(await cli('kv', 'namespace', 'show', 'copy'), /items +3\n/);
    await cli('kv', 'namespace', 'delete', 'copy', '--yes');
    assert.equal((await s.cli(['kv', 'put', 'cli', 'k'])).code, 2);
});
