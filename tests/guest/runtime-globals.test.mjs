// SPDX-License-Identifier: Apache-2.0
// Tasks, user timing, identity streams and URLs without a network, in the engine; what Node has too runs on both.
import assert from "node:assert/strict";
import { test as nodeTest } from "node:test";
import { evaluate, Guest, hasRuntime, isBuilt } from "./harness.mjs";

const test = (name, fn) => nodeTest(name, { skip: !(isBuilt && hasRuntime) && "engine or runtime is not built" }, fn);
const AsyncFunction = (async () => {}).constructor;

/** The same code in Node and in the engine. */
const both = (name, code) => test(name, async () => {
    assert.deepEqual(evaluate(code), JSON.parse(JSON.stringify(await new AsyncFunction(code)())));
});
const engine = (name, expected, code) => test(name, () => assert.deepEqual(evaluate(code), expected));

both("setImmediate: after promises, with arguments, cleared", `
    const seen = [];
    await new Promise((resolve) => {
        setImmediate((a, b) => { seen.push(a + b); }, 1, 2);
        clearImmediate(setImmediate(() => seen.push("never")));
        setImmediate(resolve);
        queueMicrotask(() => seen.push("micro"));
    });
    return seen;`);

both("marks and measures", `
    performance.mark("a", { startTime: 10, detail: { x: 1 } });
    const b = performance.mark("b", { startTime: 25 });
    const ab = performance.measure("ab", "a", "b");
    const options = performance.measure("o", { start: 5, duration: 7, detail: [1] });
    const back = performance.measure("back", { end: "b", duration: 20 });
    const wrong = [];
    for (const make of [() => performance.measure("m", "none"), () => performance.mark("m", { startTime: -1 }), () => performance.mark()])
        try { make(); wrong.push("made"); } catch (e) { wrong.push(e.name); }
    const listed = (list) => list.filter((e) => e.entryType !== "node").map((e) => [e.name, e.entryType, e.startTime, e.duration]);
    const all = listed([...performance.getEntriesByType("mark"), ...performance.getEntriesByType("measure")]);
    const named = listed(performance.getEntriesByName("a", "mark"));
    performance.clearMarks("a");
    const rest = listed(performance.getEntriesByType("mark"));
    performance.clearMarks(); performance.clearMeasures();
    return [b instanceof PerformanceMark && b instanceof PerformanceEntry, ab.duration, options.detail, back.startTime, wrong, all, named, rest,
        performance.getEntriesByType("mark").length, ab.toJSON().name, String(b)];`);

both("object URLs", `
    const url = URL.createObjectURL(new Blob(["some text"], { type: "text/plain" }));
    const r = await fetch(url);
    const result = [url.startsWith("blob:"), r.status, r.headers.get("content-type"), await r.text()];
    URL.revokeObjectURL(url);
    try { await fetch(url); result.push("fetched"); } catch (e) { result.push(e.name); }
    try { URL.createObjectURL("text"); result.push("made"); } catch (e) { result.push(e.name); }
    return result;`);

both("data: URLs", `
    const all = [];
    for (const url of ["data:,hello", "data:text/html;charset=utf-8,a%20b%zz", "data:;base64,aGk=", "data:text/plain;base64, a G k", "data:image/png;base64,%61GVsbG8",
        "data:;charset=x,y", "data:no type,z", "data:text/plain,a#b", "data:text/plain", "data:;base64,a", "data:X/Y;a=b;a=c;BASE64,"]) {
        try { const r = await fetch(url); all.push([r.status, r.ok, r.headers.get("content-type"), await r.text()]); } catch (e) { all.push(e.name); }
    }
    return all;`);

engine("a range of a blob", [[206, "bytes 2-4/9", "3", "me "], [206, "xt"], [206, "me text"], "TypeError", "TypeError", "TypeError"], `
    const url = URL.createObjectURL(new Blob(["some text"]));
    const range = async (value, init) => { try { return await fetch(url, { headers: { range: value }, ...init }); } catch (e) { return e.name; } };
    const r = await range("bytes=2-4");
    const short = async (x) => (typeof x === "string" ? x : [x.status, await x.text()]);
    return [[r.status, r.headers.get("content-range"), r.headers.get("content-length"), await r.text()],
        await short(await range("bytes=-2")), await short(await range("bytes=2-")), await short(await range("bytes=20-30")), await short(await range("lines=1")),
        await short(await range("bytes=0-1", { method: "POST" }))];`);

