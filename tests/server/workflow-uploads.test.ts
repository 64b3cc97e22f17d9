// SPDX-License-Identifier: Apache-2.0
// What a step's attempt still has under way ends with it, whatever of it depends on each other: an upload's pending write or pipe is ended by its
// request, a request by its upload. The thread goes on, and a restart has nothing to repeat.
import assert from 'node:assert/strict';
import net from 'node:net';
import { after, before, test } from 'node:test';
import { type Server, until } from './harness.ts';
import { deployWorkflow, operate, outcome, output, signal, start, suspended, withServer } from './workflow-harness.ts';

/** Takes connections and reads next to nothing of them. */
class Sink {
    accepted = 0;
    readonly #sockets = new Set<net.Socket>();
    readonly #server = net.createServer({ pauseOnConnect: true }, (socket) => {
        this.accepted++;
        this.#sockets.add(socket);
        socket.on('error', () => {});
    });

    async listen(): Promise<void> {
        await new Promise<void>((done) => { this.#server.listen(0, '127.0.0.1', done); });
    }

    get port(): number {
        return (this.#server.address() as net.AddressInfo).port;
    }

    stop(): void {
        for (const socket of this.#sockets) socket.destroy();
        this.#server.close();
    }
}

const sink = new Sink();
before(() => sink.listen());
after(() => { sink.stop(); });

const SOURCE = `
import { workflow, step, waitForEvent } from "limpet";
const chunk = new Uint8Array(100 * 1024);
const endless = () => new ReadableStream({ pull(c) { c.enqueue(chunk); } });
const upload = (base, more = {}) => fetch(base, { method: "POST", body: endless(), duplex: "half", ...more });
const end = async (f) => { try { return "result " + await f(); } catch (e) { return e.name; } };
export const times = workflow(({ base }) => end(() => step("up", { timeout: 700, retries: 0 }, () => upload(base))));
export const many = workflow(({ base }) => end(() => step("up", { timeout: 700, retries: 0 }, () => {
    for (let i = 0; i < 20; i++) { setTimeout(() => {}, 3600e3); upload(base).catch(() => {}); }
    return new Promise((done) => setTimeout(done, 3600e3));
})));
export const again = workflow(({ base }) => end(() => step("up", { timeout: 500, retries: 2, backoff: 1 }, () => upload(base))));
export const aborts = workflow(({ base }) => end(() => step("up", { retries: 0 }, () => upload(base, { signal: AbortSignal.timeout(500) }))));
export const hangs = workflow(({ base }) => end(() => step("up", { retries: 0 }, () => upload(base))));
export const leaves = workflow(async ({ base }) => {
    await step("up", () => { setTimeout(() => {}, 3600e3); upload(base).catch(() => {}); return 1; });
    return (await waitForEvent("go")).data;
});`;

const NEIGHBOR = 'export default { fetch: () => new Response("here") }';

const withSink = (args: string[], body: Parameters<typeof withServer>[1]): Promise<void> =>
    withServer({ args: ['--threads', '1', '--egress-allow', `127.0.0.1:${sink.port}`, ...args] }, async (s, crashed) => {
        await deployWorkflow(s, 'uploads', SOURCE);
        await s.deploy('neighbor', NEIGHBOR);
        await body(s, crashed);
    });

const input = (): unknown => ({ base: `http://127.0.0.1:${sink.port}/` });

const stillServes = async (s: Server): Promise<void> => {
    assert.equal((await s.request('neighbor')).text, 'here');
};

test('an attempt that takes too long ends with its uploads', () => withSink([], async (s) => {
    for (const [name, expected] of [['times', 'TimeoutError'], ['many', 'TimeoutError'], ['again', 'TimeoutError'], ['aborts', 'TimeoutError']]) {
        assert.equal(await output(s, await start(s, `uploads.${name}`, input())), expected, name);
        await stillServes(s);
    }
}));

test('a cancelled execution ends with its uploads', () => withSink([], async (s) => {
    const before = sink.accepted;
    const id = await start(s, 'uploads.hangs', input());
    await until('the upload has begun', () => sink.accepted > before);
    await operate(s, id, 'cancel');
    assert.match((await outcome(s, id)).status, /cancelled|completed/);
    await stillServes(s);
}));

test('kill -9 in the middle of an upload: the next attempt ends, too', () => withSink([], async (s, crashed) => {
    const before = sink.accepted;
    const id = await start(s, 'uploads.times', input());
    await until('the upload has begun', () => sink.accepted > before);
    const next = await crashed();
    assert.equal(await output(next, id), 'TimeoutError');
    await stillServes(next);
}));

test('what a body has left behind ends when the execution leaves memory', () => withSink(['--snapshot-after', '1'], async (s) => {
    const before = sink.accepted;
    const id = await start(s, 'uploads.leaves', input());
    await until('the upload has begun', () => sink.accepted > before);
    await suspended(s, id);
    await stillServes(s);
    await signal(s, id, 'go', 'gone');
    assert.equal(await output(s, id), 'gone');
}));
