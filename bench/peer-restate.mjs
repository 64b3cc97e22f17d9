// SPDX-License-Identifier: Apache-2.0
//
// The workflows of the durable cases on Restate's TypeScript SDK: node peer-restate.mjs PORT. Run by durable-peers.ts
// from bench/node_modules; a Restate server calls it there.
import * as restate from '@restatedev/restate-sdk';

const bench = restate.service({
    name: 'bench',
    handlers: {
        async steps(ctx, { n }) {
            let sum = 0;
            for (let i = 0; i < n; i++) sum += await ctx.run('step', () => i);
            return sum;
        },
        async effects(ctx, { n, url }) {
            let sum = 0;
            for (let i = 0; i < n; i++) sum += await ctx.run('step', async () => ((await (await fetch(url)).json()).hello ? i : 0));
            return sum;
        },
        async sleeper(ctx, { ms }) {
            await ctx.sleep(ms);
            return Date.now();
        },
    },
});

await restate.serve({ services: [bench], port: Number(process.argv[2]) });
