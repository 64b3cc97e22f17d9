// SPDX-License-Identifier: Apache-2.0
//
// What a module may export, as types to check it with: `export default { … } satisfies ExportedHandler`.

/**
 * The environment as handlers get it: the value of each variable that is set, by name. Strings, or what a
 * project's file has in JSON; `limpet types` declares those of a project.
 */
interface Env {
    readonly [name: string]: any;
}

interface ExecutionContext<Props = any> {
    /** Keeps the request's isolate until the promise settles, after the answer has left. */
    waitUntil(promise: Promise<unknown>): void;
    passThroughOnException(): void;
    /** What the binding says that it was called by. */
    readonly props: Props;
    /** The module's own entrypoints, called as others call them; with `{ props }` one that sees these. */
    readonly exports: Record<string, any>;
}

type FetchHandler<E = Env> =
    (request: Request, env: E, ctx: ExecutionContext) => Response | Promise<Response>;

/** The default export of a module in the style of Workers. */
interface ExportedHandler<E = Env> {
    fetch?: FetchHandler<E>;
    /** At the times of a schedule: docs/schedules.md. */
    scheduled?: ScheduledHandler<E>;
    /** Messages of a queue: docs/queues.md. */
    queue?: QueueHandler<E>;
}

type QueueHandler<E = Env, T = any> =
    (batch: MessageBatch<T>, env: E, ctx: ExecutionContext) => void | Promise<void>;

interface ScheduledController {
    /** The expression, "" if the schedule has none. */
    readonly cron: string;
    /** When it was due, in milliseconds; the same for each try. */
    readonly scheduledTime: number;
    readonly type: string;
    /** If this throws it is not called again. */
    noRetry(): void;
}

type ScheduledHandler<E = Env> =
    (controller: ScheduledController, env: E, ctx: ExecutionContext) => void | Promise<void>;

/** A default export that is a function may also return a value, which is sent as JSON. */
type FunctionHandler<E = Env> = (request: Request, env: E, ctx: ExecutionContext) => unknown;

/** A default export that is a workflow in the style of Cloudflare, without a class. */
interface ExportedWorkflow<T = any> {
    run(
        event: Readonly<import("cloudflare:workers").WorkflowEvent<T>>,
        step: import("cloudflare:workers").WorkflowStep,
    ): unknown;
}
