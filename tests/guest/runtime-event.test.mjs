// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import { load, nativeStandIn } from "./runtime-load.mjs";

const native = nativeStandIn();
const {
    AbortController, AbortSignal, clearInterval, clearTimeout, CustomEvent, Event, EventTarget,
    setInterval, setTimeout, signalAbort, signalNew, isSignal,
} = await load(native, "event", "abort", "timer");

test("listeners run in order; once, removal, duplicates and objects count", () => {
    const target = new EventTarget();
    const seen = [];
    const twice = () => seen.push("twice");
    target.addEventListener("x", twice);
    target.addEventListener("x", twice);
    target.addEventListener("x", twice, { capture: true });
    target.addEventListener("x", () => seen.push("once"), { once: true });
    target.addEventListener("x", { handleEvent(event) {
        seen.push(event.type, this !== undefined);
    } });
    target.addEventListener("x", null);
    assert.equal(target.dispatchEvent(new Event("x")), true);
    assert.deepEqual(seen.splice(0), ["twice", "twice", "once", "x", true]);
    target.removeEventListener("x", twice, true);
    target.removeEventListener("x", twice);
    target.dispatchEvent(new Event("x"));
    assert.deepEqual(seen.splice(0), ["x", true]);
});

test("what a listener adds waits, what it removes is gone, what it throws is reported", () => {
    const target = new EventTarget();
    const seen = [];
    const later = () => seen.push("later");
    const gone = () => seen.push("gone");
    target.addEventListener("x", () => {
        target.addEventListener("x", later);
        target.removeEventListener("x", gone);
        throw new Error("boom");
    });
    target.addEventListener("x", gone);
    target.addEventListener("x", () => seen.push("last"));
    target.dispatchEvent(new Event("x"));
    assert.deepEqual(seen, ["last"]);
    assert.equal(native.calls.reported.pop().message, "boom");
});

test("an event knows its state", () => {
    const target = new EventTarget();
    const event = new CustomEvent("x", { cancelable: true, detail: { a: 1 } });
    target.addEventListener("x", (e) => {
        assert.equal(e, event);
        assert.equal(e.target, target);
        assert.equal(e.currentTarget, target);
        assert.equal(e.eventPhase, Event.AT_TARGET);
        assert.deepEqual(e.composedPath(), [target]);
        assert.throws(() => target.dispatchEvent(e), { name: "InvalidStateError" });
        e.preventDefault();
    });
    assert.equal(target.dispatchEvent(event), false);
    assert.ok(event.defaultPrevented && !event.returnValue && !event.isTrusted);
    assert.equal(event.currentTarget, null);
    assert.deepEqual(event.composedPath(), []);
    assert.deepEqual(event.detail, { a: 1 });
    assert.equal(new CustomEvent("y").detail, null);
    assert.throws(() => new Event(), TypeError);
    assert.throws(() => target.dispatchEvent({ type: "x" }), TypeError);

    const plain = new Event("y");
    target.addEventListener("y", (e) => e.preventDefault());
    assert.equal(target.dispatchEvent(plain), true); // not cancelable
    const passive = new Event("z", { cancelable: true });
    target.addEventListener("z", (e) => e.preventDefault(), { passive: true });
    assert.equal(target.dispatchEvent(passive), true);
    const stopped = new EventTarget();
    const seen = [];
    stopped.addEventListener("x", (e) => {
        seen.push(1);
        e.stopImmediatePropagation();
    });
    stopped.addEventListener("x", () => seen.push(2));
    stopped.dispatchEvent(new Event("x"));
    assert.deepEqual(seen, [1]);
});

test("a listener's signal removes it", () => {
    const target = new EventTarget();
    const controller = new AbortController();
    let count = 0;
    target.addEventListener("x", () => count++, { signal: controller.signal });
    target.dispatchEvent(new Event("x"));
    controller.abort();
    target.dispatchEvent(new Event("x"));
    target.addEventListener("x", () => count++, { signal: AbortSignal.abort() });
    target.dispatchEvent(new Event("x"));
    assert.equal(count, 1);
    assert.throws(() => target.addEventListener("x", () => {}, { signal: null }), TypeError);
});

