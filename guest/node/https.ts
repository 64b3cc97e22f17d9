// SPDX-License-Identifier: Apache-2.0
//
// node:https: as node:http; TLS is the host's.

import { Agent as HttpAgent, request as start } from "./internal/http-client.ts";
import { createServer, Server } from "./internal/http-server.ts";
import "./internal/install.ts";

export { createServer, Server };

export function Agent(this: any, options?: any): any {
    if (!(this instanceof (Agent as any))) {
        return new (Agent as any)(options);
    }
    (HttpAgent as any).call(this, options);
    this.defaultPort = 443;
    this.protocol = "https:";
    return this;
}
Object.setPrototypeOf(Agent.prototype, HttpAgent.prototype);
Object.setPrototypeOf(Agent, HttpAgent);

export const globalAgent = new (Agent as any)();

export function request(url: any, options?: any, callback?: any): any {
    return start("https:", url, options, callback);
}

export function get(url: any, options?: any, callback?: any): any {
    const made = request(url, options, callback);
    made.end();
    return made;
}

export default { Agent, Server, createServer, get, globalAgent, request };
