// SPDX-License-Identifier: Apache-2.0
// Events of the global object, message ports and channels, in the engine; what Node has too runs on both.
import assert from "node:assert/strict";
import { test as nodeTest } from "node:test";
import { evaluate, Guest, hasRuntime, isBuilt } from "./harness.mjs";

const test = (name, fn) => nodeTest(name, { skip: !(isBuilt && hasRuntime) && "engine or runtime is not built" }, fn);
const AsyncFunction = (async () => {}).constructor;

/** The same code in Node and in the engine. */
const both = (name, code) => test(name, async () => {
    assert.deepEqual(evaluate(code), JSON.parse(JSON.stringify(await new AsyncFunction(code)())));
});

both("a message is cloned, and comes later, in order", `
    const { port1, port2 } = new MessageChannel();
    const seen = [];
    const value = { n: 1, d: new Date(0), m: new Map([[1, 2]]) };
    const done = new Promise((resolve) => { port2.onmessage = (event) => { seen.push(event.data.n ?? event.data, event.constructor.name, event.ports.length); if (event.data === "end") resolve(); }; });
    port1.postMessage(value);
    value.n = 2;
    port1.postMessage("end");
    seen.push("posted");
    await done;
    port1.close();
    return seen;`);

const engine = (name, expected, code) => test(name, () => assert.deepEqual(evaluate(code), expected)); // where Node is not as the standard

engine("messages wait for start(), which onmessage does and addEventListener does not", ["before", 1, 2], `
    const { port1, port2 } = new MessageChannel();
    const seen = [];
    port1.postMessage(1);
    await new Promise((resolve) => setTimeout(resolve, 5));
    const done = new Promise((resolve) => port2.addEventListener("message", (event) => { seen.push(event.data); if (event.data === 2) resolve(); }));
    port1.postMessage(2);
    await new Promise((resolve) => setTimeout(resolve, 5));
    seen.push("before");
    port2.start();
    await done;
    port1.close();
    return seen;`);

both("buffers and ports are transferred", `
    const one = new MessageChannel(), two = new MessageChannel();
    const buffer = new ArrayBuffer(8);
    const got = new Promise((resolve) => { one.port2.onmessage = (event) => resolve(event.data); });
    one.port1.postMessage({ buffer, port: two.port2 }, [buffer, two.port2]);
    const { buffer: moved, port } = await got;
    const answer = new Promise((resolve) => { two.port1.onmessage = (event) => resolve(event.data); });
    port.postMessage("hello");
    const result = [buffer.byteLength, moved.byteLength, port instanceof MessagePort, await answer];
    one.port1.close(); two.port1.close();
    return result;`);

engine("what cannot be sent is a DataCloneError, and detaches nothing", [["DataCloneError", "DataCloneError", "DataCloneError", "DataCloneError"], 8], `
    const { port1, port2 } = new MessageChannel();
    const buffer = new ArrayBuffer(8);
    const names = [];
    for (const [value, transfer] of [[() => {}, [buffer]], [1, [port1]], [new MessageChannel().port1, []], [1, [buffer, buffer]]]) {
        try { port1.postMessage(value, transfer); names.push("sent"); } catch (e) { names.push(e.name); }
    }
    port1.close();
    return [names, buffer.byteLength];`);

both("a closed port is silent", `
    const { port1, port2 } = new MessageChannel();
    let seen = 0;
    port2.onmessage = () => seen++;
    port1.close();
    port1.postMessage(1);
    port2.postMessage(1);
    await new Promise((resolve) => setTimeout(resolve, 10));
    return seen;`);

engine("ports and channels cannot be made or used wrongly", ["TypeError", "TypeError", "DataCloneError", "[object MessageChannel]", 0, 1, "function"], `
    const outcome = (fn) => { try { return String(fn()); } catch (e) { return e.name; } };
    return [outcome(() => new MessagePort()), outcome(() => MessageChannel()), outcome(() => structuredClone(new MessageChannel().port1)),
        String(new MessageChannel()), MessageChannel.length, MessageEvent.length, typeof new MessageChannel().port1.postMessage];`);

both("MessageEvent and CustomEvent carry what they are given", `
    const e = new MessageEvent("message", { data: { a: 1 }, origin: "o", lastEventId: "7" });
    const c = new CustomEvent("x", { detail: 5, cancelable: true });
    c.preventDefault();
    return [e.data, e.origin, e.lastEventId, e.source, e.ports.length, new MessageEvent("m").data, c.detail, c.defaultPrevented];`);

both("BroadcastChannel reaches all others of its name", `
    const seen = [];
    const [a, b, c, other] = [new BroadcastChannel("n"), new BroadcastChannel("n"), new BroadcastChannel("n"), new BroadcastChannel("m")];
    a.onmessage = () => seen.push("a");
    other.onmessage = () => seen.push("other");
    const got = Promise.all([b, c].map((x) => new Promise((resolve) => { x.onmessage = (event) => { seen.push(event.data.v); resolve(); }; })));
    a.postMessage({ v: 1 });
    await got;
    c.close(); c.onmessage = null;
    let error;
    try { c.postMessage(1); } catch (e) { error = e.name; }
    for (const x of [a, b, other]) x.close();
    return [seen, error, a.name];`);

