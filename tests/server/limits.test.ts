// SPDX-License-Identifier: Apache-2.0
// A guest that loops, allocates, recurses or waits for ever is ended alone, with an error that says why, while its
// neighbors on the same thread are served.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { errorOf, IS_ASAN, type Server, useServer } from './harness.ts';

// One thread, so that whoever hogs it hogs the neighbors' one.
const server = useServer({ args: ['--threads', '1'] });

const HELLO = 'export default { fetch() { return new Response("hello"); } };';

/** Runs bad while a neighbor is asked again and again; every neighbor's answer must be right, and some must come before bad ends. */
async function beside<T>(s: Server, bad: Promise<T>): Promise<{ result: T; served: number }> {
    let isOver = false;
    let served = 0;
    const over = bad.finally(() => (isOver = true));
    over.catch(() => {});
    while (!isOver) {
        assert.equal((await s.request('neighbor')).text, 'hello');
        if (!isOver) served++;
    }
    return { result: await over, served };
}

test('neighbors', async (t) => {
    const s = await server();
    await s.deploy('neighbor', HELLO);

    await t.test('a loop ends with limit_cpu and neighbors are served meanwhile', async () => {
        await s.deploy('loops', 'export default { fetch() { for (;;) ; } };');
        const { result, served } = await beside(s, s.request('loops'));
        const e = errorOf(result, 500, 'limit_cpu');
        assert.match(e.message, /1000 ?ms|1 ?s/);
        assert.ok(served > 3, `only ${served} neighbors were served in a second of looping`);
    });

    await t.test('a loop after an await, in a microtask, and in a timer', async () => {
        await s.deploy('loops-later', `
export default {
    async fetch(request) {
        const path = new URL(request.url).pathname;
        if (path === "/await") { await 0; for (;;) ; }
        if (path === "/micro") { const again = () => queueMicrotask(again); again(); await new Promise((r) => setTimeout(r, 1)); }
        if (path === "/timer") { await new Promise(() => setTimeout(() => { for (;;) ; }, 1)); }
        if (path === "/regexp") /^(a+)+$/.test("a".repeat(40) + "b");
        if (path === "/json") { let o = []; for (let i = 0; i < 1e4; i++) o.push(i); for (;;) JSON.stringify(o); }
        return new Response("no");
    },
};`, { cpu_ms: 200 });
        for (const path of ['/await', '/micro', '/timer', '/regexp', '/json']) {
            const { result } = await beside(s, s.request('loops-later', path));
            errorOf(result, 500, 'limit_cpu');
        }
    });

    await t.test('hoarding memory ends with limit_memory', async () => {
        await s.deploy('hoards', `
export default {
    fetch(request) {
        const path = new URL(request.url).pathname;
        const all = [];
        if (path === "/buffers") for (;;) all.push(new Uint8Array(1 << 20).fill(1));
        if (path === "/strings") { let s = "x"; for (;;) { s += s; all.push(s.split("")); } }
        if (path === "/objects") for (;;) all.push({ a: all.length, b: [all.length] });
        if (path === "/one") all.push(new ArrayBuffer(1 << 30));
        return new Response("no");
    },
};`, { cpu_ms: 20_000 });
        for (const path of ['/buffers', '/strings', '/objects', '/one']) {
            const { result } = await beside(s, s.request('hoards', path));
            errorOf(result, 500, 'limit_memory');
        }
    });

    await t.test('a guest may catch the failed allocation and go on', async () => {
        await s.deploy('careful', `
export default {
    fetch() {
        try { new ArrayBuffer(1 << 30); } catch (e) { return Response.json({ caught: e instanceof RangeError || e instanceof Error }); }
        return Response.json({ caught: false });
    },
};`);
        assert.deepEqual((await s.request('careful')).json, { caught: true });
    });

    await t.test('recursion ends with limit_stack', async () => {
        await s.deploy('recurses', `
export default {
    async fetch(request) {
        const path = new URL(request.url).pathname;
        if (path === "/plain") { const f = (n) => 1 + f(n + 1); f(0); }
        if (path === "/json") { let o = {}; for (let i = 0; i < 1e6; i++) o = { o }; JSON.stringify(o); }
        if (path === "/getter") { const o = { get x() { return this.x; } }; o.x; }
        if (path === "/caught") { const f = (n) => { try { return f(n + 1); } catch (e) { return e instanceof RangeError ? n : -1; } }; return Response.json(f(0) > 100); }
        return new Response("no");
    },
};`);
        for (const path of ['/plain', '/getter']) {
            const { result } = await beside(s, s.request('recurses', path));
            errorOf(result, 500, 'limit_stack');
        }
        const { result: json } = await beside(s, s.request('recurses', '/json'));
        assert.equal(json.status, 500);
        assert.match(json.json.error.code, /^limit_/);
        assert.equal((await s.request('recurses', '/caught')).json, true, 'a guest may catch it');
    });

    await t.test('waiting for ever ends with timeout', async () => {
        await s.deploy('waits', `
export default {
    async fetch(request) {
        const path = new URL(request.url).pathname;
        if (path === "/timer") await new Promise((r) => setTimeout(r, 3_600_000));
        if (path === "/interval") await new Promise(() => setInterval(() => {}, 10));
        return new Response("no");
    },
};`, { wall_ms: 500 });
        for (const path of ['/timer', '/interval']) {
            const { result, served } = await beside(s, s.request('waits', path));
            assert.match(errorOf(result, 504, 'timeout').message, /500 ?ms/);
            assert.ok(served > 0);
        }
    });

    await t.test('a promise that nothing can settle ends, too', async () => {
        await s.deploy('stuck', 'export default { async fetch() { await new Promise(() => {}); } };', { wall_ms: 500 });
        const { result } = await beside(s, s.request('stuck'));
        assert.ok([500, 504].includes(result.status), `${result.status} ${result.text}`);
        assert.ok(['guest_error', 'timeout'].includes(result.json.error.code), result.text);
    });

    await t.test('too many pending operations end with limit_ops', async () => {
        await s.deploy('floods', 'export default { async fetch() { for (;;) setTimeout(() => {}, 60_000); } };');
        const { result } = await beside(s, s.request('floods'));
        assert.match(errorOf(result, 500, 'limit_ops').message, /1024/);
    });

    await t.test('the limits of a version are its own', async () => {
        await s.deploy('small', 'export default { fetch() { const a = []; for (let i = 0; i < 24; i++) a.push(new Uint8Array(1 << 20).fill(1)); return new Response("fits"); } };', { memory_mb: 16 });
        errorOf(await s.request('small'), 500, 'limit_memory');
        await s.deploy('large', 'export default { fetch() { const a = []; for (let i = 0; i < 90; i++) a.push(new Uint8Array(1 << 20).fill(1)); return new Response("fits"); } };', { memory_mb: 128, cpu_ms: 10_000 });
        assert.equal((await s.request('large')).text, 'fits');
    });
});

