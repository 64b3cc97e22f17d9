// SPDX-License-Identifier: Apache-2.0
//
// Where the scripts of a test are evaluated: in a function of the real binary, each time in a pristine isolate, or in
// a process of the Node that runs this (the peer). Both tell the same.
import { fork } from 'node:child_process';
import http from 'node:http';
import { fileURLToPath } from 'node:url';
import { Server } from '../server/harness.ts';
import box from './box.guest.js';

/** A text, or the name of one that the engine was made with. */
export type Script = { name: string } | { text: string };

export interface Job {
    scripts: Script[];
    /** Milliseconds to wait for __boxDone() after the scripts; 0: they are all there is. */
    wait: number;
    /** A printed line that begins so is the end, too. */
    until?: string;
    /** Set on the global object before the scripts. */
    global?: Record<string, unknown>;
}

export interface Outcome {
    /** What a script threw, or that the engine gave the test up. */
    error: { name: string; message: string; stack?: string } | null;
    /** What was given to print(). */
    lines: string[];
    /** The wait was over. */
    isLate: boolean;
}

export interface Engine {
    readonly name: string;
    run(job: Job): Promise<Outcome>;
    stop(): Promise<void>;
}

const failed = (name: string, message: string): Outcome => ({ error: { name, message }, lines: [], isLate: false });

/** One server, one function; requests are answered side by side. */
export async function limpetEngine(sources: Record<string, string>, preloaded: string[], egress: string[] = []): Promise<Engine> {
    const server = await Server.start({ args: egress.flatMap((rule) => ['--egress-allow', rule]) });
    const source = `const SOURCES = ${JSON.stringify(sources)}, PRELOADED = ${JSON.stringify(preloaded)};\n${box}`;
    await server.deploy('box', source, { memory_mb: 512, cpu_ms: 20_000, wall_ms: 90_000 });
    const agent = new http.Agent({ keepAlive: true });
    return {
        name: 'limpet',
        async run(job) {
            if (!server.isAlive) throw new Error(`the server has ended:\n${server.stderr.slice(-8000)}`);
            const answer = await server.request('box', '/', { method: 'POST', body: JSON.stringify(job), agent }).catch((e: Error) => e);
            if (answer instanceof Error) return failed('no answer', answer.message);
            if (answer.status !== 200) return failed(`status ${answer.status}`, answer.text.slice(0, 500));
            return answer.json;
        },
        async stop() {
            agent.destroy();
            await server.stop();
        },
    };
}

/** A process a job, since globals of one must not be seen by the next, and some tests end it. */
export function nodeEngine(sources: Record<string, string>, preloaded: string[]): Engine {
    return {
        name: `node ${process.versions.node}`,
        run(job) {
            const scripts = [...preloaded.map((name) => ({ name })), ...job.scripts].map((s) => ('text' in s ? s.text : sources[s.name]));
            const child = fork(fileURLToPath(new URL('node-worker.mjs', import.meta.url)), { stdio: ['ignore', 'ignore', 'ignore', 'ipc'], execArgv: [] });
            return new Promise((resolve) => {
                const timer = setTimeout(() => end(failed('timeout', 'the process did not end')), job.wait + 30_000);
                const end = (outcome: Outcome) => {
                    clearTimeout(timer);
                    child.kill('SIGKILL');
                    resolve(outcome);
                };
                child.once('message', (outcome) => end(outcome as Outcome));
                child.once('error', (e: Error) => end(failed(e.name ?? 'error', String(e.message))));
                child.once('exit', (code, signal) => end(failed('exit', `the process ended with ${code ?? signal}`)));
                child.send({ ...job, scripts });
            });
        },
        async stop() {},
    };
}
