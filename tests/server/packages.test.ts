// SPDX-License-Identifier: Apache-2.0
// Packages of npm, uploaded as anybody would: small programs beside Node's own answer, and servers.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { after, test } from 'node:test';
import { testPrograms } from '../packages/programs.ts';
import { tempDir, useServer } from './harness.ts';

const server = useServer();
testPrograms('ci.programs', 'node_modules', server);

const folder = tempDir('limpet-servers-');
after(() => fs.rmSync(folder, { recursive: true, force: true }));
fs.symlinkSync(path.resolve(process.env.LIMPET_ROOT ?? '.', 'node_modules'), path.join(folder, 'node_modules'));
fs.writeFileSync(path.join(folder, 'package.json'), '{"type": "module"}');

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
