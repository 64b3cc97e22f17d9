// SPDX-License-Identifier: Apache-2.0
// A request never sees what another one left behind; who wants kept state asks for isolation = "module".
import assert from 'node:assert/strict';
import http from 'node:http';
import { test } from 'node:test';
import { useServer } from './harness.ts';

const server = useServer({ args: ['--threads', '1'] });

const COUNTER = `
let count = 0;
const seen = new Map();
export default {
    fetch(request) {
        count++;
        globalThis.leak = (globalThis.leak ?? 0) + 1;
        Array.prototype.leak = (Array.prototype.leak ?? 0) + 1;
        JSON.leak = (JSON.leak ?? 0) + 1;
        seen.set(request.url, count);
        return Response.json({ count, leak: globalThis.leak, proto: [].leak, json: JSON.leak, seen: seen.size });
    },
};`;

test('globals, module variables and patched built-ins do not leak from request to request', async () => {
    const s = await server();
    await s.deploy('pristine', COUNTER);
    const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
    for (let i = 0; i < 50; i++) {
        const res = await s.request('pristine', `/${i}`, { agent });
        assert.deepEqual(res.json, { count: 1, leak: 1, proto: 1, json: 1, seen: 1 });
    }
    agent.destroy();
});

test('nor do they when requests overlap', async () => {
    const s = await server();
    await s.deploy('overlap', `
let active = 0;
export default {
    async fetch() {
        active++;
        await new Promise((r) => setTimeout(r, 20));
        return Response.json(active);
    },
};`);
    const answers = await Promise.all(Array.from({ length: 40 }, () => s.request('overlap')));
    assert.deepEqual(answers.map((a) => a.json), answers.map(() => 1));
});

test('a request whose code failed or passed a limit leaves nothing either', async () => {
    const s = await server();
    await s.deploy('fails', `
let count = 0;
export default {
    fetch(request) {
        count++;
        const path = new URL(request.url).pathname;
        if (path === "/throw") throw new Error("no");
        if (path === "/recurse") { const f = (n) => 1 + f(n + 1); return new Response(f(0)); }
        if (path === "/grow") { const a = []; for (let i = 0; i < 20; i++) a.push(new Uint8Array(1 << 20).fill(1)); count += a.length; }
        return Response.json(count);
    },
};`);
    for (const path of ['/throw', '/', '/recurse', '/', '/grow', '/', '/throw', '/']) {
        const res = await s.request('fails', path);
        if (path === '/') assert.equal(res.json, 1, 'a pristine count');
        else if (path !== '/grow') assert.equal(res.status, 500);
    }
});

const RANDOM = `
const frozen = Math.random();
export default {
    fetch() {
        return Response.json({
            math: [Math.random(), Math.random()],
            uuid: crypto.randomUUID(),
            bytes: [...crypto.getRandomValues(new Uint8Array(16))],
        });
    },
};`;

test('two requests never see the same random numbers, though their image is frozen', async () => {
    const s = await server();
    await s.deploy('random', RANDOM);
    const seen = new Set<string>();
    const count = 200;
    for (let i = 0; i < count; i++) {
        const { math, uuid, bytes } = (await s.request('random')).json;
        assert.match(uuid, /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
        assert.ok(math.every((n: number) => n >= 0 && n < 1));
        for (const item of [`m${math[0]}`, `m${math[1]}`, `u${uuid}`, `b${bytes.join()}`]) seen.add(item);
    }
    assert.equal(seen.size, 4 * count);
});

test('random numbers differ after a restart, too', async () => {
    const s = await server();
    await s.deploy('random', RANDOM);
    const before = (await s.request('random')).json;
    const other = await s.restart();
    try {
        const after = (await other.request('random')).json;
        assert.notEqual(after.math[0], before.math[0]);
        assert.notEqual(after.uuid, before.uuid);
    } finally {
        await other.stop();
    }
});
