// SPDX-License-Identifier: Apache-2.0
//
// Events that carry something: ErrorEvent, PromiseRejectionEvent (HTML §8.1), MessageEvent (HTML §9.1),
// CloseEvent (WebSockets §6).

import { Event } from "./event.ts";
import { dictionary, expose, need, toText, usv } from "./interface.ts";

type EventInit = ConstructorParameters<typeof Event>[1];

type ErrorInit = EventInit & {
    message?: string; filename?: string; lineno?: number; colno?: number; error?: unknown;
};

export class ErrorEvent extends Event {
    #message: string;
    #filename: string;
    #lineno: number;
    #colno: number;
    #error: unknown;
    constructor(type: string, init: ErrorInit | null = null) {
        need(1, arguments.length, "ErrorEvent constructor");
        super(type, init);
        const { message = "", filename = "", lineno = 0, colno = 0, error } = dictionary(init, "ErrorEvent");
        this.#message = toText(message);
        this.#filename = usv(filename);
        this.#lineno = Number(lineno) >>> 0;
        this.#colno = Number(colno) >>> 0;
        this.#error = error;
    }
    get message(): string {
        return this.#message;
    }
    get filename(): string {
        return this.#filename;
    }
    get lineno(): number {
        return this.#lineno;
    }
    get colno(): number {
        return this.#colno;
    }
    get error(): unknown {
        return this.#error;
    }
}
expose(ErrorEvent, "ErrorEvent");

export class PromiseRejectionEvent extends Event {
    #promise: Promise<unknown>;
    #reason: unknown;
    constructor(type: string, init: EventInit & { promise: Promise<unknown>; reason?: unknown }) {
        need(2, arguments.length, "PromiseRejectionEvent constructor");
        super(type, init);
        const { promise, reason } = dictionary(init, "PromiseRejectionEvent");
        if (typeof promise !== "object" || promise === null) {
            throw new TypeError("PromiseRejectionEvent constructor: the member promise is required, and an object");
        }
        this.#promise = promise;
        this.#reason = reason;
    }
    get promise(): Promise<unknown> {
        return this.#promise;
    }
    get reason(): unknown {
        return this.#reason;
    }
}
expose(PromiseRejectionEvent, "PromiseRejectionEvent");

type MessageInit = EventInit & {
    data?: unknown; origin?: string; lastEventId?: string; source?: object | null; ports?: Iterable<object>;
};

export class MessageEvent extends Event {
    #data: unknown;
    #origin: string;
    #lastEventId: string;
    #source: object | null;
    #ports: readonly object[];
    constructor(type: string, init: MessageInit | null = null) {
        need(1, arguments.length, "MessageEvent constructor");
        super(type, init);
        const { data = null, origin = "", lastEventId = "", source = null, ports = [] } = dictionary(init, "MessageEvent");
        this.#data = data;
        this.#origin = usv(origin);
        this.#lastEventId = toText(lastEventId);
        if (source !== null && typeof source !== "object") {
            throw new TypeError("MessageEvent constructor: the source is not a MessagePort");
        }
        this.#source = source;
        this.#ports = Object.freeze([...ports]);
    }
    get data(): unknown {
        return this.#data;
    }
    get origin(): string {
        return this.#origin;
    }
    get lastEventId(): string {
        return this.#lastEventId;
    }
    get source(): object | null {
        return this.#source;
    }
    get ports(): readonly object[] {
        return this.#ports;
    }
}
expose(MessageEvent, "MessageEvent");

export class CloseEvent extends Event {
    #wasClean: boolean;
    #code: number;
    #reason: string;
    constructor(type: string, init: (EventInit & { wasClean?: boolean; code?: number; reason?: string }) | null = null) {
        need(1, arguments.length, "CloseEvent constructor");
        super(type, init);
        const { wasClean, code = 0, reason = "" } = dictionary(init, "CloseEvent");
        this.#wasClean = Boolean(wasClean);
        this.#code = Number(code) & 0xffff;
        this.#reason = usv(reason);
    }
    get wasClean(): boolean {
        return this.#wasClean;
    }
    get code(): number {
        return this.#code;
    }
    get reason(): string {
        return this.#reason;
    }
}
expose(CloseEvent, "CloseEvent");
