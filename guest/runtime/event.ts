// SPDX-License-Identifier: Apache-2.0
//
// Event, CustomEvent and EventTarget (DOM §2). There is no tree of targets here, so a path has one
// entry, and `capture` is only part of a listener's identity. The global object is a target too, as which
// an EventTarget that nobody sees stands in. Listeners are kept in a map
// that is made with the first one. What a listener throws is logged and does not stop the others.

import { constants, expose, need, toText } from "./interface.ts";
import { native } from "./native.ts";

type Callback = ((event: Event) => unknown) | { handleEvent(event: Event): unknown };

interface Listener {
    callback: Callback;
    capture: boolean;
    once: boolean;
    passive: boolean;
    isRemoved: boolean;
    scope: number; // of the step whose body listens; 0: none
}

export interface ListenerOptions {
    capture?: boolean;
    once?: boolean;
    passive?: boolean;
    signal?: { aborted: boolean; addEventListener: EventTarget["addEventListener"] };
}

/** What EventTarget does to an event that scripts cannot; set by Event's static block. */
let begin: (event: Event, target: EventTarget, isTrusted: boolean) => void;
let end: (event: Event) => void;
let setPassive: (event: Event, isPassive: boolean) => void;
let isStopped: (event: Event) => boolean;

export class Event {
    #type: string;
    #bubbles: boolean;
    #cancelable: boolean;
    #composed: boolean;
    #target: EventTarget | null = null;
    #current: EventTarget | null = null;
    #time = native.clock(1);
    #isStopped = false; // stopPropagation
    #isStoppedNow = false; // stopImmediatePropagation
    #isCanceled = false;
    #isPassive = false;
    #isDispatching = false;
    #isTrusted = false;

    declare static readonly NONE: 0;
    declare static readonly CAPTURING_PHASE: 1;
    declare static readonly AT_TARGET: 2;
    declare static readonly BUBBLING_PHASE: 3;

    static {
        begin = (event, target, isTrusted) => {
            if (event.#isDispatching) {
                throw new DOMException("The event is already being dispatched", "InvalidStateError");
            }
            event.#isDispatching = true;
            event.#isTrusted = isTrusted;
            event.#target = event.#current = target;
        };
        end = (event) => {
            event.#isDispatching = false;
            event.#isStopped = event.#isStoppedNow = false;
            event.#current = null;
        };
        setPassive = (event, isPassive) => {
            event.#isPassive = isPassive;
        };
        isStopped = (event) => event.#isStoppedNow;
    }

    constructor(
        type: string, init: { bubbles?: boolean; cancelable?: boolean; composed?: boolean } | null = null,
    ) {
        need(1, arguments.length, `${new.target.name} constructor`);
        this.#type = toText(type);
        this.#bubbles = Boolean(init?.bubbles);
        this.#cancelable = Boolean(init?.cancelable);
        this.#composed = Boolean(init?.composed);
    }

    get type(): string {
        return this.#type;
    }
    get target(): EventTarget | null {
        return this.#target;
    }
    get srcElement(): EventTarget | null {
        return this.#target;
    }
    get currentTarget(): EventTarget | null {
        return this.#current;
    }
    composedPath(): EventTarget[] {
        return this.#current ? [this.#current] : [];
    }
    get eventPhase(): number {
        return this.#isDispatching ? 2 : 0;
    }
    stopPropagation(): void {
        this.#isStopped = true;
    }
    get cancelBubble(): boolean {
        return this.#isStopped;
    }
    set cancelBubble(value: boolean) {
        if (value) {
            this.#isStopped = true;
        }
    }
    stopImmediatePropagation(): void {
        this.#isStopped = this.#isStoppedNow = true;
    }
    get bubbles(): boolean {
        return this.#bubbles;
    }
    get cancelable(): boolean {
        return this.#cancelable;
    }
    get returnValue(): boolean {
        return !this.#isCanceled;
    }
    set returnValue(value: boolean) {
        if (!value) {
            this.preventDefault();
        }
    }
    preventDefault(): void {
        if (this.#cancelable && !this.#isPassive) {
            this.#isCanceled = true;
        }
    }
    get defaultPrevented(): boolean {
        return this.#isCanceled;
    }
    get composed(): boolean {
        return this.#composed;
    }
    /** What events were set up with before they had constructors. */
    initEvent(type: string, bubbles: boolean = false, cancelable: boolean = false): void {
        need(1, arguments.length, "Event.initEvent");
        type = toText(type);
        if (!this.#isDispatching) {
            this.#isStopped = this.#isStoppedNow = this.#isCanceled = this.#isTrusted = false;
            this.#target = null;
            this.#type = type;
            this.#bubbles = Boolean(bubbles);
            this.#cancelable = Boolean(cancelable);
        }
    }
    get isTrusted(): boolean {
        return this.#isTrusted;
    }
    get timeStamp(): number {
        return this.#time;
    }
}
expose(Event, "Event");
constants(Event, { NONE: 0, CAPTURING_PHASE: 1, AT_TARGET: 2, BUBBLING_PHASE: 3 });

export class CustomEvent extends Event {
    #detail: unknown;
    constructor(type: string, init: (ConstructorParameters<typeof Event>[1] & { detail?: unknown }) | null = null) {
        super(type, init);
        this.#detail = init?.detail ?? null;
    }
    get detail(): unknown {
        return this.#detail;
    }
}
expose(CustomEvent, "CustomEvent");

