// SPDX-License-Identifier: Apache-2.0
//
// What a suite is to the runner: a folder of tests with areas, each test with named results on an engine.
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import type { Engine } from './engine.ts';

export interface Result {
    /** Unique in its test; '' when the test is its only one. */
    subtest: string;
    isPassed: boolean;
    message: string;
}

export interface Test {
    /** Relative to the suite's folder, '/' between, with what tells variants of one file apart. */
    id: string;
    /** One expectation file, and a row of the report. */
    area: string;
    run(engine: Engine): Promise<Result[]>;
}

export interface Suite {
    /** A section of the report and a prefix of expectation files: "wpt", "test262", "node". */
    kind: string;
    commit: string;
    tests: Test[];
    /** Why tests are not run: the reason, and how many. */
    skipped: Map<string, number>;
    /** Engines by name; made when asked for. */
    engines: { limpet(): Promise<Engine>; node?(): Promise<Engine> };
    /** Ends what the suite has started beside engines. */
    stop?(): Promise<void>;
}

/** Files below a folder, relative, sorted. */
export function filesOf(root: string, folder: string, isWanted: (file: string) => boolean): string[] {
    const found: string[] = [];
    const walk = (at: string) => {
        for (const entry of fs.readdirSync(path.join(root, at), { withFileTypes: true })) {
            const name = at ? `${at}/${entry.name}` : entry.name;
            if (entry.isDirectory()) walk(name);
            else if (isWanted(name)) found.push(name);
        }
    };
    if (fs.existsSync(path.join(root, folder))) walk(folder);
    return found.sort();
}

/** The commit of a checkout; of a folder without Git, what its file COMMIT says. */
export function commitOf(root: string): string {
    const file = path.join(root, 'COMMIT');
    if (fs.existsSync(file)) return fs.readFileSync(file, 'utf8').trim();
    try {
        const top = execFileSync('git', ['-C', root, 'rev-parse', '--show-toplevel'], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim();
        if (fs.realpathSync(top) === fs.realpathSync(root)) return execFileSync('git', ['-C', root, 'rev-parse', 'HEAD'], { encoding: 'utf8' }).trim();
    } catch {
        // no checkout
    }
    return 'unknown (no Git checkout and no file COMMIT)';
}
