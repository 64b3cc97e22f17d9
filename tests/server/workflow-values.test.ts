// SPDX-License-Identifier: Apache-2.0
// Values of every type of structured clone through a step, across kill -9 and a replay, and across a snapshot.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Server } from './harness.ts';
import { deployWorkflow, journal, output, show, signal, start, suspended, withServer } from './workflow-harness.ts';

// Each entry is an expression; describe() says in JSON what came out, so that any loss is seen.
const VALUES: Record<string, string> = {
    undefined: 'undefined', null: 'null', true: 'true', false: 'false',
    zero: '0', minusZero: '-0', nan: 'NaN', infinity: 'Infinity', minusInfinity: '-Infinity', small: '5e-324', large: '1.7976931348623157e308', int32: '[2147483647, -2147483648, 2147483648]',
    bigints: '[0n, 1n, -1n, 255n, -256n, 2n ** 64n, -(2n ** 200n)]',
    texts: '["", "ascii", "ÿ latin", "日本語", "😀", "\\ud800 alone", "nul\\u0000inside", "x".repeat(100000)]',
    dates: '[new Date(0), new Date(-1), new Date(8.64e15), new Date(NaN)]',
    regexps: '[/a+b/gi, /\\//u, new RegExp("", "s")]',
    object: '({ a: 1, b: { c: [1, { d: null }] }, "": 2, "0": 3, ["__proto__"]: 4 })',
    manyKeys: 'Object.fromEntries(Array.from({ length: 300 }, (_, i) => ["k" + i, i]))',
    array: '[1, "two", [3]]', holes: '(() => { const a = [1, , 3]; a.length = 6; return a; })()', named: 'Object.assign([1], { name: "x" })',
    map: 'new Map([["a", 1], [{ k: 1 }, new Map([[1, 2]])], [NaN, 0]])',
    set: 'new Set([1, "1", { a: 1 }, new Set([2])])',
    boxed: '[Object(1), Object("s"), Object(true), Object(3n)]',
    errors: '[new Error("e"), new TypeError("t", { cause: new RangeError("r") }), new AggregateError([new Error("x"), 1], "many"), Object.assign(new Error("c"), { code: 7 })]',
    domException: 'new DOMException("gone", "AbortError")',
    buffers: '[new Uint8Array([0, 255]).buffer, new ArrayBuffer(0)]',
    views: '[new Int8Array([-1]), new Uint8Array([1, 2]), new Uint8ClampedArray([3]), new Int16Array([-4]), new Uint16Array([5]), new Int32Array([-6]), new Uint32Array([7]), new Float32Array([1.5]), new Float64Array([-2.25]), new BigInt64Array([-8n]), new BigUint64Array([9n]), new DataView(new ArrayBuffer(4), 1, 2)]',
    shared: '(() => { const o = { n: 1 }; return [o, o, { o }]; })()',
    circular: '(() => { const o: any = { n: 1 }; o.self = o; o.list = [o]; return o; })()',
    sharedBuffer: '(() => { const b = new Uint8Array([1, 2, 3, 4]); return [b.subarray(1, 3), b]; })()',
    blob: 'new Blob(["he", new Uint8Array([108, 108, 111])], { type: "text/plain" })',
    deep: '(() => { let v: any = 1; for (let i = 0; i < 200; i++) v = [v]; return v; })()',
};

