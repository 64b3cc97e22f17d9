// SPDX-License-Identifier: Apache-2.0
//
// node:readline: it can be imported; what is called says why it is not here, and what to use instead.

import { refused, refusedClass } from "./internal/errors.ts";
import promises from "./readline/promises.ts";

const why = "there is no terminal; read text with node:stream/consumers or a TextDecoderStream";

export const Interface = refusedClass("Interface", why);
export const clearLine = refused("readline.clearLine", why);
export const clearScreenDown = refused("readline.clearScreenDown", why);
export const createInterface = refused("readline.createInterface", why);
export const cursorTo = refused("readline.cursorTo", why);
export const emitKeypressEvents = refused("readline.emitKeypressEvents", why);
export const moveCursor = refused("readline.moveCursor", why);
export { default as promises } from "./readline/promises.ts";

export default {
    Interface, clearLine, clearScreenDown, createInterface, cursorTo, emitKeypressEvents, moveCursor, promises,
};
