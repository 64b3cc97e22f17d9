// SPDX-License-Identifier: Apache-2.0
//
// derp:runtime/context: who runs, and the two kinds of answer. Both answers are Responses, so a handler
// means the same over HTTP and over `execute`.

import { native } from "../native.ts";

export function getInfo(): { functionName: string; executionId: string } {
    return native.info();
}

export function success(value?: unknown): Response {
    return Response.json(value === undefined ? null : value);
}

/** `value` is a message, an Error, or any JSON value that is then the whole error object. */
export function error(value: unknown, status = 500): Response {
    if (!Number.isInteger(status) || status < 400 || status > 599) {
        throw new RangeError(`error(): the status must be from 400 to 599, not ${String(status)}`);
    }
    const detail = value instanceof Error ? { code: "guest_error", message: value.message }
        : typeof value === "object" && value !== null ? value
        : { code: "guest_error", message: value === undefined ? "the function failed" : String(value) };
    return Response.json({ error: detail }, { status });
}
