// SPDX-License-Identifier: Apache-2.0
//
// navigator: what it tells is the same for all, and says nothing of the machine.

import { expose } from "./interface.ts";

const ours = Symbol();

export class Navigator {
    constructor(caller?: typeof ours) {
        if (caller !== ours) {
            throw new TypeError("Illegal constructor: use the global navigator");
        }
    }
    get userAgent(): string {
        return "Limpet";
    }
    get language(): string {
        return "en";
    }
    get languages(): readonly string[] {
        return ["en"];
    }
    get onLine(): boolean {
        return true;
    }
    get hardwareConcurrency(): number {
        return 1;
    }
}
expose(Navigator, "Navigator");

export const navigator = new Navigator(ours);
