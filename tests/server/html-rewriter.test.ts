// SPDX-License-Identifier: Apache-2.0
// HTMLRewriter as Workers' documentation describes it, and what a server has to bear of it: handlers that wait, throw or never return,
// documents that come in pieces, clients that leave, and HTML and selectors that are meant to cost.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { useServer } from './harness.ts';

const server = useServer();

/** Each rewrites `input` with `r`, a new HTMLRewriter, and returns what has come of it. */
const CASES: Record<string, [input: string, body: string, expected: unknown]> = {
    'attributes are read and set': ['<a href="http://x/">y</a>', 'r.on("a[href]", { element(e) { e.setAttribute("href", e.getAttribute("href").replace("http:", "https:")); e.setAttribute("rel", "a\\"b"); } }); return text();',
        '<a href="https://x/" rel="a&quot;b">y</a>'],
    'attributes are listed and removed': ['<p A=1 b c="é">', 'const seen = []; r.on("p", { element(e) { for (const [n, v] of e.attributes) seen.push(n, v); seen.push(e.hasAttribute("a"), e.hasAttribute("x"), e.getAttribute("x")); e.removeAttribute("b"); } }); return [await text(), seen];',
        ['<p A=1 c="é">', ['a', '1', 'b', '', 'c', 'é', true, false, null]]],
    'an iterator of attributes ends with a change': ['<p a=1 b=2>', 'let m; r.on("p", { element(e) { const i = e.attributes[Symbol.iterator](); i.next(); e.setAttribute("c", "3"); try { i.next(); } catch (x) { m = x.message; } } }); await text(); return m;',
        'the attributes have changed since this iterator was made: make another one'],
    'content goes around and into elements': ['<p>x</p>', 'r.on("p", { element(e) { e.before("<1>").after("<b>2</b>", { html: true }).prepend("3").append("4").prepend("<i>5</i>", { html: true }); } }); return text();',
        '&lt;1&gt;<p><i>5</i>3x4</p><b>2</b>'],
    'elements are replaced, emptied and unwrapped': ['<a>1</a><b>2</b><i>3</i><u>4</u>', 'r.on("a", { element: (e) => e.replace("<hr>", { html: true }) }).on("b", { element: (e) => e.remove() }).on("i", { element: (e) => e.removeAndKeepContent() }).on("u", { element: (e) => e.setInnerContent("&") }); return text();',
        '<hr>3<u>&amp;</u>'],
    'names and namespaces': ['<DIV><svg><path/></svg></DIV>', 'const seen = []; r.on("*", { element(e) { seen.push(e.tagName, e.namespaceURI, e.removed); if (e.tagName === "div") e.tagName = "main"; } }); return [await text(), seen];',
        ['<main><svg><path/></svg></main>', ['div', 'http://www.w3.org/1999/xhtml', false, 'svg', 'http://www.w3.org/2000/svg', false, 'path', 'http://www.w3.org/2000/svg', false]]],
    'end tags': ['<p>x</p><p>y', 'const seen = []; r.on("p", { element(e) { e.onEndTag(() => seen.push("never")); e.onEndTag((t) => { seen.push(t.name); t.before("!"); t.after("?"); t.name = "q"; }); } }); return [await text(), seen];',
        ['<p>x!</q>?<p>y', ['p']]],
    'an end tag that cannot be': ['<br>', 'let m; r.on("br", { element(e) { try { e.onEndTag(() => {}); } catch (x) { m = x.message; } } }); await text(); return m;', 'Parser error: this element has no end tag'],
    'texts come in pieces, of which one is the last': ['<p>Hello<b>there</b>you</p>', 'let all = ""; const whole = []; r.on("p", { text(t) { all += t.text; if (t.lastInTextNode) { whole.push(all); all = ""; t.replace(t.removed ? "" : "~"); } else t.remove(); } }); return [await text(), whole];',
        ['<p>~<b>~</b>~</p>', ['Hello', 'there', 'you']]],
    'comments': ['<p><!-- a --><!--b--></p><!--c-->', 'r.on("p", { comments(c) { if (c.text === "b") c.remove(); else c.text = "A"; } }).onDocument({ comments(c) { if (c.text === "c") c.before("<x>").replace("<!--d-->", { html: true }); } }); return text();',
        '<p><!--A--></p>&lt;x&gt;<!--d-->'],
    'comments that would end early are refused': ['<!--a-->', 'let m; r.onDocument({ comments(c) { try { c.text = "-->"; } catch (x) { m = x.constructor.name; } } }); return [await text(), m];', ['<!--a-->', 'TypeError']],
    'the document': ['<!doctype html SYSTEM "y"><p>', 'let d; r.onDocument({ doctype(t) { d = JSON.stringify(t); }, end(e) { e.append("<i>", { html: true }).append("<"); } }); return [await text(), d];',
        ['<!doctype html SYSTEM "y"><p><i>&lt;', '{"name":"html","publicId":null,"systemId":"y"}']],
    'handlers that wait are waited for, in order': ['<a></a><b></b>', 'const seen = []; const h = (n, ms) => ({ async element(e) { await new Promise((w) => setTimeout(w, ms)); seen.push(n); e.append(n); } }); r.on("a", h("1", 20)).on("a", h("2", 1)).on("b", h("3", 1)); return [await text(), seen];',
        ['<a>12</a><b>3</b>', ['1', '2', '3']]],
    'handlers may fetch': ['<a></a>', 'r.on("a", { async element(e) { e.append(await (await fetch("data:text/plain,hi")).text()); } }); return text();', '<a>hi</a>'],
    'this is the object with the handlers': ['<a></a><a></a>', 'class H { n = 0; element(e) { e.append(String(++this.n)); } } r.on("a", new H()); return text();', '<a>1</a><a>2</a>'],
    'content may be a stream or a response': ['<a>x</a><b>y</b>', 'const s = new ReadableStream({ start(c) { c.enqueue(new TextEncoder().encode("é<").subarray(0, 1)); c.enqueue(new TextEncoder().encode("é<").subarray(1)); c.close(); } }); r.on("a", { element: (e) => e.append(s) }).on("b", { element: (e) => e.replace(new Response("<i>z</i>"), { html: true }) }); return text();',
        '<a>xé&lt;</a><i>z</i>'],
    'a stream that fails fails the body': ['<a>x</a>', 'r.on("a", { element: (e) => e.append(new ReadableStream({ pull() { throw new Error("leak"); } })) }); return text().catch((x) => x.message);', 'leak'],
    'a handler that throws rejects the body, with what it threw': ['<a>x</a>', 'const seen = []; const e = new Error("boom"); r.on("a", { element() { throw e; } }).on("a", { element() { seen.push(2); } }); return [await text().catch((x) => x === e), seen];', [true, []]],
    'a handler that rejects, too': ['<a>x</a>', 'r.on("a", { async element() { await 1; throw new RangeError("late"); } }); return text().catch((x) => x.name);', 'RangeError'],
    'what was given is gone when the handler returns': ['<a>x</a>', 'let kept; r.on("a", { element(e) { kept = e; } }); await text(); try { kept.tagName; } catch (x) { return x.name; }', 'TypeError'],
    'handlers without anything to do': ['<p>x', 'r.on("p", {}).onDocument({}); return text();', '<p>x'],
    'raw texts are no markup': ['<script>if (a<b) "<a>"</script><textarea><a></textarea><a>', 'let n = 0; r.on("a", { element() { n++; } }); await text(); return n;', 1],
    'selectors': ['<div class="x y" id=z><p><a x=Abc></a></p><p></p></div>', 'const hits = []; for (const s of ["*", ".x.y", "#z", "div > p", "div a", "p:first-child", "p:nth-child(2)", ":not(a)", "[x]", "[x=Abc]", "[x=\\"abc\\" i]", "[class~=y]", "[x^=A]", "[x$=c]", "[x*=b]", "p, a", "p:nth-of-type(2)"]) r.on(s, { element() { hits.push(s); } }); await text(); const n = {}; for (const h of hits) n[h] = (n[h] ?? 0) + 1; return n;',
        { '*': 4, '.x.y': 1, '#z': 1, 'div > p': 2, 'div a': 1, 'p:first-child': 1, 'p:nth-child(2)': 1, ':not(a)': 3, '[x]': 1, '[x=Abc]': 1, '[x="abc" i]': 1, '[class~=y]': 1, '[x^=A]': 1, '[x$=c]': 1, '[x*=b]': 1, 'p, a': 3, 'p:nth-of-type(2)': 1 }],
    'selectors that are none are refused where they are given': ['', 'const bad = ["", "p:hover", "p + a", "[", "a".repeat(5000), ":not(".repeat(40)]; return bad.map((s) => { try { r.on(s, {}); return "taken"; } catch (x) { return x.constructor.name; } });',
        ['TypeError', 'TypeError', 'TypeError', 'TypeError', 'TypeError', 'TypeError']],
    'what transform() takes': ['', 'const t = (v) => { try { return r.transform(v); } catch (x) { return x.constructor.name; } }; const none = new Response(null, { status: 204 }); return [t("<p>"), t(Response.error()), t(none) === none];', ['TypeError', 'TypeError', true]],
    'the response stays what it was': ['<p>', 'const t = r.transform(new Response("<p>", { status: 201, statusText: "Made", headers: { "content-type": "text/html", "content-length": "3", x: "y" } })); return [t.status, t.statusText, t.headers.get("x"), t.headers.get("content-length"), await t.text()];', [201, 'Made', 'y', null, '<p>']],
    'other encodings': ['', 'const bytes = new Uint8Array([60, 112, 62, 233]); const t = r.on("p", { text(t) { if (t.text) t.after(t.text + "\\u20ac"); } }).transform(new Response(bytes, { headers: { "content-type": "text/html; charset=windows-1252" } })); return [...new Uint8Array(await t.arrayBuffer())];', [60, 112, 62, 233, 233, 128]],
    'encodings that are none': ['', 'const t = (c) => { try { r.transform(new Response("x", { headers: { "content-type": "text/html; charset=" + c } })); } catch (x) { return x.constructor.name; } }; return [t("nonsense"), t("utf-16le")];', ['TypeError', 'TypeError']],
    'rewriters are chained': ['<a></a>', 'const s = new HTMLRewriter().on("b", { element: (e) => e.append("!") }); r.on("a", { element: (e) => e.append("<b></b>", { html: true }) }); return s.transform(r.transform(new Response(input))).text();', '<a><b>!</b></a>'],
    'a rewriter serves for many documents': ['<a></a>', 'r.on("a", { element: (e) => e.append("1") }); return Promise.all([1, 2, 3].map(() => r.transform(new Response(input)).text()));', ['<a>1</a>', '<a>1</a>', '<a>1</a>']],
    'nothing is read that nobody wants': ['', 'let pulled = 0; const s = new ReadableStream({ pull(c) { pulled++; c.enqueue(new Uint8Array(70000).fill(120)); } }, { highWaterMark: 0 }); const reader = r.transform(new Response(s)).body.getReader(); await reader.read(); await reader.cancel("enough"); return pulled < 4;', true],
    'a body that is given up gives up its source': ['', 'let why; const s = new ReadableStream({ pull(c) { c.enqueue(new Uint8Array([60])); }, cancel(x) { why = x; } }); const t = r.transform(new Response(s)); await t.body.cancel("bye"); return why;', 'bye'],
    'a source that fails fails the body': ['', 'const s = new ReadableStream({ pull() { throw new Error("gone"); } }); return r.transform(new Response(s)).text().catch((x) => x.message);', 'gone'],
    'async context is that of transform()': ['<a></a>', 'const { AsyncLocalStorage } = await import("node:async_hooks"); const als = new AsyncLocalStorage(); let seen; r.on("a", { element() { seen = als.getStore(); } }); const t = als.run("in", () => r.transform(new Response(input))); await t.text(); return seen;', 'in'],
    'pieces may be cut anywhere': ['', 'const whole = "<!doctype html><p title=\\"a>b\\">é<a href=x>y</a><!--c--></p>"; const bytes = new TextEncoder().encode(whole); r.on("a", { element: (e) => e.setAttribute("k", "v") }); for (let n = 1; n < 12; n++) { const s = new ReadableStream({ start(c) { for (let i = 0; i < bytes.length; i += n) c.enqueue(bytes.slice(i, i + n)); c.close(); } }); const got = await r.transform(new Response(s)).text(); if (got !== whole.replace("<a href=x>", "<a href=x k=\\"v\\">")) return got; } return "same";', 'same'],
    'a long attribute is read again in proportion': ['', 'let n = 0; r.on("a[x]", { element(e) { n = e.getAttribute("x").length; } }); const html = "<a x=\\"" + "<y".repeat(250000) + "\\">"; return [(await r.transform(new Response(html)).text()).length === html.length, n];', [true, 500000]],
    'elements that are never closed meet a limit': ['', 'r.on("div div a", { element() {} }); return r.transform(new Response("<div>".repeat(100000))).text().catch((x) => x.message);', 'this HTML cannot be rewritten: The memory limit has been exceeded.'],
    'many documents at once have a limit': ['<a></a>', 'const t = []; try { for (;;) t.push(r.transform(new Response(input))); } catch (x) { const n = t.length; for (const one of t) await one.text(); return [n, x.name, typeof r.transform(new Response(input))]; }', [64, 'RangeError', 'object']],
    'handlers have a limit': ['<a></a>', 'for (let i = 0; i < 2049; i++) r.on("a", {}); try { r.transform(new Response(input)); } catch (x) { return x.name; }', 'RangeError'],
};

const MODULE = `
import "node:async_hooks";
const cases = {
${Object.entries(CASES).map(([name, [input, body]]) => `${JSON.stringify(name)}: async () => { const r = new HTMLRewriter(), input = ${JSON.stringify(input)}, text = () => r.transform(new Response(input)).text(); ${body} }`).join(',\n')}
};
export default { async fetch(request) { return Response.json((await cases[decodeURIComponent(new URL(request.url).pathname.slice(1))]()) ?? null); } };`;

for (const [name, [, , expected]] of Object.entries(CASES)) {
    test(name, async () => {
        const s = await server();
        await s.deploy('rewriter', MODULE);
        const answer = await s.request('rewriter', `/${encodeURIComponent(name)}`);
        assert.equal(answer.status, 200, answer.text);
        assert.deepEqual(answer.json, expected);
    });
}
