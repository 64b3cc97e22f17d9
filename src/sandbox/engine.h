/* SPDX-License-Identifier: Apache-2.0
 *
 * What all compiled modules of a process share: Wasmtime's engine with our settings, and the ticker
 * thread that lets running guests be preempted. Any number of modules (code.h) may live beside each
 * other in one engine. Shared by all threads. Wasmtime's types do not leave this folder. */
#pragma once

struct engine;

struct engine *engine_new(void);
/* Nothing of its code runs any more. NULL is allowed. */
void engine_free(struct engine *e);
