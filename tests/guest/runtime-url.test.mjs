// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import { load, nativeStandIn } from "./runtime-load.mjs";

const native = nativeStandIn();
const ours = await load(native, "url", "search-params");
const { URL, URLSearchParams } = ours;
const Theirs = { URL: globalThis.URL, URLSearchParams: globalThis.URLSearchParams };

const parts = ["href", "origin", "protocol", "username", "password", "host", "hostname", "port",
    "pathname", "search", "hash"];

test("every part equals Node's, for many shapes of URL", () => {
    const inputs = [
        "http://example.com", "https://user:pa%20ss@example.com:8443/a/b?x=1&y=2#frag",
        "http://user@h/", "http://:pw@h/", "https://example.com:443/", "http://[::1]:8080/x?#",
        "http://h/?", "http://h/#", "http://h/?#", "http://h?q#f", "data:text/plain,hello?x#y",
        "mailto:a@b.c", "file:///etc/passwd", "http://EXAMPLE.com/%7Efoo/../bar", "http://münchen.de/ü?ü#ü",
        "blob:https://a.b/c", "javascript:void(0)", "ws://h:80/", "http://1.2.3/",
    ];
    for (const input of inputs) {
        const url = new URL(input);
        const node = new Theirs.URL(input);
        for (const part of parts) {
            assert.equal(url[part], node[part], `${part} of ${input}`);
        }
        assert.equal(String(url), node.href);
        assert.equal(JSON.stringify({ url }), JSON.stringify({ url: node }));
    }
});

test("setters behave as Node's", () => {
    const start = "https://u:p@example.com:8080/path?query=1#hash";
    const values = {
        protocol: ["http", "ftp:", "bad scheme"], username: ["new", ""], password: ["x y", ""],
        host: ["other.org:99", "other.org", ""], hostname: ["h.org", ""], port: ["1", "", "99999", "8a"],
        pathname: ["/n", "n", "", "/a b"], search: ["?a=b", "c", "", "?ä"], hash: ["#x", "y", "", "a b"],
    };
    for (const [part, list] of Object.entries(values)) {
        for (const value of list) {
            const url = new URL(start);
            const node = new Theirs.URL(start);
            url[part] = value;
            node[part] = value;
            assert.equal(url.href, node.href, `${part} = ${JSON.stringify(value)}`);
            assert.equal(url[part], node[part]);
        }
    }
    const url = new URL(start);
    url.href = "http://new/";
    assert.equal(url.host, "new");
    assert.throws(() => {
        url.href = "nope";
    }, TypeError);
    assert.equal(url.href, "http://new/");
});

test("an invalid URL is a TypeError that names its input", () => {
    assert.throws(() => new URL("nope"), { name: "TypeError", code: "ERR_INVALID_URL", input: "nope" });
    assert.throws(() => new URL("x", "also bad"), { base: "also bad" });
    assert.throws(() => new URL(), TypeError);
    assert.throws(() => new URL(Symbol("x")), TypeError);
    assert.throws(() => URL("http://h/"), TypeError);
    assert.equal(URL.parse("nope"), null);
    assert.equal(URL.parse("/x", "http://h/").href, "http://h/x");
    assert.equal(new URL("http://after-parse/").host, "after-parse");
    assert.equal(URL.canParse("nope"), false);
    assert.equal(URL.canParse("x", "http://h/"), true);
    assert.equal(new URL({ toString: () => "http://obj/" }).host, "obj");
    assert.equal(new URL("../c?d", new URL("http://h/a/b/")).href, "http://h/a/c?d");
});

test("searchParams and search are one thing", () => {
    const url = new URL("http://h/p?a=1&b=2#f");
    const params = url.searchParams;
    assert.equal(url.searchParams, params);
    params.append("c", "3 4");
    assert.equal(url.href, "http://h/p?a=1&b=2&c=3+4#f");
    assert.equal(url.search, "?a=1&b=2&c=3+4");
    params.delete("a");
    params.set("b", "ü&=");
    assert.equal(url.search, "?b=%C3%BC%26%3D&c=3+4");
    url.search = "?z=9";
    assert.deepEqual([...params], [["z", "9"]]);
    params.delete("z");
    assert.equal(url.href, "http://h/p#f");
    url.href = "http://other/?k=v";
    assert.equal(params.get("k"), "v");
    url.hash = "new";
    assert.equal(params.get("k"), "v");
    params.append("l", "w");
    url.pathname = "/q";
    assert.equal(url.href, "http://other/q?k=v&l=w#new");
});

test("many changes of searchParams cost one host op", () => {
    const url = new URL("http://h/");
    const before = native.calls.url;
    for (let i = 0; i < 100; i++) {
        url.searchParams.append("k", String(i));
    }
    assert.equal(url.searchParams.size, 100);
    assert.equal(native.calls.url, before);
    assert.ok(url.href.endsWith("k=99"));
    assert.equal(native.calls.url, before + 1);
});

