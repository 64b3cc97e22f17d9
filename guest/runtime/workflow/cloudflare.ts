// SPDX-License-Identifier: Apache-2.0
//
// Workflows in the style of Cloudflare: a class that extends WorkflowEntrypoint, or an object with run(),
// gets (event, step). Steps are the same ones as those of `limpet`.

import { type AbortSignal } from "../abort.ts";
import { native } from "../native.ts";
import { duration, timeOf } from "./duration.ts";
import { signalIn } from "./select.ts";
import { cloudflareOptions } from "./step.ts";
import type { Info } from "./workflow.ts";

/** WorkflowEntrypoint. */
export class Entrypoint {
    ctx: unknown;
    env: unknown;
    constructor(ctx: unknown, env: unknown) {
        this.ctx = ctx;
        this.env = env;
    }
}
Object.defineProperty(Entrypoint, "name", { value: "WorkflowEntrypoint", configurable: true });

type Body = (context: { attempt: number }) => unknown;

interface LimpetEvent {
    name: string;
    data: unknown;
    at: Date;
}

function named(name: unknown, what: string): void {
    if (typeof name !== "string") {
        throw new TypeError(`${what}: the first argument is the name, as text`);
    }
}

class WorkflowStep {
    do(name: string, config: unknown, body?: Body): Promise<unknown> {
        return typeof config === "function" ? native.step(name, cloudflareOptions({}), config as Body)
            : native.step(name, cloudflareOptions(config), body!);
    }
    sleep(name: string, length: number | string): Promise<void> {
        named(name, "step.sleep()");
        return native.sleep(duration(length, "step.sleep()"));
    }
    sleepUntil(name: string, when: Date | number): Promise<void> {
        named(name, "step.sleepUntil()");
        return native.sleep(Math.max(0, timeOf(when, "step.sleepUntil()") - Date.now()));
    }
    async waitForEvent(
        name: string, options: { type: string; timeout?: number | string; signal?: AbortSignal },
    ): Promise<{ payload: unknown; type: string; timestamp: Date }> {
        named(name, "step.waitForEvent()");
        const { type, timeout = "24 hours" } = options ?? {};
        if (typeof type !== "string" || type === "") {
            throw new TypeError("step.waitForEvent(): the options need the type of the event, as text");
        }
        const event = await native.eventWait(
            type, duration(timeout, "step.waitForEvent(): timeout"), signalIn(options, "step.waitForEvent()"),
        ) as LimpetEvent;
        return { payload: event.data, type, timestamp: event.at };
    }
}

interface Runnable {
    run(event: object, step: WorkflowStep): unknown;
}

/** Runs an object with run(), or an instance of a class that has one. */
export function entrypointStart(
    value: unknown, input: unknown, of: Info, env: unknown, context: unknown,
): unknown {
    const target = typeof value === "function"
        ? new (value as new (ctx: unknown, env: unknown) => Runnable)(context, env) : value as Runnable;
    if (typeof target.run !== "function") {
        throw new TypeError("a class that extends WorkflowEntrypoint needs a method run(event, step)");
    }
    // Code that started it knows it by its key.
    const instance = of.metadata.startedBy !== undefined && of.key !== "" ? of.key : of.execution;
    const event = {
        payload: input, timestamp: new Date(of.started), instanceId: instance, workflowName: of.name,
    };
    return target.run(event, new WorkflowStep());
}
