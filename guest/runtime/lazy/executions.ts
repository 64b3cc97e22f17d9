// SPDX-License-Identifier: Apache-2.0
//
// Executions as code outside of them sees them: bindings of workflows (`env.WF`, Cloudflare's words), and start(),
// signal() and execution() of `limpet`. All ask the same three ops; in a workflow each answer is recorded.

import { native } from "../native.ts";
import { ChildCancelledError, errorUnpack } from "../workflow/errors.ts";
import { json, nameOf } from "../workflow/workflow.ts";

/** enum execution_verb of src/host/execution_request.h */
const SIGNAL = 0, PAUSE = 1, RESUME = 2, CANCEL = 3, RESTART = 4, RETRY = 5;

const WAIT_MS = 30_000; // of one question: the host answers then at the latest
const END_WAIT_MS = 10_000; // for what was cancelled to end
const BATCH_MAX = 100, ID_MAX = 100;

interface Status {
    id: string;
    workflow: string;
    key: string;
    status: "queued" | "running" | "suspended" | "completed" | "failed" | "cancelled";
    isPaused: boolean;
    output?: unknown;
    error?: { code?: string; name?: string; message?: string };
    progress?: unknown;
}

const statusOf = (binding: string, key: string, wait = 0): Promise<Status> =>
    native.executionStatus(binding, key, wait) as Promise<Status>;

const tell = (binding: string, key: string, verb: number, name = "", data = ""): Promise<void> =>
    native.executionTell(binding, key, verb, name, data);

const hasEnded = ({ status }: Status): boolean => status === "completed" || status === "failed" || status === "cancelled";

function text(value: unknown, what: string): string {
    if (typeof value !== "string" || value === "") {
        throw new TypeError(`${what} must be text that is not empty`);
    }
    return value;
}

// --- bindings ---------------------------------------------------------------------------------------

function instanceError(code: string, message: string): Error {
    return new Error(`(instance.${code}) ${message}`);
}

const words = {
    queued: "queued", running: "running", suspended: "waiting", completed: "complete", failed: "errored", cancelled: "terminated",
};

class WorkflowInstance {
    readonly id: string;
    #binding: string;

    constructor(binding: string, id: string) {
        this.id = id;
        this.#binding = binding;
    }
    async status(): Promise<object> {
        const now = await statusOf(this.#binding, this.id);
        const status = now.isPaused && !hasEnded(now) ? "paused" : words[now.status];
        const error = now.error && { name: now.error.name ?? "Error", message: now.error.message ?? "" };
        return {
            status, error: error ?? null,
            output: now.output ?? null,
            ...now.progress !== undefined && { progress: now.progress },
        };
    }
    pause(): Promise<void> {
        return tell(this.#binding, this.id, PAUSE);
    }
    resume(): Promise<void> {
        return tell(this.#binding, this.id, RESUME);
    }
    async terminate(): Promise<void> {
        await tell(this.#binding, this.id, CANCEL);
        await statusOf(this.#binding, this.id, END_WAIT_MS); // its finally blocks run
    }
    async restart(): Promise<void> {
        if (!hasEnded(await statusOf(this.#binding, this.id))) {
            await this.terminate();
        }
        await tell(this.#binding, this.id, RESTART);
    }
    sendEvent(event: { type: string; payload?: unknown }): Promise<void> {
        const type = text(event?.type, "sendEvent(): the type of the event");
        return tell(this.#binding, this.id, SIGNAL, type, json(event.payload, "sendEvent(): payload"));
    }
    get [Symbol.toStringTag](): string {
        return "WorkflowInstance";
    }
}

interface Creation {
    id?: string;
    params?: unknown;
}

function idOf({ id }: Creation): string {
    if (id === undefined) {
        return crypto.randomUUID();
    }
    if (typeof id !== "string" || !/^[\w-][\w.:-]*$/.test(id) || id.length > ID_MAX) {
        throw instanceError("invalid_id", `an id has letters, digits, '-', '_', '.' and ':', at most ${ID_MAX}`);
    }
    return id;
}

class Workflow {
    #name: string;

    constructor(name: string) {
        this.#name = name;
    }
    async #start(options: Creation): Promise<[WorkflowInstance, boolean]> {
        const id = idOf(options);
        const { isNew } = await native.workflowStart(this.#name, "", id, json(options.params ?? {}, "create(): params"));
        return [new WorkflowInstance(this.#name, id), isNew];
    }
    async create(options: Creation = {}): Promise<WorkflowInstance> {
        const [instance, isNew] = await this.#start(options);
        if (!isNew) {
            throw instanceError("already_exists", `there is an instance '${instance.id}' already`);
        }
        return instance;
    }
    /** Those that are new; ids that there are already are left out. */
    async createBatch(batch: Creation[]): Promise<WorkflowInstance[]> {
        if (!Array.isArray(batch) || batch.length === 0 || batch.length > BATCH_MAX) {
            throw new TypeError(`createBatch(): give it an array of 1 to ${BATCH_MAX} instances`);
        }
        const all = await Promise.all(batch.map((options) => this.#start(options)));
        return all.filter(([, isNew]) => isNew).map(([instance]) => instance);
    }
    async get(id: string): Promise<WorkflowInstance> {
        try {
            await statusOf(this.#name, text(id, "get(): the id"));
        } catch (error) {
            throw (error as { code?: unknown }).code === "not_found"
                ? instanceError("not_found", `there is no instance '${id}'`) : error;
        }
        return new WorkflowInstance(this.#name, id);
    }
    get [Symbol.toStringTag](): string {
        return "Workflow";
    }
}

// --- limpet -----------------------------------------------------------------------------------------

class Execution {
    readonly id: string;

    constructor(id: string) {
        this.id = id;
    }
    status(): Promise<Status> {
        return statusOf("", this.id);
    }
    async result(): Promise<unknown> {
        for (;;) {
            const now = await statusOf("", this.id, WAIT_MS);
            if (now.status === "completed") {
                return now.output;
            }
            if (hasEnded(now)) {
                throw failure(now);
            }
        }
    }
    signal(name: string, data?: unknown): Promise<void> {
        return signal(this.id, name, data);
    }
    cancel(): Promise<void> {
        return tell("", this.id, CANCEL);
    }
    pause(): Promise<void> {
        return tell("", this.id, PAUSE);
    }
    resume(): Promise<void> {
        return tell("", this.id, RESUME);
    }
    retry(): Promise<void> {
        return tell("", this.id, RETRY);
    }
    restart(): Promise<void> {
        return tell("", this.id, RESTART);
    }
    get [Symbol.toStringTag](): string {
        return "Execution";
    }
}

function failure({ status, error }: Status): unknown {
    if (status === "cancelled") {
        return new ChildCancelledError("the execution was cancelled");
    }
    const { name = "Error", message = "" } = error ?? {};
    return errorUnpack({ error: { kind: name, name, message, stack: `${name}: ${message}` } });
}

async function start(workflow: unknown, input?: unknown, options?: { id?: string }): Promise<Execution> {
    const { id } = options ?? {};
    const key = id === undefined ? "" : text(id, "start(): the id");
    const name = nameOf(workflow, "start()");
    const { id: execution } = await native.workflowStart("", name, key, json(input, "start()"));
    return new Execution(execution);
}

async function signal(id: string, name: string, data?: unknown): Promise<void> {
    await tell("", text(id, "signal(): the id"), SIGNAL, text(name, "signal(): the name"), json(data, "signal()"));
}

const execution = (id: string): Execution => new Execution(text(id, "execution(): the id"));

const binding = (name: string): Workflow => new Workflow(name);

export default { binding, start, signal, execution };
