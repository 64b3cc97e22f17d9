// SPDX-License-Identifier: Apache-2.0
//
// node:_stream_wrap: a stream in a socket's clothes, which code around TLS takes apart.

import net from "./net.ts";

export default class JSStreamSocket extends (net.Socket as any) {
    stream: unknown;
    constructor(stream: unknown) {
        super();
        this.stream = stream;
    }
}
