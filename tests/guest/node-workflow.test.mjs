// SPDX-License-Identifier: Apache-2.0
//
// Modules of Node.js in workflows: live, from the whole journal and from prefixes of it the same comes out, and what code asks of the
// host through them is in the journal as it is through the web's own names.
import assert from "node:assert/strict";
import { test } from "node:test";
import { check, module } from "./recorder.mjs";
import { hasNode } from "./node-same.mjs";

const options = { skip: !hasNode && "the engine or the Node layer is not built" };
const IMPORTS = `import { AsyncLocalStorage } from "node:async_hooks"; import { setTimeout as wait } from "node:timers/promises"; import EventEmitter, { once } from "node:events"; import { Readable } from "node:stream";
const als = new AsyncLocalStorage(); const get = (n) => fetch("http://x/" + n);`;

test("an async context and the scopes of steps go together", options, () => {
  const { output } = check(module(`
    const one = (n) => als.run(n, async () => { await null; const t = await step(n, async () => { const before = als.getStore(); const r = await get(n); await r.text(); return [before, als.getStore()]; }); await sleep(5); return [t, als.getStore()]; });
    return [await Promise.all(["a", "b"].map(one)), als.getStore() ?? null]`, IMPORTS));
  assert.deepEqual(output, [[[["a", "a"], "a"], [["b", "b"], "b"]], null]);
});

test("timers, events and streams move a workflow", options, () => {
  const { output } = check(module(`
    const e = new EventEmitter(), seen = [];
    setTimeout(() => e.emit("due", 1), 5);
    process.nextTick(() => seen.push("tick"));
    const [v] = await once(e, "due");
    for await (const c of Readable.from(["x", "y"])) { await wait(1); seen.push(c); }
    return [v, seen, typeof process.hrtime.bigint()]`, IMPORTS));
  assert.deepEqual(output, [1, ["tick", "x", "y"], "bigint"]);
});
