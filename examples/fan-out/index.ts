// SPDX-License-Identifier: Apache-2.0
//
// A thousand pieces of work: as steps of one execution, at most so many at a time, or as children with an
// execution each, which may run on other threads.
//
//     limpet workflow upload fan-out examples/fan-out/index.ts
//     limpet workflow run fan-out --input '{"count": 1000, "width": 50}' --wait
//     limpet workflow run fan-out.children --input '{"count": 1000}' --wait
import { progress, startChild, step, workflow } from "limpet";

interface Work {
    count: number;
    /** How many at a time; all if not given. */
    width?: number;
}

/** Collatz: the number of steps from n to 1. */
function collatz(n: number): number {
    let steps = 0;
    for (; n !== 1; steps++) {
        n = n % 2 === 0 ? n / 2 : 3 * n + 1;
    }
    return steps;
}

/** Calls work(0) … work(count - 1), `width` at a time; the results in order. */
async function inParallel<T>(count: number, width: number, work: (n: number) => Promise<T>): Promise<T[]> {
    const results: T[] = [];
    let begun = 0;
    let done = 0;
    const lane = async () => {
        while (begun < count) {
            const n = begun++;
            results[n] = await work(n);
            if (++done % 100 === 0) {
                progress({ done, of: count });
            }
        }
    };
    await Promise.all(Array.from({ length: Math.min(width, count) }, lane));
    return results;
}

export default workflow(async ({ count, width = count }: Work) => {
    const results = await inParallel(count, width, (n) => step(`piece ${n}`, () => collatz(n + 1)));
    return { longest: Math.max(...results), total: results.reduce((a, b) => a + b, 0) };
});

export const piece = workflow(async (n: number) => collatz(n + 1));

export const children = workflow(async ({ count }: Work) => {
    const all = await Promise.all(Array.from({ length: count }, (_, n) => startChild(piece, n)));
    const results = await Promise.all(all.map((child) => child.result()));
    return { longest: Math.max(...results), total: results.reduce((a, b) => a + b, 0) };
});
