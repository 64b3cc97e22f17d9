// SPDX-License-Identifier: Apache-2.0
//
// What the platform's own work costs: crypto.subtle and CompressionStream beside OpenSSL and zlib (native.c), in CPU time,
// which other processes of the machine hardly change; and bytes through a TransformStream.
import { execFileSync } from 'node:child_process';
import { startLimpet } from './limpet.ts';
import { cpuOf, median } from './load.ts';
import type { Context } from './main.ts';
import type { Row } from './report.ts';
import type { Server } from '../tests/server/harness.ts';

const GZIP_MIB = 16; // as in native.c
const STREAM_MIB = 1024;

const MODULE = `
const { subtle } = crypto;
const MIB = 1 << 20;
const encoder = new TextEncoder();
const text = (bytes) => {
  const all = new Uint8Array(bytes);
  for (let at = 0, line = 0; at < bytes; line++) {
    at += encoder.encodeInto(\`line \${line} of a text that has \${line * line % 9973} in it, and more of the same\\n\`, all.subarray(at)).written;
    if (bytes - at < 80) { all.fill(32, at); break; }
  }
  return all;
};
const short = new Uint8Array(32);
const rsa = { name: "RSASSA-PKCS1-v1_5", hash: "SHA-256", modulusLength: 2048, publicExponent: new Uint8Array([1, 0, 1]) };
const ec = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };
const pair = (algorithm) => subtle.generateKey(algorithm, false, ["sign", "verify"]);
const signs = async (algorithm) => {
  const { privateKey } = await pair(algorithm);
  return () => subtle.sign(algorithm, privateKey, short);
};
const verifies = async (algorithm) => {
  const { privateKey, publicKey } = await pair(algorithm);
  const signature = await subtle.sign(algorithm, privateKey, short);
  return () => subtle.verify(algorithm, publicKey, signature, short);
};
const cases = {
  "sha256": async () => { const data = text(MIB); return () => subtle.digest("SHA-256", data); },
  "aes-gcm": async () => {
    const data = text(MIB), iv = new Uint8Array(12);
    const key = await subtle.importKey("raw", new Uint8Array(32), "AES-GCM", false, ["encrypt"]);
    return () => subtle.encrypt({ name: "AES-GCM", iv }, key, data);
  },
  "rsa-sign": () => signs(rsa), "rsa-verify": () => verifies(rsa), "ec-sign": () => signs(ec), "ec-verify": () => verifies(ec),
  "pbkdf2": async () => {
    const key = await subtle.importKey("raw", encoder.encode("password"), "PBKDF2", false, ["deriveBits"]);
    return () => subtle.deriveBits({ name: "PBKDF2", hash: "SHA-256", salt: encoder.encode("salt"), iterations: 600_000 }, key, 256);
  },
  "gzip": async () => {
    const data = text(${GZIP_MIB} * MIB), PIECE = 64 * 1024;
    return async () => {
      let at = 0, size = 0;
      const source = new ReadableStream({
        pull(controller) {
          if (at === data.length) controller.close();
          else controller.enqueue(data.subarray(at, at += PIECE));
        },
      });
      for await (const chunk of source.pipeThrough(new CompressionStream("gzip"))) size += chunk.length;
      return size;
    };
  },
  "transform": async () => {
    const PIECE = 64 * 1024, chunk = new Uint8Array(PIECE);
    return async () => {
      let left = ${STREAM_MIB} * MIB, size = 0;
      const source = new ReadableStream({
        pull(controller) {
          if (left === 0) return controller.close();
          left -= PIECE;
          controller.enqueue(chunk);
        },
      });
      for await (const piece of source.pipeThrough(new TransformStream({ transform: (c, out) => out.enqueue(c) }))) size += piece.length;
      return size;
    };
  },
};
let run;
export default {
  async fetch(request) {
    const { searchParams } = new URL(request.url);
    run ??= await cases[searchParams.get("case")]();
    let last;
    for (let n = Number(searchParams.get("times")); n > 0; n--) last = await run();
    return Response.json(typeof last === "number" ? last : "done");
  },
};`;

/** CPU time of one operation in the server, in microseconds: of a request of many, less the first one's preparation. */
async function inLimpet(s: Server, name: string, times: number): Promise<number> {
    const ask = async (n: number): Promise<number> => {
        const before = cpuOf(s.pid);
        const res = await s.request(name, `/?case=${name}&times=${n}`);
        if (res.status !== 200) throw new Error(`${name}: ${res.status} ${res.text}`);
        const after = cpuOf(s.pid);
        return after.userUs + after.systemUs - before.userUs - before.systemUs;
    };
    await ask(1); // isolation = "module": what is made stays
    return (await ask(times)) / times;
}

const CASES: { name: string; what: string; times: number; least: number }[] = [
    { name: 'sha256', what: 'SHA-256 of 1 MiB', times: 1000, least: 0.9 },
    { name: 'aes-gcm', what: 'AES-GCM of 1 MiB', times: 1000, least: 0.9 },
    { name: 'rsa-sign', what: 'RSA signature, 2048 bits', times: 2000, least: 0.9 },
    { name: 'rsa-verify', what: 'RSA verification, 2048 bits', times: 20_000, least: 0.9 },
    { name: 'ec-sign', what: 'P-256 signature', times: 20_000, least: 0.9 },
    { name: 'ec-verify', what: 'P-256 verification', times: 10_000, least: 0.9 },
    { name: 'pbkdf2', what: 'PBKDF2 of 600,000 rounds', times: 5, least: 0.9 },
    { name: 'gzip', what: `gzip of a stream of ${GZIP_MIB} MiB`, times: 4, least: 0.8 },
];

const OPTIONS = { isolation: 'module', cpu_ms: 600_000, wall_ms: 600_000, memory_mb: 256 } as const;

export async function platform(ctx: Context): Promise<Row[]> {
    const rows: Row[] = [];
    const s = await startLimpet();
    try {
        for (const { name, what, times, least } of CASES) {
            await s.deploy(name, MODULE, OPTIONS);
            const ours: number[] = [];
            const theirs: number[] = [];
            for (let round = 0; round < ctx.rounds; round++) {
                ours.push(await inLimpet(s, name, Math.ceil((times * ctx.seconds) / 5)));
                theirs.push(Number(execFileSync(process.env.LIMPET_BENCH_NATIVE!, [name], { encoding: 'utf8' })));
            }
            const [here, there] = [median(ours), median(theirs)];
            ctx.progress(`${what}: ${here.toFixed(1)} us, by itself ${there.toFixed(1)}`);
            rows.push({ case: 'platform', what: `${what}, of the library's own speed`, figure: there / here, unit: 'x', note: `${here.toFixed(1)} us of CPU, ${there.toFixed(1)} there`, budget: { op: '>=', value: least } });
        }
        await s.deploy('transform', MODULE, OPTIONS);
        await s.request('transform', '/?case=transform&times=0');
        const rss = s.rssBytes();
        const us = await inLimpet(s, 'transform', 1);
        const grownMb = (s.rssBytes() - rss) / 1e6;
        const perSecond = (STREAM_MIB * 1.048576) / (us / 1e6);
        rows.push({ case: 'platform', what: '1 GiB through a TransformStream, of CPU time', figure: perSecond, unit: 'MB/s', note: 'chunks of 64 KiB', budget: { op: '>=', value: 500 } });
        rows.push({ case: 'platform', what: 'memory grown by it', figure: grownMb, unit: 'MB', budget: { op: '<=', value: 16 } });
    } finally {
        await s.stop();
    }
    return rows;
}
