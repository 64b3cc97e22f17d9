// SPDX-License-Identifier: Apache-2.0
//
// HTMLRewriter of Workers. The parser is the host's (src/host/html.h): it is given the document a piece at a time, and
// says which handler is due; a handler may take its time, and nothing goes on until it has returned. As on Workers, it
// begins by itself, and goes on as the transformed body is read.

import { ReadableStream as Streams } from "web-streams-polyfill";
import { bytesOf, expose, need, usv } from "../interface.ts";
import { mimeOfHeader } from "../mime.ts";
import { native } from "../native.ts";

/** enum deps_html_kind of deps/limpet-deps/limpet_deps.h */
const kinds = { element: 1, comments: 2, text: 4, doctype: 8, end: 16 } as const;
const END_TAG = 32;
const CONTENT = 64;

/** enum deps_html_what, the members that are used */
const NAME = 0, NAME_SET = 1, NAMESPACE = 2, REMOVED = 3, ATTRIBUTES = 4, ATTRIBUTE = 5, ATTRIBUTE_HAS = 6, ATTRIBUTE_SET = 7,
    ATTRIBUTE_REMOVE = 8, BEFORE = 9, AFTER = 10, PREPEND = 11, APPEND = 12, REPLACE = 13, INNER = 14, REMOVE = 15, REMOVE_TAGS = 16,
    ON_END_TAG = 17, TEXT = 18, TEXT_SET = 19, IS_LAST = 20, PUBLIC_ID = 21, SYSTEM_ID = 22, WRITE = 23;
const IS_HTML = 1;
const LATER = 2;

/** enum html_status of src/host/html.h */
const EVENT = 2, OVER = 3;

/** ABI_CODEC_BYTES: of the document in one call. */
const PIECE_BYTES = 64 * 1024;

/** Of the output, as much may wait for a reader. */
const AHEAD_BYTES = 16 * 1024;

const empty = new Uint8Array();

const u32 = (bytes: Uint8Array, at: number): number =>
    (bytes[at]! | bytes[at + 1]! << 8 | bytes[at + 2]! << 16 | bytes[at + 3]! << 24) >>> 0;

// ---- what handlers are given ----

/** What handlers are given is known here; once they have returned, the document is gone from it. */
const documents = new WeakMap<object, Document | undefined>();

function ask(token: object, what: number, a: string | Uint8Array = "", b = "", flags = 0, id = 0): Uint8Array {
    const document = documents.get(token);
    if (!document) {
        throw new TypeError("this is only valid while the handler that was given it runs: read what is needed of it before the handler returns");
    }
    return document.ask(what, a, b, flags, id);
}

const flag = (answer: Uint8Array): boolean => u32(answer, 0) !== 0;

const textOrNull = (answer: Uint8Array): string | null => flag(answer) ? native.utf8Decode(answer.subarray(4)) : null;

const text = (answer: Uint8Array): string => native.utf8Decode(answer.subarray(4));

function texts(answer: Uint8Array): string[] {
    const list: string[] = [];
    for (let left = u32(answer, 0), at = 4; left > 0; left--) {
        const length = u32(answer, at);
        list.push(native.utf8Decode(answer.subarray(at + 4, at + 4 + length)));
        at += 4 + length;
    }
    return list;
}

/** The stream of a Response or a ReadableStream; undefined: it is no such thing. null: there is nothing in it. */
function streamOf(content: unknown): ReadableStream | null | undefined {
    return content instanceof Streams ? content as unknown as ReadableStream : content instanceof Response ? content.body : undefined;
}

/** before(), append() and their kin. */
function put(token: object, what: number, name: string, given: IArguments, takesStreams = true): void {
    need(1, given.length, name);
    const [content, options] = given;
    const flags = options?.html ? IS_HTML : 0;
    const stream = streamOf(content);
    if (stream === undefined) {
        ask(token, what, usv(content), "", flags);
        return;
    }
    if (!takesStreams) {
        throw new TypeError(`${name}: the content has to be a string here; await new Response(stream).text() before`);
    }
    const document = documents.get(token);
    if (stream && document) {
        ask(token, what, "", "", flags | LATER, document.later(stream));
    } else if (stream) {
        ask(token, REMOVED); // throws
    }
}