test("URLSearchParams parses and serializes as Node's", () => {
    const inputs = ["", "?", "a", "a=", "=a", "=", "&&a=b&&", "a=b=c", "a+b=c+d", "a%20b=%2B", "%zz=%", "%e4=%C3",
        "a=%EF%BB%BFx", "%F0%9F%92%A9=💩", "?a=b", "??a=b", "a=b#c", "x=%41%zz", "\ud800=\udfff",
        "k=!'()*-._~ @:/?"];
    for (const input of inputs) {
        assert.deepEqual([...new URLSearchParams(input)], [...new Theirs.URLSearchParams(input)], input);
        assert.equal(
            new URLSearchParams(input).toString(), new Theirs.URLSearchParams(input).toString(), input,
        );
    }
    let every = "";
    for (let code = 1; code < 256; code++) {
        every += String.fromCharCode(code);
    }
    assert.equal(
        new URLSearchParams([[every, every]]).toString(),
        new Theirs.URLSearchParams([[every, every]]).toString(),
    );
});

test("URLSearchParams takes records, pairs, maps and itself", () => {
    assert.equal(new URLSearchParams({ a: 1, b: null }).toString(), "a=1&b=null");
    assert.equal(new URLSearchParams([["a", "b"], ["a", "c"]]).toString(), "a=b&a=c");
    assert.equal(new URLSearchParams(new Map([["a", "b"]])).toString(), "a=b");
    assert.equal(new URLSearchParams(new URLSearchParams("x=y")).toString(), "x=y");
    assert.equal(new URLSearchParams(undefined).toString(), "");
    assert.equal(new URLSearchParams(null).toString(), "null=");
    assert.equal(new URLSearchParams({ "\ud800": "1", "\ufffd": "2" }).toString(), "%EF%BF%BD=2");
    assert.throws(() => new URLSearchParams([["a"]]), TypeError);
    assert.throws(() => new URLSearchParams([["a", "b", "c"]]), TypeError);
    assert.throws(() => new URLSearchParams(["ab", 1]), TypeError);
    assert.throws(() => new URLSearchParams({ [Symbol("s")]: "x" }), TypeError);
    const source = new URLSearchParams("a=1");
    const copy = new URLSearchParams(source);
    copy.append("b", "2");
    assert.equal(source.size, 1);
});

test("URLSearchParams methods", () => {
    const params = new URLSearchParams("a=1&b=2&a=3&a=1");
    assert.equal(params.get("a"), "1");
    assert.equal(params.get("none"), null);
    assert.deepEqual(params.getAll("a"), ["1", "3", "1"]);
    assert.ok(params.has("a", "3") && !params.has("a", "9"));
    params.delete("a", "1");
    assert.equal(params.toString(), "b=2&a=3");
    params.set("b", "x");
    params.set("new", "y");
    assert.equal(params.toString(), "b=x&a=3&new=y");
    const multi = new URLSearchParams("a=1&b=2&a=3");
    multi.set("a", "9");
    assert.equal(multi.toString(), "a=9&b=2");
    assert.throws(() => params.append("a"), TypeError);
    const sorted = new URLSearchParams("z=1&ﬃ=2&🌈=3&a=4&z=0");
    sorted.sort();
    assert.equal([...sorted.keys()].join(), "a,z,z,🌈,ﬃ");
    assert.deepEqual(sorted.getAll("z"), ["1", "0"]);
    const seen = [];
    new URLSearchParams("a=1&b=2").forEach(function each(value, name, all) {
        seen.push(value, name, this.x, all.size);
    }, { x: 7 });
    assert.deepEqual(seen, ["1", "a", 7, 2, "2", "b", 7, 2]);
});

test("iterators are live and named", () => {
    const params = new URLSearchParams("a=1&b=2&c=3");
    const seen = [];
    for (const [name] of params) {
        seen.push(name);
        if (name === "a") {
            params.delete("b");
            params.append("d", "4");
        }
    }
    assert.deepEqual(seen, ["a", "c", "d"]);
    const iterator = params.entries();
    assert.equal(Object.prototype.toString.call(iterator), "[object URLSearchParams Iterator]");
    assert.equal(iterator[Symbol.iterator](), iterator);
    assert.equal(URLSearchParams.prototype[Symbol.iterator], URLSearchParams.prototype.entries);
    assert.equal(Object.prototype.toString.call(params), "[object URLSearchParams]");
    assert.equal(URL.name, "URL");
    assert.deepEqual(Object.keys(URL.prototype).sort(), Object.keys(Theirs.URL.prototype).sort());
});
