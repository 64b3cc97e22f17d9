/* SPDX-License-Identifier: Apache-2.0
 *
 * What an engine thread is for flow/ (flow/env.h). */
#pragma once

#include "server/worker.h"

struct flow_env worker_env(struct worker *w);
