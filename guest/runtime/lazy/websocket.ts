// SPDX-License-Identifier: Apache-2.0
//
// WebSocket and WebSocketPair as Workers have them. A WebSocket is one end of a *link*: of another WebSocket in the same
// code (a pair), or of a socket of the host (native.socket…), whose other side is a client, a server or another
// module. A pair of which one end is given away, as the webSocket of a Response, turns its other end into
// one of the host's. Messages wait until the end is accepted.

import { Blob, blobBytes } from "../blob.ts";
import { dispatchTrusted, Event, EventTarget, handlerAttribute } from "../event.ts";
import { CloseEvent, ErrorEvent, MessageEvent } from "../event-kinds.ts";
import { bytesOf, constants, expose, need, toText, usv } from "../interface.ts";
import { native } from "../native.ts";
import { platformClasses } from "../clone.ts";
import { URL } from "../url.ts";

const CONNECTING = 0, OPEN = 1, CLOSING = 2, CLOSED = 3;
const enum Kind { Text, Binary, Closed, Error }
const NO_STATUS = 1005, ABNORMAL = 1006;
const REASON_BYTES_MAX = 123;

type Message = string | Uint8Array<ArrayBuffer>;
type BinaryType = "arraybuffer" | "blob";
interface Closing { code: number; reason: string; wasClean: boolean }

/** What a WebSocket sends by. */
interface Link {
    send(data: Message): void;
    close(code: number, reason: string): void;
    buffered(): number;
}

/** The host's socket of that number. */
class HostLink implements Link {
    id: number;
    constructor(id: number) {
        this.id = id;
    }
    send(data: Message): void {
        native.socketSend(this.id, typeof data === "string" ? 1 : 0, data);
    }
    close(code: number, reason: string): void {
        native.socketClose(this.id, code, reason);
    }
    buffered(): number {
        return native.socketBuffered(this.id);
    }
}

/** The other end of a pair. What is sent to one that nobody has accepted yet waits there. */
class PairLink implements Link {
    peer: WebSocket;
    constructor(peer: WebSocket) {
        this.peer = peer;
    }
    send(data: Message): void {
        inner.take(this.peer, data);
    }
    close(code: number, reason: string): void {
        inner.takeClose(this.peer, { code, reason, wasClean: true });
    }
    buffered(): number {
        return 0;
    }
}

/** Instead of a URL: an end that is made here, of what is given instead of protocols. */
const BLANK = Symbol();

/** What this file does with WebSockets that code cannot. */
let inner: {
    make(link: Link | undefined, protocol: string, extensions: string): WebSocket;
    linkOf(socket: WebSocket): Link | undefined;
    setLink(socket: WebSocket, link: Link): void;
    /** Gives an end away: nothing can be done with it any more. False: it was used already. */
    giveAway(socket: WebSocket): boolean;
    take(socket: WebSocket, data: Message): void;
    takeClose(socket: WebSocket, closing: Closing): void;
    /** Hands what waits in an end that is given away to the host's socket. */
    drain(from: WebSocket, to: Link): void;
    /** Settles when it has closed. */
    over(socket: WebSocket): Promise<void>;
};

function closeCode(value: unknown): number {
    const code = Number(value);
    if (!Number.isInteger(code) || !(code === 1000 || (code >= 1001 && code <= 1014 && code !== 1004 && code !== 1005 && code !== 1006) || (code >= 3000 && code <= 4999))) {
        throw new DOMException(`WebSocket.close: ${toText(value)} is no code that can be sent; use 1000, or 3000 to 4999`, "InvalidAccessError");
    }
    return code;
}

export class WebSocket extends EventTarget {
    #link: Link | undefined;
    #state = CONNECTING;
    #url: string | null = null;
    #protocol = "";
    #extensions = "";
    #binaryType: BinaryType = "arraybuffer";
    #isAccepted = false;
    #isGiven = false;
    #hasClosed = false; // the other side has, or it was lost: `close` was told, or waits in the queue
    #sentClose = false;
    #queue: (Message | Closing | ErrorEvent)[] = [];
    #isTelling = false;
    #resolveOver: (() => void) | undefined;
    #over: Promise<void> | undefined;
    #attachment: Uint8Array<ArrayBuffer> | undefined;

