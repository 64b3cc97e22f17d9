// SPDX-License-Identifier: Apache-2.0
//
// The workflows of the durable cases on DBOS: node peer-dbos.mjs PORT POSTGRES_URL. POST /steps, /effects: runs one and
// answers its result; POST /sleeper: answers when it is started. Run by durable-peers.ts from bench/node_modules.
import http from 'node:http';
import { DBOS } from '@dbos-inc/dbos-sdk';

async function steps({ n }) {
    let sum = 0;
    for (let i = 0; i < n; i++) sum += await DBOS.runStep(async () => i, { name: 'step' });
    return sum;
}

async function effects({ n, url }) {
    let sum = 0;
    for (let i = 0; i < n; i++) sum += await DBOS.runStep(async () => ((await (await fetch(url)).json()).hello ? i : 0), { name: 'step' });
    return sum;
}

async function sleeper({ at, url }) {
    await DBOS.sleep(at - (await DBOS.now()));
    if (url) await DBOS.runStep(async () => void (await fetch(url)), { name: 'tell' });
}

const workflows = Object.fromEntries([steps, effects, sleeper].map((f) => [f.name, DBOS.registerWorkflow(f)]));

const [port, url] = process.argv.slice(2);
DBOS.setConfig({ name: 'bench', systemDatabaseUrl: url, applicationVersion: '1', executorID: 'local', logLevel: 'error' });
await DBOS.launch();

http.createServer(async (req, res) => {
    let status = 200;
    let answer;
    try {
        const chunks = [];
        for await (const chunk of req) chunks.push(chunk);
        const name = req.url.slice(1);
        const workflow = workflows[name];
        if (!workflow) answer = name;
        else {
            const handle = await DBOS.startWorkflow(workflow)(JSON.parse(Buffer.concat(chunks)));
            answer = name === 'sleeper' ? null : await handle.getResult();
        }
    } catch (e) {
        status = 500;
        answer = String(e?.stack ?? e);
    }
    const body = JSON.stringify(answer);
    res.writeHead(status, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) }).end(body);
}).listen(Number(port), '127.0.0.1');
