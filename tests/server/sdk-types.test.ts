// SPDX-License-Identifier: Apache-2.0
// The package of types by the compiler, with all declarations checked: alone, and beside those of Workers.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { after, test } from 'node:test';
import { run, tempDir } from './harness.ts';

const root = tempDir();
const tree = path.resolve(import.meta.dirname ?? '.', '../..');
after(() => fs.rmSync(root, { recursive: true, force: true }));

function modules(): string {
    const near = path.join(tree, 'node_modules');
    return fs.existsSync(path.join(near, 'typescript')) ? near : path.join(process.cwd(), 'node_modules');
}

/** What the compiler says of a project with these files; "" if nothing. */
async function check(name: string, tsconfig: object, source: string): Promise<string> {
    const dir = path.join(root, name);
    const installed = path.join(dir, 'node_modules');
    fs.mkdirSync(path.join(installed, '@cloudflare'), { recursive: true });
    fs.symlinkSync(path.join(path.dirname(modules()), 'sdk'), path.join(installed, 'limpet'));
    fs.symlinkSync(path.join(modules(), '@cloudflare/workers-types'), path.join(installed, '@cloudflare/workers-types'));
    fs.writeFileSync(path.join(dir, 'tsconfig.json'), JSON.stringify({ include: ['*.ts'], ...tsconfig }));
    fs.writeFileSync(path.join(dir, 'index.ts'), source);
    return (await run(process.execPath, [path.join(modules(), 'typescript/bin/tsc'), '--noEmit', '-p', dir])).stdout;
}

const OWN = `
import { sql, workflow } from "limpet";
import { getOrDefault } from "derp:runtime/env";
import { WorkerEntrypoint } from "cloudflare:workers";
export class Admin extends WorkerEntrypoint<Env, { role: string }> {
    async name(id: number): Promise<string> { return this.ctx.props.role + id + getOrDefault("A", "b"); }
}
export const order = workflow(async (input: { id: string }) => input.id);
export default {
    async fetch(request, env: { ADMIN: Service<typeof Admin> }) {
        sql.exec("SELECT 1");
        return new Response(await env.ADMIN.name(new URL(request.url).pathname.length));
    },
} satisfies ExportedHandler<{ ADMIN: Service<typeof Admin> }>;
`;

const WORKERS = `
import { sql, workflow } from "limpet";
import { DurableObject, WorkerEntrypoint } from "cloudflare:workers";
interface Env { KV: KVNamespace; ASSETS: Fetcher; ADMIN: Service<typeof Admin>; ROOM: DurableObjectNamespace<Room> }
export class Admin extends WorkerEntrypoint<Env> { async name(id: number): Promise<string> { return "n" + id; } }
export class Room extends DurableObject<Env> {}
export const order = workflow(async (input: { id: string }) => input.id);
export default {
    async fetch(request, env, ctx) {
        sql.exec("SELECT 1");
        if (request.cf?.country === "DE") return env.ASSETS.fetch(request);
        ctx.waitUntil(env.KV.put("a", "b"));
        return new Response(await env.ADMIN.name(1));
    },
} satisfies ExportedHandler<Env>;
`;

const STRICT = { skipLibCheck: false };

test('the package declares all that a function sees, and is right itself', async () => {
    const own = { extends: 'limpet/tsconfig.json', compilerOptions: { types: ['limpet'], ...STRICT } };
    assert.equal(await check('own', own, OWN), '');
    assert.match(await check('wrong', own, 'export default { fetch: () => new Response(new Date()) } satisfies ExportedHandler;'), /TS2345/);
});

test('with @cloudflare/workers-types an import of limpet declares no globals', async () => {
    const both = { extends: 'limpet/tsconfig.workers.json', compilerOptions: { ...STRICT } };
    assert.equal(await check('both', both, WORKERS), '');
    const plain = {
        target: 'ES2022', lib: ['ES2022'], module: 'ESNext', moduleResolution: 'Bundler', strict: true,
        types: ['@cloudflare/workers-types'],
    };
    assert.equal(await check('condition', { compilerOptions: { ...plain, customConditions: ['workers-types'] } }, WORKERS), '');
    assert.equal(await check('unchecked', { compilerOptions: { ...plain, skipLibCheck: true } }, WORKERS), '');
});