    static {
        inner = {
            make: (...parts) => new WebSocket(BLANK as unknown as string, parts as unknown as string[]),
            linkOf: (socket) => socket.#link,
            setLink(socket, link) {
                socket.#link = link;
                if (socket.#isAccepted) {
                    socket.#read();
                }
            },
            giveAway(socket) {
                if (socket.#isAccepted || socket.#isGiven) {
                    return false;
                }
                return socket.#isGiven = true;
            },
            take: (socket, data) => socket.#take(data),
            takeClose: (socket, closing) => socket.#takeClose(closing),
            drain(from, to) {
                for (const item of from.#queue.splice(0)) {
                    if (typeof item === "string" || item instanceof Uint8Array) {
                        to.send(item);
                    } else if (!(item instanceof ErrorEvent)) {
                        to.close(item.code, item.reason);
                    }
                }
            },
            over: (socket) => socket.#over ??= new Promise((resolve) => {
                socket.#resolveOver = resolve;
            }),
        };
    }

    constructor(url: string | URL, protocols: string | Iterable<string> = []) {
        if (url as unknown === BLANK) {
            super();
            [this.#link, this.#protocol, this.#extensions] = protocols as unknown as [Link | undefined, string, string];
            this.#state = OPEN;
            return;
        }
        need(1, arguments.length, "WebSocket constructor");
        super();
        const parsed = URL.parse(usv(url));
        if (!parsed) {
            throw new DOMException(`WebSocket constructor: '${usv(url).slice(0, 200)}' is not an absolute URL`, "SyntaxError");
        }
        if (parsed.protocol === "http:" || parsed.protocol === "https:") {
            parsed.protocol = parsed.protocol === "http:" ? "ws:" : "wss:";
        }
        if (parsed.protocol !== "ws:" && parsed.protocol !== "wss:") {
            throw new DOMException(`WebSocket constructor: the scheme must be ws or wss, not '${parsed.protocol.slice(0, -1)}'`, "SyntaxError");
        }
        if (parsed.hash !== "" || parsed.href.endsWith("#")) {
            throw new DOMException("WebSocket constructor: the URL must have no fragment", "SyntaxError");
        }
        const wanted = typeof protocols === "string" ? [protocols] : [...protocols].map(toText);
        if (new Set(wanted.map((p) => p.toLowerCase())).size !== wanted.length || wanted.some((p) => !/^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/.test(p))) {
            throw new DOMException("WebSocket constructor: protocols must be different tokens", "SyntaxError");
        }
        this.#url = parsed.href;
        this.#isAccepted = true;
        void this.#connect(parsed.href, wanted);
    }

    get readyState(): number {
        return this.#state;
    }
    get url(): string | null {
        return this.#url;
    }
    get protocol(): string {
        return this.#protocol;
    }
    get extensions(): string {
        return this.#extensions;
    }
    get bufferedAmount(): number {
        return this.#link?.buffered() ?? 0;
    }
    get binaryType(): BinaryType {
        return this.#binaryType;
    }
    set binaryType(value: BinaryType) {
        if (value as string === "blob" || value as string === "arraybuffer") {
            this.#binaryType = value;
        }
    }

    /** Its messages come here from now on. */
    accept(): void {
        if (this.#isGiven) {
            throw new TypeError("this WebSocket was given to a Response; accept() the other end of the pair");
        }
        if (this.#isAccepted) {
            throw new TypeError("accept() was called already");
        }
        this.#isAccepted = true;
        this.#read();
    }

    send(data: string | ArrayBuffer | ArrayBufferView | Blob): void {
        need(1, arguments.length, "WebSocket.send");
        this.#check("send");
        if (this.#state === CONNECTING) {
            throw new DOMException("WebSocket.send: it is not open yet; wait for its open event", "InvalidStateError");
        }
        if (this.#sentClose || this.#state >= CLOSING) {
            if (this.#sentClose && this.#url === null) {
                throw new TypeError("Can't call WebSocket send() after close().");
            }
            return;
        }
        this.#link!.send(data instanceof Blob ? blobBytes(data) : bytesOf(data) ?? usv(data));
    }

    close(code?: number, reason?: string): void {
        this.#check("close");
        const sent = code === undefined ? NO_STATUS : closeCode(code);
        const text = reason === undefined ? "" : usv(reason);
        if (native.utf8Encode(text).length > REASON_BYTES_MAX) {
            throw new DOMException(`WebSocket.close: the reason is longer than ${REASON_BYTES_MAX} bytes`, "SyntaxError");
        }
        if (text !== "" && code === undefined) {
            throw new TypeError("WebSocket.close: a reason needs a code");
        }
        if (this.#sentClose || this.#state === CLOSED) {
            return;
        }
        if (this.#state === CONNECTING && !this.#link) {
            this.#sentClose = true;
            this.#state = CLOSING;
            return; // #connect() sees it
        }
        this.#say(sent, text);
    }

    serializeAttachment(value: unknown): void {
        const bytes = native.serialize(value);
        if (bytes.length > 2048) {
            throw new RangeError(`WebSocket.serializeAttachment: ${bytes.length} bytes are more than the 2048 that an attachment may have`);
        }
        this.#attachment = bytes;
    }

    deserializeAttachment(): unknown {
        return this.#attachment ? native.deserialize(this.#attachment) : null;
    }

    #check(what: string): void {
        if (!this.#isAccepted) {
            throw new TypeError(this.#isGiven ? `${what}() of a WebSocket that was given to a Response`
                : `You must call accept() on this WebSocket before ${what === "send" ? "sending messages" : "closing it"}.`);
        }
    }

    #say(code: number, reason: string): void {
        this.#sentClose = true;
        this.#state = this.#hasClosed ? CLOSED : CLOSING;
        this.#link!.close(code, reason);
    }

    async #connect(url: string, wanted: string[]): Promise<void> {
        try {
            const headers: Record<string, string> = { upgrade: "websocket" };
            if (wanted.length > 0) {
                headers["sec-websocket-protocol"] = wanted.join(", ");
            }
            const response = await fetch(url.replace(/^ws/, "http"), { headers });
            const other = response.webSocket as unknown as WebSocket | null;
            if (!other) {
                void response.body?.cancel();
                throw new TypeError(`'${url.slice(0, 200)}' answered with status ${response.status}, not with a WebSocket`);
            }
            const protocol = response.headers.get("sec-websocket-protocol") ?? "";
            const link = inner.linkOf(other)!;
            if (protocol !== "" && !wanted.includes(protocol)) {
                link.close(NO_STATUS, "");
                throw new TypeError(`'${url.slice(0, 200)}' has chosen a protocol that was not offered`);
            }
            if (this.#sentClose) {
                link.close(1001, "");
                throw new TypeError("the WebSocket was closed before it was open");
            }
            this.#link = link;
            this.#protocol = protocol;
            this.#extensions = response.headers.get("sec-websocket-extensions") ?? "";
            this.#state = OPEN;
            dispatchTrusted(this, new Event("open"));
            this.#read();
        } catch (error) {
            this.#state = CLOSED;
            this.#hasClosed = true;
            dispatchTrusted(this, new ErrorEvent("error", { message: (error as Error).message, error }));
            dispatchTrusted(this, new CloseEvent("close", { code: ABNORMAL }));
        }
    }

    /** Takes what comes, from the host or from what waits. */
    #read(): void {
        if (this.#link instanceof HostLink) {
            void this.#pump(this.#link.id);
        }
        if (this.#queue.length > 0) {
            void this.#tell();
        }
    }

    async #pump(id: number): Promise<void> {
        try {
            while (!this.#hasClosed) {
                const events = await native.socketNext(id);
                this.#decode(events);
                if (this.#queue.length === 1 && !this.#isTelling && this.#isData(this.#queue[0])) {
                    this.#give(this.#queue.pop()!); // as a rule
                } else {
                    await this.#tell();
                }
            }
        } catch (error) {
            this.#takeClose({ code: ABNORMAL, reason: "", wasClean: false });
        }
    }

    #isData(item: unknown): boolean {
        return typeof item === "string" || item instanceof Uint8Array;
    }

    #decode(events: Uint8Array<ArrayBuffer>): void {
        const view = new DataView(events.buffer, events.byteOffset, events.byteLength);
        for (let at = 0; at < events.length;) {
            const kind = view.getUint32(at, true), length = view.getUint32(at + 4, true), start = at + 8;
            at = start + length;
            if (kind === Kind.Text) {
                this.#queue.push(native.utf8Decode(events.subarray(start, at)));
            } else if (kind === Kind.Binary) {
                this.#queue.push(events.slice(start, at));
            } else if (kind === Kind.Error) {
                const message = native.utf8Decode(events.subarray(start, at));
                this.#queue.push(new ErrorEvent("error", { message, error: new Error(message) }));
            } else {
                this.#hasClosed = true;
                const code = view.getUint16(start, true), reason = native.utf8Decode(events.subarray(start + 3, at));
                this.#queue.push({ code, reason, wasClean: events[start + 2] === 1 });
            }
        }
    }

    #take(data: Message): void {
        this.#queue.push(typeof data === "string" ? data : data.slice());
        if (this.#isAccepted) {
            void this.#tell();
        }
    }

    #takeClose(closing: Closing): void {
        if (this.#hasClosed) {
            return;
        }
        this.#hasClosed = true;
        this.#queue.push(closing);
        if (this.#isAccepted) {
            void this.#tell();
        }
    }

    /** One event after the other, with what each has caused in between. */
    async #tell(): Promise<void> {
        if (this.#isTelling) {
            return;
        }
        this.#isTelling = true;
        await undefined;
        for (let item = this.#queue.shift(); item !== undefined; item = this.#queue.shift()) {
            this.#give(item);
            if (this.#queue.length > 0) {
                await undefined;
            }
        }
        this.#isTelling = false;
    }

    #give(item: Message | Closing | ErrorEvent): void {
        if (item instanceof ErrorEvent) {
            dispatchTrusted(this, item);
        } else if (typeof item === "string") {
            this.#state === OPEN && dispatchTrusted(this, new MessageEvent("message", { data: item }));
        } else if (item instanceof Uint8Array) {
            const data = this.#binaryType === "blob" ? new Blob([item]) : item.buffer;
            this.#state === OPEN && dispatchTrusted(this, new MessageEvent("message", { data }));
        } else {
            this.#end(item);
        }
    }

    /** The other side has closed. Code may answer with a code of its own in its handler; else it is the same. */
    #end(closing: Closing): void {
        this.#state = this.#sentClose || !closing.wasClean ? CLOSED : CLOSING;
        dispatchTrusted(this, new CloseEvent("close", closing));
        if (!this.#sentClose && closing.wasClean) {
            this.#say(closing.code, "");
        }
        this.#state = CLOSED;
        this.#resolveOver?.();
    }
}
for (const type of ["open", "message", "error", "close"]) {
    handlerAttribute(WebSocket, type);
}
constants(WebSocket, {
    CONNECTING, OPEN, CLOSING, CLOSED,
    READY_STATE_CONNECTING: CONNECTING, READY_STATE_OPEN: OPEN, READY_STATE_CLOSING: CLOSING, READY_STATE_CLOSED: CLOSED,
});
expose(WebSocket, "WebSocket");

