// SPDX-License-Identifier: Apache-2.0
//
// Load on an HTTP server from the load core: wrk for HTTP/1.1, h2load for HTTP/2. One thread each, since the
// other core belongs to the server. A run in which anything but a 2xx came back does not count: it throws.
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { run } from '../tests/server/harness.ts';

export const SERVER_CORE = '0';
export const LOAD_CORE = '1';
export const CONNECTIONS = 64;

export interface Target {
    port: number;
    path: string;
    host?: string;
    method?: string;
    body?: string;
}

export interface Load {
    perSecond: number;
    /** In all; 0 where the tool does not say. */
    requests: number;
    p50Us: number;
    p99Us: number;
    /** CPU time of the server's process a request, user and system, and user alone; where the process was named. */
    cpuUs?: number;
    userUs?: number;
}

const TICK_US = 1e6 / Number(execFileSync('getconf', ['CLK_TCK'], { encoding: 'utf8' }));

/** CPU time of a process with all its threads, ended ones too. The sum is exact to a tick; the kernel divides it by what its ticks met. */
export function cpuOf(pid: number): { userUs: number; systemUs: number } {
    const stat = fs.readFileSync(`/proc/${pid}/stat`, 'utf8');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' '); // from the third on: names may hold anything
    return { userUs: Number(fields[11]) * TICK_US, systemUs: Number(fields[12]) * TICK_US };
}

/** The same load, with what it cost the process. */
export async function withCpu(pid: number, load: () => Promise<Load>): Promise<Load> {
    const before = cpuOf(pid);
    const l = await load();
    const after = cpuOf(pid);
    const userUs = after.userUs - before.userUs;
    return { ...l, cpuUs: (userUs + after.systemUs - before.systemUs) / l.requests, userUs: userUs / l.requests };
}

// Reports as one line of JSON; the request itself stays static, so that Lua costs nothing a request.
const SCRIPT = `
done = function(summary, latency, requests)
  local e = summary.errors
  io.write(string.format('REPORT {"requests":%d,"us":%d,"p50":%d,"p99":%d,"errors":%d}\\n',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99),
    e.connect + e.read + e.write + e.status + e.timeout))
end
`;

function luaString(text: string): string {
    return '"' + [...Buffer.from(text)].map((b) => '\\' + String(b).padStart(3, '0')).join('') + '"';
}

export async function wrk(dir: string, target: Target, seconds: number, connections = CONNECTIONS): Promise<Load> {
    let script = SCRIPT;
    if (target.method) script += `wrk.method = ${luaString(target.method)}\n`;
    if (target.host) script += `wrk.headers["Host"] = ${luaString(target.host)}\n`;
    if (target.body !== undefined) {
        script += `wrk.body = ${luaString(target.body)}\nwrk.headers["Content-Type"] = "application/json"\n`;
    }
    const file = path.join(dir, 'load.lua');
    fs.writeFileSync(file, script);
    const r = await run('taskset', ['-c', LOAD_CORE, 'wrk', '-t1', `-c${connections}`, `-d${seconds}s`, '--timeout', '30s', '-s', file, `http://127.0.0.1:${target.port}${target.path}`]);
    const m = /REPORT (\{.*\})/.exec(r.stdout);
    if (r.code !== 0 || !m) throw new Error(`wrk failed (${r.code}): ${r.stdout}${r.stderr}`);
    const report = JSON.parse(m[1]!);
    if (report.requests === 0) throw new Error(`not one request was answered in ${seconds} s: ${r.stdout}`);
    if (report.errors > 0) throw new Error(`${report.errors} of ${report.requests} requests failed: ${r.stdout}`);
    return { requests: report.requests, perSecond: report.requests / (report.us / 1e6), p50Us: report.p50, p99Us: report.p99 };
}

export async function h2load(target: Target, seconds: number, connections = CONNECTIONS, streams = 8): Promise<Load> {
    const r = await run('taskset', ['-c', LOAD_CORE, 'h2load', '-t1', `-c${connections}`, `-m${streams}`, `-D${seconds}`, '--warm-up-time=0',
        ...(target.host ? ['-H', `:authority: ${target.host}`] : []), `http://127.0.0.1:${target.port}${target.path}`]);
    const rate = /finished in [\d.]+\w+, ([\d.]+) req\/s/.exec(r.stdout);
    const status = /requests: (\d+) total.*?(\d+) succeeded, (\d+) failed, (\d+) errored/.exec(r.stdout);
    if (r.code !== 0 || !rate || !status) throw new Error(`h2load failed (${r.code}): ${r.stdout}${r.stderr}`);
    if (Number(status[3]) > 0 || Number(rate[1]) === 0) throw new Error(`requests failed: ${status[0]}`);
    return { requests: Number(status[1]), perSecond: Number(rate[1]), p50Us: NaN, p99Us: NaN };
}

export function median(values: number[]): number {
    const sorted = [...values].sort((a, b) => a - b);
    const middle = sorted.length >> 1;
    return sorted.length % 2 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

export function medianLoad(loads: Load[]): Load {
    const known = (of: (l: Load) => number | undefined) => {
        const values = loads.map(of).filter((v) => v !== undefined);
        return values.length ? median(values) : undefined;
    };
    return {
        requests: loads.reduce((sum, l) => sum + l.requests, 0),
        perSecond: median(loads.map((l) => l.perSecond)),
        p50Us: median(loads.map((l) => l.p50Us)),
        p99Us: median(loads.map((l) => l.p99Us)),
        cpuUs: known((l) => l.cpuUs),
        userUs: known((l) => l.userUs),
    };
}