test('a thousand bad requests leave the server as it was', async () => {
    const s = await server();
    await s.deploy('neighbor', HELLO);
    await s.deploy('bad', `
export default {
    async fetch(request) {
        const path = new URL(request.url).pathname;
        if (path === "/loop") for (;;) ;
        if (path === "/hoard") { const a = []; for (;;) a.push(new Uint8Array(1 << 20).fill(1)); }
        if (path === "/recurse") { const f = (n) => 1 + f(n + 1); f(0); }
        if (path === "/wait") await new Promise((r) => setTimeout(r, 3_600_000));
        throw new Error("on purpose");
    },
};`, { cpu_ms: 20, wall_ms: 100, memory_mb: 16 });
    const codes: Record<string, string[]> = {
        '/loop': ['limit_cpu'], '/hoard': ['limit_memory', 'limit_cpu'], '/recurse': ['limit_stack', 'limit_cpu'], '/wait': ['timeout'], '/throw': ['guest_error'],
    };
    const round = async (count: number) => {
        let next = 0;
        const paths = Object.keys(codes);
        await Promise.all(Array.from({ length: 10 }, async () => {
            while (next < count) {
                const path = paths[next++ % paths.length]!;
                const res = await s.request('bad', path);
                assert.ok(codes[path]!.includes(res.json.error.code), `${path}: ${res.status} ${res.text}`);
                if (next % 10 === 0) assert.equal((await s.request('neighbor')).text, 'hello');
            }
        }));
    };
    await round(100); // what is made once and kept
    const before = { rss: s.rssBytes(), files: s.openFiles() };
    await round(IS_ASAN ? 300 : 1000);
    assert.equal((await s.request('neighbor')).text, 'hello');
    // ASan keeps freed memory in quarantine for a while, so growth says nothing there.
    if (!IS_ASAN) assert.ok(s.rssBytes() - before.rss < 16e6, `resident memory grew from ${before.rss} to ${s.rssBytes()}`);
    assert.ok(s.openFiles() <= before.files + 20, `descriptors grew from ${before.files} to ${s.openFiles()}`);
});
