// SPDX-License-Identifier: Apache-2.0
// The runtime where it belongs: inside engine.wasm, with ops answered by the harness.
import assert from "node:assert/strict";
import { test as nodeTest } from "node:test";
import { build } from "esbuild";
import { fileURLToPath } from "node:url";
import { ERR, evaluate, Guest, hasRuntime, isBuilt, OpError, Reader, readSqlValue, Writer } from "./harness.mjs";

const test = (name, fn) => nodeTest(name, { skip: !(isBuilt && hasRuntime) && "engine or runtime is not built" }, fn);
const handler = (body, options) => new Guest({ ...options, source: `${options?.imports ?? ""}\nexport default async (request, env, ctx) => { ${body} }` });

/** A result of op sql_exec; values: null, number, bigint, string, Uint8Array. */
function sqlResult(columns, rows, changes = 0, lastRowId = 0) {
    const w = new Writer().u32(columns.length);
    columns.forEach((name) => w.lstr(name));
    w.u32(rows.length);
    for (const value of rows.flat()) {
        if (value === null) {
            w.u8(0);
        } else if (typeof value === "bigint") {
            w.u8(1).i64(value);
        } else if (typeof value === "number") {
            w.u8(2).f64(value);
        } else if (typeof value === "string") {
            w.u8(3).lstr(value);
        } else {
            w.u8(4).lstr(value);
        }
    }
    return w.i64(changes).i64(lastRowId).done();
}

test("globals: what is there, and how it looks", () => {
    const names = evaluate("Object.getOwnPropertyNames(globalThis)");
    for (const name of ["AbortController", "AbortSignal", "Blob", "ByteLengthQueuingStrategy", "CountQueuingStrategy",
        "CryptoKey", "CustomEvent", "DOMException", "Event", "EventTarget", "File", "FormData", "Headers", "ReadableStream",
        "Request", "Response", "TextDecoder", "TextDecoderStream", "TextEncoder", "TextEncoderStream",
        "TransformStream", "URL", "URLSearchParams", "WritableStream", "atob", "btoa", "clearInterval",
        "clearTimeout", "console", "crypto", "fetch", "navigator", "performance", "queueMicrotask", "reportError",
        "self", "setInterval", "setTimeout", "structuredClone"]) {
        assert.ok(names.includes(name), name);
    }
    assert.ok(!names.includes("__limpet"));
    assert.deepEqual(evaluate("Object.keys(globalThis).sort()"), // functions, as in browsers
        ["addEventListener", "atob", "btoa", "caches", "clearImmediate", "clearInterval", "clearTimeout", "dispatchEvent", "fetch", "onerror", "onrejectionhandled",
            "onunhandledrejection", "queueMicrotask", "removeEventListener", "reportError", "setImmediate", "setInterval", "setTimeout", "structuredClone"]);
    assert.deepEqual(evaluate("['URL','Blob','AbortSignal','URLSearchParams','ReadableStream','Event'].map((n) => [globalThis[n].name === n, Object.prototype.toString.call(globalThis[n].prototype)])"),
        ["URL", "Blob", "AbortSignal", "URLSearchParams", "ReadableStream", "Event"].map((n) => [true, `[object ${n}]`]));
    assert.equal(evaluate("navigator.userAgent + (self === globalThis)"), "Limpettrue");
});

test("URL records cross the boundary", () => {
    assert.deepEqual(evaluate("const u = new URL('/a b?x=1#f', 'https://u:p@h:81/'); u.searchParams.set('y', 'ü'); return [u.href, u.username, u.host, u.origin]"),
        ["https://u:p@h:81/a%20b?x=1&y=%C3%BC#f", "u", "h:81", "https://h:81"]);
    assert.equal(evaluate("try { new URL('nope') } catch (e) { return e.name + e.code }"), "TypeErrorERR_INVALID_URL");
    assert.equal(evaluate("new Request(new URL('http://h/x')).url"), "http://h/x");
    assert.equal(evaluate("[...new URLSearchParams('a=%ff%41')][0][1]"), "\ufffdA");
});

