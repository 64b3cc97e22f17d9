// SPDX-License-Identifier: Apache-2.0
// Packages of npm that ask for modules of Node.js, uploaded as anybody would, beside Node's own answer to the same program.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { after, test } from 'node:test';
import { tempDir, useServer } from './harness.ts';

const server = useServer();
const folder = tempDir('limpet-packages-');
after(() => fs.rmSync(folder, { recursive: true, force: true }));
fs.symlinkSync(path.resolve(process.env.LIMPET_ROOT ?? '.', 'node_modules'), path.join(folder, 'node_modules'));
fs.writeFileSync(path.join(folder, 'package.json'), '{"type": "module"}');

/** name -> a module that exports run(), which gives JSON. */
const PROGRAMS: Record<string, string> = {
    busboy: `import busboy from "busboy";
export const run = () => new Promise((resolve, reject) => {
    const out = [], b = busboy({ headers: { "content-type": "multipart/form-data; boundary=b" } });
    b.on("file", (name, stream, info) => { let text = ""; stream.on("data", (d) => text += d).on("end", () => out.push([name, info, text])); });
    b.on("field", (name, value) => out.push([name, value])).on("close", () => resolve(out.sort())).on("error", reject);
    b.end('--b\\r\\nContent-Disposition: form-data; name="f"; filename="a.txt"\\r\\nContent-Type: text/plain\\r\\n\\r\\nhello\\r\\n--b\\r\\nContent-Disposition: form-data; name="k"\\r\\n\\r\\nv\\r\\n--b--\\r\\n');
});`,
    commander: `import { Command } from "commander";
export const run = () => { const p = new Command().name("tool").exitOverride().configureOutput({ writeOut() {}, writeErr() {} }).option("-n, --num <n>", "number", Number).argument("<file>"); p.parse(["-n", "5", "f.txt"], { from: "user" }); let code; try { p.parse(["--none"], { from: "user" }); } catch (e) { code = e.code; } return [p.opts(), p.args, code, p.helpInformation().split("\\n")[0]]; };`,
    'csv-parse': `import { parse } from "csv-parse/sync"; import { parse as stream } from "csv-parse";
export const run = async () => { const rows = []; for await (const row of stream({ delimiter: ";" }).on("error", () => {}).end("1;2\\n3;4")) rows.push(row); return [parse("a,b\\n1,\\"x,y\\"\\n", { columns: true }), rows]; };`,
    eta: `import { Eta } from "eta"; export const run = () => new Eta().renderString("Hi <%= it.name %><% [1, 2].forEach((x) => { %> <%= x %><% }) %>", { name: "<b>" });`,
    'gray-matter': `import matter from "gray-matter"; export const run = () => { const m = matter("---\\ntitle: x\\ntags: [a, b]\\n---\\nbody"); return [m.data, m.content, matter.stringify("z", { k: 1 })]; };`,
    jsonwebtoken: `import jwt from "jsonwebtoken"; import { generateKeyPairSync } from "node:crypto";
export const run = () => { const token = jwt.sign({ a: 1, iat: 1700000000 }, "secret"); let said; try { jwt.verify(token, "other"); } catch (e) { said = [e.name, e.message]; } const { publicKey, privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" }); const signed = jwt.sign({ b: 2, iat: 1 }, privateKey.export({ type: "pkcs8", format: "pem" }), { algorithm: "ES256" }); return [token, jwt.verify(token, "secret"), said, jwt.verify(signed, publicKey.export({ type: "spki", format: "pem" })), jwt.decode(token, { complete: true }).header]; };`,
    nodemailer: `import nodemailer from "nodemailer";
export const run = async () => { const info = await nodemailer.createTransport({ jsonTransport: true }).sendMail({ from: "a@b.c", to: "D <d@e.f>", subject: "hé", text: "hello", attachments: [{ filename: "x.txt", content: "attached" }], messageId: "<x@y>", date: new Date(0) }); return JSON.parse(info.message); };`,
    split2: `import split from "split2"; import { Readable } from "node:stream"; export const run = async () => { const out = []; for await (const line of Readable.from(["a\\nb", "c\\n", "d"]).pipe(split())) out.push(line); return out; };`,
    superjson: `import superjson from "superjson"; export const run = () => { const text = superjson.stringify({ d: new Date(0), m: new Map([[1, new Set([2])]]), e: new TypeError("t"), u: undefined, b: 5n, r: /x/g }); return [text, String(superjson.parse(text).e)]; };`,
};
for (const [name, program] of Object.entries(PROGRAMS)) {
    test(name, async () => {
        const s = await server();
        const file = path.join(folder, `${name}.mjs`);
        fs.writeFileSync(file, program);
        fs.writeFileSync(path.join(folder, `${name}-function.mjs`), `import { run } from "./${name}.mjs"; export default { fetch: async () => Response.json(await run()) };`);
        const up = await s.cli(['function', 'upload', name, path.join(folder, `${name}-function.mjs`)]);
        assert.equal(up.code, 0, up.stderr);
        const res = await s.request(name);
        assert.equal(res.status, 200, res.text);
        const { run } = await import(pathToFileURL(file).href);
        assert.deepEqual(res.json, JSON.parse(JSON.stringify(await run())));
    });
}

