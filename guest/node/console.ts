// SPDX-License-Identifier: Apache-2.0
//
// node:console: the global one, and Console, which writes to streams.

import { formatWithOptions } from "./internal/format.ts";
import { invalidArgType } from "./internal/errors.ts";

const levels: Record<string, "out" | "err"> = { log: "out", info: "out", debug: "out", dirxml: "out", warn: "err", error: "err", trace: "err" };

/** A console on streams of the caller's. */
export class Console {
    [name: string]: any;
    constructor(options: any, stderr?: any, ignoreErrors = true) {
        if (!options || typeof options.write === "function") {
            options = { stdout: options, stderr, ignoreErrors };
        }
        const { stdout, stderr: err = stdout, inspectOptions, groupIndentation = 2 } = options;
        if (!stdout || typeof stdout.write !== "function") {
            throw invalidArgType("stdout", "stream.Writable", stdout);
        }
        let indent = "";
        const counts = new Map<string, number>(), times = new Map<string, number>();
        const write = (where: "out" | "err", args: unknown[]): void => {
            const text = formatWithOptions({ ...inspectOptions }, ...args);
            (where === "out" ? stdout : err).write(`${text.split("\n").map((line) => indent + line).join("\n")}\n`);
        };
        for (const [name, where] of Object.entries(levels)) {
            this[name] = (...args: unknown[]) => write(where, name === "trace" ? ["Trace:", ...args] : args);
        }
        Object.assign(this, {
            dir: (value: unknown, more?: any) => write("out", [formatWithOptions({ customInspect: false, ...inspectOptions, ...more }, "%O", value)]),
            assert(value: unknown, ...args: any[]) {
                if (!value) {
                    write("err", typeof args[0] === "string" ? [`Assertion failed: ${args[0]}`, ...args.slice(1)] : ["Assertion failed", ...args]);
                }
            },
            group(...args: unknown[]) {
                if (args.length) {
                    write("out", args);
                }
                indent += " ".repeat(groupIndentation);
            },
            groupEnd() {
                indent = indent.slice(groupIndentation);
            },
            count(label = "default") {
                counts.set(label, (counts.get(label) ?? 0) + 1);
                write("out", [`${label}: ${counts.get(label)}`]);
            },
            countReset: (label = "default") => void counts.delete(label),
            time: (label = "default") => void times.set(label, performance.now()),
            timeLog: (label = "default", ...args: unknown[]) => write("out", [`${label}: ${(performance.now() - (times.get(label) ?? 0)).toFixed(3)}ms`, ...args]),
            timeEnd(label = "default") {
                write("out", [`${label}: ${(performance.now() - (times.get(label) ?? 0)).toFixed(3)}ms`]);
                times.delete(label);
            },
            table: (value: unknown) => write("out", [value]),
            clear() {},
            timeStamp() {},
            profile() {},
            profileEnd() {},
        });
        this.groupCollapsed = this.group;
    }
}

const own: any = globalThis.console;
if (!own.Console) {
    Object.defineProperty(own, "Console", { value: Console, writable: true, configurable: true, enumerable: false });
}
export const {
    assert, clear, count, countReset, debug, dir, dirxml, error, group, groupCollapsed, groupEnd, info, log, table, time, timeEnd,
    timeLog, timeStamp, trace, warn,
} = own;
export default own;
