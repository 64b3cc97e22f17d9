// SPDX-License-Identifier: Apache-2.0
// R2 buckets: what Workers' R2 documents, in functions and in workflows; streams of any size with little memory.
import assert from 'node:assert/strict';
import crypto from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { type Answer, Server, until, useServer } from './harness.ts';
import { deployWorkflow, execute } from './workflow-harness.ts';

const server = useServer({ args: ['--threads', '2'] });
const bucket = (name: string, of: string) => ({ type: 'bucket', name, bucket: of });
const md5 = (data: string | Buffer) => crypto.createHash('md5').update(data).digest('hex');

let at = 0;

/** Deploys a function whose bodies are these; what each returns, or the error that it throws. */
async function run(s: Server, of: string, ...bodies: string[]): Promise<any[]> {
    const name = `run-${at++}`;
    const table = bodies.map((body, k) => `"${k}": async (B, env) => { ${body} }`).join(',\n');
    await s.deploy(name, `const bodies = { ${table} };
        const show = (v) => v instanceof ArrayBuffer ? [...new Uint8Array(v)] : v;
        export default { async fetch(request, env) {
            try { return Response.json({ ok: show(await bodies[await request.text()](env.B, env)) ?? null }); }
            catch (e) { return Response.json({ error: e.name + ": " + e.message }); }
        } };`, { bindings: [bucket('B', of)] });
    const answers: any[] = [];
    for (let k = 0; k < bodies.length; k++) {
        const res = await s.request(name, '/', { method: 'POST', body: String(k) });
        assert.equal(res.status, 200, res.text);
        answers.push(res.json.ok !== undefined ? res.json.ok : res.json.error);
    }
    return answers;
}

test('put, get, head and delete, of every type', async () => {
    const s = await server();
    const [put, got, head, none, ...rest] = await run(s, 'types',
        'return B.put("a/b", "hello", { httpMetadata: { contentType: "text/plain", cacheExpiry: new Date(0) }, customMetadata: { x: "ä" } });',
        'const o = await B.get("a/b"); return [o.key, o.size, o.etag, o.httpEtag, await o.text(), o.bodyUsed, o.customMetadata, o.httpMetadata.cacheExpiry instanceof Date];',
        'return B.head("a/b");',
        'return [await B.get("none"), await B.head("none")];',
        'await B.put("buffer", new Uint8Array([0, 1, 255])); return (await B.get("buffer")).arrayBuffer();',
        'await B.put("null", null); const o = await B.get("null"); return [o.size, await o.text()];',
        'await B.put("blob", new Blob(["bl", "ob"])); return (await B.get("blob")).text();',
        'await B.put("json", JSON.stringify({ a: [1] })); return (await B.get("json")).json();',
        'const b = await (await B.get("a/b")).blob(); return [b.type, await b.text(), (await (await B.get("a/b")).bytes()).length];',
        'const h = new Headers(); (await B.head("a/b")).writeHttpMetadata(h); return [...h];',
        'await B.put("h", "x", { httpMetadata: new Headers({ "content-type": "image/png", "x-other": "1" }) }); return (await B.head("h")).httpMetadata;',
        'await B.delete("a/b"); await B.delete("a/b"); return B.get("a/b");',
        'await B.delete(["buffer", "null", "blob"]); return (await B.list()).objects.map((o) => o.key);',
        'return [Object.prototype.toString.call(B), typeof B.constructor];', 'return B.put("k", 5);', 'return B.put("", "x");', 'return new B.constructor();');
    assert.deepEqual({ ...put, version: '', uploaded: '' }, { key: 'a/b', version: '', size: 5, etag: md5('hello'), httpEtag: `"${md5('hello')}"`, uploaded: '', checksums: { md5: md5('hello') },
        httpMetadata: { contentType: 'text/plain', cacheExpiry: '1970-01-01T00:00:00.000Z' }, customMetadata: { x: 'ä' }, storageClass: 'Standard' });
    assert.ok(Math.abs(Date.parse(put.uploaded) - Date.now()) < 60_000);
    assert.match(put.version, /^[0-9a-f]{32}$/);
    assert.deepEqual(got, ['a/b', 5, md5('hello'), `"${md5('hello')}"`, 'hello', true, { x: 'ä' }, true]);
    assert.deepEqual(head, put);
    assert.deepEqual(none, [null, null]);
    assert.deepEqual(rest.slice(0, 9), [[0, 1, 255], [0, ''], 'blob', { a: [1] }, ['text/plain', 'hello', 5], [['content-type', 'text/plain'], ['expires', 'Thu, 01 Jan 1970 00:00:00 GMT']],
        { contentType: 'image/png' }, null, ['h', 'json']]);
    assert.deepEqual(rest[9], ['[object R2Bucket]', 'function']);
    assert.match(rest[10], /^TypeError: put\(\) accepts/);
    assert.match(rest[11], /^Error: put: .*object name is not valid.* \(10005\)/);
    assert.match(rest[12], /Illegal constructor/);
});

