// SPDX-License-Identifier: Apache-2.0
//
// Queues: what sends to one, and what its consumer gets. docs/queues.md

type QueueContentType = "json" | "text" | "bytes" | "v8";

interface QueueSendOptions {
    /** How the body is kept; default "json". */
    contentType?: QueueContentType;
    /** Delivered so much later: 0 to 604800. */
    delaySeconds?: number;
}

interface MessageSendRequest<T = unknown> extends QueueSendOptions {
    body: T;
}

interface Queue<T = unknown> {
    /** Resolves when the message is on the disk. At most 128 KiB. */
    send(body: T, options?: QueueSendOptions): Promise<void>;
    /** At most 100 messages, and 256 KiB together: all or none. */
    sendBatch(messages: Iterable<MessageSendRequest<T>>, options?: { delaySeconds?: number }): Promise<void>;
}

interface QueueRetryOptions {
    delaySeconds?: number;
}

interface Message<T = unknown> {
    readonly id: string;
    readonly timestamp: Date;
    readonly body: T;
    /** 1 the first time. */
    readonly attempts: number;
    /** It does not come again, also if the handler throws. */
    ack(): void;
    /** It comes again, also if the handler does not throw. The first of both calls counts. */
    retry(options?: QueueRetryOptions): void;
}

interface MessageBatch<T = unknown> {
    readonly queue: string;
    readonly messages: readonly Message<T>[];
    /** For those of which nothing else was said. */
    ackAll(): void;
    retryAll(options?: QueueRetryOptions): void;
}
