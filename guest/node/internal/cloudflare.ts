// SPDX-License-Identifier: Apache-2.0
//
// The module cloudflare:node: handlers for requests from a server of node:http.

import { coded } from "./errors.ts";
import { answer, Server, serverAt } from "./http-server.ts";

function serverOf(from: any): any {
    const server = from instanceof (Server as any) ? from : serverAt(typeof from === "number" ? from : from?.port);
    if (!server) {
        throw coded(Error, "ERR_INVALID_ARG_VALUE",
            `no http server listens on port ${typeof from === "number" ? from : from?.port}: call server.listen() with that port first`);
    }
    return server;
}

/** { fetch } for `export default`; of a server, or of { port } of one that listens. */
export function httpServerHandler(from: any, handlers: object = {}): object {
    if (from instanceof (Server as any) && from._port === undefined) {
        from.listen(0);
    }
    return { ...handlers, fetch: (request: Request): Promise<Response> => answer(serverOf(from), request) };
}

export function handleAsNodeRequest(from: any, request: Request): Promise<Response> {
    return answer(serverOf(from), request);
}

export default { handleAsNodeRequest, httpServerHandler };