test("ErrorEvent, PromiseRejectionEvent, CloseEvent", () => {
    assert.deepEqual(evaluate(`
        const e = new ErrorEvent("error", { message: "m", filename: "f", lineno: 1, colno: -1, error: 5, cancelable: true });
        const p = Promise.resolve();
        const r = new PromiseRejectionEvent("x", { promise: p, reason: 7 });
        const c = new CloseEvent("close", { wasClean: 1, code: 65537, reason: "why" });
        const wrong = [];
        for (const make of [() => new ErrorEvent(), () => new PromiseRejectionEvent("x"), () => new PromiseRejectionEvent("x", {}), () => new CloseEvent("x", 5)])
            try { make(); wrong.push("made"); } catch (e) { wrong.push(e.name); }
        return [e.message, e.filename, e.lineno, e.colno, e.error, e instanceof Event, r.promise === p, r.reason, c.wasClean, c.code, c.reason, wrong, new ErrorEvent("x").error === undefined, ErrorEvent.length, PromiseRejectionEvent.length]`),
    ["m", "f", 1, 4294967295, 5, true, true, 7, true, 1, "why", ["TypeError", "TypeError", "TypeError", "TypeError"], true, 1, 2]);
});

test("the global object is an event target", () => {
    assert.deepEqual(evaluate(`
        const seen = [];
        const listener = function (event) { seen.push(event.type, event.target === globalThis, this === globalThis); };
        addEventListener("x", listener);
        self.addEventListener("x", listener); // the same one
        dispatchEvent(new Event("x"));
        globalThis.removeEventListener("x", listener);
        const result = dispatchEvent(new Event("x"));
        return [seen, result, dispatchEvent.name, addEventListener.length]`), [["x", true, true], true, "dispatchEvent", 2]);
});

const lines = (guest) => guest.logs.map(([, text]) => text.split("\n")[0]);

test("unhandledrejection: told, prevented, logged, and handled later", () => {
    const guest = new Guest({ source: `
        const seen = [];
        addEventListener("unhandledrejection", (event) => { seen.push(event.reason, event.promise instanceof Promise); if (event.reason !== "log") event.preventDefault(); });
        addEventListener("rejectionhandled", (event) => seen.push("handled " + event.reason));
        export default async () => {
            const late = Promise.reject("late");
            Promise.reject("log");
            Promise.reject("handled at once").catch(() => {});
            await new Promise((resolve) => setTimeout(resolve, 1));
            late.catch(() => {});
            await new Promise((resolve) => setTimeout(resolve, 1));
            return seen;
        };` });
    const answer = guest.http();
    guest.settle?.();
    assert.deepEqual(JSON.parse((answer ?? guest.answers.values().next().value).body), ["late", true, "log", true, "handled late"]);
    assert.deepEqual(lines(guest), ["Uncaught (in promise) log"]);
});

test("error: of timers, microtasks, listeners and reportError, prevented or logged", () => {
    const guest = new Guest({ source: `
        const seen = [];
        addEventListener("error", (event) => { seen.push(event.message, event.error.message, event.lineno > 0); if (event.error.message !== "log") event.preventDefault(); });
        export default async () => {
            setTimeout(() => { throw new Error("timer"); }, 1);
            queueMicrotask(() => { throw new RangeError("micro"); });
            const target = new EventTarget();
            target.addEventListener("x", () => { throw new Error("listener"); });
            target.dispatchEvent(new Event("x"));
            reportError(new Error("log"));
            await new Promise((resolve) => setTimeout(resolve, 5));
            return seen;
        };` });
    const answer = JSON.parse(guest.http().body);
    assert.deepEqual(answer.filter((_, i) => i % 3 === 1), ["listener", "log", "micro", "timer"]);
    assert.equal(answer[0], "Uncaught Error: listener");
    assert.ok(answer.filter((_, i) => i % 3 === 2).every(Boolean));
    assert.deepEqual(lines(guest), ["Uncaught Error: log"]);
});

test("onerror has five arguments and prevents by true; a listener that throws is logged, once", () => {
    const guest = new Guest({ source: `
        const seen = [];
        export default async () => {
            seen.push(onerror, onunhandledrejection);
            onerror = (message, source, line, column, error) => { seen.push(message, typeof source, line > 0, column > 0, error.message); return true; };
            onunhandledrejection = (event) => { seen.push(event.reason); return false; };
            reportError(new Error("one"));
            Promise.reject(5);
            await new Promise((resolve) => setTimeout(resolve, 1));
            onerror = () => { throw new Error("in the handler"); };
            reportError(new Error("two"));
            return seen;
        };` });
    assert.deepEqual(JSON.parse(guest.http().body), [null, null, "Uncaught Error: one", "string", true, true, "one", 5]);
    assert.deepEqual(lines(guest), ["Uncaught Error: in the handler", "Uncaught Error: two"]);
});

test("service-worker syntax answers", () => {
    const guest = new Guest({ env: { NAME: "value" }, source: `
        addEventListener("fetch", (event) => {
            const { pathname } = new URL(event.request.url);
            if (pathname === "/none") return;
            if (pathname === "/throws") throw new Error("in the listener");
            if (pathname === "/late") { setTimeout(() => { try { event.respondWith(new Response("late")); } catch (e) { console.log(e.name); } }, 1); event.respondWith(new Promise((r) => setTimeout(() => r(new Response("ok")), 5))); return; }
            event.waitUntil(Promise.resolve().then(() => console.log("waited")));
            event.respondWith(answer(event));
        });
        async function answer(event) { return Response.json([event.request.method, event.type, event.constructor.name, NAME]); }` });
    assert.deepEqual(JSON.parse(guest.http({ url: "http://h/" }).body), ["GET", "fetch", "FetchEvent", "value"]);
    assert.deepEqual(lines(guest), ["waited"]);
    assert.match(guest.http({ url: "http://h/none" }).fail.message, /respondWith/);
    assert.match(guest.http({ url: "http://h/throws" }).fail.message, /respondWith/);
    assert.equal(lines(guest)[1], "Uncaught Error: in the listener");
    assert.equal(guest.http({ url: "http://h/late" }).body, "ok");
    assert.equal(lines(guest)[2], "InvalidStateError");
});
