// SPDX-License-Identifier: Apache-2.0
//
// EventSource (HTML §9.2) over fetch(): one GET after the other, each with the id of the last event, until
// it is closed or the answer is no event stream. It lives as long as what its request has under way.
// Beyond the standard, as Workers have it: { fetcher }, and EventSource.from(stream).

import { ReadableStream } from "web-streams-polyfill";
import { AbortController } from "../abort.ts";
import { dispatchTrusted, Event, EventTarget, handlerAttribute } from "../event.ts";
import { MessageEvent } from "../event-kinds.ts";
import { constants, expose, need, usv } from "../interface.ts";
import { mimeOfHeader } from "../mime.ts";
import { native } from "../native.ts";
import { URL } from "../url.ts";

const CONNECTING = 0, OPEN = 1, CLOSED = 2;
const RETRY_MS = 3000;
/** A stream that asks for a longer pause has it, but not for ever. */
const RETRY_MS_MAX = 24 * 60 * 60 * 1000;

type Fetcher = { fetch(request: Request): Response | Promise<Response> };
interface Options {
    withCredentials?: boolean;
    fetcher?: Fetcher;
}

/** Lines of an event stream to events; keeps what is unfinished. */
class Parser {
    retry: number | undefined; // what the stream has last asked for
    lastId: string;
    #text = "";
    #data = "";
    #type = "";
    #id: string;
    #emit: (type: string, data: string, lastId: string) => void;

    constructor(lastId: string, emit: (type: string, data: string, lastId: string) => void) {
        this.lastId = this.#id = lastId;
        this.#emit = emit;
    }

    /** Ends early once isOver says so. */
    take(text: string, isOver: () => boolean): void {
        const all = this.#text + text;
        let start = 0;
        const ends = /\r\n|\n|\r(?!$)/g; // a CR at the end may be half of CR LF
        for (let end = ends.exec(all); end && !isOver(); end = ends.exec(all)) {
            this.#line(all.slice(start, end.index));
            start = end.index + end[0].length;
        }
        this.#text = all.slice(start);
    }

    #line(line: string): void {
        if (line === "") {
            this.#dispatch();
            return;
        }
        const colon = line.indexOf(":");
        const field = colon < 0 ? line : line.slice(0, colon);
        const value = colon < 0 ? "" : line.slice(line[colon + 1] === " " ? colon + 2 : colon + 1);
        if (field === "data") {
            this.#data += `${value}\n`;
        } else if (field === "event") {
            this.#type = value;
        } else if (field === "id" && !value.includes("\0")) {
            this.#id = value;
        } else if (field === "retry" && /^[0-9]+$/.test(value)) {
            this.retry = Math.min(Number(value), RETRY_MS_MAX);
        }
    }

    #dispatch(): void {
        this.lastId = this.#id;
        const [data, type] = [this.#data, this.#type];
        this.#data = this.#type = "";
        if (data !== "") {
            this.#emit(type || "message", data.slice(0, -1), this.lastId);
        }
    }
}

export class EventSource extends EventTarget {
    #url = "";
    #withCredentials = false;
    #fetcher: Fetcher | undefined;
    #state = CONNECTING;
    #lastId = "";
    #retry = RETRY_MS;
    #abort: AbortController | undefined;

    /** Reads one that is there already; it does not reconnect. */
    static from(stream: ReadableStream): EventSource {
        need(1, arguments.length, "EventSource.from");
        if (!(stream instanceof ReadableStream)) {
            throw new TypeError("EventSource.from: the argument is not a ReadableStream");
        }
        return new EventSource(stream as never);
    }

    constructor(url: string | URL, options: Options = {}) {
        need(1, arguments.length, "EventSource constructor");
        super();
        if (url instanceof ReadableStream) {
            void this.#listen(url, "null").then(() => this.#fail());
            return;
        }
        const parsed = URL.parse(usv(url));
        if (!parsed) {
            throw new DOMException(`EventSource constructor: '${usv(url).slice(0, 200)}' is not an absolute URL`, "SyntaxError");
        }
        this.#url = parsed.href;
        this.#withCredentials = Boolean(options?.withCredentials);
        this.#fetcher = options?.fetcher;
        void this.#run();
    }

    get url(): string {
        return this.#url;
    }
    get withCredentials(): boolean {
        return this.#withCredentials;
    }
    get readyState(): number {
        return this.#state;
    }
    close(): void {
        this.#state = CLOSED;
        this.#abort?.abort();
    }

    async #run(): Promise<void> {
        while (this.#state !== CLOSED) {
            const response = await this.#ask();
            if (response) {
                await this.#listen(response.body as unknown as ReadableStream<Uint8Array>, response.url ? new URL(response.url).origin : "null");
            }
            if ((this.#state as number) === CLOSED) {
                return;
            }
            this.#state = CONNECTING;
            dispatchTrusted(this, new Event("error"));
            await new Promise<void>((resolve) => {
                native.timer(this.#retry, resolve);
            });
        }
    }

    /** An answer that is an event stream; undefined: there is none, and #state says whether there may be one later. */
    async #ask(): Promise<Response | undefined> {
        this.#abort = new AbortController();
        const headers = new Headers({ accept: "text/event-stream", "cache-control": "no-cache" });
        if (this.#lastId) {
            headers.set("last-event-id", native.latin1Decode(native.utf8Encode(this.#lastId)));
        }
        let response: Response;
        try {
            const request = new Request(this.#url, { headers, cache: "no-store", signal: this.#abort.signal as never });
            response = await (this.#fetcher ? this.#fetcher.fetch(request) : fetch(request));
        } catch {
            return undefined;
        }
        const type = mimeOfHeader(response.headers.get("content-type") ?? "")?.essence;
        if (response.status === 200 && type === "text/event-stream") {
            return response;
        }
        await response.body?.cancel().catch(() => undefined);
        this.#fail();
        return undefined;
    }

    #fail(): void {
        if (this.#state !== CLOSED) {
            this.#state = CLOSED;
            dispatchTrusted(this, new Event("error"));
        }
    }

    /** Until the stream ends, fails, or this is closed. */
    async #listen(stream: ReadableStream<Uint8Array> | null, origin: string): Promise<void> {
        await undefined; // listeners are added after the constructor has returned
        if (this.#state === CLOSED) {
            return;
        }
        this.#state = OPEN;
        dispatchTrusted(this, new Event("open"));
        const parser = new Parser(this.#lastId, (type, data, lastEventId) => {
            dispatchTrusted(this, new MessageEvent(type, { data, origin, lastEventId }));
        });
        const isOver = () => this.#state === CLOSED;
        const decoder = new TextDecoder();
        const reader = stream?.getReader();
        try {
            for (let next = await reader?.read(); next && !next.done && !isOver(); next = await reader!.read()) {
                parser.take(decoder.decode(next.value, { stream: true }), isOver);
                this.#lastId = parser.lastId;
                this.#retry = parser.retry ?? this.#retry;
            }
        } catch {
            // A connection that broke is one that ended.
        }
        if (isOver()) {
            await reader?.cancel().catch(() => undefined);
        }
    }
}
constants(EventSource, { CONNECTING, OPEN, CLOSED });
for (const type of ["open", "message", "error"]) {
    handlerAttribute(EventSource, type);
}
expose(EventSource, "EventSource");
