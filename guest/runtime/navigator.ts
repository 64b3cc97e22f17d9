// SPDX-License-Identifier: Apache-2.0
//
// navigator: what it tells is the same for all, and says nothing of the machine.

import { expose, need } from "./interface.ts";

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
    get platform(): string {
        return "";
    }
    /** True: it is under way, for as long as the request's code is kept (ctx.waitUntil()). */
    sendBeacon(url: string | URL, data: BodyInit | null = null): boolean {
        need(1, arguments.length, "Navigator.sendBeacon");
        const request = new Request(url, { method: "POST", body: data });
        fetch(request).catch(() => {}); // nobody hears of it
        return true;
    }
}
expose(Navigator, "Navigator");

export const navigator = new Navigator(ours);
