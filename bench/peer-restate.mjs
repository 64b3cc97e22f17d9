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
        // leaves memory soon, as Limpet's do, and not after the minute that is the default
        sleeper: restate.handlers.handler({ inactivityTimeout: 50 }, async (ctx, { at, url }) => {
            await ctx.sleep(at - (await ctx.date.now()));
            if (url) await ctx.run('tell', async () => void (await fetch(url)));
        }),
    },
});

await restate.serve({ services: [bench], port: Number(process.argv[2]) });
