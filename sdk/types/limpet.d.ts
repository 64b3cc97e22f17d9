// SPDX-License-Identifier: Apache-2.0
//
// The module `limpet`, without the globals: what an import of it means in a project that has others'
// declarations of these (@cloudflare/workers-types; sdk/README.md).

/// <reference path="derp.d.ts" />

import type * as derpEnv from "derp:runtime/env";
import type * as derpLogger from "derp:runtime/logger";
import type { exec, transaction } from "derp:runtime/sql";

export type { Cursor, Row, SqlParameter, SqlValue } from "derp:runtime/sql";

/** The module's own SQLite database; synchronous, durable before the answer leaves. */
export declare const sql: {
    readonly exec: typeof exec;
    readonly transaction: typeof transaction;
};

/** Environment variables of the function. */
export declare const env: {
    readonly get: typeof derpEnv.get;
    readonly getOrDefault: typeof derpEnv.getOrDefault;
    /** All of them. */
    toObject(): Record<string, string>;
};

/** Lines of the function's log, by level. */
export declare const log: {
    readonly debug: typeof derpLogger.debug;
    readonly info: typeof derpLogger.info;
    readonly warn: typeof derpLogger.warn;
    readonly error: typeof derpLogger.error;
};

// --- workflows: code that cannot be lost ------------------------------------------------------------
//
// A workflow is ordinary code that goes on where it was after the process was killed. What it learns from
// outside (fetch, Date, Math.random, crypto, timers, sql, env) is recorded, and a replay gives it the same
// again; so between two runs the code must not differ in what it calls, and in which order.

/** Milliseconds, or text such as "500 ms", "1.5h", "3 days", "2 minutes 30 seconds". A month is 30 days, a
 *  year 365. */
export type Duration = number | string;

/** Something that startChild() can start; made by workflow(). Export it. */
export interface Workflow<Input = any, Output = any> {
    /** Never there; carries the types. */
    readonly __types?: (input: Input) => Output;
}

/**
 * Makes a workflow. Export it as `default`, as `main`, or under any name: `limpet workflow run NAME` starts
 * `default`, else `main`, else the only one; `NAME.EXPORT` starts any.
 *
 * `input` is the JSON that it was started with; what the function returns is its output, as JSON.
 */
export declare function workflow<Input = any, Output = unknown>(
    body: (input: Input, run: Run) => Output | PromiseLike<Output>,
): Workflow<Input, Awaited<Output>>;

/** The execution, and all that a workflow calls. */
export interface Run {
    /** Of the execution; a UUID. */
    readonly id: string;
    /** Name of the workflow. */
    readonly workflow: string;
    /** What was given beside the input when it was started. */
    readonly metadata: Record<string, any>;
    readonly startedAt: Date;
    /** Aborts when the execution is cancelled; its reason is a CancelledError. */
    readonly signal: AbortSignal;
    readonly step: typeof step;
    readonly sleep: typeof sleep;
    readonly sleepUntil: typeof sleepUntil;
    readonly waitForEvent: typeof waitForEvent;
    readonly select: typeof select;
    readonly startChild: typeof startChild;
    readonly now: typeof now;
    readonly progress: typeof progress;
}

export interface StepOptions {
    /** How often a failed step is tried again; 5 if not given, Infinity for ever. */
    retries?: number;
    /**
     * How long to wait before each retry. A duration is the first delay, which then doubles; an object says
     * more. "constant" and "linear" begin with 200 ms as "exponential" does, which is the default.
     */
    backoff?: Duration | "exponential" | "linear" | "constant" | {
        /** Before the first retry; 200 ms if not given. */
        delay?: Duration;
        /** By which it grows each time; 2 if not given, 1: it stays, 0: it grows by `delay` itself. */
        factor?: number;
        /** It grows no further; 1 minute if not given, or `delay` if that is longer. */
        max?: Duration;
    };
    /** Of one attempt, which then counts as failed; none if not given. */
    timeout?: Duration;
}

export interface StepContext {
    /** 1, 2, … */
    readonly attempt: number;
}

/**
 * Runs the body and records its result, once: a replay takes the result from the journal and does not run
 * the body. Nothing inside is recorded singly, so a body that was cut off runs again from its beginning.
 *
 * The result may be anything that structuredClone() carries, and is always a copy. An error of the last
 * attempt is thrown here as an error of the same kind, with its name, message, cause and own properties
 * (an error class of yours becomes the platform's class that it extends: look at `error.name`).
 *
 * Do not change variables of the workflow inside the body: a replay would not. Steps do not nest.
 */
export declare function step<T>(
    name: string, body: (context: StepContext) => T | PromiseLike<T>,
): Promise<Awaited<T>>;
export declare function step<T>(
    name: string, options: StepOptions | undefined, body: (context: StepContext) => T | PromiseLike<T>,
): Promise<Awaited<T>>;

export interface WaitOptions {
    /** When it aborts, the wait is withdrawn and rejects with the signal's reason. */
    signal?: AbortSignal;
}

/** Waits, for milliseconds or for years; a workflow that sleeps needs no memory. In the body of a step it is
 *  an ordinary timer. */
export declare function sleep(duration: Duration, options?: WaitOptions): Promise<void>;

/** Waits until a time: a Date, milliseconds since 1970, or ISO text. */
export declare function sleepUntil(time: Date | number | string, options?: WaitOptions): Promise<void>;

