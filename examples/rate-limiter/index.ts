// A token bucket for each client: an actor by name, which counts in memory, keeps what it must know after a restart, and forgets a
// client that has not come for a minute.
import { DurableObject } from "cloudflare:workers";

const BURST = 5, PER_SECOND = 1, FORGET_MS = 60_000;

interface Bucket {
    tokens: number;
    at: number;
}

interface Env {
    LIMITER: DurableObjectNamespace<Limiter>;
}

export class Limiter extends DurableObject<Env> {
    private bucket: Bucket;

    constructor(ctx: DurableObjectState, env: Env) {
        super(ctx, env);
        this.bucket = ctx.storage.kv.get<Bucket>("bucket") ?? { tokens: BURST, at: Date.now() };
    }

    /** Milliseconds to wait; 0: go on. */
    async take(): Promise<number> {
        const now = Date.now();
        const tokens = Math.min(BURST, this.bucket.tokens + (now - this.bucket.at) / 1000 * PER_SECOND);
        const isAllowed = tokens >= 1;
        this.bucket = { tokens: isAllowed ? tokens - 1 : tokens, at: now };
        this.ctx.storage.kv.put("bucket", this.bucket);
        if (await this.ctx.storage.getAlarm() === null) {
            await this.ctx.storage.setAlarm(now + FORGET_MS);
        }
        return isAllowed ? 0 : Math.ceil((1 - tokens) / PER_SECOND * 1000);
    }

    async alarm(): Promise<void> {
        const idleMs = Date.now() - this.bucket.at;
        if (idleMs < FORGET_MS) {
            await this.ctx.storage.setAlarm(Date.now() + FORGET_MS - idleMs);
        } else {
            await this.ctx.storage.deleteAll();
        }
    }
}

export default {
    async fetch(request: Request, env: Env): Promise<Response> {
        const client = request.headers.get("x-client") ?? "anonymous";
        const waitMs = await env.LIMITER.getByName(client).take();
        return waitMs === 0 ? Response.json({ client, ok: true })
            : Response.json({ client, ok: false, waitMs }, { status: 429, headers: { "retry-after": String(Math.ceil(waitMs / 1000)) } });
    },
};
