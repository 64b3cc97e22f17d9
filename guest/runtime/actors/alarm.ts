// SPDX-License-Identifier: Apache-2.0
//
// The alarm of an actor. The truth is in its own database: when, and how often that has been tried. The host calls run() when the
// store says that it may be due, perhaps too early or twice; so run() looks, and says when it is next due.
//
// The number of tries is written before alarm() is called, so that one that ends the process, or is ended, has been tried, too.

import { console } from "../console.ts";
import { native } from "../native.ts";

const RETRIES_MAX = 6;
const RETRY_MS = 2000; // doubled each time
const ALARM_NEXT = 4; // enum abi_actor

interface Alarm {
    due: number;
    attempts: number;
}

let isRunning = false, hasChanged = false; // alarm() runs; it, or another request, has set another one or deleted it

function read(): Alarm | undefined {
    const [due, attempts] = native.alarmGet().split(" ");
    return due ? { due: Number(due), attempts: Number(attempts) } : undefined;
}

export function alarmOf(): number | null {
    return isRunning && !hasChanged ? null : read()?.due ?? null;
}

export function setAlarm(time: unknown): void {
    const due = time instanceof Date ? time.getTime() : Number(time);
    if (!Number.isFinite(due)) {
        throw new TypeError("setAlarm() needs a time: a Date, or milliseconds since 1970");
    }
    if (due < 0) {
        throw new TypeError("setAlarm() cannot be called with an alarm time <= 0");
    }
    hasChanged = true;
    native.alarmSet(Math.trunc(due), 0, 1);
}

export function deleteAlarm(): void {
    hasChanged = true;
    if (read()) {
        native.alarmSet(-1, 0, 0);
    }
}

type Handler = (info: { retryCount: number; isRetry: boolean }) => unknown;

function failed(attempts: number, error: unknown): void {
    native.reportError("Uncaught in alarm(): ", error);
    if (hasChanged) {
        return;
    }
    if (attempts > RETRIES_MAX) {
        console.error(`alarm() has failed ${attempts} times and is given up`);
        native.alarmSet(-1, 0, 0);
    } else {
        native.alarmSet(Date.now() + RETRY_MS * 2 ** (attempts - 1), attempts, 1);
    }
}

async function tryIt(alarm: Handler, { due, attempts }: Alarm): Promise<void> {
    native.alarmSet(due, attempts + 1, 0);
    isRunning = true;
    hasChanged = false;
    try {
        await alarm({ retryCount: attempts, isRetry: attempts > 0 });
        if (!hasChanged) {
            native.alarmSet(-1, 0, 0);
        }
    } catch (error) {
        failed(attempts + 1, error);
    } finally {
        isRunning = false;
    }
}

export async function runAlarm(instance: { alarm?: unknown }): Promise<void> {
    const set = read();
    if (set && set.due <= Date.now()) {
        if (set.attempts > RETRIES_MAX) {
            console.error(`alarm() has ended its actor ${set.attempts} times and is given up`);
            native.alarmSet(-1, 0, 0);
        } else if (typeof instance.alarm !== "function") {
            console.error("the alarm is due, and the class has no alarm()");
            native.alarmSet(-1, 0, 0);
        } else {
            await tryIt((info) => (instance.alarm as Handler).call(instance, info), set);
        }
    }
    native.actorControl(ALARM_NEXT, String(read()?.due ?? ""));
}
