// SPDX-License-Identifier: Apache-2.0
//
// node:cluster: it can be imported; what is called says why it is not here, and what to use instead.

import { refused, refusedClass } from "./internal/errors.ts";

const why = "the server runs code on all cores already";

export const SCHED_NONE: any = 1;
export const SCHED_RR: any = 2;
export const Worker = refusedClass("Worker", why);
export const disconnect = refused("cluster.disconnect", why);
export const fork = refused("cluster.fork", why);
export const isMaster: any = true;
export const isPrimary: any = true;
export const isWorker: any = false;
export const schedulingPolicy: any = 2;
export const settings: any = {};
export const setupMaster = refused("cluster.setupMaster", why);
export const setupPrimary = refused("cluster.setupPrimary", why);
export const workers: any = {};

export default {
    SCHED_NONE, SCHED_RR, Worker, disconnect, fork, isMaster, isPrimary, isWorker, schedulingPolicy, settings,
    setupMaster, setupPrimary, workers,
};
