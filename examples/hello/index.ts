// SPDX-License-Identifier: Apache-2.0
//
// The first function: text, JSON, routes by path, and a counter in the function's own database.
//
//     limpet function upload hello examples/hello/index.ts
//     curl http://hello.localhost:8080/
import { sql } from "limpet";

function count(path: string): number {
    sql.exec("CREATE TABLE IF NOT EXISTS visits (path TEXT PRIMARY KEY, n INTEGER NOT NULL)");
    return sql.exec<{ n: number }>(
        "INSERT INTO visits VALUES (?, 1) ON CONFLICT (path) DO UPDATE SET n = n + 1 RETURNING n", path,
    ).one().n;
}

export default {
    async fetch(request) {
        const { pathname, searchParams } = new URL(request.url);
        const [, route, name] = pathname.split("/");
        switch (route) {
        case "":
            return new Response("Hello from Limpet! Try /json, /hello/you, /count and /echo.\n");
        case "json":
            return Response.json({ hello: searchParams.get("name") ?? "world" });
        case "hello":
            return new Response(`Hello, ${decodeURIComponent(name || "stranger")}!\n`);
        case "count":
            return Response.json({ path: pathname, visits: count(pathname) });
        case "echo":
            return Response.json({
                method: request.method,
                headers: Object.fromEntries(request.headers),
                body: await request.text(),
            });
        default:
            return Response.json({ error: `there is nothing at ${pathname}` }, { status: 404 });
        }
    },
} satisfies ExportedHandler;
