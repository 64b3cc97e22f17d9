// SPDX-License-Identifier: Apache-2.0
//
// Limpet in the benchmarks: one engine thread, the whole process pinned to the server core; or, where a peer is several
// processes, all with the whole machine.
import { Server, type ServerOptions } from '../tests/server/harness.ts';
import { SERVER_CORE, type Target } from './load.ts';

export function startLimpet(options: ServerOptions = {}): Promise<Server> {
    return Server.start({ wrap: ['taskset', '-c', SERVER_CORE], ...options, args: ['--threads', '1', ...(options.args ?? [])] });
}

/** As it starts by itself: an engine thread a core. */
export function startWhole(options: ServerOptions = {}): Promise<Server> {
    return Server.start(options);
}

export function targetOf(s: Server, name: string, more: Partial<Target> = {}): Target {
    return { port: s.httpPort, path: '/', host: s.host(name), ...more };
}
