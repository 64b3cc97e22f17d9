// SPDX-License-Identifier: Apache-2.0
//
// node:worker_threads: it can be imported; what is called says why it is not here, and what to use instead.

import { refused, refusedClass } from "./internal/errors.ts";

const why = "code has one thread; start other functions or workflows for work beside it";

export const BroadcastChannel: any = globalThis.BroadcastChannel;
export const MessageChannel: any = globalThis.MessageChannel;
export const MessagePort: any = globalThis.MessagePort;
export const SHARE_ENV: any = Symbol.for("nodejs.worker_threads.SHARE_ENV");
export const Worker = refusedClass("Worker", why);
export const getEnvironmentData: any = (): undefined => undefined;
export const isMainThread: any = true;
export const isMarkedAsUntransferable: any = (): boolean => false;
export const markAsUncloneable: any = (): void => {};
export const markAsUntransferable: any = (): void => {};
export const moveMessagePortToContext = refused("worker_threads.moveMessagePortToContext", why);
export const parentPort: any = null;
export const postMessageToThread = refused("worker_threads.postMessageToThread", why);
export const receiveMessageOnPort: any = (): undefined => undefined;
export const resourceLimits: any = {};
export const setEnvironmentData: any = (): void => {};
export const threadId: any = 0;
export const workerData: any = null;

export default {
    BroadcastChannel, MessageChannel, MessagePort, SHARE_ENV, Worker, getEnvironmentData, isMainThread,
    isMarkedAsUntransferable, markAsUncloneable, markAsUntransferable, moveMessagePortToContext, parentPort,
    postMessageToThread, receiveMessageOnPort, resourceLimits, setEnvironmentData, threadId, workerData,
};