/** The target that the global object is: its methods are called without an object, or on it. */
let globalTarget: EventTarget | undefined;
export function globalEvents(): EventTarget {
    return globalTarget ??= new EventTarget();
}
function targetOf(self: EventTarget | undefined | null): EventTarget {
    return self === undefined || self === null || self === globalThis as unknown ? globalEvents() : self;
}

/** Dispatches an event that the platform made. */
export let dispatchTrusted: (target: EventTarget, event: Event) => boolean;
export let hasListeners: (target: EventTarget, type: string) => boolean;

export class EventTarget {
    #listeners: Map<string, Listener[]> | undefined;

    static {
        dispatchTrusted = (target, event) => target.#dispatch(event, true);
        hasListeners = (target, type) => (target.#listeners?.get(type)?.length ?? 0) > 0;
    }

    addEventListener(
        type: string, callback: Callback | null, options: boolean | ListenerOptions | undefined = undefined,
    ): void {
        need(2, arguments.length, "EventTarget.addEventListener");
        const target = targetOf(this);
        type = toText(type);
        const details = typeof options === "object" && options !== null ? options : undefined;
        const capture = Boolean(details ? details.capture : options);
        const signal = details?.signal;
        if (signal === null || (signal !== undefined && typeof signal.aborted !== "boolean")) {
            throw new TypeError("EventTarget.addEventListener: signal is not an AbortSignal");
        }
        const once = Boolean(details?.once);
        const passive = Boolean(details?.passive);
        if (callback === null || callback === undefined) {
            return;
        }
        if (typeof callback !== "function" && typeof callback !== "object") {
            throw new TypeError("EventTarget.addEventListener: the listener is not a function or object");
        }
        if (signal?.aborted) {
            return;
        }
        const all = target.#listeners ??= new Map();
        const list = all.get(type);
        if (list?.some((l: Listener) => l.callback === callback && l.capture === capture)) {
            return;
        }
        const listener = {
            callback, capture, once, passive, isRemoved: false,
            scope: native.scope(),
        };
        if (list) {
            list.push(listener);
        } else {
            all.set(type, [listener]);
        }
        signal?.addEventListener("abort", () => target.removeEventListener(type, callback, capture), {
            once: true,
        });
    }

    removeEventListener(
        type: string, callback: Callback | null, options: boolean | { capture?: boolean } | undefined = undefined,
    ): void {
        need(2, arguments.length, "EventTarget.removeEventListener");
        const capture = Boolean(
            typeof options === "object" && options !== null ? options.capture : options,
        );
        const list = targetOf(this).#listeners?.get(toText(type));
        const at = list?.findIndex((l) => l.callback === callback && l.capture === capture) ?? -1;
        if (at >= 0) {
            list![at]!.isRemoved = true;
            list!.splice(at, 1);
        }
    }

    dispatchEvent(event: Event): boolean {
        need(1, arguments.length, "EventTarget.dispatchEvent");
        if (!(event instanceof Event)) {
            throw new TypeError("EventTarget.dispatchEvent: the argument is not an Event");
        }
        return targetOf(this).#dispatch(event, false);
    }

    #call(callback: Callback, event: Event): void {
        if (typeof callback === "function") {
            callback.call(event.currentTarget, event);
        } else {
            callback.handleEvent(event);
        }
    }

    #dispatch(event: Event, isTrusted: boolean): boolean {
        begin(event, this === globalTarget ? globalThis as unknown as EventTarget : this, isTrusted);
        const list = this.#listeners?.get(event.type);
        // Listeners added by a listener wait for the next event; removed ones are skipped at once.
        for (const listener of list ? [...list] : []) {
            if (listener.isRemoved || isStopped(event)) {
                continue;
            }
            if (listener.once) {
                this.removeEventListener(event.type, listener.callback, listener.capture);
            }
            setPassive(event, listener.passive);
            try {
                // What the body of a step listens with belongs to that step, whoever dispatches.
                if (listener.scope === 0 || listener.scope === native.scope()) {
                    this.#call(listener.callback, event);
                } else {
                    native.inScope(listener.scope, () => this.#call(listener.callback, event));
                }
            } catch (error) {
                native.reportError("Uncaught ", error);
            }
            setPassive(event, false);
        }
        end(event);
        return !event.defaultPrevented;
    }
}
expose(EventTarget, "EventTarget");

/** Gives a class an `on<type>` attribute: a listener that keeps its place while it is replaced. */
export function handlerAttribute(
    cls: { prototype: EventTarget }, type: string, onset?: (target: EventTarget) => void,
): void {
    type Handler = (event: Event) => unknown;
    const handlers = new WeakMap<EventTarget, { current: Handler | null }>();
    Object.defineProperty(cls.prototype, `on${type}`, {
        get(this: EventTarget) {
            return handlers.get(this)?.current ?? null;
        },
        set(this: EventTarget, value: unknown) {
            const handler = typeof value === "function" ? value as Handler : null;
            let cell = handlers.get(this);
            if (cell) {
                cell.current = handler;
            } else if (handler) {
                const own = cell = { current: handler as Handler | null };
                handlers.set(this, own);
                this.addEventListener(type, (event) => {
                    if (own.current?.call(this, event) === false) {
                        event.preventDefault();
                    }
                });
            }
            onset?.(this);
        },
        enumerable: true,
        configurable: true,
    });
}
