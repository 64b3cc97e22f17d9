// SPDX-License-Identifier: Apache-2.0
//
// An order in three steps at other people's services. When one fails for good, or the order is cancelled,
// what was done before is undone in reverse order. Kill the server at any moment: it goes on where it was.
//
//     limpet workflow upload order-saga examples/order-saga/index.ts
//     limpet workflow run order-saga --input '{"id": "o-1", "amount": 4200, "sku": "lamp", "shop": "http://localhost:3000"}' --wait
//     limpet execution cancel EXECUTION
import { CancelledError, log, NonRetryableError, progress, step, workflow } from "limpet";

interface Order {
    id: string;
    /** In cents. */
    amount: number;
    sku: string;
    /** Base URL of the shop's services. */
    shop: string;
}

/** POSTs JSON. Each try of a step sends the same Idempotency-Key, so that the service does it once. */
async function call(url: string, body: unknown): Promise<Record<string, any>> {
    const answer = await fetch(url, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify(body),
    });
    if (answer.status >= 400 && answer.status < 500) {
        throw new NonRetryableError(`${url} refused: ${answer.status} ${await answer.text()}`);
    }
    if (!answer.ok) {
        throw new Error(`${url} answered ${answer.status}`);
    }
    return answer.json();
}

export default workflow(async (order: Order) => {
    const undo: [name: string, action: () => Promise<unknown>][] = [];
    try {
        progress("reserving");
        const { reservation } = await step("reserve", () => call(`${order.shop}/stock/reserve`, { sku: order.sku }));
        undo.push(["release", () => call(`${order.shop}/stock/release`, { reservation })]);

        progress("charging");
        const { charge } = await step(
            "charge", { retries: 3, timeout: "20 seconds" },
            () => call(`${order.shop}/payments/charge`, { order: order.id, amount: order.amount }),
        );
        undo.push(["refund", () => call(`${order.shop}/payments/refund`, { charge })]);

        progress("shipping");
        const { tracking } = await step("ship", () => call(`${order.shop}/shipments`, { order: order.id, reservation }));
        progress("done");
        return { tracking, charge };
    } catch (error) {
        log.warn(`order ${order.id}: ${String(error)}; undoing ${undo.length} steps`);
        progress("undoing");
        for (const [name, action] of undo.reverse()) {
            await step(name, { retries: Infinity, backoff: { delay: "1 second", max: "10 minutes" } }, action);
        }
        progress(error instanceof CancelledError ? "cancelled" : "failed");
        throw error;
    }
});