/** Programs for Node; those that listen are unchanged. */
const SERVERS: Record<string, string> = {
    express: `import express from "express"; import { Router } from "express";
const app = express(), sub = Router();
app.disable("x-powered-by").use(express.json()).use(express.urlencoded({ extended: false }));
sub.get("/:id", (req, res) => res.set("x-y", "1").json({ id: req.params.id, q: req.query, host: req.hostname, secure: req.secure }));
app.use("/a", sub).post("/echo", (req, res) => res.status(201).cookie("c", "v", { httpOnly: true }).send(req.body)).get("/err", () => { throw new Error("boom"); }).get("/r", (req, res) => res.redirect("/a/1"));
app.use((error, req, res, next) => res.status(500).type("txt").send(error.message));
app.listen(3000);`,
    koa: `import Koa from "koa";
const app = new Koa();
app.silent = true;
app.use(async (ctx, next) => { await next(); ctx.set("x-y", "1"); });
app.use(async (ctx) => { if (ctx.path === "/err") ctx.throw(500, "boom", { expose: true }); if (ctx.path === "/r") return ctx.redirect("/a/1"); if (ctx.path === "/echo") { let text = ""; for await (const c of ctx.req) text += c; ctx.status = 201; ctx.cookies.set("c", "v"); ctx.body = JSON.parse(text); return; } if (!ctx.path.startsWith("/a/")) return; ctx.body = { id: ctx.path.slice(3), q: ctx.query, host: ctx.hostname, secure: ctx.secure }; });
app.listen(3000);`,
    // It starts with timers, which top-level code has none of.
    fastify: `import Fastify from "fastify"; import { handleAsNodeRequest } from "cloudflare:node";
const app = Fastify();
app.addHook("onSend", async (req, reply) => { reply.header("x-y", "1"); });
app.get("/a/:id", async (req) => ({ id: req.params.id, q: req.query, host: req.hostname, secure: req.protocol === "https" }));
app.post("/echo", async (req, reply) => { reply.code(201).header("set-cookie", "c=v"); return req.body; });
app.get("/err", async () => { throw new Error("boom"); });
app.get("/r", (req, reply) => reply.redirect("/a/1"));
app.setErrorHandler((error, req, reply) => reply.code(500).type("text/plain").send(error.message));
let ready;
export default { async fetch(request) { await (ready ??= app.ready()); return handleAsNodeRequest(app.server, request); } };`,
};

for (const [name, program] of Object.entries(SERVERS)) {
    test(`${name} answers requests`, async () => {
        const s = await server();
        const file = path.join(folder, `${name}.mjs`);
        fs.writeFileSync(file, program);
        const up = await s.cli(['function', 'upload', name, file]);
        assert.equal(up.code, 0, up.stderr);
        const got = await s.request(name, '/a/5?x=1&y=2');
        assert.equal(got.status, 200, got.text);
        assert.equal(got.headers['x-y'], '1');
        const { host, ...rest } = got.json;
        assert.deepEqual(rest, { id: '5', q: { x: '1', y: '2' }, secure: false });
        assert.match(host, new RegExp(`^${name}\\.localhost`));
        const posted = await s.request(name, '/echo', { method: 'POST', headers: { 'content-type': 'application/json' }, body: '{"b":[1,"é"]}' });
        assert.deepEqual([posted.status, posted.json], [201, { b: [1, 'é'] }]);
        assert.match(String(posted.headers['set-cookie']), /^c=v/);
        const failed = await s.request(name, '/err');
        assert.deepEqual([failed.status, failed.text], [500, 'boom']);
        const moved = await s.request(name, '/r');
        assert.deepEqual([moved.status, moved.headers.location], [302, '/a/1']);
        assert.equal((await s.request(name, '/none')).status, 404);
    });
}