test("a request's body: by stream, tee, iteration, and piped untouched", () => {
    const over = (body) => {
        const guest = handler(body);
        const source = guest.source(["one,", "two"]);
        return { guest, source, answer: guest.http({ method: "POST", source }) };
    };
    let { answer } = over("let n = []; for await (const c of request.body) n.push(new TextDecoder().decode(c)); return n;");
    assert.deepEqual(JSON.parse(answer.body), ["one,", "two"]);
    ({ answer } = over("const [a, b] = request.body.tee(); return [await new Response(a).text(), await new Response(b).text()]"));
    assert.deepEqual(JSON.parse(answer.body), ["one,two", "one,two"]);
    ({ answer } = over("return await request.text()"));
    assert.equal(JSON.parse(answer.body), "one,two");
    const piped = over("return new Response(request.body)");
    assert.equal(piped.answer.source, piped.source);
    const touched = over(`const reader = request.body.getReader(); await reader.read(); reader.releaseLock();
        const rest = request.body; // used: no body any more, but still a stream
        try { new Response(rest) } catch (e) { console.log(e.name) }
        return new Response(new ReadableStream({ async start(c) { for await (const chunk of rest) c.enqueue(chunk); c.close(); } }))`);
    assert.equal(touched.guest.logs[0][1], "TypeError");
    assert.equal(touched.answer.source, 0);
    assert.equal(touched.guest.sinkText(touched.answer.sink), "two");
    const cancelled = over("await request.body.cancel(); return 1");
    assert.ok(cancelled.guest.calls.includes("stream_close"));
});

test("a streamed answer goes out chunk by chunk, and its failure aborts it", () => {
    let guest = handler("return new Response(ReadableStream.from([97, 98, 99].map((c) => new Uint8Array([c]))))");
    let answer = guest.http();
    assert.equal(guest.sinkText(answer.sink), "abc");
    assert.ok(guest.sinks.get(answer.sink).ended && !guest.sinks.get(answer.sink).failed);
    guest = handler("return new Response(new ReadableStream({ pull(c) { c.enqueue(new Uint8Array(1)); throw new Error('broke'); } }))");
    answer = guest.http();
    assert.ok(guest.sinks.get(answer.sink).failed);
    assert.match(guest.logs.at(-1)[1], /broke/);
    guest = handler("return new Response(ReadableStream.from([42]))");
    guest.http();
    assert.match(guest.logs.at(-1)[1], /must be Uint8Array, but one is a number/);
    guest = handler("const t = new TransformStream(); const w = t.writable.getWriter(); (async () => { await w.write(new Uint8Array([120])); await new Promise((r) => setTimeout(r, 1)); await w.write(new Uint8Array([121])); await w.close(); })(); return new Response(t.readable)");
    answer = guest.http();
    assert.equal(guest.sinkText(answer.sink), "xy");
});

test("a fetched body changed on the way", () => {
    const guest = handler(`const answer = await fetch("http://x/");
        return new Response(answer.body.pipeThrough(new TextDecoderStream())
            .pipeThrough(new TransformStream({ transform: (t, c) => c.enqueue(t.toUpperCase()) }))
            .pipeThrough(new TextEncoderStream()), answer)`);
    guest.http();
    guest.answerFetch({ status: 203, source: guest.source(["abc", "d\u00fc"]) });
    guest.settle();
    const answer = guest.answers.get(guest.last.id);
    assert.equal(answer.status, 203);
    assert.equal(guest.sinkText(answer.sink), "ABCDÜ");
});

test("bodies of forms, blobs and parameters, both ways", () => {
    assert.deepEqual(evaluate(`const form = new FormData();
        form.append("a", "1"); form.append("f", new File(["x\\r\\n"], "n.txt", { type: "text/plain" }));
        const sent = new Request("http://h/", { method: "POST", body: form });
        const got = await sent.formData();
        return [sent.headers.get("content-type").split(";")[0], got.get("a"), got.get("f").name, await got.get("f").text(), got.get("f").type]`),
    ["multipart/form-data", "1", "n.txt", "x\r\n", "text/plain"]);
    assert.deepEqual(evaluate("const r = new Response(new Blob(['b'], { type: 'x/y' })); return [r.headers.get('content-type'), (await r.blob()).type]"), ["x/y", "x/y"]);
    assert.deepEqual(evaluate("const r = new Response(new URLSearchParams({ a: 'b c' })); const t = r.headers.get('content-type'); return [t, [...await r.formData()]]"),
        ["application/x-www-form-urlencoded;charset=UTF-8", [["a", "b c"]]]);
    assert.equal(evaluate("await new Response('x').formData().catch((e) => e.name)"), "TypeError");
});

test("abort: of a fetch, of the client, by time", () => {
    assert.deepEqual(evaluate("const c = new AbortController(); const p = fetch('http://x/', { signal: c.signal }); c.abort(new Error('mine')); return await p.catch((e) => e.message)"), "mine");
    const guest = handler("await new Promise((resolve) => request.signal.addEventListener('abort', resolve)); console.log(request.signal.reason.name); return 1");
    const { id } = guest.dispatch(1, guest.httpInput());
    guest.x.limpet_abort(id);
    guest.run();
    assert.equal(guest.logs[0][1], "AbortError");
    assert.equal(evaluate("const s = AbortSignal.timeout(5); await new Promise((r) => { s.onabort = r; }); return s.reason.name"), "TimeoutError");
    assert.equal(evaluate("await fetch('http://x/', { signal: AbortSignal.abort() }).catch((e) => e.name)"), "AbortError");
});

