// SPDX-License-Identifier: Apache-2.0
// Blob, File, FormData, structuredClone, crypto.subtle.
import assert from "node:assert/strict";
import { test } from "node:test";
import { load, nativeStandIn } from "./runtime-load.mjs";

const {
    Blob, File, FormData, parseFormData, serializeFormData, structuredClone, subtle, SubtleCrypto,
    CryptoKey, mimeOfHeader, mimeText,
} = await load(nativeStandIn(), "blob", "form-data", "clone", "crypto/key", "crypto/subtle", "mime");
const encode = (text) => new TextEncoder().encode(text);
const decode = (bytes) => new TextDecoder().decode(bytes);

test("a Blob joins its parts, slices and reads", async () => {
    const blob = new Blob(["a", encode("b"), new Blob(["c"]), encode("xdy").buffer.slice(1, 2), 5], {
        type: "Text/PLAIN",
    });
    assert.equal(blob.size, 5);
    assert.equal(blob.type, "text/plain");
    assert.equal(await blob.text(), "abcd5");
    assert.equal(await blob.slice(1, -1, "x/y").text(), "bcd");
    assert.equal(blob.slice(1, -1, "x/y").type, "x/y");
    assert.equal(await blob.slice(3, 1).text(), "");
    assert.equal(decode(await blob.arrayBuffer()), "abcd5");
    assert.equal((await blob.bytes()).length, 5);
    assert.equal(new Blob([], { type: "tüpe" }).type, "");
    assert.equal(await new Blob(["a\r\nb\rc\n"], { endings: "native" }).text(), "a\nb\nc\n");
    assert.equal(await new Blob(["\ufeffx"]).text(), "x");
    assert.throws(() => new Blob("text"), TypeError);
    let streamed = "";
    for await (const chunk of blob.stream()) {
        streamed += decode(chunk);
    }
    assert.equal(streamed, "abcd5");
    const view = new Uint8Array([1, 2]);
    const copy = new Blob([view]);
    view[0] = 9;
    assert.deepEqual([...await copy.bytes()], [1, 2]);
});

test("a File has a name and a date", () => {
    const file = new File(["x"], "n.txt", { type: "text/plain", lastModified: 5 });
    assert.deepEqual([file.name, file.lastModified, file.size, file.type], ["n.txt", 5, 1, "text/plain"]);
    assert.ok(file instanceof Blob);
    assert.equal(Object.prototype.toString.call(file), "[object File]");
    assert.ok(new File([], "n").lastModified > 1e12);
    assert.throws(() => new File([]), TypeError);
});

test("FormData keeps strings and files", () => {
    const form = new FormData();
    form.append("a", 1);
    form.append("f", new Blob(["x"], { type: "t/t" }));
    form.append("f", new File(["y"], "old.txt"), "new.txt");
    form.append("a", "2");
    assert.deepEqual(form.getAll("a"), ["1", "2"]);
    assert.equal(form.get("f").name, "blob");
    assert.equal(form.getAll("f")[1].name, "new.txt");
    form.set("a", "only");
    assert.deepEqual([...form.keys()], ["a", "f", "f"]);
    form.delete("f");
    assert.deepEqual([...form], [["a", "only"]]);
    assert.equal(form.get("none"), null);
    assert.throws(() => form.append("a", "text", "name"), TypeError);
    assert.throws(() => new FormData({}), TypeError);
});

test("multipart: what is written is read back, by us and by Node", async () => {
    const form = new FormData();
    form.append('qu"ote\nline', "va\nlue");
    form.append("empty", "");
    form.append("ünï", "☃");
    const binary = Uint8Array.from({ length: 256 }, (_, i) => i);
    form.append("file", new File([binary], 'fi"le ☃.bin', { type: "application/x-test" }));
    form.append("nothing", new File([], ""));
    const [bytes, type] = serializeFormData(form);
    const ours = parseFormData(bytes, type);
    const theirs = await new Response(bytes, { headers: { "content-type": type } }).formData();
    for (const parsed of [ours, theirs]) {
        assert.equal(parsed.get('qu"ote\r\nline'), "va\r\nlue");
        assert.equal(parsed.get("empty"), "");
        assert.equal(parsed.get("ünï"), "☃");
        const file = parsed.get("file");
        assert.equal(file.name, 'fi"le ☃.bin');
        assert.equal(file.type, "application/x-test");
        assert.deepEqual(new Uint8Array(await file.arrayBuffer()), binary);
        assert.equal(parsed.get("nothing").size, 0);
    }
    const node = new globalThis.FormData();
    node.append("a", "1");
    node.append("b", new globalThis.Blob(["x\r\n--y"]), "b.txt");
    const response = new Response(node);
    const parsed = parseFormData(
        new Uint8Array(await response.arrayBuffer()), response.headers.get("content-type"),
    );
    assert.equal(parsed.get("a"), "1");
    assert.equal(await parsed.get("b").text(), "x\r\n--y");
});

