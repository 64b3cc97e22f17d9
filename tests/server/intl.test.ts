// SPDX-License-Identifier: Apache-2.0
// Intl and the methods of the language that ask it, against what Node says; in top-level code, in workflows, and with texts that are too
// large.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { useServer } from './harness.ts';
import { CASES } from './intl.cases.ts';
import { complete, deployWorkflow } from './workflow-harness.ts';

const server = useServer();

test('numbers, dates, plurals, lists and orders as Node has them', async () => {
    const s = await server();
    await s.deploy('intl', `
export default { async fetch(request) { return Response.json((await request.json()).map((code) => { try { return JSON.stringify((0, eval)("(" + code + ")")); } catch (e) { return "throws " + e.name; } })); } };`, { cpu_ms: 60000, wall_ms: 60000 });
    const res = await s.request('intl', '/', { method: 'POST', body: JSON.stringify(CASES.map(([code]) => code)) });
    assert.equal(res.status, 200, res.text);
    const value = (text: string) => (text.startsWith('throws') ? text : JSON.parse(text));
    for (const [i, [code, expected]] of CASES.entries()) assert.deepEqual(value(res.json[i]), value(expected), code);
});

test('top-level code makes formatters; subclasses and bound methods work', async () => {
    const s = await server();
    await s.deploy('early', `
const money = new Intl.NumberFormat("de", { style: "currency", currency: "EUR" }), { format } = new Intl.DateTimeFormat("en", { timeZone: "UTC" });
class Mine extends Intl.NumberFormat { format2(v) { return "<" + this.format(v) + ">"; } }
export default { fetch: () => Response.json([money.format(1), [0, 864e5].map(format), new Mine("en").format2(1000), new Mine() instanceof Intl.NumberFormat, Object.keys(Intl), typeof Intl.NumberFormat.prototype.constructor, Array.from("bca").sort(new Intl.Collator().compare).join("")]) };`);
    assert.deepEqual((await s.request('early', '/')).json, ['1,00\u00a0€', ['1/1/1970', '1/2/1970'], '<1,000>', true, [], 'function', 'abc']);
});

test('what is too large is refused, and says so', async () => {
    const s = await server();
    await s.deploy('large', `
const outcome = (make) => { try { make(); return "done"; } catch (e) { return e.name; } };
export default { fetch: () => Response.json([
    outcome(() => "a".repeat(300000).localeCompare("b".repeat(300000))), outcome(() => "i".repeat(300000).toLocaleUpperCase("tr")),
    outcome(() => (10n ** 5000n).toLocaleString()), outcome(() => new Intl.ListFormat().format(Array(5000).fill("a"))), outcome(() => new Intl.DateTimeFormat("en-" + "abcde-".repeat(1000) + "fghij")),
    outcome(() => "a".repeat(100000).localeCompare("a".repeat(99999) + "b")), outcome(() => (10n ** 4000n).toLocaleString()), outcome(() => "i".repeat(300000).toLocaleUpperCase()),
]) };`, { cpu_ms: 20000 });
    assert.deepEqual((await s.request('large', '/')).json, [...Array(5).fill('RangeError'), 'done', 'done', 'done']);
});

test('in workflows the answers are recorded, inside and outside of steps', async () => {
    const s = await server();
    await deployWorkflow(s, 'words', `
import { workflow, step, sleep } from "limpet";
export default workflow(async () => {
const inStep = await step("in", () => [(1234.5).toLocaleString(), ["b", "a"].sort((x, y) => x.localeCompare(y)).join("")]);
const before = [(1234.5).toLocaleString(), new Date(0).toLocaleDateString("de", { timeZone: "UTC" }), "ä".localeCompare("z")];
await sleep(5);
return [inStep, before, (5).toLocaleString("en", { style: "currency", currency: "USD" }), (1e6).toLocaleString()];
});`);
    assert.deepEqual(await complete(s, 'words'), [['1,234.5', 'ab'], ['1,234.5', '1.1.1970', -1], '$5.00', '1,000,000']);
});
