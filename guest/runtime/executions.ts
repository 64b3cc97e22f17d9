// SPDX-License-Identifier: Apache-2.0
//
// What `limpet` exports of lazy/executions.ts, which is loaded when one of these is called.

import type lazy from "./lazy/executions.ts";
import { native } from "./native.ts";

export const executions = (): typeof lazy => native.require("limpet:internal/runtime/executions") as typeof lazy;

export const start: typeof lazy.start = async (...values) => executions().start(...values);
export const signal: typeof lazy.signal = async (...values) => executions().signal(...values);
export const execution: typeof lazy.execution = (id) => executions().execution(id);