test("multipart as others write it", async () => {
    const type = 'multipart/form-data; charset=utf-8; boundary="b b"';
    const body = [
        "preamble, to be ignored", "--b b  ", "content-disposition: FORM-DATA; name=plain", "", "v1",
        '--b b', 'Content-Disposition: form-data; filename="a\\"b.txt"; name="f"', "X-Other: y",
        "Content-Type: text/csv", "", "--b bb", "--b", "",
        "--b b", "Content-Disposition: form-data; name=\"g\"; filename=x; filename*=UTF-8''%e2%98%83.txt",
        "", "", "--b b--", "epilogue",
    ].join("\r\n");
    const form = parseFormData(encode(body), type);
    assert.equal(form.get("plain"), "v1");
    assert.equal(form.get("f").name, 'a"b.txt');
    assert.equal(await form.get("f").text(), "--b bb\r\n--b\r\n");
    assert.equal(form.get("f").type, "text/csv");
    assert.equal(form.get("g").name, "☃.txt");
    assert.equal(form.get("g").size, 0);
    assert.equal([...parseFormData(encode("--b--\r\n"), "multipart/form-data; boundary=b")].length, 0);
});

test("multipart: parameters end where HTML says, whatever stands in them", async () => {
    const parse = (disposition) => {
        const body = `--b\r\nContent-Disposition: ${disposition}\r\n\r\nX\r\n--b--\r\n`;
        const [[name, value]] = parseFormData(encode(body), "multipart/form-data; boundary=b");
        return [name, typeof value === "string" ? undefined : value.name];
    };
    assert.deepEqual(parse('form-data; name="dir\\"; filename="a.bin"'), ["dir\\", "a.bin"]);
    assert.deepEqual(parse('form-data; name="a; filename=b.txt"'), ["a; filename=b.txt", undefined]);
    assert.deepEqual(parse('form-data; name="a; filename=\\"b.txt\\"x"'), ['a; filename="b.txt"x', undefined]);
    assert.deepEqual(parse('form-data;name=a;filename=""'), ["a", ""]);
    assert.deepEqual(parse('form-data; filename="x;name=no.txt" ; name = "yes" '), ["yes", "x;name=no.txt"]);
    assert.deepEqual(parse('form-data; x; name="a"; name="b"'), ["a", undefined]);
    assert.deepEqual(parse(`form-data; name="a"; filename*=utf-8'en'%e2%98%83; filename="b"`), ["a", "☃"]);
    assert.deepEqual(parse(`form-data; name="a"; filename*=utf-8''%ff; filename="b"`), ["a", "b"]);
    assert.deepEqual(parse('form-data; name="open'), ["open", undefined]);
    assert.throws(() => parse('form-data-x; name="a"'), TypeError);
});

test("multipart: any names survive the way there and back", async () => {
    const pieces = ['"', "\\", "\\\"", ";", "; filename=", "; name=", "=", "\r", "\n", "\r\n", " ", "a", "é", "☃", "\u{1f600}", "*", "'", "--", "%", "\ud800"];
    let seed = 1;
    const pick = (n) => (seed = (seed * 48271) % 2147483647) % n;
    const text = () => Array.from({ length: pick(6) }, () => pieces[pick(pieces.length)]).join("");
    const crlf = (t) => t.toWellFormed().replace(/\r\n?|\n/g, "\r\n");
    for (let round = 0; round < 500; round++) {
        const form = new FormData();
        const want = [];
        for (let i = pick(4); i >= 0; i--) {
            const name = text(), value = text();
            if (pick(2)) {
                form.append(name, value);
                want.push([crlf(name), crlf(value)]);
            } else {
                const fileName = text();
                form.append(name, new File([value], fileName));
                want.push([crlf(name), fileName.toWellFormed(), value.toWellFormed()]);
            }
        }
        const got = [];
        for (const [name, value] of parseFormData(...serializeFormData(form)))
            got.push(typeof value === "string" ? [name, value] : [name, value.name, await value.text()]);
        assert.deepEqual(got, want, `round ${round}`);
    }
});

