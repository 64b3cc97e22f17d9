// SPDX-License-Identifier: Apache-2.0
// /metrics is valid Prometheus text and counts what happened.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { until, useServer } from './harness.ts';

const server = useServer({ args: ['--threads', '2'] });

test('the format: every family once, with type and help, and every sample belongs to one', async () => {
    const s = await server();
    const res = await s.admin('/metrics');
    assert.match(String(res.headers['content-type']), /^text\/plain; version=0\.0\.4/);
    const families = new Map<string, string>();
    const samples = new Set<string>();
    for (const line of res.text.split('\n')) {
        if (line === '') continue;
        const type = /^# TYPE (\S+) (counter|gauge|histogram|summary)$/.exec(line);
        if (type) {
            assert.ok(!families.has(type[1]!), `family ${type[1]} twice`);
            families.set(type[1]!, type[2]!);
            continue;
        }
        if (line.startsWith('# HELP ')) continue;
        const sample = /^([a-z_][a-z0-9_]*)(\{[^}]*\})? (-?[0-9.e+-]+|NaN|[+-]Inf)$/i.exec(line);
        assert.ok(sample, `not a sample: ${line}`);
        assert.ok(!samples.has(sample[1]! + (sample[2] ?? '')), `sample twice: ${line}`);
        samples.add(sample[1]! + (sample[2] ?? ''));
        const family = families.has(sample[1]!) ? sample[1]! : sample[1]!.replace(/_(bucket|sum|count)$/, '');
        assert.ok(families.has(family), `no family for ${line}`);
        assert.match(sample[1]!, /^limpet_/);
    }
    assert.ok(samples.size > 20);
});

test('requests, failures, builds, isolates, ops and memory are counted', async () => {
    const s = await server();
    const before = await s.metrics();
    const get = (m: Map<string, number>, name: string) => m.get(name) ?? 0;
    await s.deploy('counted', 'export default { fetch(request) { if (request.url.endsWith("/throw")) throw new Error("x"); if (request.url.endsWith("/loop")) for (;;) ; console.log("x"); return new Response("ok"); } };', { cpu_ms: 50 });
    await s.upload('counted', 'export default {');
    for (let i = 0; i < 10; i++) await s.request('counted');
    await s.request('counted', '/throw');
    await s.request('counted', '/loop');
    await s.execute('counted');
    const grew = (m: Map<string, number>, name: string) => get(m, name) - get(before, name);
    const after = await until('counts', async () => {
        const m = await s.metrics();
        return grew(m, 'limpet_http_requests_total{class="2xx"}') >= 10 && grew(m, 'limpet_http_requests_total{class="5xx"}') >= 2 && m;
    });
    assert.equal(grew(after, 'limpet_http_requests_total{class="2xx"}'), 10);
    assert.equal(grew(after, 'limpet_http_requests_total{class="5xx"}'), 2);
    assert.ok(grew(after, 'limpet_http_request_seconds_count') >= 12);
    assert.equal(get(after, 'limpet_http_request_seconds_bucket{le="+Inf"}'), get(after, 'limpet_http_request_seconds_count'));
    assert.equal(grew(after, 'limpet_builds_total{status="ready"}'), 1);
    assert.equal(grew(after, 'limpet_builds_total{status="failed"}'), 1);
    assert.equal(grew(after, 'limpet_executions_total{status="success"}'), 1);
    assert.ok(grew(after, 'limpet_guest_deaths_total') >= 1);
    assert.ok(grew(after, 'limpet_ops_total') >= 10);
    assert.ok(grew(after, 'limpet_restores_total') >= 5);
    assert.ok(get(after, 'limpet_restore_seconds_total') > 0);
    assert.ok(get(after, 'limpet_isolates{state="pooled"}') >= 1);
    assert.ok(get(after, 'limpet_memory_resident_bytes') > 1e6);
});

test('live isolates are seen while they wait', async () => {
    const s = await server();
    await s.deploy('waiting', 'export default { async fetch() { await new Promise((r) => setTimeout(r, 1000)); return new Response("ok"); } };');
    const running = Array.from({ length: 5 }, () => s.request('waiting'));
    await until('five live ones', async () => ((await s.metrics()).get('limpet_isolates{state="live"}') ?? 0) >= 5);
    await Promise.all(running);
    await until('none live', async () => (await s.metrics()).get('limpet_isolates{state="live"}') === 0);
});
