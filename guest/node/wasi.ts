// SPDX-License-Identifier: Apache-2.0
//
// node:wasi: it can be imported; what is called says why it is not here, and what to use instead.

import { refusedClass } from "./internal/errors.ts";

const why = "use WebAssembly.instantiate() with imports of your own";

export const WASI = refusedClass("WASI", why);

export default {
    WASI,
};
