// SPDX-License-Identifier: Apache-2.0
//
// Markup that is rewritten as it streams by.

declare namespace HTMLRewriterTypes {
    interface ContentOptions {
        /** The content is markup; else it is text, and escaped. */
        html?: boolean;
    }
    type Content = string | ReadableStream | Response;
    interface Element {
        tagName: string;
        readonly attributes: IterableIterator<[name: string, value: string]>;
        readonly removed: boolean;
        readonly namespaceURI: string;
        getAttribute(name: string): string | null;
        hasAttribute(name: string): boolean;
        setAttribute(name: string, value: string): this;
        removeAttribute(name: string): this;
        before(content: Content, options?: ContentOptions): this;
        after(content: Content, options?: ContentOptions): this;
        prepend(content: Content, options?: ContentOptions): this;
        append(content: Content, options?: ContentOptions): this;
        replace(content: Content, options?: ContentOptions): this;
        setInnerContent(content: Content, options?: ContentOptions): this;
        remove(): this;
        removeAndKeepContent(): this;
        onEndTag(handler: (tag: EndTag) => void | Promise<void>): void;
    }
    interface EndTag {
        name: string;
        before(content: Content, options?: ContentOptions): this;
        after(content: Content, options?: ContentOptions): this;
        remove(): this;
    }
    interface Comment {
        text: string;
        readonly removed: boolean;
        before(content: string, options?: ContentOptions): this;
        after(content: string, options?: ContentOptions): this;
        replace(content: string, options?: ContentOptions): this;
        remove(): this;
    }
    interface Text {
        readonly text: string;
        readonly lastInTextNode: boolean;
        readonly removed: boolean;
        before(content: Content, options?: ContentOptions): this;
        after(content: Content, options?: ContentOptions): this;
        replace(content: Content, options?: ContentOptions): this;
        remove(): this;
    }
    interface Doctype {
        readonly name: string | null;
        readonly publicId: string | null;
        readonly systemId: string | null;
    }
    interface DocumentEnd {
        append(content: string, options?: ContentOptions): this;
    }
    interface ElementHandlers {
        element?(element: Element): void | Promise<void>;
        comments?(comment: Comment): void | Promise<void>;
        text?(text: Text): void | Promise<void>;
    }
    interface DocumentHandlers {
        doctype?(doctype: Doctype): void | Promise<void>;
        comments?(comment: Comment): void | Promise<void>;
        text?(text: Text): void | Promise<void>;
        end?(end: DocumentEnd): void | Promise<void>;
    }
}

/** Rewrites HTML as it streams by. */
declare class HTMLRewriter {
    on(selector: string, handlers: HTMLRewriterTypes.ElementHandlers): this;
    onDocument(handlers: HTMLRewriterTypes.DocumentHandlers): this;
    transform(response: Response): Response;
}
