// SPDX-License-Identifier: Apache-2.0
//
// The errors of workflows, and how the error of a step travels: packed into plain values when the last
// attempt has failed, and made again from them for the code that called the step. That code always gets
// the one made again, on the first run too, so that a replay cannot differ from it. Errors keep the
// nearest class that the platform knows; of a class of the module's own they keep its name.

function named(cls: { prototype: Error }, name: string): void {
    Object.defineProperty(cls.prototype, "name", { value: name, writable: true, configurable: true });
}

/** The execution was cancelled; what it waits for rejects with this. */
export class CancelledError extends Error {
    constructor(message = "the execution was cancelled", options?: ErrorOptions) {
        super(message, options);
    }
}
named(CancelledError, "CancelledError");

export class TimeoutError extends Error {
    constructor(message = "the time is over", options?: ErrorOptions) {
        super(message, options);
    }
}
named(TimeoutError, "TimeoutError");

/** A step that throws this is not tried again. */
export class NonRetryableError extends Error {
    constructor(message?: string, options?: ErrorOptions | string) {
        super(message, typeof options === "object" ? options : undefined);
        if (typeof options === "string") { // as in cloudflare:workflows, a name
            Object.defineProperty(this, "name", { value: options, writable: true, configurable: true });
        }
    }
}
named(NonRetryableError, "NonRetryableError");

/** A child was cancelled, while its parent was not. */
export class ChildCancelledError extends Error {
    constructor(message = "the child execution was cancelled", options?: ErrorOptions) {
        super(message, options);
    }
}
named(ChildCancelledError, "ChildCancelledError");

const classes: Record<string, new (message?: string) => Error> = {
    EvalError, RangeError, ReferenceError, SyntaxError, TypeError, URIError,
    CancelledError, ChildCancelledError, NonRetryableError, TimeoutError,
};

interface PackedError {
    kind: string;
    name: string;
    message: string;
    stack: string;
    properties?: Record<string, unknown>;
    cause?: Packed;
    errors?: Packed[];
}
/** An error, or whatever else was thrown. */
type Packed = { error: PackedError } | { value: unknown };

const DEPTH_MAX = 16;
const own = new Set(["name", "message", "stack", "cause", "errors"]);

function kindOf(error: Error): string {
    if (error instanceof DOMException) {
        return "DOMException";
    }
    if (error instanceof AggregateError) {
        return "AggregateError";
    }
    return Object.keys(classes).find((name) => error instanceof classes[name]!) ?? "Error";
}

/** Reads what may be a getter that throws. */
function text(error: object, key: "name" | "message" | "stack"): string {
    try {
        const value = (error as Record<string, unknown>)[key];
        return value === undefined ? "" : String(value);
    } catch {
        return "";
    }
}

function propertiesOf(error: object): Record<string, unknown> | undefined {
    let properties: Record<string, unknown> | undefined;
    for (const key of Object.keys(error)) {
        const value = own.has(key) ? undefined : (error as Record<string, unknown>)[key];
        if (value !== undefined && typeof value !== "function" && typeof value !== "symbol") {
            (properties ??= {})[key] = value;
        }
    }
    return properties;
}

function pack(error: unknown, isShort: boolean, depth: number): Packed {
    if (!(error instanceof Error || error instanceof DOMException)) {
        const isPlain = !isShort || typeof error !== "object";
        return { value: isPlain && typeof error !== "function" && typeof error !== "symbol" ? error : String(error) };
    }
    const packed: PackedError = {
        kind: kindOf(error), name: text(error, "name"), message: text(error, "message"), stack: text(error, "stack"),
    };
    if (!isShort && depth < DEPTH_MAX) {
        packed.properties = propertiesOf(error);
        if (Object.hasOwn(error, "cause")) {
            packed.cause = pack(error.cause, false, depth + 1);
        }
        if (error instanceof AggregateError) {
            packed.errors = error.errors.map((one) => pack(one, false, depth + 1));
        }
    }
    return { error: packed };
}

/** For the engine: the packed error, a line for people, and whether another attempt is pointless. isShort:
 *  something in the error cannot be cloned, so only its texts are kept. */
export function errorPack(error: unknown, isShort: boolean): [unknown, string, boolean] {
    const isError = error instanceof Error || error instanceof DOMException;
    const name = isError ? text(error, "name") : "";
    const message = isError ? text(error, "message") : String(error);
    return [
        pack(error, isShort, 0),
        name && message ? `${name}: ${message}` : name || message,
        isError && (error instanceof NonRetryableError || name === "NonRetryableError"),
    ];
}

function hidden(object: object, key: string, value: unknown): void {
    Object.defineProperty(object, key, { value, writable: true, configurable: true, enumerable: false });
}

/** Makes an error of the class and name; a name that the class does not have is set on it. */
function make(kind: string, name: string, message: string): Error {
    if (kind === "DOMException") {
        return new DOMException(message, name);
    }
    const cls = Object.hasOwn(classes, kind) ? classes[kind]! : Error;
    const error = kind === "AggregateError" ? new AggregateError([], message) : new cls(message);
    if (error.name !== name && name) {
        hidden(error, "name", name);
    }
    return error;
}

function unpack(packed: Packed): unknown {
    if (!("error" in packed)) {
        return packed.value;
    }
    const { kind, name, message, stack, properties, cause, errors } = packed.error;
    const error = make(kind, name, message);
    if (stack) {
        hidden(error, "stack", stack);
    }
    if (cause) {
        hidden(error, "cause", unpack(cause));
    }
    if (errors) {
        hidden(error, "errors", errors.map(unpack));
    }
    return Object.assign(error, properties);
}

/** For the engine: the error that errorPack() packed; undefined if not even that was possible. */
export function errorUnpack(packed: unknown): unknown {
    return packed === undefined ? new Error("the step failed, and what it threw cannot be told")
        : unpack(packed as Packed);
}

/** For the engine: enum workflow_error. */
export function workflowError(kind: number, detail: string): Error {
    switch (kind) {
    case 0:
        return new CancelledError(detail || undefined);
    case 1:
        return new TimeoutError(detail || undefined);
    default: {
        const { name = "", message = "", stack } = JSON.parse(detail) as Partial<PackedError>;
        if (kind === 3) {
            return new ChildCancelledError(message || undefined);
        }
        const error = make(Object.hasOwn(classes, name) ? name : "Error", name, message);
        if (stack) {
            hidden(error, "stack", stack);
        }
        return error;
    }
    }
}