test('ranges and conditions', async () => {
    const s = await server();
    const answers = await run(s, 'ranges',
        'await B.put("k", "0123456789"); const o = await B.get("k", { range: { offset: 2, length: 3 } }); return [await o.text(), o.range, o.size];',
        'return (await B.get("k", { range: { offset: 7 } })).text();', 'return (await B.get("k", { range: { suffix: 2 } })).text();',
        'return (await B.get("k", { range: { length: 4 } })).text();', 'return (await B.get("k", { range: new Headers({ range: "bytes=1-2" }) })).text();',
        'return B.get("k", { range: { offset: 10 } });', 'return B.get("k", { range: { offset: -1 } });', 'return B.get("k", { range: { suffix: 1, length: 1 } });',
        'const { etag } = await B.head("k"); return [!!(await B.get("k", { onlyIf: { etagMatches: etag } })).body, (await B.get("k", { onlyIf: { etagMatches: "x" } })).body === undefined, (await B.get("k", { onlyIf: { etagDoesNotMatch: etag } })).key];',
        'const o = await B.head("k"); const t = o.uploaded.getTime(); const has = async (onlyIf) => !!(await B.get("k", { onlyIf })).body; return [await has({ uploadedBefore: new Date(t) }), await has({ uploadedBefore: new Date(t + 1) }), await has({ uploadedAfter: new Date(t) }), await has({ uploadedAfter: new Date(t - 1) })];',
        'const o = await B.head("k"); const has = async (h) => !!(await B.get("k", { onlyIf: new Headers(h) })).body; return [await has({ "if-none-match": o.httpEtag }), await has({ "if-match": o.httpEtag }), await has({ "if-modified-since": new Date(Date.now() + 5000).toUTCString() }), await has({ "if-unmodified-since": new Date(0).toUTCString() })];',
        'return [await B.put("k", "x", { onlyIf: { etagMatches: "x" } }), (await B.put("k", "y", { onlyIf: { etagDoesNotMatch: "x" } })).size, await B.put("new", "x", { onlyIf: { etagMatches: "x" } }), (await B.put("new", "x", { onlyIf: new Headers({ "if-none-match": "*" }) })).key, await B.put("new", "z", { onlyIf: new Headers({ "if-none-match": "*" }) }), await (await B.get("new")).text()];');
    assert.deepEqual(answers, [['234', { offset: 2, length: 3 }, 10], '789', '89', '0123', '12', 'Error: get: The requested range is not satisfiable (10039)', 'RangeError: Invalid range: -1 is no whole number',
        'TypeError: Suffix is incompatible with offset or length.', [true, true, 'k'], [false, true, false, true], [false, true, false, false], [null, 1, null, 'new', null, 'x']]);
});

