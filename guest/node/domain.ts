// SPDX-License-Identifier: Apache-2.0
//
// node:domain: it can be imported; what is called says why it is not here, and what to use instead.

import { refused, refusedClass } from "./internal/errors.ts";

const why = "use AsyncLocalStorage of node:async_hooks, and try/catch";

export const Domain = refusedClass("Domain", why);
export const active: any = null;
export const create = refused("domain.create", why);
export const createDomain = refused("domain.createDomain", why);

export default {
    Domain, active, create, createDomain,
};