/** new WebSocketPair(): an object with two ends under 0 and 1. */
export class WebSocketPair {
    0: WebSocket;
    1: WebSocket;
    constructor() {
        this[0] = inner.make(undefined, "", "");
        this[1] = inner.make(undefined, "", "");
        inner.setLink(this[0], new PairLink(this[1]));
        inner.setLink(this[1], new PairLink(this[0]));
    }
}
expose(WebSocketPair, "WebSocketPair");

/** What an actor's sockets answer by themselves (setWebSocketAutoResponse()). */
export class WebSocketRequestResponsePair {
    #request: string;
    #response: string;
    constructor(request: string, response: string) {
        need(2, arguments.length, "WebSocketRequestResponsePair constructor");
        this.#request = usv(request);
        this.#response = usv(response);
    }
    get request(): string {
        return this.#request;
    }
    get response(): string {
        return this.#response;
    }
}
expose(WebSocketRequestResponsePair, "WebSocketRequestResponsePair");
platformClasses.push(WebSocket, WebSocketPair, WebSocketRequestResponsePair);

function socketFetched(socket: number, response: Response): WebSocket {
    return inner.make(
        new HostLink(socket), response.headers.get("sec-websocket-protocol") ?? "",
        response.headers.get("sec-websocket-extensions") ?? "",
    );
}

/** Answers a request with this end of a pair, or with one that a fetch() gave. */
function socketRespond(value: unknown, dispatch: number, headers: Uint8Array<ArrayBuffer>): Promise<void> | undefined {
    if (!(value instanceof WebSocket)) {
        throw new TypeError("the webSocket of a Response must be a WebSocket");
    }
    const link = inner.linkOf(value);
    if (!link || !inner.giveAway(value)) {
        throw new TypeError("the webSocket of the Response was accepted or given away already; give it the other end of the pair");
    }
    if (link instanceof HostLink) {
        native.socketRespond(dispatch, headers, link.id);
        return undefined;
    }
    const other = (link as PairLink).peer;
    const host = new HostLink(native.socketRespond(dispatch, headers, 0));
    const over = inner.over(other);
    inner.setLink(other, host);
    try {
        inner.drain(value, host);
    } catch (error) {
        native.reportError("What was sent by the WebSocket before it was open was too much: ", error);
        host.close(1011, "");
    }
    return over;
}

export default { socketFetched, socketRespond };