test('checksums are checked and kept', async () => {
    const s = await server();
    const sha256 = crypto.createHash('sha256').update('hello').digest('hex');
    const answers = await run(s, 'sums',
        `const o = await B.put("k", "hello", { sha256: "${sha256}" }); return [o.checksums.toJSON(), o.checksums.sha256.byteLength];`,
        'return B.put("k", "hello", { sha1: new Uint8Array(20) });',
        `return B.put("k", "hello", { md5: "${md5('hello')}", sha256: "${sha256}" });`,
        'const o = await B.put("k", "hello", { md5: await crypto.subtle.digest("SHA-256", new Uint8Array(0)).then(() => "x") });',
        `const large = "z".repeat(300_000); const digest = await crypto.subtle.digest("SHA-512", new TextEncoder().encode(large)); const o = await B.put("l", large, { sha512: digest }); return o.checksums.sha512.byteLength;`,
        'return B.put("l", "z".repeat(300_000), { sha512: new Uint8Array(64) });', 'return (await B.head("l")).size;');
    assert.deepEqual(answers[0], [{ md5: md5('hello'), sha256 }, 32]);
    assert.match(answers[1], /put: the content has the sha1 aaf4/);
    assert.match(answers[2], /cannot specify multiple hashing/);
    assert.match(answers[3], /no hash that content can have/);
    assert.deepEqual(answers[4], 64);
    assert.match(answers[5], /put: the content has the sha512/);
    assert.equal(answers[6], 300_000);
});

test('lists: pages, prefixes, folders', async () => {
    const s = await server();
    const answers = await run(s, 'lists',
        'await Promise.all(["a", "b/1", "b/2", "c/ä/x", "d"].map((k) => B.put(k, k, { customMetadata: { k } }))); const l = await B.list(); return [l.objects.map((o) => [o.key, o.customMetadata.k, o.size]), l.truncated, l.cursor === undefined, l.delimitedPrefixes];',
        'const l = await B.list({ delimiter: "/" }); return [l.objects.map((o) => o.key), l.delimitedPrefixes];',
        'const seen = []; let cursor, n = 0; do { const l = await B.list({ delimiter: "/", limit: 1, cursor }); seen.push(...l.objects.map((o) => o.key), ...l.delimitedPrefixes); cursor = l.cursor; } while (cursor && n++ < 9); return seen;',
        'return (await B.list({ prefix: "b/", startAfter: "b/1" })).objects.map((o) => o.key);', 'return B.list({ limit: 0 });', 'return B.list({ limit: 1001 });');
    assert.deepEqual(answers.slice(0, 4), [[[['a', 'a', 1], ['b/1', 'b/1', 3], ['b/2', 'b/2', 3], ['c/ä/x', 'c/ä/x', 6], ['d', 'd', 1]], false, true, []], [['a', 'd'], ['b/', 'c/']], ['a', 'b/', 'c/', 'd'], ['b/2']]);
    for (const k of [4, 5]) assert.match(answers[k], /list: MaxKeys params must be positive integer <= 1000/);
});

test('multipart uploads', async () => {
    const s = await server();
    const part = 5 * 1024 * 1024;
    const answers = await run(s, 'parts',
        `const u = await B.createMultipartUpload("big", { httpMetadata: { contentType: "x/y" }, customMetadata: { a: "1" } });
         const two = await u.uploadPart(2, "the end"), one = await u.uploadPart(1, new Uint8Array(${part}).fill(97));
         const again = B.resumeMultipartUpload("big", u.uploadId);
         const o = await again.complete([two, one]);
         return [typeof u.uploadId, u.key, one.partNumber, o.size, o.etag, o.customMetadata, (await B.head("big")).httpMetadata];`,
        `const o = await B.get("big", { range: { offset: ${part - 2}, length: 5 } }); return o.text();`,
        `let n = 0; for await (const c of (await B.get("big")).body) n += c.length; return n;`,
        'const u = await B.createMultipartUpload("x"); const p = await u.uploadPart(1, "a"); const q = await u.uploadPart(2, "b"); return u.complete([p, q]);',
        'const u = await B.createMultipartUpload("x"); const p = await u.uploadPart(1, "a"); return u.complete([{ partNumber: 1, etag: "0" }]);',
        'const u = await B.createMultipartUpload("x"); await u.uploadPart(1, "a"); await u.abort(); return u.uploadPart(2, "b");',
        'const u = await B.createMultipartUpload("x"); return u.uploadPart(0, "a");', 'return B.resumeMultipartUpload("x", "none").complete([]);',
        'const u = await B.createMultipartUpload("small"); const o = await u.complete([await u.uploadPart(1, "only")]); return [o.size, await (await B.get("small")).text()];');
    const etag = `${md5(Buffer.concat([Buffer.from(md5(Buffer.alloc(part, 'a')), 'hex'), Buffer.from(md5('the end'), 'hex')]))}-2`;
    assert.deepEqual(answers[0], ['string', 'big', 1, part + 7, etag, { a: '1' }, { contentType: 'x/y' }]);
    assert.deepEqual(answers.slice(1, 3), ['aathe', part + 7]);
    assert.match(answers[3], /smaller than the minimum allowed/);
    assert.match(answers[4], /specified parts could not be found/);
    assert.match(answers[5], /no multipart upload/);
    assert.match(answers[6], /Part number must be between 1 and 10000/);
    assert.match(answers[7], /no multipart upload/);
    assert.deepEqual(answers[8], [4, 'only']);
});