test("abort: once, with a reason, before any listener runs", () => {
    const controller = new AbortController();
    const { signal } = controller;
    const seen = [];
    signal.onabort = (event) => seen.push("on", event.isTrusted);
    signal.addEventListener("abort", () => seen.push(signal.aborted));
    signal.throwIfAborted();
    controller.abort();
    controller.abort("again");
    assert.deepEqual(seen, ["on", true, true]);
    assert.equal(signal.reason.name, "AbortError");
    assert.throws(() => signal.throwIfAborted(), { name: "AbortError" });
    const given = AbortSignal.abort(null);
    assert.equal(given.reason, null);
    assert.throws(() => new AbortSignal(), TypeError);
    assert.ok(isSignal(signalNew()) && !isSignal({ aborted: false }));
    const made = signalNew();
    signalAbort(made, 7);
    assert.equal(made.reason, 7);
});

test("on… attributes are replaced in place and can be cleared", () => {
    const controller = new AbortController();
    const seen = [];
    controller.signal.onabort = () => seen.push("first");
    controller.signal.addEventListener("abort", () => seen.push("listener"));
    controller.signal.onabort = () => seen.push("second");
    assert.equal(typeof controller.signal.onabort, "function");
    controller.abort();
    assert.deepEqual(seen, ["second", "listener"]);
    const other = new AbortController().signal;
    other.onabort = () => seen.push("never");
    other.onabort = null;
    assert.equal(other.onabort, null);
});

test("AbortSignal.any follows its sources, through each other", () => {
    const a = new AbortController();
    const b = new AbortController();
    const inner = AbortSignal.any([a.signal, b.signal]);
    const outer = AbortSignal.any([inner]);
    const seen = [];
    outer.addEventListener("abort", () => seen.push("outer", inner.aborted));
    inner.addEventListener("abort", () => seen.push("inner", outer.aborted));
    b.abort("why");
    assert.deepEqual(seen, ["inner", true, "outer", true]);
    assert.equal(outer.reason, "why");
    a.abort("late");
    assert.equal(outer.reason, "why");
    assert.equal(AbortSignal.any([AbortSignal.abort(1), AbortSignal.abort(2)]).reason, 1);
    assert.equal(AbortSignal.any([]).aborted, false);
    assert.throws(() => AbortSignal.any([{}]), TypeError);
});

test("AbortSignal.timeout ends with a TimeoutError", async () => {
    const signal = AbortSignal.timeout(1);
    await new Promise((resolve) => signal.addEventListener("abort", resolve));
    assert.equal(signal.reason.name, "TimeoutError");
    assert.throws(() => AbortSignal.timeout(-1), TypeError);
    assert.throws(() => AbortSignal.timeout("x"), TypeError);
});

test("timers pass arguments, can be cleared, and intervals repeat", async () => {
    const seen = [];
    await new Promise((resolve) => {
        const cleared = setTimeout(() => seen.push("cleared"), 1);
        assert.equal(typeof cleared, "number");
        clearTimeout(cleared);
        clearTimeout(undefined);
        clearTimeout(12345);
        setTimeout((a, b) => seen.push(a, b), 0, "a", "b");
        let count = 0;
        const interval = setInterval(() => {
            seen.push(++count);
            if (count === 3) {
                clearInterval(interval);
                setTimeout(resolve, 5);
            }
        }, 1);
    });
    assert.deepEqual(seen.filter((v) => typeof v === "number"), [1, 2, 3]);
    assert.ok(seen.includes("a") && !seen.includes("cleared"));
    assert.throws(() => setTimeout("code"), TypeError);
    assert.throws(() => setTimeout(), TypeError);
});

test("an interval survives an exception; deep nesting is slowed down", async () => {
    let count = 0;
    await new Promise((resolve) => {
        const interval = setInterval(() => {
            if (++count === 2) {
                clearInterval(interval);
                resolve();
            }
            throw new Error("in interval");
        }, 0);
    });
    assert.equal(native.calls.reported.filter((e) => e.message === "in interval").length, 2);
    const asked = [];
    const { timer } = native;
    native.timer = (ms, fn) => {
        asked.push(ms);
        return timer(ms, fn);
    };
    await new Promise((resolve) => {
        const step = (n) => (n ? setTimeout(step, 0, n - 1) : resolve());
        setTimeout(step, -5, 7);
    });
    native.timer = timer;
    assert.deepEqual(asked, [0, 0, 0, 0, 0, 4, 4, 4]);
});
