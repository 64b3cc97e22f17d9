// SPDX-License-Identifier: Apache-2.0
//
// Time: events sent while the client listens, a deadline for a slow service, and work that goes on
// after the answer.
//
//     curl -N 'http://timers.localhost:8080/ticks?n=5'
//     curl 'http://timers.localhost:8080/deadline?url=https://example.com/&ms=200'
//     curl http://timers.localhost:8080/later
import { log } from "limpet";

const sleep = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));

/** Server-sent events, one every 200 ms; the timer ends with the last one or with the client. */
function ticks(count: number): Response {
    let timer = 0;
    let n = 0;
    const events = new ReadableStream<string>({
        start(controller) {
            timer = setInterval(() => {
                controller.enqueue(`id: ${++n}\ndata: ${new Date().toISOString()}\n\n`);
                if (n === count) {
                    clearInterval(timer);
                    controller.close();
                }
            }, 200);
        },
        cancel() {
            clearInterval(timer);
            log.info(`the client left after ${n} events`);
        },
    });
    return new Response(events.pipeThrough(new TextEncoderStream()), {
        headers: { "content-type": "text/event-stream", "cache-control": "no-store" },
    });
}

async function deadline(request: Request, params: URLSearchParams): Promise<Response> {
    const ms = Math.min(Number(params.get("ms")) || 1000, 10_000);
    const signal = AbortSignal.any([request.signal, AbortSignal.timeout(ms)]);
    try {
        const answer = await fetch(params.get("url") ?? "https://example.com/", { signal });
        return Response.json({ status: answer.status, took: Math.round(performance.now()) });
    } catch (error) {
        if (error instanceof DOMException && error.name === "TimeoutError") {
            return Response.json({ error: `no answer within ${ms} ms` }, { status: 504 });
        }
        throw error;
    }
}

async function afterwards(): Promise<void> {
    await sleep(500);
    log.info("done, half a second after the answer");
}

export default {
    async fetch(request, env, ctx) {
        const { pathname, searchParams } = new URL(request.url);
        switch (pathname) {
        case "/ticks":
            return ticks(Math.min(Number(searchParams.get("n")) || 10, 100));
        case "/deadline":
            return deadline(request, searchParams);
        case "/later":
            ctx.waitUntil(afterwards());
            return Response.json({ accepted: true }, { status: 202 });
        default:
            return Response.json({ error: "try /ticks, /deadline or /later" }, { status: 404 });
        }
    },
} satisfies ExportedHandler;
