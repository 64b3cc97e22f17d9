// SPDX-License-Identifier: Apache-2.0
//
// What a case hands back, and how it is shown: rows for people, and the same as JSON for programs.

import type { Load } from './load.ts';

export interface Row {
    case: string;
    what: string;
    figure: number;
    unit: string;
    /** Shown behind the figure: percentiles, a second measure. */
    note?: string;
    /** What the figure was taken from; shown before the note. */
    load?: Load;
    budget?: { op: '>=' | '<=' | '<'; value: number };
    /** The disk had one of its spells meanwhile, or the machine was not idle: neither met nor missed. */
    isDiscarded?: boolean;
}

export function passes(row: Row): boolean | undefined {
    if (!row.budget || row.isDiscarded) return undefined;
    const { op, value } = row.budget;
    return op === '>=' ? row.figure >= value : op === '<=' ? row.figure <= value : row.figure < value;
}

export function formatFigure(value: number): string {
    if (!Number.isFinite(value)) return '-';
    const size = Math.abs(value);
    if (size >= 1000) return Math.round(value).toString().replace(/\B(?=(\d{3})+$)/g, ',');
    return value.toFixed(size >= 100 ? 0 : size >= 10 ? 1 : 2);
}

export function formatLoad(l: Load): string {
    const times = Number.isFinite(l.p50Us) ? [`p50 ${formatFigure(l.p50Us / 1000)} ms`, `p99 ${formatFigure(l.p99Us / 1000)} ms`] : [];
    if (l.cpuUs !== undefined) times.push(`CPU ${formatFigure(l.cpuUs)} us a request, user ${formatFigure(l.userUs!)}`);
    return times.join(', ');
}

export function table(rows: Row[]): string {
    const cells = rows.map((r) => {
        const ok = passes(r);
        return [
            r.case,
            r.what,
            `${formatFigure(r.figure)} ${r.unit}`,
            r.budget ? `${r.budget.op} ${formatFigure(r.budget.value)}` : '',
            r.isDiscarded ? 'discarded' : ok === undefined ? '' : ok ? 'pass' : 'FAIL',
            [r.load ? formatLoad(r.load) : '', r.note ?? ''].filter(Boolean).join('; '),
        ];
    });
    const head = ['case', 'what', 'figure', 'budget', '', ''];
    const widths = head.map((h, i) => Math.max(h.length, ...cells.map((c) => c[i]!.length)));
    const line = (c: string[]) =>
        c.map((text, i) => (i === 2 || i === 3 ? text.padStart(widths[i]!) : text.padEnd(widths[i]!))).join('  ').trimEnd();
    let last = '';
    const body = cells.map((c) => {
        const shown = c[0] === last ? ['', ...c.slice(1)] : c;
        last = c[0]!;
        return line(shown);
    });
    return [line(head), ...body].join('\n');
}
