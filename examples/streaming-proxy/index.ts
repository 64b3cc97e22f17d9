// SPDX-License-Identifier: Apache-2.0
//
// Bodies as streams, with back-pressure and without holding them in memory.
//
//     limpet function upload proxy examples/streaming-proxy/index.ts
//     curl --data-binary @big.iso http://proxy.localhost:8080/echo >copy.iso   moved by the host itself
//     curl 'http://proxy.localhost:8080/get?url=https://example.com/'          passed through
//     curl 'http://proxy.localhost:8080/upper?url=https://example.com/'        changed on the way
//     curl 'http://proxy.localhost:8080/lines?count=1000000'                   made on the way

/** The address asked for, or an answer that says what is missing. */
function target(params: URLSearchParams): URL | Response {
    return URL.parse(params.get("url") ?? "")
        ?? Response.json({ error: "name an absolute address: ?url=https://…" }, { status: 400 });
}

function upperCase(): TransformStream<string, string> {
    return new TransformStream({
        transform: (text, controller) => controller.enqueue(text.toUpperCase()),
    });
}

/** Lines are made only when the client has room for more. */
function lines(count: number): ReadableStream<string> {
    let n = 0;
    return new ReadableStream({
        pull(controller) {
            const until = Math.min(n + 1000, count);
            let chunk = "";
            while (n < until) {
                chunk += `line ${++n}\n`;
            }
            controller.enqueue(chunk);
            if (n === count) {
                controller.close();
            }
        },
    });
}

export default {
    async fetch(request) {
        const { pathname, searchParams } = new URL(request.url);
        if (pathname === "/echo") {
            return new Response(request.body, {
                headers: { "content-type": request.headers.get("content-type") ?? "application/octet-stream" },
            });
        }
        if (pathname === "/lines") {
            const count = Math.max(1, Number(searchParams.get("count")) || 10);
            return new Response(lines(count).pipeThrough(new TextEncoderStream()), { headers: { "content-type": "text/plain" } });
        }
        if (pathname !== "/get" && pathname !== "/upper") {
            return Response.json({ error: "try /echo, /lines, /get or /upper" }, { status: 404 });
        }
        const url = target(searchParams);
        if (url instanceof Response) {
            return url;
        }
        const answer = await fetch(url, { signal: request.signal });
        if (pathname === "/get" || !answer.body) {
            return answer;
        }
        const changed = answer.body
            .pipeThrough(new TextDecoderStream())
            .pipeThrough(upperCase())
            .pipeThrough(new TextEncoderStream());
        return new Response(changed, {
            status: answer.status,
            headers: { "content-type": answer.headers.get("content-type") ?? "text/plain" },
        });
    },
} satisfies ExportedHandler;
