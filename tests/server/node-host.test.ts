// SPDX-License-Identifier: Apache-2.0
// Modules of Node.js that the host works for (crypto, zlib, http) beside Node's own: the same code here and there gives the same.
import assert from 'node:assert/strict';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { after, before, test } from 'node:test';
import { useServer } from './harness.ts';

const server = useServer({ args: ['--egress-allow', '127.0.0.1'] });

const HEAD = `import * as crypto from "node:crypto"; import * as zlib from "node:zlib"; import { Buffer } from "node:buffer"; import { promisify } from "node:util"; import { pipeline } from "node:stream/promises"; import { Readable } from "node:stream";
const error = (fn) => { try { return ["no error", fn()]; } catch (e) { return [e.name, e.code]; } };
`;

/** name -> body of an async function that gives JSON. */
const CASES: Record<string, string> = {
    digests: `return ["md5", "sha1", "SHA256", "sha224", "sha384", "sha512", "sha3-256", "ripemd160", "blake2b512", "sha512-256", "RSA-SHA256"].map((a) => crypto.createHash(a).update("héllo").update(Buffer.from([0, 255])).digest("hex")).concat([crypto.createHash("shake256", { outputLength: 10 }).update("x").digest("base64"), crypto.createHash("sha1").digest("base64url")])`,
    'digests: copy, twice, unknown, streams': `const h = crypto.createHash("sha256").update("a"); const c = h.copy().update("b").digest("hex"); const d = h.digest("hex"); const s = crypto.createHash("md5"); await pipeline(Readable.from(["x", "y"]), s); return [c, d, error(() => h.digest()), error(() => h.update("x")), error(() => crypto.createHash("nope"))[0], error(() => crypto.createHash("md5").update(5)), s.read().toString("hex")]`,
    hmac: `return ["md5", "sha256", "sha512"].map((a) => crypto.createHmac(a, "key").update("data").digest("hex")).concat([crypto.createHmac("sha1", Buffer.alloc(200, 1)).update("x").digest("base64"), crypto.createHmac("sha256", crypto.createSecretKey(Buffer.from("k"))).update("x").digest("hex"), error(() => crypto.createHmac("nope", "k"))])`,
    ciphers: `const key = Buffer.alloc(32, 7), out = []; for (const [name, k, iv] of [["aes-256-cbc", 32, 16], ["aes-128-cbc", 16, 16], ["aes-192-ctr", 24, 16], ["aes-256-ecb", 32, 0], ["aes-256-gcm", 32, 12], ["chacha20-poly1305", 32, 12], ["des-ede3-cbc", 24, 8]]) { const i = iv ? Buffer.alloc(iv, 3) : null; const aead = /gcm|poly/.test(name); const c = crypto.createCipheriv(name, key.subarray(0, k), i, aead ? { authTagLength: 16 } : undefined); if (aead) c.setAAD(Buffer.from("aad")); const e = Buffer.concat([c.update("héllo world, this is more than a block", "utf8"), c.update(Buffer.from("!")), c.final()]); const tag = aead ? c.getAuthTag() : undefined; const d = crypto.createDecipheriv(name, key.subarray(0, k), i, aead ? { authTagLength: 16 } : undefined); if (aead) { d.setAAD(Buffer.from("aad")); d.setAuthTag(tag); } out.push([name, e.toString("hex"), tag?.toString("hex"), d.update(e, null, "utf8") + d.final("utf8")]); } return out`,
    'ciphers: pieces, padding, failures': `const k = Buffer.alloc(16, 1), iv = Buffer.alloc(16, 2); const c = crypto.createCipheriv("aes-128-cbc", k, iv); const parts = [c.update("0123456789abcdef", "latin1", "hex"), c.update("x", "utf8", "hex"), c.final("hex")]; const n = crypto.createCipheriv("aes-128-cbc", k, iv).setAutoPadding(false); const whole = n.update(Buffer.alloc(32), null, "hex") + n.final("hex"); const bad = crypto.createDecipheriv("aes-128-cbc", k, iv); bad.update("00", "hex"); const g = crypto.createDecipheriv("aes-128-gcm", k, Buffer.alloc(12)); g.update("00", "hex"); g.setAuthTag(Buffer.alloc(16)); return [parts, whole, error(() => bad.final())[1], error(() => g.final())[0], error(() => crypto.createCipheriv("aes-128-cbc", "short", iv)), error(() => crypto.createCipheriv("aes-128-cbc", k, "bad")), error(() => crypto.createCipheriv("nope", k, iv)), crypto.getCipherInfo("aes-256-cbc").keyLength, error(() => crypto.createCipheriv("aes-128-ecb", k, null).getAuthTag())[1]]`,
    derivation: `return [crypto.pbkdf2Sync("pw", "salt", 1000, 32, "sha256").toString("hex"), (await promisify(crypto.pbkdf2)("pw", "salt", 20000, 16, "sha512")).toString("hex"), crypto.scryptSync("pw", "salt", 32).toString("hex"), (await promisify(crypto.scrypt)("pw", "salt", 16, { N: 1024 })).toString("hex"), Buffer.from(crypto.hkdfSync("sha256", "key", "salt", "info", 20)).toString("hex"), error(() => crypto.pbkdf2Sync("p", "s", 1, 1, "nope")), error(() => crypto.scryptSync("p", "s", 1, { N: 3 })), error(() => crypto.pbkdf2Sync("p", "s", 0, 1, "sha1"))]`,
    random: `const b = crypto.randomBytes(100000); const n = Array.from({ length: 100 }, () => crypto.randomInt(5, 8)); return [b.length, new Set(b).size > 200, Math.min(...n), Math.max(...n), crypto.randomUUID().length, crypto.randomFillSync(Buffer.alloc(4)).length, (await promisify(crypto.randomBytes)(3)).length, error(() => crypto.randomInt(3, 3)), error(() => crypto.randomBytes(-1)), crypto.timingSafeEqual(Buffer.from("a"), Buffer.from("a")), error(() => crypto.timingSafeEqual(Buffer.from("a"), Buffer.from("ab")))]`,
    'keys: made, written, read': `const out = []; for (const [type, options] of [["rsa", { modulusLength: 2048 }], ["ec", { namedCurve: "P-256" }], ["ec", { namedCurve: "secp384r1" }], ["ed25519", {}], ["x25519", {}]]) { const { publicKey, privateKey } = crypto.generateKeyPairSync(type, options); const forms = type === "rsa" ? ["pkcs1", "pkcs8"] : type === "ec" ? ["sec1", "pkcs8"] : ["pkcs8"]; out.push([privateKey.asymmetricKeyType, privateKey.type, Object.keys(privateKey.asymmetricKeyDetails), ...forms.map((f) => crypto.createPrivateKey(privateKey.export({ type: f, format: "pem" })).equals(privateKey)), crypto.createPublicKey(publicKey.export({ type: "spki", format: "pem" })).equals(publicKey), crypto.createPublicKey(privateKey).equals(publicKey), crypto.createPrivateKey({ key: privateKey.export({ format: "jwk" }), format: "jwk" }).equals(privateKey), Object.keys(publicKey.export({ format: "jwk" })).sort(), crypto.createPrivateKey({ key: privateKey.export({ type: "pkcs8", format: "der" }), format: "der", type: "pkcs8" }).equals(privateKey)]); } return out`,
    signatures: `const out = []; const data = Buffer.from("data"); for (const [type, options, alg, more] of [["rsa", { modulusLength: 2048 }, "sha256", {}], ["rsa", { modulusLength: 2048 }, "RSA-SHA512", { padding: crypto.constants.RSA_PKCS1_PSS_PADDING, saltLength: 32 }], ["rsa", { modulusLength: 2048 }, "sha256", { padding: crypto.constants.RSA_PKCS1_PSS_PADDING }], ["ec", { namedCurve: "P-256" }, "sha256", {}], ["ec", { namedCurve: "P-521" }, "sha512", { dsaEncoding: "ieee-p1363" }], ["ed25519", {}, null, {}]]) { const { publicKey, privateKey } = crypto.generateKeyPairSync(type, options); const s = crypto.sign(alg, data, { key: privateKey, ...more }); const streamed = alg ? crypto.createVerify(alg).update("da").update("ta").verify({ key: publicKey, ...more }, s) : true; out.push([crypto.verify(alg, data, { key: publicKey, ...more }, s), crypto.verify(alg, Buffer.from("other"), { key: publicKey, ...more }, s), streamed, type === "ec" && !more.dsaEncoding ? s.length > 60 : s.length]); } return out`,
    agreement: `const a = crypto.createECDH("prime256v1"), b = crypto.createECDH("prime256v1"); a.generateKeys(); b.generateKeys(); const fixed = crypto.createECDH("prime256v1"); fixed.setPrivateKey("01".repeat(32), "hex"); const x = crypto.generateKeyPairSync("x25519"), y = crypto.generateKeyPairSync("x25519"); const { publicKey, privateKey } = crypto.generateKeyPairSync("rsa", { modulusLength: 2048 }); return [a.computeSecret(b.getPublicKey()).equals(b.computeSecret(a.getPublicKey(null, "compressed"))), fixed.getPublicKey("hex"), fixed.getPublicKey("hex", "compressed"), crypto.diffieHellman({ privateKey: x.privateKey, publicKey: y.publicKey }).equals(crypto.diffieHellman({ privateKey: y.privateKey, publicKey: x.publicKey })), crypto.privateDecrypt(privateKey, crypto.publicEncrypt(publicKey, Buffer.from("secret"))).toString(), crypto.privateDecrypt({ key: privateKey, oaepHash: "sha256" }, crypto.publicEncrypt({ key: publicKey, oaepHash: "sha256" }, Buffer.from("s2"))).toString(), error(() => crypto.createECDH("nope"))]`,
    'zlib: there and back': `const data = Buffer.from("hello ".repeat(10000)); const out = []; for (const [c, d] of [["gzip", "gunzip"], ["deflate", "inflate"], ["deflateRaw", "inflateRaw"], ["gzip", "unzip"], ["deflate", "unzip"], ["brotliCompress", "brotliDecompress"]]) { const z = zlib[c + "Sync"](data); const later = await promisify(zlib[c])(data); const streamed = []; for await (const p of Readable.from([data.subarray(0, 7), data.subarray(7)]).pipe(zlib["create" + c[0].toUpperCase() + c.slice(1)]()).pipe(zlib["create" + d[0].toUpperCase() + d.slice(1)]())) streamed.push(p); out.push([z.length < 1000, zlib[d + "Sync"](z).equals(data), (await promisify(zlib[d])(later)).equals(data), Buffer.concat(streamed).equals(data)]); } return out`,
    'zlib: streams of several members, cut, with garbage': `const z = zlib.gzipSync("text"); const through = async (parts, stream) => { const out = []; try { for await (const c of Readable.from(parts).pipe(stream).on("error", () => {})) out.push(c); } catch (e) { return [e.name, e.code]; } return Buffer.concat(out).toString(); }; const read = (parts, stream) => new Promise((r) => { const out = []; stream.on("data", (c) => out.push(c)).on("end", () => r(Buffer.concat(out).toString())).on("error", (e) => r([e.name, e.code])); for (const p of parts) stream.write(p); stream.end(); }); return [await read([z, z.subarray(0, 3), z.subarray(3)], zlib.createGunzip()), await read([Buffer.concat([z, z])], zlib.createUnzip()), await read([z.subarray(0, 8)], zlib.createGunzip()), await read([Buffer.concat([z, Buffer.alloc(10)])], zlib.createGunzip()), await read([], zlib.createGzip().pipe(zlib.createGunzip()) && zlib.createGzip()).then((t) => t.length > 5), await read([z.subarray(0, -8)], zlib.createGunzip({ finishFlush: zlib.constants.Z_SYNC_FLUSH })), typeof through]`,
    'zlib: levels, windows, strategies': `const data = Buffer.from(Array.from({ length: 3000 }, (_, i) => (i * 7919 % 256) ^ (i >> 3))); const out = []; for (const options of [{ level: 0 }, { level: 1 }, { level: 9 }, { windowBits: 9 }, { windowBits: 11, memLevel: 1 }, { strategy: zlib.constants.Z_HUFFMAN_ONLY }, { strategy: zlib.constants.Z_RLE, level: 3 }]) for (const c of ["deflateSync", "deflateRawSync", "gzipSync"]) { const z = zlib[c](data, options); out.push(c === "gzipSync" ? z.length : z.toString("base64").slice(0, 40), zlib[c.replace("de", "in").replace("gz", "gunz")](z, c === "deflateRawSync" ? { windowBits: options.windowBits } : {}).equals(data)); } return out`,
    'zlib: dictionaries': `const d = Buffer.from("the quick brown fox"), data = Buffer.from("the quick brown dog, the quick fox"); const out = []; for (const [c, i] of [["deflate", "inflate"], ["deflateRaw", "inflateRaw"]]) { const z = zlib[c + "Sync"](data, { dictionary: d }); out.push(z.toString("hex"), zlib[i + "Sync"](z, { dictionary: d }).toString(), c === "deflate" && error(() => zlib.inflateSync(z)), c === "deflate" && error(() => zlib.inflateSync(z, { dictionary: Buffer.from("other") }))); } return [out, error(() => zlib.deflateSync("x", { dictionary: 5 }))]`,
    'zlib: flush and params': `const collect = (s, steps) => new Promise((resolve, reject) => { const seen = []; let some = []; s.on("data", (c) => some.push(c)).on("error", reject).on("end", () => resolve([...seen, Buffer.concat(some).toString("hex")])); const next = (i) => { if (i === steps.length) { s.end(); return; } steps[i](() => { seen.push(Buffer.concat(some).toString("hex")); some = []; next(i + 1); }); }; next(0); }); const text = "abcabcabc".repeat(20); return [await (async () => { const s = zlib.createDeflate(); return collect(s, [(n) => s.write(text, n), (n) => s.flush(n), (n) => s.write(text, n), (n) => s.flush(zlib.constants.Z_SYNC_FLUSH, n)]); })(), await (async () => { const s = zlib.createDeflateRaw({ level: 1 }); return (await collect(s, [(n) => s.write(text, n), (n) => s.params(9, 0, n), (n) => s.write(text, n)])).at(-1).length > 0; })(), await (async () => { const s = zlib.createBrotliCompress(); const pieces = await collect(s, [(n) => s.write(text, n), (n) => s.flush(n)]); return [pieces[1].length > 0, zlib.brotliDecompressSync(Buffer.from(pieces.join(""), "hex")).toString() === text]; })(), error(() => zlib.brotliCompressSync("x", { params: { 77: 1 } })), error(() => zlib.brotliCompressSync("x", { params: { 1: "x" } }))]`,
    'zlib: words of the library': `const z = zlib.deflateSync("text".repeat(50)); return [error(() => zlib.inflateSync(Buffer.from([1, 2, 3, 4]))), error(() => zlib.inflateSync(Buffer.concat([z.subarray(0, -4), Buffer.alloc(4)]))), error(() => zlib.inflateRawSync(Buffer.from([7, 0, 0]))), error(() => zlib.gunzipSync(Buffer.from([31, 139, 9, 0, 0, 0, 0, 0, 0, 0])))]`,
    'zlib: what is broken': `const z = zlib.gzipSync("text"); const said = (fn) => error(fn).slice(0, 2); return [said(() => zlib.gunzipSync(Buffer.from("no gzip at all"))), said(() => zlib.gunzipSync(z.subarray(0, -4))), said(() => zlib.inflateSync(z)), said(() => zlib.gzipSync("x", { level: 99 })), said(() => zlib.gzipSync(5)), said(() => zlib.gunzipSync(zlib.gzipSync(Buffer.alloc(100000)), { maxOutputLength: 10 })), zlib.gunzipSync(Buffer.concat([z, z])).toString(), zlib.gunzipSync(z.subarray(0, -4), { finishFlush: zlib.constants.Z_SYNC_FLUSH }).toString(), zlib.gunzipSync(Buffer.concat([z, Buffer.alloc(5)])).toString(), zlib.constants.Z_BEST_SPEED, await new Promise((r) => zlib.gunzip("zz", (e) => r([e.code, e.errno])))]`,
};

