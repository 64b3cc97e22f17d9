// SPDX-License-Identifier: Apache-2.0
//
// node:readline/promises: it can be imported; what is called says why it is not here, and what to use instead.

import { refused, refusedClass } from "../internal/errors.ts";

const why = "there is no terminal; read text with node:stream/consumers or a TextDecoderStream";

export const Interface = refusedClass("Interface", why);
export const Readline = refusedClass("Readline", why);
export const createInterface = refused("readline/promises.createInterface", why);

export default {
    Interface, Readline, createInterface,
};
