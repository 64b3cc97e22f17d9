// SPDX-License-Identifier: Apache-2.0
//
// node:dgram: it can be imported; what is called says why it is not here, and what to use instead.

import { refused, refusedClass } from "./internal/errors.ts";

const why = "there are no UDP sockets; use fetch()";

export const Socket = refusedClass("Socket", why);
export const createSocket = refused("dgram.createSocket", why);

export default {
    Socket, createSocket,
};