const SOURCE = `
import { workflow, step, waitForEvent } from "limpet";
async function describe(v, seen = new Map()) {
    if (v === undefined) return "undefined";
    if (typeof v === "number") return Object.is(v, -0) ? "-0" : String(v);
    if (typeof v === "bigint") return v + "n";
    if (typeof v === "string") return v.length > 100 ? v.length + " of " + v[0] : JSON.stringify(v);
    if (typeof v !== "object" || v === null) return String(v);
    if (seen.has(v)) return "#" + seen.get(v);
    seen.set(v, seen.size);
    const all = async (list) => { const out = []; for (const x of list) out.push(await describe(x, seen)); return out; };
    const type = Object.prototype.toString.call(v).slice(8, -1);
    if (v instanceof Date) return "Date " + v.getTime();
    if (v instanceof RegExp) return "RegExp " + v;
    if (v instanceof Map) return ["Map", ...await all([...v].flat())];
    if (v instanceof Set) return ["Set", ...await all(v)];
    if (v instanceof DOMException) return ["DOMException", v.name, v.message, v.code];
    if (v instanceof Error) return ["Error", v.constructor.name, v.name, v.message, v.code ?? null, await describe(v.cause, seen), v.errors ? await all(v.errors) : null, typeof v.stack];
    if (v instanceof Blob) return ["Blob", v.type, v.size, await v.text()];
    if (ArrayBuffer.isView(v)) return [type, v.byteOffset, v.byteLength, await describe(v.buffer, seen), v instanceof DataView ? 0 : [...v].map(String)];
    if (v instanceof ArrayBuffer) return ["ArrayBuffer", [...new Uint8Array(v)].join()];
    if (Array.isArray(v)) return ["Array", v.length, Object.keys(v).join(), ...await all(Object.keys(v).map((k) => v[k]))];
    if (["Number", "String", "Boolean", "BigInt"].includes(type)) return ["boxed " + type, String(v.valueOf())];
    return [type, Object.getPrototypeOf(v) === Object.prototype, Object.keys(v).length > 50 ? Object.keys(v).length : Object.keys(v).join(), ...(Object.keys(v).length > 50 ? [] : await all(Object.keys(v).map((k) => v[k])))];
}
const makers = { ${Object.entries(VALUES).map(([name, expression]) => `${name}: () => ${expression}`).join(',\n')} };
export default workflow(async () => {
    const values = {}, before = {};
    for (const [name, make] of Object.entries(makers)) {
        values[name] = await step(name, make);
        before[name] = JSON.stringify([await describe(make()), await describe(values[name])]);
    }
    await waitForEvent("go");
    const out = {};
    for (const name of Object.keys(makers)) {
        const [made, got] = JSON.parse(before[name]);
        out[name] = [made, got, await describe(values[name])];
    }
    return out;
});`;

async function check(s: Server, id: string): Promise<void> {
    await signal(s, id, 'go');
    const out = await output(s, id);
    assert.deepEqual(Object.keys(out), Object.keys(VALUES));
    for (const [name, [made, got, after]] of Object.entries<any>(out)) {
        assert.deepEqual(got, made, `${name}: through the step`);
        assert.deepEqual(after, made, `${name}: across the suspension`);
    }
}

test('through a step, in memory', async () => {
    await withServer({}, async (s) => {
        await deployWorkflow(s, 'values', SOURCE);
        await check(s, await start(s, 'values'));
    });
});

test('across kill -9, replayed from the journal', async () => {
    await withServer({ args: ['--snapshot-after', '1000000'] }, async (s, crashed) => {
        await deployWorkflow(s, 'values', SOURCE);
        const id = await start(s, 'values');
        await suspended(s, id);
        s = await crashed();
        await check(s, id);
        assert.ok((await s.metrics()).get('limpet_replays_total')! >= 1);
    });
});

test('across kill -9, from a snapshot', async () => {
    await withServer({ args: ['--snapshot-after', '0'] }, async (s, crashed) => {
        await deployWorkflow(s, 'values', SOURCE);
        const id = await start(s, 'values');
        await suspended(s, id);
        s = await crashed();
        await check(s, id);
        assert.equal((await s.metrics()).get('limpet_snapshots_total{what="used"}'), 1);
    });
});

test('the journal shows every one of them to people', async () => {
    await withServer({}, async (s) => {
        await deployWorkflow(s, 'values', SOURCE);
        const id = await start(s, 'values');
        await suspended(s, id);
        const records = await journal(s, id);
        const labels = records.filter((r) => r.op === 'step').map((r) => r.label);
        assert.deepEqual(labels, Object.keys(VALUES));
        for (const r of records.filter((r) => r.op === 'step')) {
            assert.equal(r.status, 'ok');
            assert.ok(r.bytes > 0 && /^[0-9a-f]{12}$/.test(r.digest), JSON.stringify(r).slice(0, 300));
            assert.ok('value' in r, r.label);
        }
        assert.deepEqual(records.find((r) => r.label === 'object').value.a, 1);
        assert.equal((await show(s, id)).records, records.length);
    });
});
