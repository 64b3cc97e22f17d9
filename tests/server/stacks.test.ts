// SPDX-License-Identifier: Apache-2.0
// Stack traces name the lines of the TypeScript that was uploaded, not of the bundle.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { tempDir, useServer } from './harness.ts';

const server = useServer();

const SOURCE = `interface Unused { a: string; b: number }
type AlsoUnused = { [k: string]: Unused };

function innermost(x: number): number {
    if (x > 1) {
        throw new RangeError("too large: " + x);
    }
    return x;
}

class Middle<T> {
    run(x: T & number): number { return innermost(x as number) as number; }
}

export const handler = {
    async handle(req: { body: { x: number } }): Promise<unknown> {
        await null;
        return new Middle<number>().run(req.body.x);
    },
};
`;

test('of an uploaded source', async () => {
    const s = await server();
    await s.deploy('stack', SOURCE);
    const run = await s.execute('stack', { x: 5 });
    const lines = run.json.error.stack.split('\n').map((l: string) => l.trim());
    assert.match(lines[0], /innermost.*stack\.ts:6:/);
    assert.match(lines[1], /run.*stack\.ts:12:/);
    assert.match(lines[2], /handle.*stack\.ts:18:/);
    assert.doesNotMatch(run.json.error.stack, /limpet:/, 'frames of the platform are not shown');
});

test('of local imports that the CLI bundled, each by its own file', async () => {
    const s = await server();
    const dir = tempDir();
    fs.mkdirSync(path.join(dir, 'lib'));
    fs.writeFileSync(path.join(dir, 'lib', 'math.ts'), '// a comment\nexport function divide(a: number, b: number): number {\n    if (b === 0) throw new Error("division by zero");\n    return a / b;\n}\n');
    fs.writeFileSync(path.join(dir, 'main.ts'), 'import { divide } from "./lib/math";\n\nexport function handler(req: { body: { b: number } }) {\n    return { q: divide(1, req.body.b) };\n}\n');
    const up = await s.cli(['function', 'upload', 'files', path.join(dir, 'main.ts')]);
    assert.equal(up.code, 0, up.stderr);
    assert.deepEqual((await s.execute('files', { b: 2 })).json.output, { q: 0.5 });
    const run = await s.execute('files', { b: 0 });
    assert.match(run.json.error.stack, /divide.*lib\/math\.ts:3:/);
    assert.match(run.json.error.stack, /handler.*main\.ts:4:/);
    assert.ok(!run.json.error.stack.includes(dir), 'no paths of the uploader\'s machine');
    fs.rmSync(dir, { recursive: true, force: true });
});

test('errors seen by the guest itself carry a stack that is a string', async () => {
    const s = await server();
    await s.deploy('own-stack', 'export default { fetch() { try { null.x; } catch (e) { return Response.json({ type: typeof e.stack, name: e.name }); } } };');
    assert.deepEqual((await s.request('own-stack')).json, { type: 'string', name: 'TypeError' });
});
