// SPDX-License-Identifier: Apache-2.0
//
// node:child_process: it can be imported; what is called says why it is not here, and what to use instead.

import { refused, refusedClass } from "./internal/errors.ts";

const why = "there are no processes to start; call another function or a service by fetch()";

export const ChildProcess = refusedClass("ChildProcess", why);
export const exec = refused("child_process.exec", why);
export const execFile = refused("child_process.execFile", why);
export const execFileSync = refused("child_process.execFileSync", why);
export const execSync = refused("child_process.execSync", why);
export const fork = refused("child_process.fork", why);
export const spawn = refused("child_process.spawn", why);
export const spawnSync = refused("child_process.spawnSync", why);

export default {
    ChildProcess, exec, execFile, execFileSync, execSync, fork, spawn, spawnSync,
};
