// SPDX-License-Identifier: Apache-2.0
//
// The options of a step as numbers for the host. step() itself is C (engine/workflow.c), which asks here
// only when there are options.

import { duration } from "./duration.ts";

interface Backoff {
    delay?: number | string;
    factor?: number;
    max?: number | string;
}

export interface StepOptions {
    retries?: number;
    backoff?: number | string | Backoff;
    timeout?: number | string;
}

const RETRIES = 5, DELAY_MS = 200, FACTOR = 2, DELAY_MAX_MS = 60_000;
const ATTEMPTS_MAX = 2 ** 31;

/** Grows by the delay itself each time; for the host, which knows it by this number. */
const LINEAR = 0;
const factors: Record<string, number> = { exponential: FACTOR, linear: LINEAR, constant: 1 };

/** Attempts in all for so many retries; 0: without end. */
function attempts(retries: unknown, what: string): number {
    if (retries === undefined) {
        return RETRIES + 1;
    }
    if (retries === Infinity) {
        return 0;
    }
    if (typeof retries !== "number" || !Number.isInteger(retries) || retries < 0 || retries >= ATTEMPTS_MAX) {
        throw new TypeError(`${what} must be a whole number from 0, or Infinity, not ${String(retries)}`);
    }
    return retries + 1;
}

function factorOf(value: unknown): number {
    if (value === undefined) {
        return FACTOR;
    }
    if (value !== LINEAR && !(typeof value === "number" && value >= 1 && value <= 1000)) {
        throw new TypeError(`step(): backoff.factor must be a number from 1 to 1000, not ${String(value)}`);
    }
    return value as number;
}

/** [delay, factor, longest delay] */
function backoffOf(backoff: StepOptions["backoff"]): [number, number, number] {
    if (typeof backoff === "string" && Object.hasOwn(factors, backoff)) {
        return [DELAY_MS, factors[backoff]!, DELAY_MAX_MS];
    }
    if (typeof backoff === "object" && backoff !== null) {
        const delay = backoff.delay === undefined ? DELAY_MS : duration(backoff.delay, "step(): backoff.delay");
        const longest = backoff.max === undefined
            ? Math.max(delay, DELAY_MAX_MS) : duration(backoff.max, "step(): backoff.max");
        return [delay, factorOf(backoff.factor), longest];
    }
    const delay = backoff === undefined ? DELAY_MS : duration(backoff, "step(): backoff");
    return [delay, FACTOR, Math.max(delay, DELAY_MAX_MS)];
}

type HostOptions = [attempts: number, delay: number, factor: number, longest: number, timeout: number];

/** For the engine. */
export function stepOptions(options: unknown): HostOptions {
    if (typeof options !== "object" || options === null) {
        throw new TypeError("step(): the options must be an object such as { retries: 3, timeout: \"30 seconds\" }");
    }
    const { retries, backoff, timeout } = options as StepOptions;
    return [
        attempts(retries, "step(): retries"),
        ...backoffOf(backoff),
        timeout === undefined ? 0 : duration(timeout, "step(): timeout"),
    ];
}

export interface CloudflareConfig {
    retries?: { limit?: number; delay?: number | string; backoff?: "constant" | "linear" | "exponential" };
    timeout?: number | string;
}

/** The same for step.do(); what it does not say is as Cloudflare documents it. */
export function cloudflareOptions(config: unknown): StepOptions {
    if (typeof config !== "object" || config === null) {
        throw new TypeError("step.do(): the config must be an object such as { retries: { limit: 3, delay: \"1 second\" } }");
    }
    const { retries, timeout = "10 minutes" } = config as CloudflareConfig;
    const { limit, delay = "10 seconds", backoff = "exponential" } = retries ?? {};
    if (!Object.hasOwn(factors, backoff)) {
        throw new TypeError(`step.do(): backoff must be "constant", "linear" or "exponential", not ${String(backoff)}`);
    }
    return { retries: limit, backoff: { delay, max: "1 hour", factor: factors[backoff]! }, timeout };
}
