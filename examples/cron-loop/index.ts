// SPDX-License-Identifier: Apache-2.0
//
// A job that runs at the same time each day, for ever: a loop with a sleep. Each run is a child with an id
// made of the day, so a day runs once even when two loops are started; the loop itself ends after a month and
// starts its successor, which keeps its journal short. Signal "now" runs it at once.
//
//     limpet workflow upload cron-loop examples/cron-loop/index.ts
//     limpet workflow run cron-loop --id nightly --input '{"at": "03:30", "url": "https://example.com/"}'
//     limpet execution signal EXECUTION now
import { CancelledError, log, now, select, sleepUntil, startChild, step, waitForEvent, workflow } from "limpet";

interface Schedule {
    /** Time of day, UTC. */
    at: string;
    url: string;
}

const DAY_MS = 24 * 60 * 60 * 1000;
const RUNS = 30;

/** The next time of day after `from`. */
function next(at: string, from: number): number {
    const [hour = 0, minute = 0] = at.split(":").map(Number);
    const day = new Date(from);
    const due = Date.UTC(day.getUTCFullYear(), day.getUTCMonth(), day.getUTCDate(), hour, minute);
    return due > from ? due : due + DAY_MS;
}

/** One run. */
export const job = workflow(async ({ url }: Schedule) => {
    const { status, bytes } = await step("fetch", { retries: 8, backoff: { delay: "1 second", max: "5 minutes" } }, async () => {
        const answer = await fetch(url);
        if (answer.status >= 500) {
            throw new Error(`${url} answered ${answer.status}`);
        }
        return { status: answer.status, bytes: (await answer.arrayBuffer()).byteLength };
    });
    log.info(`${url}: ${status}, ${bytes} bytes`);
    return { status, bytes };
});

export default workflow(async (schedule: Schedule, run) => {
    for (let n = 0; n < RUNS; n++) {
        const due = next(schedule.at, now());
        const isEarly = (await select({ due: sleepUntil(due), now: waitForEvent("now") })).name === "now";
        const day = new Date(due).toISOString().slice(0, 10);
        const child = await startChild(job, schedule, { id: isEarly ? `${run.id}-${n}` : `${run.workflow}-${day}` });
        try {
            await child.result();
        } catch (error) {
            if (error instanceof CancelledError) {
                throw error;
            }
            log.error(`the run of ${day} failed: ${String(error)}`); // and tomorrow is another day
        }
    }
    const successor = await startChild(run.workflow, schedule, { id: `after-${run.id}` });
    return { successor: successor.id };
});
