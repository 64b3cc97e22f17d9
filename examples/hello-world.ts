// SPDX-License-Identifier: Apache-2.0
//
// A function in derp's style: a table made once, then a greeting that is logged, stored and answered.
//
//     limpet function upload hello-world examples/hello-world.ts
//     limpet function run hello-world --input '{"name": "World"}'
import { success } from "derp:runtime/context";
import * as log from "derp:runtime/logger";
import { exec } from "derp:runtime/sql";
import type { Request, Response } from "derp:runtime/types";

interface Input {
    name: string;
}

export const handler = {
    setup() {
        exec(`CREATE TABLE IF NOT EXISTS greetings (
            id INTEGER PRIMARY KEY,
            name TEXT NOT NULL,
            created_at INTEGER NOT NULL DEFAULT (unixepoch())
        )`);
    },

    handle(req: Request<Input>): Response {
        const { name } = req.body;
        log.info(`greeting ${name}`);
        exec("INSERT INTO greetings (name) VALUES (?)", name);
        const { total } = exec<{ total: number }>("SELECT count(*) AS total FROM greetings").one();
        return success({ greeting: `Hello, ${name}!`, total });
    },
};