test('streams of any size go through without memory', async () => {
    const s = await server();
    await s.deploy('proxy', `export default { async fetch(request, env) {
        if (request.method === "PUT") return Response.json(await env.B.put("large", request.body, { customMetadata: { of: "stream" } }));
        const o = await env.B.get("large");
        const headers = new Headers({ etag: o.httpEtag });
        return new Response(o.body, { headers });
    } };`, { bindings: [bucket('B', 'streams')], limits: { memory_mb: 16 } } as any);
    const piece = crypto.randomBytes(1024 * 1024), count = 96; // more than the guest may have
    async function* pieces() { for (let n = 0; n < count; n++) yield piece; }
    const put: Answer = await s.request('proxy', '/', { method: 'PUT', body: pieces() });
    assert.equal(put.status, 200, put.text);
    assert.equal(put.json.size, count * piece.length);
    const whole = crypto.createHash('md5');
    for (let n = 0; n < count; n++) whole.update(piece);
    assert.equal(put.json.etag, whole.digest('hex'));
    const got = await s.request('proxy');
    assert.equal(got.headers.etag, put.json.httpEtag);
    assert.equal(md5(got.body), put.json.etag);
});

test('a list of parts that is too long is refused, and the thread goes on', async () => {
    const s = await server();
    await s.deploy('beside', 'export default () => 1;');
    const [said] = await run(s, 'lists', `try { await B.resumeMultipartUpload("k", "u").complete([{ partNumber: 1, etag: "x".repeat(3 << 20) }]); } catch (e) { return e.message; }`);
    assert.match(said, /the list of parts is too long/);
    assert.equal((await s.request('beside')).json, 1);
});

test('what is replaced and deleted leaves no file; what was aborted midway is not there', async () => {
    const s = await Server.start({ args: ['--threads', '1'] });
    try {
        const [o] = await run(s, 'files', 'await B.put("k", "x".repeat(200_000)); await B.put("k", "y".repeat(200_000)); return (await B.get("k")).size;');
        assert.equal(o, 200_000);
        const files = (): string[] => fs.readdirSync(path.join(s.data, 'artifacts'), { recursive: true }).map(String).filter((f) => /^..\/[0-9a-f]{64}$/.test(f));
        const [gone] = await run(s, 'files', 'const broken = new ReadableStream({ pull(c) { c.enqueue(new Uint8Array(100_000)); c.error(new Error("broken")); } }); try { await B.put("half", broken); } catch (e) { return [e.message, await B.head("half")]; }');
        assert.deepEqual(gone[1], null);
        assert.ok(!fs.readdirSync(path.join(s.data, 'artifacts')).some((f) => f.startsWith('tmp-')));
        assert.ok(files().length > 0);
        assert.equal((await s.api('GET', '/buckets/files')).json.items, 1);
        assert.equal((await s.api('GET', '/buckets/files')).json.stored_bytes > 200_000, true);
    } finally {
        await s.stop();
    }
});

