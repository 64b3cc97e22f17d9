// SPDX-License-Identifier: Apache-2.0
//
// Workflows in the style of Cloudflare: the same engine beneath, so that code written for it runs here.

declare module "cloudflare:workers" {
    /** What handlers are given as `env`, wherever code stands. */
    export const env: Env;
    /** The module's own entrypoints, as `ctx.exports`. */
    export const exports: Record<string, any>;
    /** Keeps the request that is handled until the promise settles, as `ctx.waitUntil()`. */
    export function waitUntil(promise: Promise<unknown>): void;

    export type WorkflowDuration = number | string;

    export interface WorkflowEvent<T = any> {
        /** What the execution was started with. */
        readonly payload: T;
        /** When it was started. */
        readonly timestamp: Date;
        readonly instanceId: string;
        readonly workflowName: string;
    }

    export interface WorkflowStepConfig {
        retries?: {
            /** How often a failed step is tried again; 5 if not given. */
            limit?: number;
            /** Before the first retry; 10 seconds if not given. */
            delay?: WorkflowDuration;
            /** How the delay grows, to at most an hour; "exponential" if not given. */
            backoff?: "constant" | "linear" | "exponential";
        };
        /** Of one attempt; 10 minutes if not given. */
        timeout?: WorkflowDuration;
    }

    export interface WorkflowStepEvent<T = any> {
        readonly payload: T;
        readonly type: string;
        readonly timestamp: Date;
    }

    export interface WorkflowStep {
        /** step() of `limpet`, with other defaults. */
        do<T>(name: string, body: (context: { attempt: number }) => T | PromiseLike<T>): Promise<Awaited<T>>;
        do<T>(
            name: string, config: WorkflowStepConfig,
            body: (context: { attempt: number }) => T | PromiseLike<T>,
        ): Promise<Awaited<T>>;
        sleep(name: string, duration: WorkflowDuration): Promise<void>;
        sleepUntil(name: string, time: Date | number): Promise<void>;
        /** Waits for the signal named `type`; throws after the timeout, 24 hours if not given. */
        waitForEvent<T = any>(
            name: string, options: { type: string; timeout?: WorkflowDuration; signal?: AbortSignal },
        ): Promise<WorkflowStepEvent<T>>;
    }

    /** A class that extends this and is exported is what service bindings lead to; an instance is made for each
     *  request and call. */
    export abstract class WorkerEntrypoint<E = Env, Props = any> {
        constructor(ctx: ExecutionContext<Props>, env: E);
        protected readonly ctx: ExecutionContext<Props>;
        protected readonly env: E;
        fetch?(request: Request): Response | Promise<Response>;
    }

    /** A class that extends this and is exported is a workflow; an instance is made for each execution. */
    export abstract class WorkflowEntrypoint<E = Env, T = any> {
        constructor(ctx: ExecutionContext, env: E);
        protected readonly ctx: ExecutionContext;
        protected readonly env: E;
        abstract run(event: Readonly<WorkflowEvent<T>>, step: WorkflowStep): unknown;
    }
}

declare module "cloudflare:workflows" {
    /** A step that throws this is not tried again. */
    export class NonRetryableError extends Error {
        constructor(message: string, name?: string);
    }
}

declare module "cloudflare:node" {
    /** A server of node:http, or the port on which one listens. */
    type HttpServer = { listen(port: number): unknown } | { port: number };
    /** `{ fetch }` for `export default`: requests are the server's. */
    export function httpServerHandler(server: HttpServer): { fetch(request: Request): Promise<Response> };
    /** The answer of a server to one request. */
    export function handleAsNodeRequest(server: HttpServer | number, request: Request): Promise<Response>;
}

declare module "cloudflare:sockets" {
    export interface SocketOptions {
        secureTransport?: "off" | "on" | "starttls";
        allowHalfOpen?: boolean;
    }
    export interface SocketAddress {
        hostname: string;
        port: number;
    }
    export interface SocketInfo {
        remoteAddress: string;
        localAddress: string;
    }
    export interface Socket {
        readonly readable: ReadableStream<Uint8Array>;
        readonly writable: WritableStream<Uint8Array | ArrayBuffer | string>;
        readonly opened: Promise<SocketInfo>;
        readonly closed: Promise<void>;
        readonly secureTransport: "off" | "on" | "starttls";
        readonly upgraded: boolean;
        close(): Promise<void>;
        startTls(options?: { expectedServerHostname?: string }): Socket;
    }
    export function connect(address: string | SocketAddress, options?: SocketOptions): Socket;
}