test("the type of a body is a MIME type, written as the standard says", () => {
    const text = (header) => { const mime = mimeOfHeader(header); return mime ? mimeText(mime) : ""; };
    assert.equal(text("Text/HTML;Charset=UTF-8"), "text/html;charset=UTF-8");
    assert.equal(text(' text/plain ; a = b; c="d;\\"e" ;c=f; =x; g="" '), 'text/plain;c="d;\\"e";g=""');
    assert.equal(text('text/html;charset="gbk'), "text/html;charset=gbk"); // a quote that is never closed
    assert.equal(text('text/html;";charset=gbk'), "text/html;charset=gbk");
    assert.equal(text("text/html;charset=gbk, text/html"), "text/html;charset=gbk");
    assert.equal(text('text/html;x=",text/plain", image/gif'), "image/gif");
    assert.equal(text("text/html;charset=gbk, text/plain, */*, x"), "text/plain");
    for (const none of ["", "text", "text/", "te xt/html", "text/html/x", "/", "☃/a"]) assert.equal(text(none), "");
});

test("broken forms say what is wrong", () => {
    const type = "multipart/form-data; boundary=b";
    const parse = (text, t = type) => () => parseFormData(encode(text), t);
    assert.throws(parse(""), /boundary is not in it/);
    assert.throws(parse("--b\r\nContent-Disposition: form-data; name=a\r\n\r\nx"), /last delimiter/);
    assert.throws(parse("--b\r\nContent-Disposition: form-data; name=a"), /end of its headers/);
    assert.throws(parse("--b\r\nX: y\r\n\r\nx\r\n--b--"), /Content-Disposition/);
    assert.throws(parse("--b\r\nContent-Disposition: form-data\r\n\r\nx\r\n--b--"), /name/);
    assert.throws(parse("", "multipart/form-data"), /no boundary/);
    assert.throws(parse("", "text/plain"), /text\/plain/);
    assert.throws(parse("", ""), /without a content type/);
    assert.deepEqual([...parseFormData(encode("a=1&b=+%26"), "application/x-www-form-urlencoded;charset=UTF-8")],
        [["a", "1"], ["b", " &"]]);
});

test("structuredClone copies deeply and keeps shape and identity", () => {
    const shared = { s: 1 };
    const value = {
        n: null, u: undefined, f: 1.5, z: -0, nan: NaN, big: 10n, str: "x", t: true,
        date: new Date(5), re: /a+/gi, map: new Map([[shared, { m: 1 }]]), set: new Set([1, shared]),
        list: [1, , 3], shared, buffer: Uint8Array.of(1, 2, 3).buffer, boxed: [Object(1), Object("s"), Object(false), Object(2n)],
    };
    value.self = value;
    value.list.extra = "e";
    const copy = structuredClone(value);
    assert.notEqual(copy, value);
    assert.equal(copy.self, copy);
    assert.equal([...copy.map.keys()][0], copy.shared);
    assert.ok(copy.set.has(copy.shared));
    delete copy.self;
    delete value.self;
    assert.deepEqual(copy, value);
    assert.ok(!(1 in copy.list) && copy.list.extra === "e");
    assert.equal(copy.re.lastIndex, 0);
    assert.equal(Object.getPrototypeOf(structuredClone(new (class X {
        a = 1;
    })())), Object.prototype);
    assert.deepEqual(structuredClone({ get x() {
        return 5;
    } }), { x: 5 });
    assert.deepEqual(Object.keys(structuredClone({ ["__proto__"]: 1 })), ["__proto__"]);
});

test("structuredClone of buffers and views", () => {
    const buffer = Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8).buffer;
    const copy = structuredClone({ a: new Uint8Array(buffer, 2, 3), b: new DataView(buffer), c: new Float32Array(buffer, 4, 1) });
    assert.deepEqual([...copy.a], [3, 4, 5]);
    assert.equal(copy.a.buffer, copy.b.buffer);
    assert.equal(copy.c.buffer, copy.a.buffer);
    assert.notEqual(copy.a.buffer, buffer);
    if (ArrayBuffer.prototype.transfer) {
        const moved = structuredClone({ view: new Uint8Array(buffer) }, { transfer: [buffer] });
        assert.equal(moved.view.length, 8);
        assert.equal(buffer.byteLength, 0);
    }
});

