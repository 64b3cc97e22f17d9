// SPDX-License-Identifier: Apache-2.0
//
// An expense that somebody must approve within three days; a reminder goes out after one. Waiting costs no
// memory and survives restarts.
//
//     limpet workflow upload approval examples/approval/index.ts
//     limpet workflow run approval --input '{"what": "a chair", "amount": 240, "from": "ada"}'
//     limpet execution signal EXECUTION decision --data '{"approved": true, "by": "grace"}'
//     limpet execution wait EXECUTION
import { log, progress, step, TimeoutError, waitForEvent, workflow } from "limpet";

interface Expense {
    what: string;
    amount: number;
    from: string;
}

interface Decision {
    approved: boolean;
    by: string;
    note?: string;
}

const LIMIT = 50; // below it nobody is asked

/** Stands for mail or chat. */
async function tell(whom: string, text: string): Promise<void> {
    log.info(`to ${whom}: ${text}`);
}

/** The decision, or undefined if none came in time. */
async function decision(timeout: string): Promise<Decision | undefined> {
    try {
        return (await waitForEvent<Decision>("decision", { timeout })).data;
    } catch (error) {
        if (error instanceof TimeoutError) {
            return undefined;
        }
        throw error;
    }
}

export default workflow(async (expense: Expense, run) => {
    if (expense.amount < LIMIT) {
        return { status: "approved", by: "rule" };
    }
    await step("ask", () => tell("the manager", `${expense.from} wants ${expense.what} for ${expense.amount}: ${run.id}`));
    progress({ waiting: "decision" });
    let made = await decision("1 day");
    if (!made) {
        await step("remind", () => tell("the manager", `${expense.from} still waits for ${expense.what}`));
        made = await decision("2 days");
    }
    const status = !made ? "expired" : made.approved ? "approved" : "refused";
    progress({ status });
    await step("answer", () => tell(expense.from, `${expense.what}: ${status}`));
    return { status, by: made?.by ?? null, note: made?.note ?? null };
});