test("timers: arguments, clearing, intervals, and what they throw", () => {
    assert.deepEqual(evaluate("await new Promise((r) => setTimeout((a, b) => r([a, b]), 1, 'x', 'y'))"), ["x", "y"]);
    assert.equal(evaluate("let n = 0; await new Promise((r) => { const i = setInterval(() => { if (++n === 3) { clearInterval(i); r(); } }, 1); }); return n"), 3);
    const guest = handler("const id = setTimeout(() => console.log('never'), 1); clearTimeout(id); setTimeout(() => { throw new RangeError('in timer') }, 1); await new Promise((r) => setTimeout(r, 2)); return 1");
    guest.http();
    assert.equal(guest.logs.length, 1);
    assert.match(guest.logs[0][1], /^Uncaught RangeError: in timer\n\s+at /);
});

test("console: levels and values as only the engine has them", () => {
    const guest = handler(`console.debug("d"); console.warn("w");
        console.log(Promise.resolve(5), Promise.reject(1).catch(() => {}) && 0, new Proxy({ p: 1 }, {}), new Headers({ a: "b" }), request.method);
        console.error(new TypeError("bad", { cause: new Error("deep") })); reportError(new Error("told")); return 1`);
    guest.http();
    assert.deepEqual(guest.logs.slice(0, 3), [[0, "d"], [2, "w"], [1, "Promise { 5 } 0 { p: 1 } Headers { a: 'b' } GET"]]);
    assert.match(guest.logs[3][1], /^TypeError: bad\n    at .*\{\n  \[cause\]: Error: deep\n      at /s);
    assert.match(guest.logs[4][1], /^Uncaught Error: told\n/);
});

test("structuredClone, subtle and random-dependent parts", () => {
    assert.deepEqual(evaluate("const b = new ArrayBuffer(4); const c = structuredClone({ b, v: new Uint8Array(b, 1) }, { transfer: [b] }); return [b.detached, c.v.buffer === c.b, c.v.length]"), [true, true, 3]);
    assert.deepEqual(evaluate("const r = []; for (const v of [() => {}, Symbol(), new URL('http://h/'), new Response(), new Proxy({}, {})]) { try { structuredClone(v); r.push(0) } catch (e) { r.push(e.name) } } return r"), Array(5).fill("DataCloneError"));
    assert.equal(evaluate("Array.from(new Uint8Array(await crypto.subtle.digest('SHA-1', new TextEncoder().encode('abc')))).map((b) => b.toString(16).padStart(2, '0')).join('')"), "a9993e364706816aba3e25717850c26c9cd0d89d");
    assert.equal(evaluate("const k = await crypto.subtle.generateKey({ name: 'HMAC', hash: 'SHA-256' }, true, ['sign', 'verify']); const d = new Uint8Array([1]); return await crypto.subtle.verify('HMAC', k, await crypto.subtle.sign('HMAC', k, d), d)"), true);
});

test("derp:runtime/sql: parameters, cursors, messages", () => {
    const seen = [];
    const guest = handler(`
        const out = [];
        const c = exec("SELECT x", null, true, 1, 1.5, 9007199254740993n, "t", new Uint8Array([1, 2]), undefined);
        out.push(c.columns, c.toArray().map((r) => [typeof r.id, String(r.id), r.name, r.b && [...r.b]]), c.first().name, c.raw().length, [...c].length, c.changes, c.rowsAffected, c.lastInsertRowid);
        try { c.one() } catch (e) { out.push(e.message) }
        try { exec("EMPTY").one() } catch (e) { out.push(e.message) }
        out.push(exec("EMPTY").first() === undefined, sql.exec("ONE").one().n, JSON.stringify(exec("ONE")));
        try { exec("FAIL") } catch (e) { out.push(e.code, e.message) }
        try { exec(5) } catch (e) { out.push(e.name) }
        try { exec("SELECT", {}) } catch (e) { out.push(e.name) }
        return out;`, {
        imports: `import { exec } from "derp:runtime/sql"; import { sql } from "limpet";`,
        ops: {
            sql_exec({ sql, params }) {
                if (sql === "FAIL") {
                    throw new OpError(ERR.SQL, "no such table: x");
                }
                const r = new Reader(params);
                seen.push(Array.from({ length: r.u32() }, () => readSqlValue(r)));
                return sql === "EMPTY" ? sqlResult(["n"], []) : sql === "ONE" ? sqlResult(["n"], [[7n]])
                    : sqlResult(["id", "name", "b"], [[1n, "a", null], [2n ** 60n, "ü", new Uint8Array([3])]], 2, 5);
            },
        },
    });
    const answer = guest.http();
    assert.deepEqual(JSON.parse(answer.body ?? JSON.stringify(answer.fail)), [
        ["id", "name", "b"], [["number", "1", "a", null], ["bigint", "1152921504606846976", "ü", [3]]], "a", 2, 2, 2, 2, 5,
        "one(): the query returned 2 rows, not exactly one; add LIMIT 1 or use first()",
        "one(): the query returned no row; use first() if there may be none",
        true, 7, '[{"n":7}]', "sql", "no such table: x", "TypeError", "TypeError",
    ]);
    assert.deepEqual(seen[0], [null, 1n, 1n, 1.5, 9007199254740993n, "t", new Uint8Array([1, 2]), null]);
});

test("transaction: commits, rolls back, nests, refuses promises", () => {
    const actions = [];
    const guest = handler(`
        const out = [transaction(() => 5)];
        try { transaction(() => { throw new Error("no") }) } catch (e) { out.push(e.message) }
        out.push(transaction(() => { try { transaction(() => { throw 1 }) } catch {} return "outer" }));
        let ran = false;
        try { transaction(async () => { ran = true }) } catch (e) { out.push(e.name, ran) }
        try { transaction(() => Promise.resolve()) } catch (e) { out.push(e.name) }
        try { transaction("x") } catch (e) { out.push(e.name) }
        return out;`, {
        imports: `import { transaction } from "derp:runtime/sql";`,
        ops: {
            sql_transaction({ action }) {
                actions.push(action);
            },
        },
    });
    assert.deepEqual(JSON.parse(guest.http().body), [5, "no", "outer", "TypeError", false, "TypeError", "TypeError"]);
    assert.deepEqual(actions, [0, 1, 0, 2, 0, 0, 2, 1, 0, 2]);
});

test("derp:runtime: context, logger, env, http", () => {
    const imports = `
        import { getInfo, success, error } from "derp:runtime/context"; import * as log from "derp:runtime/logger";
        import * as env from "derp:runtime/env"; import { fetch, getJson } from "derp:runtime/http";
        import * as limpet from "limpet"; import { Request } from "derp:runtime/types";`;
    const requests = [];
    const guest = new Guest({
        env: { KEY: "v" },
        source: `${imports}
            export const handler = { handle(req) {
                log.debug("a"); log.info("b", { c: 1 }); log.warn("w"); log.error("e"); limpet.log.info("l %s", 1);
                const res = fetch({ method: "post", url: "http://x/", headers: [["User-Agent", "DERP"]], body: "q" });
                return success({ info: getInfo(), env: [env.get("KEY"), env.get("NO") === undefined, env.getOrDefault("NO", "d"), limpet.env.toObject()],
                    res, json: getJson("http://x/j"), text: res.text() + res.header("X-A") + res.ok, body: req.body.name, isRequest: typeof Request });
            } };
            export const other = [error];`,
        ops: {
            fetch(args) {
                requests.push([args.method, args.url, new Reader(args.headers).headers(), String(args.body)]);
                return new Writer().u32(201).u32(0).u32(0).lstr(args.url).lstr("Created").headers([["x-a", "1"]]).lstr('{"j":"ü"}').done();
            },
        },
    });
    const out = JSON.parse(guest.execute({ name: "n" }, undefined, "fn").json);
    assert.deepEqual(out, {
        info: { functionName: "fn", executionId: "e-2" }, env: ["v", true, "d", { KEY: "v" }],
        res: { status: 201, statusText: "Created", headers: [["x-a", "1"]], body: '{"j":"ü"}' },
        json: { status: 201, body: { j: "ü" } }, text: '{"j":"ü"}1true', body: "n", isRequest: "function",
    });
    assert.deepEqual(guest.logs, [[0, "a"], [1, "b { c: 1 }"], [2, "w"], [3, "e"], [1, "l 1"]]);
    assert.equal(requests[0][0], "POST");
    assert.ok(requests[0][2].some(([n, v]) => n.toLowerCase() === "user-agent" && v === "DERP"));
    assert.equal(requests[0][3], "q");
});

test("error() answers with its status over HTTP", () => {
    const run = (expression) => new Guest({ source: `import { error } from "derp:runtime/context"; export const handler = () => ${expression}` }).http();
    let answer = run('error("bad input", 422)');
    assert.equal(answer.status, 422);
    assert.deepEqual(JSON.parse(answer.body), { error: { code: "guest_error", message: "bad input" } });
    answer = run("error({ code: 'mine', field: 1 })");
    assert.equal(answer.status, 500);
    assert.deepEqual(JSON.parse(answer.body), { error: { code: "mine", field: 1 } });
    assert.equal(run("error(new Error('m'))").body, '{"error":{"code":"guest_error","message":"m"}}');
    assert.equal(run("error('x', 200)").fail.name, "RangeError");
});

test("an answer with an error's status is a failed execution", () => {
    const run = (expression) => new Guest({ source: `import { error } from "derp:runtime/context"; export const handler = () => ${expression}` }).execute({});
    assert.equal(run('error("no name")').fail.message, "no name");
    assert.equal(run('error({ code: "c", message: "m" }, 404)').fail.message, "m");
    assert.equal(run('new Response("plain", { status: 404 })').fail.message, "the handler answered with status 404: plain");
    assert.equal(run("new Response(null, { status: 500 })").fail.message, "the handler answered with status 500");
    assert.match(run("new Response(ReadableStream.from(['s']).pipeThrough(new TextEncoderStream()), { status: 418 })").fail.message, /418: s$/);
    assert.equal(run("new Response('ok', { status: 302 })").json, '"ok"');
});

const examples = fileURLToPath(new URL("../../examples/", import.meta.url));
async function example(path, options) {
    const { outputFiles } = await build({
        entryPoints: [examples + path], bundle: true, write: false, format: "esm", target: "es2023",
        external: ["limpet", "derp:*"], logLevel: "warning",
    });
    return new Guest({ ...options, name: "example", source: outputFiles[0].text });
}

test("the examples load, and answer what needs no database", async () => {
    const hello = await example("hello/index.ts");
    assert.match(hello.http().body, /^Hello from Limpet/);
    assert.deepEqual(JSON.parse(hello.http({ url: "http://hello.localhost/json?name=x" }).body), { hello: "x" });
    assert.equal(hello.http({ url: "http://h/hello/J%C3%BCrg" }).body, "Hello, Jürg!\n");
    assert.equal(hello.http({ url: "http://h/none" }).status, 404);
    for (const path of ["hello-world.ts", "notes/index.ts"]) {
        await example(path);
    }

    const proxy = await example("streaming-proxy/index.ts");
    const lines = proxy.http({ url: "http://h/lines?count=2500" });
    assert.equal(proxy.sinkText(lines.sink).split("\n").length, 2501);
    assert.equal(proxy.http({ url: "http://h/get?url=x" }).status, 400);

    const timers = await example("timers/index.ts");
    const ticks = timers.http({ url: "http://h/ticks?n=3" });
    assert.equal(timers.sinkText(ticks.sink).match(/^id: \d$/gm).length, 3);
    assert.equal(timers.http({ url: "http://h/later" }).status, 202);
    assert.match(timers.logs.at(-1)[1], /after the answer/);

    const router = await example("router/index.ts");
    // Hono's middleware passes the body on as a stream.
    assert.equal(router.sinkText(router.http().sink), "todos are at /todos\n");
    const missing = router.http({ url: "http://h/none" });
    assert.equal(missing.status, 404);
    assert.ok(missing.headers.some(([name]) => name === "access-control-allow-origin"));
});

test("the webhook example verifies signatures", async () => {
    const { createHmac } = await import("node:crypto");
    const stored = [];
    const guest = await example("webhook/index.ts", {
        env: { WEBHOOK_SECRET: "s3cret" },
        ops: {
            sql_exec({ sql, params }) {
                if (!sql.startsWith("INSERT")) {
                    return sqlResult([], []);
                }
                const r = new Reader(params);
                stored.push(Array.from({ length: r.u32() }, () => readSqlValue(r)));
                return sqlResult([], [], 1, 1);
            },
        },
    });
    const body = '{"id": "evt_1", "type": "paid"}';
    const signature = createHmac("sha256", "s3cret").update(body).digest("hex");
    const send = (value) => guest.http({ method: "POST", body, headers: [["x-signature", value]] });
    assert.deepEqual(JSON.parse(send(`sha256=${signature}`).body), { stored: true });
    assert.deepEqual(stored, [["evt_1", "paid", body]]);
    assert.equal(send(`sha256=${signature.slice(0, -1)}0`).status, 401);
    assert.equal(send("").status, 401);
    assert.equal(guest.http().status, 405);
});
