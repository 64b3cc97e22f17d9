// SPDX-License-Identifier: Apache-2.0
//
// Workflows by their bindings (docs/bindings.md).

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