test("structuredClone of errors, blobs, and what it refuses", async () => {
    const error = new RangeError("bad", { cause: { c: 1 } });
    error.extra = "lost";
    const copy = structuredClone(error);
    assert.ok(copy instanceof RangeError);
    assert.deepEqual([copy.name, copy.message, copy.stack, copy.extra], ["RangeError", "bad", error.stack, undefined]);
    assert.deepEqual(copy.cause, { c: 1 });
    class Mine extends Error {
        name = "Mine";
    }
    assert.equal(structuredClone(new Mine("m")).name, "Error");
    assert.equal(structuredClone(new DOMException("m", "AbortError")).name, "AbortError");
    const file = structuredClone(new File(["abc"], "n", { lastModified: 1 }));
    assert.deepEqual([file.name, file.lastModified, await file.text()], ["n", 1, "abc"]);
    for (const bad of [() => {}, Symbol("x"), { a: { b() {} } }, Promise.resolve(), new WeakMap(), new Headers()]) {
        assert.throws(() => structuredClone(bad), { name: "DataCloneError" });
    }
    assert.throws(() => structuredClone(1, { transfer: [{}] }), { name: "DataCloneError" });
    assert.throws(() => structuredClone(), TypeError);
});

const { subtle: nodeSubtle } = globalThis.crypto;
const hex = (buffer) => Buffer.from(buffer).toString("hex");

test("crypto.subtle.digest equals Node's", async () => {
    for (const name of ["SHA-1", "sha-256", { name: "SHA-384" }, "SHA-512"]) {
        assert.equal(hex(await subtle.digest(name, encode("abc"))), hex(await nodeSubtle.digest(name, encode("abc"))));
    }
    await assert.rejects(subtle.digest("MD5", encode("")), { name: "NotSupportedError" });
    await assert.rejects(subtle.digest("SHA-256", "text"), TypeError);
    assert.throws(() => new SubtleCrypto(), TypeError);
    assert.throws(() => new CryptoKey(), TypeError);
});

test("HMAC equals Node's, with short and long keys", async () => {
    for (const hash of ["SHA-1", "SHA-256", "SHA-512"]) {
        for (const length of [1, 64, 65, 128, 200]) {
            const raw = new Uint8Array(length).fill(7);
            const algorithm = { name: "HMAC", hash };
            const ours = await subtle.importKey("raw", raw, algorithm, true, ["verify", "sign"]);
            const theirs = await nodeSubtle.importKey("raw", raw, algorithm, true, ["sign", "verify"]);
            const signature = await subtle.sign("HMAC", ours, encode("data"));
            assert.equal(hex(signature), hex(await nodeSubtle.sign("HMAC", theirs, encode("data"))));
            assert.equal(await subtle.verify("hmac", ours, signature, encode("data")), true);
            assert.equal(await subtle.verify("HMAC", ours, signature, encode("datA")), false);
            assert.equal(await subtle.verify("HMAC", ours, signature.slice(1), encode("data")), false);
            assert.equal(await subtle.verify("HMAC", ours, new Uint8Array(), encode("data")), false);
            assert.deepEqual(await subtle.exportKey("jwk", ours), await nodeSubtle.exportKey("jwk", theirs));
            const again = await subtle.importKey("jwk", await subtle.exportKey("jwk", ours), algorithm, false, ["sign"]);
            assert.equal(hex(await subtle.sign("HMAC", again, encode("data"))), hex(signature));
            await assert.rejects(subtle.exportKey("raw", again), { name: "InvalidAccessError" });
            await assert.rejects(subtle.verify("HMAC", again, signature, encode("x")), { name: "InvalidAccessError" });
        }
    }
    const key = await subtle.generateKey({ name: "HMAC", hash: "SHA-256" }, false, ["sign"]);
    assert.deepEqual(key.algorithm, { name: "HMAC", hash: { name: "SHA-256" }, length: 512 });
    assert.deepEqual([key.type, key.extractable, key.usages], ["secret", false, ["sign"]]);
    await assert.rejects(subtle.importKey("raw", new Uint8Array(), { name: "HMAC", hash: "SHA-256" }, true, ["sign"]), { name: "DataError" });
    await assert.rejects(subtle.importKey("raw", encode("k"), { name: "HMAC", hash: "SHA-256" }, true, ["encrypt"]), { name: "SyntaxError" });
    await assert.rejects(subtle.importKey("raw", encode("k"), "AES-GCM", true, ["sign"]), { name: "SyntaxError" });
    await assert.rejects(subtle.sign("HMAC", {}, encode("x")), TypeError);
    await assert.rejects(subtle.encrypt(), TypeError);
});