class Attributes {
    #token: Element;
    #list: string[];
    #at = 0;
    #changes: number;
    constructor(token: Element, list: string[], changes: number) {
        this.#token = token;
        this.#list = list;
        this.#changes = changes;
    }
    next(): IteratorResult<[string, string]> {
        if (changesOf(this.#token) !== this.#changes) {
            throw new Error("the attributes have changed since this iterator was made: make another one");
        }
        if (this.#at >= this.#list.length) {
            return { value: undefined, done: true };
        }
        this.#at += 2;
        return { value: [this.#list[this.#at - 2]!, this.#list[this.#at - 1]!], done: false };
    }
}
Object.setPrototypeOf(Attributes.prototype, Object.getPrototypeOf(Object.getPrototypeOf([][Symbol.iterator]())));
delete (Attributes.prototype as { constructor?: unknown }).constructor;

let changesOf: (token: Element) => number;

class Element {
    #changes = 0;
    static {
        changesOf = (token) => {
            ask(token, REMOVED); // throws if it is not valid any more
            return token.#changes;
        };
    }
    get tagName(): string {
        return text(ask(this, NAME));
    }
    set tagName(name: string) {
        ask(this, NAME_SET, usv(name));
    }
    get attributes(): Attributes {
        return new Attributes(this, texts(ask(this, ATTRIBUTES)), this.#changes);
    }
    get removed(): boolean {
        return flag(ask(this, REMOVED));
    }
    get namespaceURI(): string {
        return text(ask(this, NAMESPACE));
    }
    getAttribute(name: string): string | null {
        need(1, arguments.length, "Element.getAttribute");
        return textOrNull(ask(this, ATTRIBUTE, usv(name)));
    }
    hasAttribute(name: string): boolean {
        need(1, arguments.length, "Element.hasAttribute");
        return flag(ask(this, ATTRIBUTE_HAS, usv(name)));
    }
    setAttribute(name: string, value: string): this {
        need(2, arguments.length, "Element.setAttribute");
        ask(this, ATTRIBUTE_SET, usv(name), usv(value));
        this.#changes++;
        return this;
    }
    removeAttribute(name: string): this {
        need(1, arguments.length, "Element.removeAttribute");
        ask(this, ATTRIBUTE_REMOVE, usv(name));
        this.#changes++;
        return this;
    }
    before(_content: unknown, _options?: object): this {
        put(this, BEFORE, "Element.before", arguments);
        return this;
    }
    after(_content: unknown, _options?: object): this {
        put(this, AFTER, "Element.after", arguments);
        return this;
    }
    prepend(_content: unknown, _options?: object): this {
        put(this, PREPEND, "Element.prepend", arguments);
        return this;
    }
    append(_content: unknown, _options?: object): this {
        put(this, APPEND, "Element.append", arguments);
        return this;
    }
    replace(_content: unknown, _options?: object): this {
        put(this, REPLACE, "Element.replace", arguments);
        return this;
    }
    setInnerContent(_content: unknown, _options?: object): this {
        put(this, INNER, "Element.setInnerContent", arguments);
        return this;
    }
    remove(): this {
        ask(this, REMOVE);
        return this;
    }
    removeAndKeepContent(): this {
        ask(this, REMOVE_TAGS);
        return this;
    }
    onEndTag(handler: (tag: EndTag) => unknown): void {
        need(1, arguments.length, "Element.onEndTag");
        if (typeof handler !== "function") {
            throw new TypeError("Element.onEndTag: the handler is not a function");
        }
        ask(this, REMOVED);
        const id = documents.get(this)!.later(handler as Handler);
        ask(this, ON_END_TAG, "", "", 0, id);
    }
}

class EndTag {
    get name(): string {
        return text(ask(this, NAME));
    }
    set name(name: string) {
        ask(this, NAME_SET, usv(name));
    }
    before(_content: unknown, _options?: object): this {
        put(this, BEFORE, "EndTag.before", arguments);
        return this;
    }
    after(_content: unknown, _options?: object): this {
        put(this, AFTER, "EndTag.after", arguments);
        return this;
    }
    remove(): this {
        ask(this, REMOVE);
        return this;
    }
}

class Comment {
    get text(): string {
        return text(ask(this, TEXT));
    }
    set text(value: string) {
        ask(this, TEXT_SET, usv(value));
    }
    get removed(): boolean {
        return flag(ask(this, REMOVED));
    }
    before(_content: string, _options?: object): this {
        put(this, BEFORE, "Comment.before", arguments, false);
        return this;
    }
    after(_content: string, _options?: object): this {
        put(this, AFTER, "Comment.after", arguments, false);
        return this;
    }
    replace(_content: string, _options?: object): this {
        put(this, REPLACE, "Comment.replace", arguments, false);
        return this;
    }
    remove(): this {
        ask(this, REMOVE);
        return this;
    }
}

class Text {
    get text(): string {
        return text(ask(this, TEXT));
    }
    get lastInTextNode(): boolean {
        return flag(ask(this, IS_LAST));
    }
    get removed(): boolean {
        return flag(ask(this, REMOVED));
    }
    before(_content: unknown, _options?: object): this {
        put(this, BEFORE, "Text.before", arguments);
        return this;
    }
    after(_content: unknown, _options?: object): this {
        put(this, AFTER, "Text.after", arguments);
        return this;
    }
    replace(_content: unknown, _options?: object): this {
        put(this, REPLACE, "Text.replace", arguments);
        return this;
    }
    remove(): this {
        ask(this, REMOVE);
        return this;
    }
}

class Doctype {
    constructor() {
        // Own members, as on Workers, so that JSON has them.
        for (const [name, what] of [["name", NAME], ["publicId", PUBLIC_ID], ["systemId", SYSTEM_ID]] as const) {
            Object.defineProperty(this, name, { get: () => textOrNull(ask(this, what)), enumerable: true });
        }
    }
}

class DocumentEnd {
    append(_content: string, _options?: object): this {
        put(this, APPEND, "DocumentEnd.append", arguments, false);
        return this;
    }
}

const classes = { Element, EndTag, Comment, Text, Doctype, DocumentEnd };
for (const [name, cls] of Object.entries(classes)) {
    expose(cls, name);
}

const tokenOf: Record<number, new () => object> = { 1: Element, 2: Comment, 4: Text, 8: Doctype, 16: DocumentEnd, [END_TAG]: EndTag };

// ---- a document that is rewritten ----

type Handler = (token: object) => unknown;
type Handlers = Record<string, Handler | undefined>;

const memberOf: Record<number, string> = { 1: "element", 2: "comments", 4: "text", 8: "doctype", 16: "end" };

class Document {
    #html = 0; // 0: over
    #handlers: Handlers[];
    #reader: ReadableStreamDefaultReader<unknown>;
    #first: Promise<ReadableStreamReadResult<unknown>> | undefined;
    #chunk: Uint8Array = empty;
    #at = 0;
    #pieceEnd = 0; // pieces do not depend on how much of one was taken at once
    #isLast = false;
    #frame = native.frame();
    /** What was announced: handlers of end tags, streams. */
    #later = new Map<number, Handler | ReadableStream>();
    #nextLater = 0;

    constructor(rules: Rule[], encoding: string, body: ReadableStream) {
        this.#handlers = rules.map(({ handlers }) => handlers);
        this.#html = native.htmlNew(encoding, pack(rules));
        this.#reader = body.getReader();
        this.#first = this.#reader.read(); // the body is used from now on
        this.#first.catch(() => {});
    }

    ask(what: number, a: string | Uint8Array, b: string, flags: number, id: number): Uint8Array {
        try {
            return native.htmlAsk(this.#html, what, flags, id, a, b);
        } catch (error) {
            if (error instanceof TypeError) {
                error.message = `Parser error: ${error.message}`;
            }
            throw error;
        }
    }

    later(what: Handler | ReadableStream): number {
        this.#later.set(++this.#nextLater, what);
        return this.#nextLater;
    }

    async #read(): Promise<void> {
        const { value, done } = await (this.#first ?? this.#reader.read());
        this.#first = undefined;
        if (done) {
            this.#isLast = true;
            this.#chunk = empty;
        } else {
            const bytes = bytesOf(value);
            if (!bytes) {
                throw new TypeError("HTMLRewriter: a chunk of the body is not an ArrayBuffer or a view on one");
            }
            this.#chunk = bytes;
        }
        this.#at = 0;
        this.#pieceEnd = Math.min(PIECE_BYTES, this.#chunk.length);
    }

    /** Calls what is due; a promise if it takes its time. */
    #handle(id: number, kind: number): unknown {
        const token = new tokenOf[kind]!();
        documents.set(token, this);
        const before = native.frame();
        native.setFrame(this.#frame);
        let result: unknown;
        try {
            if (kind === END_TAG) {
                const handler = this.#later.get(id) as Handler;
                this.#later.delete(id);
                result = handler(token);
            } else {
                const handlers = this.#handlers[id]!;
                result = handlers[memberOf[kind]!]!.call(handlers, token);
            }
        } finally {
            native.setFrame(before);
            if (!isThenable(result)) {
                documents.set(token, undefined);
            }
        }
        return isThenable(result) ? Promise.resolve(result).finally(() => documents.set(token, undefined)) : undefined;
    }

    /** Content that was given as a stream is due. */
    async #write(id: number): Promise<void> {
        const reader = (this.#later.get(id) as ReadableStream).getReader();
        this.#later.delete(id);
        for (;;) {
            const { value, done } = await reader.read();
            if (done) {
                return;
            }
            const bytes = bytesOf(value);
            if (!bytes) {
                throw new TypeError("HTMLRewriter: a chunk of the content is not an ArrayBuffer or a view on one");
            }
            this.ask(WRITE, bytes, "", 0, 0);
        }
    }

    /** Goes on until there is output. */
    async #step(out: ReadableStreamDefaultController<Uint8Array>): Promise<void> {
        for (;;) {
            if (this.#at === this.#chunk.length && !this.#isLast) {
                await this.#read();
            }
            const isLast = this.#isLast;
            const result = native.htmlRun(this.#html, this.#chunk.subarray(this.#at, this.#pieceEnd), isLast);
            const status = u32(result, 0);
            this.#at += u32(result, 4);
            if (this.#at === this.#pieceEnd) {
                this.#pieceEnd = Math.min(this.#at + PIECE_BYTES, this.#chunk.length);
            }
            const hasOutput = result.length > 16;
            if (hasOutput) {
                out.enqueue(result.subarray(16));
            }
            if (status === EVENT) {
                const kind = u32(result, 12);
                const id = u32(result, 8);
                const wait = kind === CONTENT ? this.#write(id) : this.#handle(id, kind);
                if (wait) {
                    await wait;
                }
            } else if (status === OVER) {
                this.#end();
                out.close();
                return;
            }
            if (hasOutput) {
                return;
            }
        }
    }

    async pull(out: ReadableStreamDefaultController<Uint8Array>): Promise<void> {
        try {
            await this.#step(out);
        } catch (error) {
            this.cancel(error);
            throw error;
        }
    }

    /** Nobody wants the rest, or there is none. */
    cancel(reason: unknown): Promise<void> {
        this.#end();
        const cancelled = this.#reader.cancel(reason);
        cancelled.catch(() => {});
        return cancelled;
    }

    #end(): void {
        if (this.#html) {
            native.htmlEnd(this.#html);
            this.#html = 0;
        }
        this.#later.clear();
    }
}

const isThenable = (value: unknown): boolean =>
    value !== null && typeof value === "object" && typeof (value as PromiseLike<unknown>).then === "function";

// ---- HTMLRewriter ----

interface Rule {
    selector: string | undefined;
    kinds: number;
    handlers: Handlers;
}

/** As op HTML_NEW wants it. */
function pack(rules: Rule[]): Uint8Array {
    const selectors = rules.map(({ selector }) => selector === undefined ? undefined : native.utf8Encode(selector));
    const length = selectors.reduce((sum, selector) => sum + 12 + (selector ? 4 + selector.length : 0), 0);
    const bytes = new Uint8Array(length);
    const view = new DataView(bytes.buffer);
    let at = 0;
    const put = (value: number) => {
        view.setUint32(at, value, true);
        at += 4;
    };
    rules.forEach((rule, i) => {
        const selector = selectors[i];
        put(i);
        put(rule.kinds);
        put(selector ? 1 : 0);
        if (selector) {
            put(selector.length);
            bytes.set(selector, at);
            at += selector.length;
        }
    });
    return bytes;
}

function ruleOf(what: string, selector: string | undefined, handlers: unknown, names: (keyof typeof kinds)[]): Rule {
    if (handlers === null || typeof handlers !== "object" && typeof handlers !== "function") {
        throw new TypeError(`${what}: the handlers are not an object`);
    }
    let set = 0;
    for (const name of names) {
        const handler = (handlers as Handlers)[name];
        if (handler !== undefined && typeof handler !== "function") {
            throw new TypeError(`${what}: the handler "${name}" is not a function`);
        }
        set |= handler ? kinds[name] : 0;
    }
    return { selector, kinds: set, handlers: handlers as Handlers };
}

export class HTMLRewriter {
    #rules: Rule[] = [];

    on(selector: string, handlers: object): this {
        need(2, arguments.length, "HTMLRewriter.on");
        const wanted = usv(selector);
        try {
            native.htmlSelector(wanted);
        } catch (error) {
            (error as Error).message = `Parser error: ${(error as Error).message}`;
            throw error;
        }
        this.#rules.push(ruleOf("HTMLRewriter.on", wanted, handlers, ["element", "comments", "text"]));
        return this;
    }

    onDocument(handlers: object): this {
        need(1, arguments.length, "HTMLRewriter.onDocument");
        this.#rules.push(ruleOf("HTMLRewriter.onDocument", undefined, handlers, ["doctype", "comments", "text", "end"]));
        return this;
    }

    transform(response: Response): Response {
        need(1, arguments.length, "HTMLRewriter.transform");
        if (!(response instanceof Response)) {
            throw new TypeError("HTMLRewriter.transform: this is no Response; wrap a string or a stream in one: new Response(html)");
        }
        if (response.type === "error") {
            throw new TypeError("HTMLRewriter.transform: an error response has nothing to transform");
        }
        if (!response.body) {
            return response;
        }
        const type = response.headers.get("content-type");
        const encoding = type && mimeOfHeader(type)?.parameters.get("charset") || "utf-8";
        const document = new Document([...this.#rules], encoding, response.body);
        const body = new Streams({
            pull: (out) => document.pull(out as ReadableStreamDefaultController),
            cancel: (reason) => document.cancel(reason),
        }, { highWaterMark: AHEAD_BYTES, size: (chunk) => (chunk as Uint8Array).length }) as unknown as ReadableStream;
        const transformed = new Response(body, response);
        transformed.headers.delete("content-length"); // it will be another one
        return transformed;
    }
}
expose(HTMLRewriter, "HTMLRewriter");