test('the same as in Node', async (t) => {
    const s = await server();
    const all = Object.entries(CASES).map(([name, body]) => `${JSON.stringify(name)}: async () => { ${body} }`).join(',\n');
    await s.deploy('cases', `${HEAD}const cases = {${all}};\nexport default { async fetch(request) { const name = decodeURIComponent(new URL(request.url).pathname.slice(1)); return Response.json(await cases[name]()); } };`, { cpu_ms: 60_000, wall_ms: 300_000 }); // RSA keys are found by chance
    const { default: there } = await import(`data:text/javascript,${encodeURIComponent(`${HEAD}export default {${all}};`)}`);
    for (const name of Object.keys(CASES)) {
        await t.test(name, async () => {
            const res = await s.request('cases', `/${encodeURIComponent(name)}`);
            assert.equal(res.status, 200, res.text);
            assert.deepEqual(res.json, JSON.parse(JSON.stringify(await there[name]())));
        });
    }
});

test('a module that only listens, as for Node, answers requests', async () => {
    const s = await server();
    await s.deploy('listens', `import http from "node:http";
const server = http.createServer((req, res) => {
    let body = "";
    req.setEncoding("utf8");
    req.on("data", (c) => body += c).on("end", () => {
        res.setHeader("X-Two", ["a", "b"]);
        res.setHeader("Set-Cookie", ["c=1", "d=2"]);
        res.writeHead(req.url === "/made" ? 201 : 200, { "content-type": "text/plain" });
        res.write(req.method + " " + req.url + " ");
        setImmediate(() => res.end([req.headers["x-a"], body, req.httpVersion, server.address().port].join("|")));
    });
});
server.listen(3000);`);
    const res = await s.request('listens', '/made?x=1', { method: 'POST', headers: { 'x-a': 'v' }, body: 'posted' });
    assert.equal(res.status, 200);
    assert.equal(res.text, 'POST /made?x=1 v|posted|1.1|3000');
    assert.deepEqual(res.headers['set-cookie'], ['c=1', 'd=2']);
    assert.equal(res.headers['x-two'], 'a, b');
    assert.equal((await s.request('listens', '/made')).status, 201);
});

