// SPDX-License-Identifier: Apache-2.0
// Workflows that call actors: a call is done once, however often the server is killed in the middle.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { IS_ASAN, Server, until } from './harness.ts';
import { deployWorkflow, outcome, start } from './workflow-harness.ts';

test('calls of actors by executions happen exactly once through kills', async (t) => {
    const EXECUTIONS = 12, CALLS = 6, KILLS = IS_ASAN ? 3 : 5;
    let s = await Server.start({ args: ['--threads', '2', '--rest-ms', '100'] });
    t.after(() => s.kill());
    await s.deploy('counters', `import { DurableObject } from "cloudflare:workers";
        export class Counter extends DurableObject {
            async add(by) { const n = (await this.ctx.storage.get("n") ?? 0) + by; await this.ctx.storage.put("n", n); await this.ctx.storage.put("made:" + n, 1); return n; }
            async refuse() { await this.ctx.storage.put("refused", (await this.ctx.storage.get("refused") ?? 0) + 1); throw new RangeError("refused"); }
            async get() { return [await this.ctx.storage.get("n") ?? 0, await this.ctx.storage.get("refused") ?? 0]; }
        }
        export default { async fetch(request, env, ctx) { return Response.json(await ctx.exports.Counter.getByName(new URL(request.url).searchParams.get("id")).get()); } };`);
    await deployWorkflow(s, 'adds', `import { WorkflowEntrypoint } from "cloudflare:workers";
        export default class extends WorkflowEntrypoint {
            async run({ payload }, step) {
                const mine = this.env.COUNTER.getByName("e" + payload), all = this.env.COUNTER.getByName("all");
                const seen = [];
                for (let i = 0; i < ${CALLS}; i++) { seen.push(await mine.add(1)); await all.add(1); await step.sleep("a while", 5); }
                seen.push(await mine.refuse().catch((e) => e.name + e.message));
                return seen;
            }
        }`, { bindings: [{ type: 'durable_object_namespace', name: 'COUNTER', class_name: 'Counter', script_name: 'counters' }] } as never);
    const ids: string[] = [];
    for (let i = 0; i < EXECUTIONS; i++) ids.push(await start(s, 'adds', i));
    const all = async (): Promise<number> => (await s.request('counters', '/?id=all')).json[0];
    let before = 0;
    for (let k = 0; k < KILLS; k++) {
        await until('it goes on', async () => {
            const n = await all();
            return n > before + 3 || n >= EXECUTIONS * CALLS;
        });
        before = await all();
        await s.kill();
        s = await s.revive();
    }
    for (const id of ids) {
        const end = await outcome(s, id);
        assert.equal(end.status, 'completed', JSON.stringify(end.error));
        assert.deepEqual(end.output, [...Array.from({ length: CALLS }, (_, i) => i + 1), 'RangeErrorrefused']);
    }
    assert.equal(await all(), EXECUTIONS * CALLS);
    for (let i = 0; i < EXECUTIONS; i++) assert.deepEqual((await s.request('counters', `/?id=e${i}`)).json, [CALLS, 1]);
});
