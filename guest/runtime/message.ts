// SPDX-License-Identifier: Apache-2.0
//
// MessageChannel, MessagePort and BroadcastChannel (HTML §9.4, §9.5), inside of one isolate. A message is
// cloned when it is posted and delivered by a timer of the host, so that what was posted by a request
// belongs to it. A port that is transferred leaves its entangled peer and its queue to the new one.

import { structuredClone, structuredCloneAs, transferables } from "./clone.ts";
import { dispatchTrusted, EventTarget, handlerAttribute } from "./event.ts";
import { MessageEvent } from "./event-kinds.ts";
import { expose, need, toText } from "./interface.ts";
import { native } from "./native.ts";

const ours = Symbol();

interface Message {
    data: unknown;
    ports: MessagePort[];
}

/** What a transfer moves: the queue and the entanglement. */
class Channel {
    port: MessagePort | undefined; // whose it is now
    peer: Channel | undefined;
    queue: Message[] = [];
    isStarted = false;
    isClosed = false;
}

let channelOf: (port: MessagePort) => Channel | undefined;
let portMove: (port: MessagePort) => MessagePort;
let portMade: () => [MessagePort, Channel];

function deliver(channel: Channel): void {
    const port = channel.port;
    if (!port || !channel.isStarted || channel.isClosed) {
        return; // what has come stays in the queue
    }
    const message = channel.queue.shift();
    if (message) {
        dispatchTrusted(port, new MessageEvent("message", message));
    }
}

function transferOf(options: unknown): Iterable<unknown> {
    if (options === undefined || options === null) {
        return [];
    }
    if (typeof options !== "object") {
        throw new TypeError("MessagePort.postMessage: the second argument is neither a list of what to transfer nor an object { transfer }");
    }
    return Symbol.iterator in options
        ? options as Iterable<unknown> : (options as { transfer?: Iterable<unknown> }).transfer ?? [];
}

export class MessagePort extends EventTarget {
    #channel: Channel | undefined; // undefined: it was transferred

    static {
        channelOf = (port) => port.#channel;
        portMade = () => {
            const port = new MessagePort(ours);
            const channel = port.#channel = new Channel();
            channel.port = port;
            return [port, channel];
        };
        portMove = (port) => {
            const channel = port.#channel!;
            const moved = new MessagePort(ours);
            port.#channel = undefined;
            moved.#channel = channel;
            channel.port = moved;
            channel.isStarted = false;
            return moved;
        };
    }

    constructor(caller?: typeof ours) {
        if (caller !== ours) {
            throw new TypeError("Illegal constructor: use a MessageChannel");
        }
        super();
    }

    postMessage(message: unknown, options: unknown = undefined): void {
        need(1, arguments.length, "MessagePort.postMessage");
        const transfer = [...transferOf(options)];
        if (transfer.includes(this)) {
            throw new DOMException("MessagePort.postMessage: a port cannot be sent through itself", "DataCloneError");
        }
        const moved: unknown[] = [];
        const data = structuredCloneAs(message, transfer, moved);
        const peer = this.#channel?.peer;
        const ports = moved.filter((item) => item instanceof MessagePort);
        if (!peer || peer.isClosed || ports.some((port) => channelOf(port) === peer)) {
            return; // nobody is there any more, or never will be
        }
        peer.queue.push({ data, ports });
        if (peer.isStarted) {
            native.timer(0, () => deliver(peer));
        }
    }

    start(): void {
        const channel = this.#channel;
        if (!channel || channel.isStarted) {
            return;
        }
        channel.isStarted = true;
        for (let i = 0; i < channel.queue.length; i++) {
            native.timer(0, () => deliver(channel));
        }
    }

    close(): void {
        const channel = this.#channel;
        if (channel && !channel.isClosed) {
            channel.isClosed = true;
            channel.queue = [];
            if (channel.peer) {
                channel.peer.peer = undefined;
                channel.peer = undefined;
            }
        }
    }
}
handlerAttribute(MessagePort, "message", (port) => (port as MessagePort).start());
handlerAttribute(MessagePort, "messageerror");
expose(MessagePort, "MessagePort");

transferables.push({
    isOne: (value) => value instanceof MessagePort,
    isGone: (value) => {
        const channel = channelOf(value as MessagePort);
        return !channel || channel.isClosed;
    },
    move: (value) => portMove(value as MessagePort),
});

export class MessageChannel {
    #ports: [MessagePort, MessagePort];
    constructor() {
        const [one, first] = portMade();
        const [two, second] = portMade();
        first.peer = second;
        second.peer = first;
        this.#ports = [one, two];
    }
    get port1(): MessagePort {
        return this.#ports[0];
    }
    get port2(): MessagePort {
        return this.#ports[1];
    }
}
expose(MessageChannel, "MessageChannel");

// By scope and name: what the body of a step opens must not be seen outside of it, since a replay does not run
// the body.
let broadcasts: Map<string, Set<BroadcastChannel>> | undefined;

export class BroadcastChannel extends EventTarget {
    #name: string;
    #key: string;
    #isClosed = false;

    constructor(name: string) {
        need(1, arguments.length, "BroadcastChannel constructor");
        super();
        this.#name = toText(name);
        const all = broadcasts ??= new Map();
        this.#key = `${native.scope()} ${this.#name}`;
        const members = all.get(this.#key) ?? new Set();
        all.set(this.#key, members.add(this));
    }
    get name(): string {
        return this.#name;
    }
    postMessage(message: unknown): void {
        need(1, arguments.length, "BroadcastChannel.postMessage");
        if (this.#isClosed) {
            throw new DOMException("BroadcastChannel.postMessage: the channel is closed", "InvalidStateError");
        }
        const once = structuredClone(message);
        for (const other of broadcasts?.get(this.#key) ?? []) {
            if (other !== this) {
                const data = structuredClone(once);
                native.timer(0, () => {
                    if (!other.#isClosed) {
                        dispatchTrusted(other, new MessageEvent("message", { data }));
                    }
                });
            }
        }
    }
    close(): void {
        this.#isClosed = true;
        const members = broadcasts?.get(this.#key);
        members?.delete(this);
        if (members?.size === 0) {
            broadcasts!.delete(this.#key);
        }
    }
}
handlerAttribute(BroadcastChannel, "message");
handlerAttribute(BroadcastChannel, "messageerror");
expose(BroadcastChannel, "BroadcastChannel");
