// SPDX-License-Identifier: Apache-2.0
//
// node:os: the same everywhere, so that code does not depend on where it runs.

import { os as osConstants } from "./internal/constants.ts";

const named = <T>(name: string, value: T): (() => T) => Object.defineProperties((): T => value, {
    name: { value: name }, [Symbol.toPrimitive]: { value: () => value },
}) as () => T;

export const EOL = "\n";
export const devNull = "/dev/null";
export const constants = osConstants;
export const arch = named("arch", "x64");
export const platform = named("platform", "linux");
export const type = named("type", "Linux");
export const release = named("release", "0.0.0");
export const version = named("version", "Limpet");
export const machine = named("machine", "x86_64");
export const hostname = named("hostname", "localhost");
export const homedir = named("homedir", "/tmp");
export const tmpdir = named("tmpdir", "/tmp");
export const endianness = named("endianness", "LE");
export const totalmem = named("totalmem", 64 * 2 ** 20);
export const freemem = named("freemem", 32 * 2 ** 20);
export const availableParallelism = named("availableParallelism", 1);
export const uptime = (): number => Math.round(performance.now()) / 1000;
export const loadavg = (): number[] => [0, 0, 0];
export const cpus = (): any[] => [];
export const networkInterfaces = (): any => ({});
export const getPriority = (): number => 0;
export const setPriority = (): void => {};
export const userInfo = (): any => ({ uid: 0, gid: 0, username: "limpet", homedir: "/tmp", shell: null });

export default {
    EOL, arch, availableParallelism, constants, cpus, devNull, endianness, freemem, getPriority, homedir, hostname, loadavg, machine,
    networkInterfaces, platform, release, setPriority, tmpdir, totalmem, type, uptime, userInfo, version,
};
