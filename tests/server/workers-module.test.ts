// SPDX-License-Identifier: Apache-2.0
// What cloudflare:workers has beside classes: env, waitUntil() and exports, wherever code stands.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { until, useServer } from './harness.ts';

const server = useServer();

test('env, waitUntil() and exports of cloudflare:workers', async () => {
    const s = await server();
    await s.deploy('inside', `
        import { env, exports, waitUntil, WorkerEntrypoint } from "cloudflare:workers";
        export class Other extends WorkerEntrypoint { name() { return "other " + this.env.A; } }
        const late = async () => { await new Promise((r) => setTimeout(r, 20)); console.log("late " + env.A); };
        const helper = () => { waitUntil(late()); return env.A + (env.NONE ?? "-"); };
        export default { async fetch(request, handed) {
            return Response.json([helper(), await exports.Other.name(), Object.keys(exports).sort(), "Other" in exports, env === handed, { ...env }.A]);
        } };
    `, { vars: { A: 'x' } });
    assert.deepEqual((await s.request('inside')).json, ['x-', 'other x', ['Other', 'default'], true, true, 'x']);
    await until('the log has the line', async () => (await s.cli(['function', 'logs', 'inside'])).stdout.includes('late x'));
    const outside = await s.upload('outside', 'import { waitUntil } from "cloudflare:workers";\nwaitUntil(Promise.resolve());\nexport default { fetch() {} };');
    assert.match(JSON.stringify(outside), /waitUntil\(\) is called while a request is handled/);
});
