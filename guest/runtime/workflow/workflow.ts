// SPDX-License-Identifier: Apache-2.0
//
// What a workflow is and what it calls; the module `limpet` exports most of it. The engine calls in at
// three places: workflowsOf() when a module was loaded, workflowStart() for the one execution that an
// isolate runs, workflowCancel() when that execution is cancelled.
//
// Everything here runs in the deterministic part of a workflow and must give the same on each replay: no
// state that a step's body could change is read outside of steps.

import { type AbortSignal, signalAbort, signalNew } from "../abort.ts";
import { native } from "../native.ts";
import { Entrypoint, entrypointStart } from "./cloudflare.ts";
import { duration, timeOf } from "./duration.ts";
import { CancelledError } from "./errors.ts";
import { select, signalIn, wasWithdrawn, type Withdrawable } from "./select.ts";

type Body = (input: unknown, run: object) => unknown;

export class Workflow {
    #body: Body;
    static call(workflow: Workflow, input: unknown, run: object): unknown {
        return workflow.#body(input, run);
    }
    constructor(body: Body) {
        this.#body = body;
    }
    get [Symbol.toStringTag](): string {
        return "Workflow";
    }
}

export function workflow(body: Body): Workflow {
    if (typeof body !== "function") {
        throw new TypeError("workflow(): give it a function: workflow(async (input, run) => { … })");
    }
    return new Workflow(body);
}

// --- the workflows of the module --------------------------------------------------------------------

let exported: Map<string, unknown> | undefined;

function isEntrypoint(value: unknown): boolean {
    return typeof value === "function" && (value as { prototype?: unknown }).prototype instanceof Entrypoint;
}

function isWorkflow(name: string, value: unknown): boolean {
    if (value instanceof Workflow || isEntrypoint(value)) {
        return true;
    }
    return name === "default" && typeof value === "object" && value !== null
        && typeof (value as { run?: unknown }).run === "function";
}

/** For the engine: keeps the exports that are workflows; their names with commas between. */
export function workflowsOf(namespace: object): string {
    exported = new Map(Object.entries(namespace).filter(([name, value]) => isWorkflow(name, value)));
    return [...exported.keys()].join(",");
}

function find(name: string): unknown {
    const all = exported ?? new Map<string, unknown>();
    const names = [...all.keys()];
    const picked = name || (all.has("default") ? "default" : all.has("main") ? "main"
        : names.length === 1 ? names[0]! : "");
    const value = picked ? all.get(picked) : undefined;
    if (value === undefined) {
        const list = names.join(", ");
        throw new TypeError(
            name ? `the module has no workflow named '${name}'; it exports ${list || "none"}`
                : list ? `the module exports several workflows: start one of ${list} by NAME.EXPORT`
                : "the module exports no workflow: export default workflow(async (input, run) => { … })",
        );
    }
    return value;
}

// --- the execution ----------------------------------------------------------------------------------

export interface Info {
    name: string;
    execution: string;
    metadata: Record<string, unknown>;
    started: number;
    key: string;
}

let info: Info | undefined;
let cancelled: CancelledError | undefined;
let signal: AbortSignal | undefined;

function signalOf(): AbortSignal {
    if (!signal) {
        signal = signalNew();
        if (cancelled) {
            signalAbort(signal, cancelled);
        }
    }
    return signal;
}

function makeRun({ name, execution, metadata, started }: Info): object {
    return {
        id: execution, workflow: name, metadata, startedAt: new Date(started),
        get signal() {
            return signalOf();
        },
        step, sleep, sleepUntil, waitForEvent, select, startChild, now, progress,
    };
}

/** For the engine: runs the export; what it returns, or promises, is the output. */
export function workflowStart(
    name: string, input: unknown, of: Info, env: unknown, context: unknown,
): unknown {
    const value = find(name);
    info = of;
    if (value instanceof Workflow) {
        return Workflow.call(value, input, makeRun(of));
    }
    return entrypointStart(value, input, of, env, context);
}

/** For the engine: the execution is cancelled; what it waits for rejects after this. */
export function workflowCancel(): void {
    cancelled ??= new CancelledError();
    if (signal) {
        signalAbort(signal, cancelled);
    }
}

// --- what a workflow calls --------------------------------------------------------------------------

export const step = native.step;
export const sleep = native.sleep;

export function sleepUntil(when: unknown, options?: Withdrawable): Promise<void> {
    const signal = signalIn(options, "sleepUntil()");
    return native.sleep(Math.max(0, timeOf(when, "sleepUntil()") - Date.now()), { signal });
}

export function waitForEvent(
    name: unknown, options?: Withdrawable & { timeout?: number | string },
): Promise<unknown> {
    if (typeof name !== "string" || name === "") {
        throw new TypeError("waitForEvent(): the name of the event must be text that is not empty");
    }
    const { timeout } = options ?? {};
    return native.eventWait(
        name, timeout === undefined || timeout === Infinity ? -1 : duration(timeout, "waitForEvent(): timeout"),
        signalIn(options, "waitForEvent()"),
    );
}

export function now(): number {
    return Date.now();
}

export function json(value: unknown, what: string): string {
    const text = JSON.stringify(value);
    if (text === undefined && value !== undefined) {
        throw new TypeError(`${what}: a ${typeof value} has no JSON form`);
    }
    return text ?? "null";
}

export function progress(value: unknown): void {
    native.progress(json(value, "progress()"));
}

// --- children ---------------------------------------------------------------------------------------

class Child {
    readonly id: string;
    #result: Promise<unknown> | undefined;

    constructor(id: string) {
        this.id = id;
    }
    result(options?: Withdrawable): Promise<unknown> {
        const signal = signalIn(options, "result()");
        if (signal) {
            return native.childResult(this.id, signal);
        }
        if (this.#result && wasWithdrawn(this.#result)) {
            this.#result = undefined;
        }
        return this.#result ??= native.childResult(this.id);
    }
    async signal(name: string, data?: unknown): Promise<void> {
        if (typeof name !== "string" || name === "") {
            throw new TypeError("signal(): the name must be text that is not empty");
        }
        native.signal(this.id, name, json(data, "signal()"));
    }
    async cancel(): Promise<void> {
        native.childCancel(this.id);
    }
}

/** The name of a workflow of this module, or the name that was given. */
export function nameOf(target: unknown, what: string): string {
    if (typeof target === "string" && target !== "") {
        return target;
    }
    for (const [name, value] of exported ?? []) {
        if (value === target) {
            return `${info?.name ?? native.info().functionName}.${name}`;
        }
    }
    throw new TypeError(target instanceof Workflow || isEntrypoint(target)
        ? `${what}: that workflow is not exported by this module; export it, so that it can be found by name`
        : `${what}: give the workflow itself, or its name as text`);
}

export async function startChild(
    target: unknown, input?: unknown, options?: { id?: string },
): Promise<Child> {
    const { id } = options ?? {};
    if (id !== undefined && (typeof id !== "string" || id === "")) {
        throw new TypeError("startChild(): the id must be text that is not empty");
    }
    // Outside of a workflow the engine says so, whatever the target.
    const name = info ? nameOf(target, "startChild()") : "";
    return new Child(native.childStart(name, json(input, "startChild()"), id ?? ""));
}