engine("a local answer knows its URL, and an aborted fetch rejects", ["data:,x", "basic", "AbortError"], `
    const r = await fetch("data:,x");
    let name;
    try { await fetch("data:,x", { signal: AbortSignal.abort() }); } catch (e) { name = e.name; }
    return [r.url, r.type, name];`);

engine("scheduler", [["a", "b"], 7, "RangeError", "AbortError", "no", "TypeError", "TypeError", "[object Scheduler]"], `
    const seen = [];
    const order = Promise.all([scheduler.postTask(() => seen.push("b"), { delay: 5 }), scheduler.postTask(() => seen.push("a"), { priority: "background" })]);
    const outcome = (promise) => promise.then((value) => value, (error) => error.name ?? error);
    await order;
    await scheduler.yield();
    await scheduler.wait(1);
    const controller = new AbortController();
    const waiting = outcome(scheduler.wait(1e6, { signal: controller.signal }));
    controller.abort();
    return [seen.sort(), await scheduler.postTask(async () => 7), await outcome(scheduler.postTask(() => { throw new RangeError(); })), await waiting,
        await outcome(scheduler.postTask(() => 1, { signal: AbortSignal.abort("no") })), await outcome(scheduler.postTask(() => 1, { priority: "high" })),
        await outcome(scheduler.postTask(5)), String(scheduler)];`);

engine("identity streams pass bytes on, and count them", ["hello", "abc", ["TypeError", "TypeError"], ["TypeError", "TypeError"], "TypeError", true], `
    const through = async (stream, ...chunks) => {
        const writer = stream.writable.getWriter();
        const read = new Response(stream.readable).text();
        const written = (async () => { for (const chunk of chunks) await writer.write(chunk); await writer.close(); })();
        const [a, b] = await Promise.allSettled([read, written]);
        return a.status === "fulfilled" ? a.value : [a.reason.name, b.reason?.name];
    };
    const bytes = (text) => new TextEncoder().encode(text);
    let name;
    try { new FixedLengthStream(-1); } catch (e) { name = e.name; }
    return [await through(new IdentityTransformStream(), bytes("hel"), bytes("lo").buffer), await through(new FixedLengthStream(3), bytes("a"), bytes("bc")),
        await through(new FixedLengthStream(3), bytes("abcd")), await through(new FixedLengthStream(3), bytes("ab")), name, new FixedLengthStream(1) instanceof TransformStream];`);

engine("readAtLeast and getAll", [[3, "abc"], true, ["a=1", "b=2"], "TypeError"], `
    const chunks = ["a", "b", "c", "d"];
    const stream = new ReadableStream({ type: "bytes", pull(c) { const next = chunks.shift(); if (next) c.enqueue(new TextEncoder().encode(next)); else { c.close(); c.byobRequest?.respond(0); } } });
    const reader = stream.getReader({ mode: "byob" });
    const { value } = await reader.readAtLeast(3, new Uint8Array(10));
    const headers = new Headers([["set-cookie", "a=1"], ["Set-Cookie", "b=2"], ["x", "y"]]);
    let name;
    try { headers.getAll("x"); } catch (e) { name = e.name; }
    return [[value.length, new TextDecoder().decode(value)], "readAtLeast" in ReadableStreamBYOBReader.prototype, headers.getAll("Set-Cookie"), name];`);

engine("interface objects", ["TypeError", "TypeError", "TypeError", "[object Navigator]", true, 0, 1, 1], `
    const outcome = (fn) => { try { fn(); return "made"; } catch (e) { return e.name; } };
    return [outcome(() => new Navigator()), outcome(() => new Scheduler()), outcome(() => new PerformanceEntry()), String(navigator),
        navigator instanceof Navigator, PerformanceEntry.length, PerformanceMark.length, performance.mark.length];`);

engine("globals that are loaded when they are first looked at", [true, [true, true, false, "function"], "EventSource", true, [3, "mine"], ["function", true]], `
    const name = (a, b) => globalThis[a + b]; // so that this text does not speak of it
    const { writable, configurable, enumerable, value } = Object.getOwnPropertyDescriptor(globalThis, "Event" + "Source");
    globalThis["URL" + "Pattern"] = "mine";
    return [("Event" + "Source") in globalThis, [writable, configurable, enumerable, typeof value], name("Event", "Source").name,
        Object.getPrototypeOf(name("Event", "Source")) === EventTarget, [value.CLOSED + 1, globalThis["URL" + "Pattern"]],
        [typeof value.prototype.close, value.toString().includes("[native code]")]];`);

