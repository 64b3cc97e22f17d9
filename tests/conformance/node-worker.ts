// SPDX-License-Identifier: Apache-2.0
//
// box.guest.js for the peer: evaluates the scripts of one job in the globals of this process.
import vm from 'node:vm';

interface Job {
    scripts: string[];
    wait: number;
    until?: string;
    global?: Record<string, unknown>;
}

const { scripts, wait, until, global } = await new Promise<Job>((resolve) => process.once('message', resolve));
const lines: string[] = [];
const later = setTimeout;
const g = globalThis as Record<string, unknown>;
let finish!: () => void;
const finished = new Promise<void>((resolve) => (finish = resolve));
g.print = (line: unknown) => {
    lines.push(String(line));
    if (until && String(line).startsWith(until)) finish();
};
g.__boxDone = finish;
Object.assign(g, global);

function told(e: unknown) {
    if (e === null || (typeof e !== 'object' && typeof e !== 'function')) return { name: typeof e, message: String(e) };
    const { constructor: kind, name, message, stack } = e as Error;
    return { name: String(kind?.name || name), message: String(message), stack: String(stack) };
}

// as in a function: told to listeners, and no end
process.on('unhandledRejection', () => {});
process.on('uncaughtException', () => {});
const post = process.send!.bind(process);
let error = null;
let isLate = false;
try {
    for (const text of scripts) vm.runInThisContext(text);
} catch (e) {
    error = told(e);
}
if (error === null && wait) {
    later(() => {
        isLate = true;
        finish();
    }, wait);
    await finished;
}
post({ error, lines, isLate });
