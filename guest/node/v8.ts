// SPDX-License-Identifier: Apache-2.0
//
// node:v8: it can be imported; what is called says why it is not here, and what to use instead.

import { native } from "limpet:internal";
import { Buffer } from "./buffer.ts";
import { refused, refusedClass } from "./internal/errors.ts";

const why = "the engine is not V8; use structuredClone() for copies, and limits for memory";

export const DefaultDeserializer = refusedClass("DefaultDeserializer", why);
export const DefaultSerializer = refusedClass("DefaultSerializer", why);
export const Deserializer = refusedClass("Deserializer", why);
export const GCProfiler = refusedClass("GCProfiler", why);
export const Serializer = refusedClass("Serializer", why);
export const cachedDataVersionTag: any = (): number => 0;
export const deserialize: any = (bytes: any): unknown => native.deserialize(bytes);
export const getHeapCodeStatistics = refused("v8.getHeapCodeStatistics", why);
export const getHeapSnapshot = refused("v8.getHeapSnapshot", why);
export const getHeapSpaceStatistics = refused("v8.getHeapSpaceStatistics", why);
export const getHeapStatistics: any = (): any => ({ total_heap_size: 0, total_heap_size_executable: 0, total_physical_size: 0, total_available_size: 0, used_heap_size: 0, heap_size_limit: 0, malloced_memory: 0, peak_malloced_memory: 0, does_zap_garbage: 0, number_of_native_contexts: 1, number_of_detached_contexts: 0, total_global_handles_size: 0, used_global_handles_size: 0, external_memory: 0 });
export const promiseHooks: any = {};
export const queryObjects = refused("v8.queryObjects", why);
export const serialize: any = (value: unknown): any => Buffer.from(native.serialize(value));
export const setFlagsFromString: any = (): void => {};
export const setHeapSnapshotNearHeapLimit = refused("v8.setHeapSnapshotNearHeapLimit", why);
export const startupSnapshot: any = { isBuildingSnapshot: (): boolean => false };
export const stopCoverage = refused("v8.stopCoverage", why);
export const takeCoverage = refused("v8.takeCoverage", why);
export const writeHeapSnapshot = refused("v8.writeHeapSnapshot", why);

export default {
    DefaultDeserializer, DefaultSerializer, Deserializer, GCProfiler, Serializer, cachedDataVersionTag, deserialize,
    getHeapCodeStatistics, getHeapSnapshot, getHeapSpaceStatistics, getHeapStatistics, promiseHooks, queryObjects,
    serialize, setFlagsFromString, setHeapSnapshotNearHeapLimit, startupSnapshot, stopCoverage, takeCoverage,
    writeHeapSnapshot,
};