test('httpServerHandler() and handleAsNodeRequest() of cloudflare:node', async () => {
    const s = await server();
    await s.deploy('handler', `import http from "node:http"; import { httpServerHandler, handleAsNodeRequest } from "cloudflare:node";
const server = http.createServer((req, res) => res.end("by handler " + req.url));
server.listen(8080);
const other = http.createServer((req, res) => { res.statusCode = 404; res.end(); }).listen(8081);
export default { fetch: (request, env, ctx) => request.url.endsWith("/other") ? handleAsNodeRequest(8081, request) : httpServerHandler({ port: 8080 }).fetch(request, env, ctx) };`);
    assert.equal((await s.request('handler', '/x')).text, 'by handler /x');
    assert.equal((await s.request('handler', '/other')).status, 404);
});

let echo: http.Server;
before(async () => {
    echo = http.createServer((req, res) => {
        let body = '';
        req.on('data', (c) => (body += c)).on('end', () => res.writeHead(req.url === '/moved' ? 302 : 207, { 'x-h': 'y', location: '/z' }).end(JSON.stringify([req.method, req.url, req.headers['x-q'] ?? null, body])));
    });
    await new Promise<void>((resolve) => void echo.listen(0, '127.0.0.1', resolve));
});
after(() => echo.close());

test('http.request() goes out, and its failures are those of sockets', async () => {
    const s = await server();
    const { port } = echo.address() as AddressInfo;
    await s.deploy('client', `import http from "node:http"; import net from "node:net";
const call = (url, options, body) => new Promise((resolve) => { const req = http.request(...[url, options].filter(Boolean), async (res) => { let text = ""; for await (const c of res) text += c; resolve([res.statusCode, res.headers["x-h"], JSON.parse(text)]); }); req.on("error", (e) => resolve([e.code ?? e.name])); if (body) req.write(body); req.end(); });
export default { async fetch() { return Response.json([
    await call("http://127.0.0.1:${port}/a?b=c", { method: "PUT", headers: { "X-Q": "1" } }, "sent"),
    await call({ host: "127.0.0.1", port: ${port}, path: "/moved" }),
    await call("http://127.0.0.1:1/"),
    await new Promise((r) => net.connect(1, "127.0.0.1").on("error", (e) => r(e.code))),
]); } };`);
    const res = await s.request('client');
    assert.equal(res.status, 200, res.text);
    assert.deepEqual(res.json, [[207, 'y', ['PUT', '/a?b=c', '1', 'sent']], [302, 'y', ['GET', '/moved', null, '']], ['ECONNREFUSED'], 'ECONNREFUSED']);
});

test('what is a stub says why, and what to use', async () => {
    const s = await server();
    await s.deploy('stubs', `import { spawn } from "node:child_process"; import { Worker } from "worker_threads"; import vm from "vm"; import http2 from "http2"; import readline from "readline"; import v8 from "v8";
const said = (fn) => { try { fn(); } catch (e) { return e.message; } };
export default { fetch: () => Response.json([() => spawn("ls"), () => new Worker("x"), () => vm.runInNewContext("1"), () => http2.connect("x"), () => readline.createInterface({}), () => v8.writeHeapSnapshot(), () => process.exit(1)].map(said)) };`);
    for (const text of (await s.request('stubs')).json as string[]) assert.match(text, /is not available here: \w+/);
});
