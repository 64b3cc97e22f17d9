// SPDX-License-Identifier: Apache-2.0
// TextDecoder with the labels of the Encoding standard that the host decodes: right, in pieces, fatal, large, and bounded.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { useServer } from './harness.ts';

const server = useServer();

const SOURCE = `
// Made and used in top-level code, and left in the middle of a character.
const early = new TextDecoder("shift_jis");
const greeting = early.decode(Uint8Array.of(0x93, 0xfa, 0x96, 0x7b));
const left = new TextDecoder("shift_jis");
left.decode(Uint8Array.of(0x93), { stream: true });
const outcome = (fn) => { try { return fn(); } catch (e) { return e.name; } };
export default {
    async fetch(request) {
        const url = new URL(request.url), label = url.searchParams.get("label"), fatal = url.searchParams.has("fatal");
        const bytes = new Uint8Array(await request.arrayBuffer());
        switch (url.pathname) {
        case "/name": return new Response(outcome(() => new TextDecoder(label).encoding));
        case "/decode": return new Response(outcome(() => new TextDecoder(label, { fatal }).decode(bytes)));
        case "/pieces": {
            const d = new TextDecoder(label, { fatal }), size = Number(url.searchParams.get("size"));
            let text = "";
            for (let at = 0; at < bytes.length; at += size) text += d.decode(bytes.subarray(at, at + size), { stream: true });
            return new Response(text + d.decode());
        }
        case "/stream": return new Response(new Response(bytes).body.pipeThrough(new TextDecoderStream(label)).pipeThrough(new TextEncoderStream()));
        case "/early": return Response.json([greeting, early.decode(Uint8Array.of(0x93, 0xfa)), outcome(() => left.decode())]);
        case "/again": { // a failed text ends; the decoder begins another one
            const d = new TextDecoder("gbk", { fatal: true });
            return Response.json([outcome(() => d.decode(Uint8Array.of(0xff), { stream: true })), d.decode(Uint8Array.of(0xc4, 0xe3)), d.decode(Uint8Array.of(0x61))]);
        }
        case "/many": {
            let n = 0;
            try { for (; n < 5000; n++) (globalThis.all ??= []).push(new TextDecoder("gbk")), all[n].decode(Uint8Array.of(0xc4), { stream: true }); } catch (e) { return Response.json([n, e.name, e.message.includes("are open already"), all[0].decode(Uint8Array.of(0xe3))]); }
        }
        case "/dropped": { for (let i = 0; i < 300000; i++) new TextDecoder("gbk").decode(Uint8Array.of(0xc4), { stream: true }); return Response.json("none is kept"); }
        }
    },
};`;

async function ask(path: string, bytes: number[] | Buffer = []) {
    const s = await server();
    if (!(await s.request('text', '/name?label=utf-8').catch(() => undefined))?.text.startsWith('utf-8')) await s.deploy('text', SOURCE, { cpu_ms: 20000, wall_ms: 60000 });
    const res = await s.request('text', path, { method: 'POST', body: Buffer.from(bytes) });
    assert.equal(res.status, 200, res.text);
    return res;
}