test("a bundle that speaks of a lazy global has it in its image", () => {
    const asked = (source) => new Guest({ source }).calls.filter((name) => name === "builtin").length;
    const none = asked("export default () => 1;");
    assert.equal(asked("export default () => { x.EventSource(); };"), none, "a property of something else");
    assert.equal(asked("export default () => 'MyEventSource';"), none, "a part of a word");
    assert.ok(asked("export default () => new EventSource('https://a.example/');") > none);
    assert.ok(asked("export default () => globalThis.EventSource;") > none);
});

test("modules of the platform's own are not for bundles", () => {
    assert.throws(() => new Guest({ source: "import 'limpet:internal/runtime/event-source'; export default () => 1;" }), /there is no module/);
    assert.throws(() => new Guest({ source: "import 'limpet:internal'; export default () => 1;" }), /there is no module/);
});

both("what matched last, on RegExp", `
    const all = () => [RegExp.$1, RegExp.$2, RegExp.$9, RegExp.lastMatch, RegExp["$&"], RegExp.lastParen, RegExp["$+"], RegExp.leftContext, RegExp["$\`"], RegExp.rightContext, RegExp["$'"], RegExp.input, RegExp.$_];
    const seen = [];
    /(a)(b)?/.exec("xxacyy"); seen.push(all());
    /nothing/.test("here"); seen.push(all());
    "2026-11-30".replace(/(\\d+)-(\\d+)/, ""); seen.push(all());
    "a1b22".replace(/\\d+/g, ""); seen.push(all());
    "\\u4e00z".match(/(z)/); seen.push(all());
    [..."k=v".matchAll(/(\\w)=(\\w)/g)]; seen.push(all());
    RegExp.input = 5; seen.push([RegExp.input, RegExp.$1]);
    /q/.test("q"); seen.push(RegExp.input);
    return seen;`);

both("Atomics of one thread", `
    const a = new Int32Array(new SharedArrayBuffer(16)), b = new BigInt64Array(new SharedArrayBuffer(16)), c = new Uint8Array(4);
    const outcome = (fn) => { try { return String(fn()); } catch (e) { return e.name; } };
    return [Atomics.add(a, 0, 5), Atomics.sub(a, 0, 2), Atomics.and(a, 0, 1), Atomics.or(a, 0, 6), Atomics.xor(a, 0, 1), Atomics.load(a, 0), Atomics.exchange(a, 0, 9),
        Atomics.compareExchange(a, 0, 9, 4), Atomics.store(a, 1, 3.7), Atomics.notify(a, 0, 1), Atomics.isLockFree(4), String(Atomics.add(b, 1, 3n)), String(Atomics.load(b, 1)),
        Atomics.add(c, 1, 300), c[1], outcome(() => Atomics.add(new Float64Array(1), 0, 1)), outcome(() => Atomics.add(a, 9, 1)), Object.prototype.toString.call(Atomics)];`);

test("what a WeakRef refers to stays until the job is over", () => {
    const guest = new Guest({ source: `
        let ref;
        export default async () => {
            if (ref) return typeof ref.deref();
            ref = new WeakRef({});
            const seen = [typeof ref.deref()];
            await null;
            return [...seen, typeof ref.deref()];
        };` });
    assert.deepEqual(JSON.parse(guest.http().body), ["object", "object"]);
    assert.deepEqual(JSON.parse(guest.http().body), "undefined");
});

test("frames for prepareStackTrace() are as V8 has them", () => {
    const { body } = new Guest({ source: `
        function named() { return new Error("x"); }
        class Made { constructor() { this.error = named(); } }
        export default () => {
            let sites;
            Error.prepareStackTrace = (error, list) => { sites = list; return "mine"; };
            const text = new Made().error.stack;
            const [first, second] = sites;
            return [text, first.getFunctionName(), first.getFileName(), typeof first.getLineNumber(), typeof first.getColumnNumber(), first.isNative(), first.isEval(), first.isAsync(),
                first.isToplevel(), first.getThis() === undefined, second.isConstructor(), String(first).replace(/\\d+/g, "N"), String(second).replace(/\\d+/g, "N")];
        };` }).http();
    assert.deepEqual(JSON.parse(body), ["mine", "named", "test", "number", "number", false, false, false, true, true, true, "named (test:N:N)", "new Made (test:N:N)"]);
});
