// SPDX-License-Identifier: Apache-2.0
//
// The same code in the engine and in Node: what it gives must be the same JSON.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Guest, hasRuntime, isBuilt } from "./harness.mjs";

export const hasNode = isBuilt && hasRuntime;

function inEngine(source) {
    const guest = new Guest({ source });
    const answer = guest.http();
    if (!answer || answer.fail) {
        throw new Error(JSON.stringify(answer?.fail ?? { pending: [...guest.pending.values()].map((p) => p.name), logs: guest.logs }));
    }
    return JSON.parse(answer.body);
}

async function inNode(source) {
    const { default: run } = await import(`data:text/javascript,${encodeURIComponent(source)}`);
    return JSON.parse(JSON.stringify(await run()));
}

/** imports: of both; cases: name -> expression or body with return. */
export function same(title, imports, cases) {
    for (const [name, body] of Object.entries(cases)) {
        test(`${title}: ${name}`, { skip: !hasNode && "the engine or the Node layer is not built" }, async () => {
            const code = /^[[("]/.test(body) ? `return (${body})` : body;
            const source = `${imports}
const error = (fn) => { try { return ["no error", fn()]; } catch (e) { return [e.name, e.code, e.message]; } };
const rejected = async (p) => { try { return ["no error", await p]; } catch (e) { return [e.name, e.code, e.message]; } };
export default async () => { ${code} };`;
            assert.deepEqual(inEngine(source), await inNode(source));
        });
    }
}