/** Label, name, bytes, text; from the standard's tables. */
const CASES: [string, string, number[], string][] = [
    ['sjis', 'shift_jis', [0x93, 0xfa, 0x96, 0x7b, 0xb1], '日本ｱ'],
    ['x-euc-jp', 'euc-jp', [0xc6, 0xfc, 0xcb, 0xdc, 0x8e, 0xb1], '日本ｱ'],
    ['csiso2022jp', 'iso-2022-jp', [0x61, 0x1b, 0x24, 0x42, 0x46, 0x7c, 0x4b, 0x5c, 0x1b, 0x28, 0x42, 0x62], 'a日本b'],
    ['gb2312', 'gbk', [0xc4, 0xe3, 0xba, 0xc3, 0x80], '你好€'],
    ['gb18030', 'gb18030', [0xc4, 0xe3, 0x94, 0x39, 0xda, 0x33], '你\u{1f4a9}'],
    ['big5-hkscs', 'big5', [0xa7, 0x41, 0xa6, 0x6e, 0x88, 0x62], '你好Ê̄'],
    ['ks_c_5601-1987', 'euc-kr', [0xc7, 0xd1, 0xb1, 0xdb], '한글'],
    ['koi', 'koi8-r', [0xf0, 0xd2, 0xc9, 0xd7, 0xc5, 0xd4], 'Привет'],
    ['koi8-ru', 'koi8-u', [0xa4, 0xae], 'єў'],
    ['latin2', 'iso-8859-2', [0xb1, 0xe6, 0xea], 'ąćę'],
    ['greek', 'iso-8859-7', [0xc1, 0xe1, 0xa4], 'Αα€'],
    ['logical', 'iso-8859-8-i', [0xe0, 0xf9], 'אש'],
    ['visual', 'iso-8859-8', [0xe0, 0xf9], 'אש'],
    ['latin5', 'windows-1254', [0xd0, 0xfe], 'Ğş'],
    ['cp1251', 'windows-1251', [0xcf, 0xf0, 0xa8], 'ПрЁ'],
    ['dos-874', 'windows-874', [0xa1, 0x80], 'ก€'],
    ['ibm866', 'ibm866', [0x8f, 0xb0], 'П░'],
    ['mac', 'macintosh', [0x80, 0xca], 'Ä\u00a0'],
    ['x-mac-ukrainian', 'x-mac-cyrillic', [0x80, 0xa2], 'АҐ'],
    ['x-user-defined', 'x-user-defined', [0x41, 0x80, 0xff], 'A\uf780\uf7ff'],
    ['utf-16be', 'utf-16be', [0xfe, 0xff, 0x00, 0x61, 0xd8, 0x3d, 0xde, 0x00], 'a😀'],
    ['csunicode', 'utf-16le', [0xff, 0xfe, 0x61, 0x00, 0x3d, 0xd8, 0x00, 0xde], 'a😀'],
    ['l1', 'windows-1252', [0x80, 0xe9, 0x9f], '€éŸ'],
];

for (const [label, name, bytes, text] of CASES)
    test(`${label} is ${name}`, async () => {
        assert.equal((await ask(`/name?label=%20${label.toUpperCase()}%0A`)).text, name);
        assert.equal((await ask(`/decode?label=${label}`, bytes)).text, text);
        assert.equal((await ask(`/decode?label=${label}&fatal`, bytes)).text, text);
        assert.equal((await ask(`/stream?label=${label}`, bytes)).text, text);
        for (const size of [1, 2, 3]) assert.equal((await ask(`/pieces?label=${label}&size=${size}`, bytes)).text, text);
    });

test('labels that are none, also those of the replacement encoding', async () => {
    for (const label of ['nonsense', 'replacement', 'iso-2022-kr', 'hz-gb-2312', 'utf-32', 'utf-7', '', 'gbk%00', '%0Bgbk', 'gbk%C2%A0', 'x'.repeat(5000)])
        assert.equal((await ask(`/name?label=${label}`)).text, 'RangeError', label);
});

test('malformed and unfinished bytes', async () => {
    assert.equal((await ask('/decode?label=shift_jis', [0x61, 0x93])).text, 'a\ufffd');
    assert.equal((await ask('/decode?label=shift_jis&fatal', [0x61, 0x93])).text, 'TypeError');
    assert.equal((await ask('/decode?label=euc-kr', [0xc7, 0x41])).text, '\ufffdA');
    assert.equal((await ask('/decode?label=windows-1253', [0xaa])).text, '\ufffd');
    assert.equal((await ask('/decode?label=windows-1253&fatal', [0xaa])).text, 'TypeError');
    assert.equal((await ask('/decode?label=utf-16be&fatal', [0xd8, 0x00, 0x00, 0x61])).text, 'TypeError');
    assert.deepEqual((await ask('/again')).json, ['TypeError', '你', 'a']);
});

test('a text of many pieces of the host', async () => {
    const pair = [0x93, 0xfa, 0x61]; // three bytes, so that pieces end inside of characters
    const bytes = Buffer.alloc(900_000, Buffer.from(pair));
    for (const path of ['/decode?label=sjis', '/pieces?label=sjis&size=65537', '/stream?label=sjis'])
        assert.equal((await ask(path, bytes)).text, '日a'.repeat(300_000));
});

test('top-level code decodes; what it has left open ends with it', async () => {
    assert.deepEqual((await ask('/early')).json, ['日本', '日', 'TypeError']);
});

test('open texts are bounded in number, and end with their decoder', async () => {
    assert.deepEqual((await ask('/many')).json, [1024, 'RangeError', true, '你']);
    assert.equal((await ask('/dropped')).json, 'none is kept');
});
