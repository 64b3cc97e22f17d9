// SPDX-License-Identifier: Apache-2.0
//
// node:trace_events: it can be imported; what is called says why it is not here, and what to use instead.

import { refused } from "./internal/errors.ts";

const why = "use performance.mark() and `limpet logs`";

export const createTracing = refused("trace_events.createTracing", why);
export const getEnabledCategories: any = (): undefined => undefined;

export default {
    createTracing, getEnabledCategories,
};