test('code reaches what is bound to it, and is told when it was deleted; quotas hold', async () => {
    const s = await server();
    await s.deploy('bound', 'export default { async fetch(r, env) { try { await env.B.put("k", "v"); return Response.json((await env.B.list()).objects.length); } catch (e) { return Response.json([e.code, e.message]); } } };', { bindings: [bucket('B', 'mine')] });
    assert.equal((await s.request('bound')).json, 1);
    await s.api('POST', '/namespaces', { name: 'far' });
    const far = await s.api('POST', '/namespaces/far/functions?wait=60s', { name: 'f', bindings: [bucket('B', 'mine')],
        source: 'export default { async fetch(r, env) { try { await env.B.put("k", r.body); return new Response("stored"); } catch (e) { return new Response(e.code + " " + e.message); } } };' });
    assert.deepEqual(far.json.resources_made, [{ type: 'bucket', name: 'mine' }]);
    const { used } = (await s.api('GET', '/namespaces/far/quota')).json.disk_bytes;
    assert.equal((await s.api('PUT', '/namespaces/far/quota', { disk_bytes: used + 1024 * 1024 })).status, 200);
    const put = (bytes: number) => s.request('', '/', { host: `f.far.localhost:${s.httpPort}`, method: 'PUT', body: Buffer.alloc(bytes) });
    assert.equal((await put(500_000)).text, 'stored');
    assert.match((await put(3_000_000)).text, /limit/);
    assert.equal((await s.api('DELETE', '/buckets/mine?unbind=true')).status, 204);
    const [code, message] = (await s.request('bound')).json;
    assert.deepEqual([code, /deleted/.test(message)], [10007, true]);
});

test('in a workflow objects are recorded', async () => {
    const s = await server();
    await deployWorkflow(s, 'flow', `
        import { WorkflowEntrypoint } from "cloudflare:workers";
        export default class extends WorkflowEntrypoint { async run(event, step) {
            const B = this.env.B, put = await B.put("k", "content");
            const text = await (await B.get("k")).text();
            const large = await step.do("large", async () => (await B.put("l", "z".repeat(6_000_000))).size);
            return [put.size, text, large, (await B.list()).objects.map((o) => o.key), await B.get("none")];
        } }`, { bindings: [bucket('B', 'flow')] });
    const res = await execute(s, 'flow', null, { wait: '60s' });
    assert.deepEqual(res.json.output, [7, 'content', 6_000_000, ['k', 'l'], null], res.text);
});

test('kill -9: no acknowledged object is lost or damaged', async () => {
    let s = await Server.start({ args: ['--threads', '2'] });
    try {
        const options = { bindings: [bucket('B', 'storm')] };
        await s.deploy('puts', 'export default { async fetch(r, env) { const k = new URL(r.url).searchParams.get("k"); await env.B.put(k, r.body); return new Response(k); } };', options);
        await s.deploy('sums', 'export default { async fetch(r, env) { const out = []; for (const k of await r.json()) { const o = await env.B.get(k); out.push(o && [o.etag, (await o.arrayBuffer()).byteLength]); } return Response.json(out); } };', options);
        const acknowledged = new Map<string, Buffer>();
        for (let round = 0; round < 3; round++) {
            let isOver = false;
            const clients = Array.from({ length: 4 }, async (_, c) => {
                for (let n = 0; !isOver; n++) {
                    const k = `${round}.${c}.${n}`, body = crypto.randomBytes(n % 2 ? 100 : 150_000);
                    if (await s.request('puts', `/?k=${k}`, { method: 'PUT', body }).then((r) => r.status === 200, () => false)) acknowledged.set(k, body);
                }
            });
            const goal = acknowledged.size + 40;
            await until('some puts', () => acknowledged.size >= goal);
            await s.kill();
            isOver = true;
            await Promise.all(clients);
            s = await Server.start({ args: ['--threads', '2'], data: s.data });
        }
        const keys = [...acknowledged.keys()];
        for (let k = 0; k < keys.length; k += 20) {
            const some = keys.slice(k, k + 20);
            const got = await s.request('sums', '/', { method: 'POST', body: JSON.stringify(some) });
            assert.deepEqual(got.json, some.map((key) => [md5(acknowledged.get(key)!), acknowledged.get(key)!.length]), got.text);
        }
    } finally {
        await s.stop();
    }
});
