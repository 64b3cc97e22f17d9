// SPDX-License-Identifier: Apache-2.0
//
// Events: handlers of the default export other than fetch(), called by the server itself (src/flow/event.h). Input and
// answer are bytes that each event has of its own; what the handler throws is logged, and told in the answer.

import { native } from "./native.ts";

type Handlers = Record<string, ((event: unknown, env: unknown, context: unknown) => unknown) | undefined>;

/** Finds a handler, calls it with that, and says what it has thrown. */
export type Call = (event: unknown) => Promise<{ failed: boolean }>;

// --- scheduled --------------------------------------------------------------------------------------

class ScheduledController {
    readonly cron: string;
    readonly scheduledTime: number;
    readonly type = "scheduled";
    #retry = true;

    constructor(cron: string, scheduledTime: number) {
        this.cron = cron;
        this.scheduledTime = scheduledTime;
    }
    noRetry(): void {
        this.#retry = false;
    }
    static mayRetry(controller: ScheduledController): boolean {
        return controller.#retry;
    }
}
Object.defineProperty(ScheduledController.prototype, Symbol.toStringTag, { value: "ScheduledController", configurable: true });

async function scheduled(input: Uint8Array<ArrayBuffer>, call: Call): Promise<object> {
    const { cron, scheduledTime } = JSON.parse(native.utf8Decode(input)) as { cron: string; scheduledTime: number };
    const controller = new ScheduledController(cron, scheduledTime);
    const { failed } = await call(controller);
    return { failed, noRetry: !ScheduledController.mayRetry(controller) };
}

// --- queue ------------------------------------------------------------------------------------------

const JSON_BODY = 0, TEXT_BODY = 1, BYTES_BODY = 2;

/** In memory little-endian: u32 count, lstr queue; each: lstr id, f64 time, u32 attempts, u32 type, lstr body. */
class Reader {
    #at = 0;
    #bytes: Uint8Array<ArrayBuffer>;
    #view: DataView;
    constructor(bytes: Uint8Array<ArrayBuffer>) {
        this.#bytes = bytes;
        this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    }
    u32(): number {
        this.#at += 4;
        return this.#view.getUint32(this.#at - 4, true);
    }
    f64(): number {
        this.#at += 8;
        return this.#view.getFloat64(this.#at - 8, true);
    }
    bytes(): Uint8Array<ArrayBuffer> {
        const len = this.u32();
        this.#at += len;
        return this.#bytes.subarray(this.#at - len, this.#at);
    }
    text(): string {
        return native.utf8Decode(this.bytes());
    }
}

function bodyOf(type: number, bytes: Uint8Array<ArrayBuffer>): unknown {
    return type === JSON_BODY ? JSON.parse(native.utf8Decode(bytes))
        : type === TEXT_BODY ? native.utf8Decode(bytes)
            : type === BYTES_BODY ? bytes.slice().buffer
                : native.deserialize(bytes.slice());
}

/** What becomes of a message: nothing said, acknowledged, or tried again after so many seconds (-1: the queue's delay). */
type Fate = undefined | true | number;

function delayOf(options: { delaySeconds?: unknown } | undefined): number {
    const delay = options?.delaySeconds;
    if (delay === undefined || delay === null) {
        return -1;
    }
    const seconds = Number(delay);
    if (!(seconds >= 0 && seconds <= 604_800)) {
        throw new TypeError("delaySeconds must be a number from 0 to 604800");
    }
    return Math.ceil(seconds);
}

class Message {
    readonly id: string;
    readonly timestamp: Date;
    readonly attempts: number;
    #type: number;
    #bytes: Uint8Array<ArrayBuffer>;
    #body: unknown;
    #hasBody = false;
    #fate: Fate;

    constructor(reader: Reader) {
        this.id = reader.text();
        this.timestamp = new Date(reader.f64());
        this.attempts = reader.u32();
        this.#type = reader.u32();
        this.#bytes = reader.bytes();
    }
    get body(): unknown {
        if (!this.#hasBody) {
            this.#body = bodyOf(this.#type, this.#bytes);
            this.#hasBody = true;
        }
        return this.#body;
    }
    ack(): void {
        this.#fate ??= true;
    }
    retry(options?: { delaySeconds?: number }): void {
        const delay = delayOf(options);
        this.#fate ??= delay;
    }
    static fateOf(message: Message): Fate {
        return message.#fate;
    }
}

class MessageBatch {
    readonly queue: string;
    readonly messages: readonly Message[];
    #all: Fate;

    constructor(queue: string, messages: Message[]) {
        this.queue = queue;
        this.messages = messages;
    }
    ackAll(): void {
        this.#all ??= true;
    }
    retryAll(options?: { delaySeconds?: number }): void {
        const delay = delayOf(options);
        this.#all ??= delay;
    }
    static retries(batch: MessageBatch, messages: Message[], failed: boolean): [number, number][] {
        const retries: [number, number][] = [];
        for (let k = 0; k < messages.length; k++) {
            const fate = Message.fateOf(messages[k]!) ?? batch.#all ?? (failed ? -1 : true);
            if (fate !== true) {
                retries.push([k, fate]);
            }
        }
        return retries;
    }
}

async function queue(input: Uint8Array<ArrayBuffer>, call: Call): Promise<object> {
    const reader = new Reader(input);
    const count = reader.u32(), name = reader.text();
    const messages: Message[] = [];
    for (let k = 0; k < count; k++) {
        messages.push(new Message(reader));
    }
    const batch = new MessageBatch(name, messages.slice());
    const { failed } = await call(batch);
    return { failed, retries: MessageBatch.retries(batch, messages, failed) };
}

// --- both -------------------------------------------------------------------------------------------

const events: Record<string, (input: Uint8Array<ArrayBuffer>, call: Call) => Promise<object>> = { scheduled, queue };

export function hasEvents(handlers: unknown): boolean {
    return typeof handlers === "object" && handlers !== null &&
        Object.keys(events).some((name) => typeof (handlers as Handlers)[name] === "function");
}

/** `handlers`: the default export, or an instance of it if that is a class. */
export async function eventCall(
    name: string, input: Uint8Array<ArrayBuffer>, handlers: unknown, isInstance: boolean, env: unknown, context: unknown,
): Promise<Uint8Array> {
    const handler = (handlers as Handlers)[name];
    if (typeof handler !== "function") {
        throw new TypeError(`the module's default export has no ${name}() handler`);
    }
    const call: Call = async (event) => {
        try {
            await (isInstance ? Reflect.apply(handler, handlers, [event]) : Reflect.apply(handler, handlers, [event, env, context]));
            return { failed: false };
        } catch (error) {
            native.reportError(`Uncaught in ${name}(): `, error);
            return { failed: true };
        }
    };
    return native.utf8Encode(JSON.stringify(await events[name]!(input, call)));
}
