// SPDX-License-Identifier: Apache-2.0
//
// performance.now(), timeOrigin and toJSON(). The origin is the start of the dispatch and is asked for
// each time: an image must not freeze the moment at which it was made.

import { EventTarget } from "./event.ts";
import { expose } from "./interface.ts";
import { native } from "./native.ts";

const ours = Symbol();

export class Performance extends EventTarget {
    constructor(caller?: typeof ours) {
        if (caller !== ours) {
            throw new TypeError("Illegal constructor: use the global performance");
        }
        super();
    }
    now(): number {
        return native.clock(1);
    }
    get timeOrigin(): number {
        return native.clock(0) - native.clock(1);
    }
    toJSON(): { timeOrigin: number } {
        return { timeOrigin: this.timeOrigin };
    }
}
expose(Performance, "Performance");

export const performance = new Performance(ours);
