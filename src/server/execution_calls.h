/* SPDX-License-Identifier: Apache-2.0
 *
 * What code of an engine thread asks of executions (host/execution_request.h): reads are made there, the
 * rest is the director's, on the control thread. Engine thread; members of struct guest_host. */
#pragma once

struct execution_request;

void execution_calls_start(void *worker, struct execution_request *q);
void execution_calls_drop(void *worker, struct execution_request *q);
