// SPDX-License-Identifier: Apache-2.0
//
// What the disk does by itself while a durable case runs. It has slow spells of minutes, in which every figure that
// waits for it is wrong by as much; so each case is framed by two measurements of bare SQLite commits (commits.c), and
// what lies between two that differ by a third is discarded.
import { run } from '../tests/server/harness.ts';
import type { Context } from './main.ts';
import { formatFigure, type Row } from './report.ts';

export interface Commits {
    perSecond: number;
    p50Us: number;
    p99Us: number;
}

/** Commits of so many rows each, WAL, synchronous=FULL, beside the servers' data. */
export async function commits(ctx: Context, ms = 1500, rows = 1): Promise<Commits> {
    const program = process.env.LIMPET_BENCH_COMMITS;
    if (!program) throw new Error('LIMPET_BENCH_COMMITS must name the program built of bench/commits.c; bench/run does that');
    const r = await run(program, [ctx.dir, String(ms), String(rows)]);
    if (r.code !== 0) throw new Error(`${program}: ${r.stderr}`);
    return r.json;
}

export function differ(a: Commits, b: Commits): boolean {
    return Math.min(a.perSecond, b.perSecond) < Math.max(a.perSecond, b.perSecond) * (2 / 3);
}

/** Runs a case between two looks at the disk. */
export async function framed(ctx: Context, name: string, fn: (before: Commits) => Promise<Row[]>): Promise<Row[]> {
    const before = await commits(ctx);
    const rows = await fn(before);
    const after = await commits(ctx);
    const isDiscarded = differ(before, after);
    const rate = (c: Commits) => `${formatFigure(c.perSecond)}/s (p50 ${formatFigure(c.p50Us / 1000)} ms)`;
    rows.push({
        case: name, what: 'bare SQLite commits of one row, a second', figure: (before.perSecond + after.perSecond) / 2, unit: '/s',
        note: `${rate(before)} before, ${rate(after)} after${isDiscarded ? ': they differ by a third, discarded' : ''}`,
    });
    return isDiscarded ? rows.map((r) => ({ ...r, isDiscarded })) : rows;
}
