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

interface ExecutionContext {
    /** Keeps the request's isolate until the promise settles, after the answer has left. */
    waitUntil(promise: Promise<unknown>): void;
    passThroughOnException(): void;
    /** What the binding says that it was called by. */
    readonly props: any;
    /** The module's own entrypoints, called as others call them; with `{ props }` one that sees these. */
    readonly exports: Record<string, any>;
}

/** What a service binding is: another function of the namespace. */
declare abstract class Fetcher {
    fetch(input: RequestInfo | URL, init?: RequestInit): Promise<Response>;
}

/** A service binding with the methods of a class: `Service<typeof import("../auth/src/index").Admin>`. */
type Service<C extends abstract new (...args: any[]) => object> = Fetcher & {
    readonly [K in Exclude<keyof InstanceType<C>, "fetch">]: InstanceType<C>[K] extends (...values: infer V) => infer R
        ? (...values: V) => Promise<Awaited<R>> : Promise<Awaited<InstanceType<C>[K]>>;
};

type FetchHandler<E = Env> =
    (request: Request, env: E, ctx: ExecutionContext) => Response | Promise<Response>;

/** The default export of a module in the style of Workers. */
interface ExportedHandler<E = Env> {
    fetch: FetchHandler<E>;
}

/** A default export that is a function may also return a value, which is sent as JSON. */
type FunctionHandler<E = Env> = (request: Request, env: E, ctx: ExecutionContext) => unknown;

/** A default export that is a workflow in the style of Cloudflare, without a class. */
interface ExportedWorkflow<T = any> {
    run(
        event: Readonly<import("cloudflare:workers").WorkflowEvent<T>>,
        step: import("cloudflare:workers").WorkflowStep,
    ): unknown;
}

interface WorkflowInstanceCreateOptions<P = unknown> {
    /** By which get() finds it: letters, digits, '-', '_', '.', ':', at most 100; made if it is not given. */
    id?: string;
    params?: P;
}

interface InstanceStatus {
    status: "queued" | "running" | "paused" | "waiting" | "complete" | "errored" | "terminated";
    error: { name: string; message: string } | null;
    output: any;
    /** What progress() of the workflow was last given. */
    progress?: any;
}

interface WorkflowInstance {
    readonly id: string;
    status(): Promise<InstanceStatus>;
    pause(): Promise<void>;
    resume(): Promise<void>;
    /** What it waits for rejects with CancelledError; its finally blocks run. */
    terminate(): Promise<void>;
    /** From its beginning, on the version that serves. */
    restart(): Promise<void>;
    sendEvent(event: { type: string; payload?: unknown }): Promise<void>;
}

/** A binding of a workflow (docs/bindings.md). */
declare abstract class Workflow<P = unknown> {
    create(options?: WorkflowInstanceCreateOptions<P>): Promise<WorkflowInstance>;
    /** Those that there are already are left out of what it gives. */
    createBatch(batch: WorkflowInstanceCreateOptions<P>[]): Promise<WorkflowInstance[]>;
    get(id: string): Promise<WorkflowInstance>;
}