/** A signal that was sent to the execution. */
export interface WorkflowEvent<T = any> {
    readonly name: string;
    readonly data: T;
    /** When it was sent. */
    readonly at: Date;
}

/** Waits for the next signal of this name; signals that came before are kept in their order. A wait takes
 *  its signal along whether or not anybody looks at it, so one that loses a Promise.race() is to be withdrawn:
 *  select() does that. */
export declare function waitForEvent<T = any>(
    name: string, options?: WaitOptions & {
        /** Rejects with a TimeoutError after this time; for ever if not given. */
        timeout?: Duration;
    },
): Promise<WorkflowEvent<T>>;

/** What select() waits for: what waitForEvent(), sleep(), sleepUntil() or a child's result() returned, or a
 *  function that starts anything, and hands the signal on to what is to be withdrawn. */
export type SelectEntry = PromiseLike<unknown> | ((signal: AbortSignal) => unknown);

/** Which entry came first, and what it gave. */
export type Selected<Entries> = {
    [Name in keyof Entries & string]: {
        readonly name: Name;
        readonly value: Awaited<
            Entries[Name] extends (signal: AbortSignal) => infer Result ? Result : Entries[Name]
        >;
    };
}[keyof Entries & string];

/**
 * Waits for what comes first and withdraws the others: a signal that comes later stays for the next wait.
 * Rejects if what came first is an error.
 *
 *     const got = await select({ wake: waitForEvent("wake"), beat: sleep("1 hour") });
 *     if (got.name === "wake") use(got.value.data);
 */
export declare function select<Entries extends Record<string, SelectEntry>>(
    entries: Entries,
): Promise<Selected<Entries>>;

/** An execution of another workflow. */
export interface Child<Output = any> {
    readonly id: string;
    /** Its output. Rejects with its error if it failed, with a ChildCancelledError if it was cancelled. */
    result(options?: WaitOptions): Promise<Output>;
    /** Sends it a signal; nothing happens if it has ended. */
    signal(name: string, data?: unknown): Promise<void>;
    /** Asks it to end. */
    cancel(): Promise<void>;
}

export interface ChildOptions {
    /** The same id is the same execution: it is started once, whoever starts it. */
    id?: string;
}

/** Starts an execution of a workflow: one that this module exports, or any of its namespace by its name
 *  ("name" or "name.export"). */
export declare function startChild<Input, Output>(
    workflow: Workflow<Input, Output>, input: Input, options?: ChildOptions,
): Promise<Child<Output>>;
export declare function startChild<Output = any>(
    workflow: string | (abstract new (...args: any[]) => object), input?: unknown, options?: ChildOptions,
): Promise<Child<Output>>;

export interface ExecutionStatus {
    readonly id: string;
    /** "name" or "name.export" */
    readonly workflow: string;
    /** The id that it was started with, or "". */
    readonly key: string;
    readonly status: "queued" | "running" | "suspended" | "completed" | "failed" | "cancelled";
    readonly isPaused: boolean;
    readonly output?: any;
    readonly error?: { name: string; message: string };
    readonly progress?: any;
}

/** An execution of a workflow, as any code of its namespace sees it. */
export interface Execution<Output = any> {
    readonly id: string;
    status(): Promise<ExecutionStatus>;
    /** Waits for its end; rejects with its error, or ChildCancelledError. */
    result(): Promise<Output>;
    signal(name: string, data?: unknown): Promise<void>;
    cancel(): Promise<void>;
    pause(): Promise<void>;
    resume(): Promise<void>;
    /** One that failed or was cancelled, from where it failed. */
    retry(): Promise<void>;
    /** One that has finished, from its beginning. */
    restart(): Promise<void>;
}

/** Starts an execution, from a function or a workflow, which is no child of the code that starts it. The same id is the
 *  same execution. */
export declare function start<Input, Output>(
    workflow: Workflow<Input, Output>, input: Input, options?: { id?: string },
): Promise<Execution<Output>>;
export declare function start<Output = any>(
    workflow: string | (abstract new (...args: any[]) => object), input?: unknown, options?: { id?: string },
): Promise<Execution<Output>>;

/** Sends a signal to the execution of that id. */
export declare function signal(id: string, name: string, data?: unknown): Promise<void>;

/** The execution of that id; nothing is asked before a method is called. */
export declare function execution<Output = any>(id: string): Execution<Output>;

/** Milliseconds since 1970. Time stands still while a workflow's code runs. */
export declare function now(): number;

/** Replaces what others can read as the execution's progress. */
export declare function progress(value: unknown): void;

/** The execution was cancelled: everything that it waits for rejects with this, once. What it starts
 *  afterwards, to clean up, works. */
export declare class CancelledError extends Error {
    constructor(message?: string, options?: { cause?: unknown });
}

/** A child was cancelled, while this execution was not. */
export declare class ChildCancelledError extends Error {
    constructor(message?: string, options?: { cause?: unknown });
}

/** No event came in time, or the last attempt of a step took too long. */
export declare class TimeoutError extends Error {
    constructor(message?: string, options?: { cause?: unknown });
}

/** A step that throws this is not tried again. */
export declare class NonRetryableError extends Error {
    constructor(message?: string, options?: { cause?: unknown } | string);
}
