// SPDX-License-Identifier: Apache-2.0
//
// Small programs over packages of npm (*.programs), each uploaded as anybody would and compared with what Node itself says
// to the same text. A line "== NAME" begins a program: a module that exports run(), whose result is written as JSON.
// "== NAME | WHY" is one whose answer differs, and why; it fails when that is no longer so.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { after, describe, test } from 'node:test';
import { type Server, run, tempDir } from '../server/harness.ts';

interface Program {
    name: string;
    differs?: string;
    text: string;
}

const ROOT = path.resolve(process.env.LIMPET_ROOT ?? '.');

function readPrograms(file: string): Program[] {
    const programs = fs.readFileSync(path.join(ROOT, 'tests/packages', file), 'utf8').split(/^== /m).slice(1).map((part) => {
        const end = part.indexOf('\n');
        const [name, differs] = part.slice(0, end).split(' | ');
        return { name: name!, differs, text: part.slice(end + 1) };
    });
    assert.equal(new Set(programs.map((p) => p.name)).size, programs.length, `names in ${file}`);
    return programs;
}

const hostOf = ({ name }: Program): string => `p-${name.toLowerCase().replace(/\W+/g, '-').replace(/^-/, '')}`;

/** What Node says to all of them: host -> result. In a process of its own, which packages may keep open and change. */
async function answersOfNode(folder: string, programs: Program[]): Promise<Record<string, unknown>> {
    const hosts = programs.map(hostOf);
    fs.writeFileSync(path.join(folder, 'reference.mjs'), `import fs from "node:fs";
const said = {};
for (const host of ${JSON.stringify(hosts)}) said[host] = await import(\`./\${host}.mjs\`).then(({ run }) => run()).catch((e) => ({ failed: String(e.stack) }));
fs.writeFileSync("said.json", JSON.stringify(said));
process.exit();`);
    const ended = await run('node', ['reference.mjs'], { cwd: folder });
    assert.equal(ended.code, 0, ended.stderr);
    return JSON.parse(fs.readFileSync(path.join(folder, 'said.json'), 'utf8'));
}

/** What one says here. Time is no matter of these tests, so limits are far away. */
async function answerHere(s: Server, folder: string, host: string): Promise<unknown> {
    const file = path.join(folder, `${host}-function.mjs`);
    fs.writeFileSync(file, `import { run } from "./${host}.mjs"; export default { fetch: async () => Response.json(await run()) };`);
    const up = await s.cli(['function', 'upload', host, file, '--cpu-ms', '60000', '--wall-ms', '600000', '--memory-mb', '512']);
    assert.equal(up.code, 0, up.stderr);
    const res = await s.request(host);
    assert.equal(res.status, 200, res.text);
    return res.json;
}

/** A test for each program of a file. modules: the folder of node_modules that they import from. */
export function testPrograms(file: string, modules: string, server: () => Promise<Server>): void {
    const folder = tempDir('limpet-packages-');
    after(() => fs.rmSync(folder, { recursive: true, force: true }));
    fs.symlinkSync(path.join(ROOT, modules), path.join(folder, 'node_modules'));
    fs.writeFileSync(path.join(folder, 'package.json'), '{"type": "module"}');
    const programs = readPrograms(file);
    for (const program of programs) fs.writeFileSync(path.join(folder, `${hostOf(program)}.mjs`), program.text);
    let reference: Promise<Record<string, unknown>> | undefined;
    describe(file, { concurrency: 4 }, () => {
        for (const program of programs) {
            test(program.name, async () => {
                const host = hostOf(program);
                const expected = (await (reference ??= answersOfNode(folder, programs)))[host];
                assert.ok(expected !== undefined && !(expected as any)?.failed, `in Node: ${(expected as any)?.failed}`);
                const check = async () => assert.deepEqual(await answerHere(await server(), folder, host), expected);
                if (program.differs) await assert.rejects(check(), `it answers as Node does; "${program.differs}" is out of date`);
                else await check();
            });
        }
    });
}
