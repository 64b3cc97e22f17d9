/* SPDX-License-Identifier: Apache-2.0
 *
 * What starting an operation answers: it is done, its result is there and nothing is called; or it
 * is under way, and its completion comes exactly once, later, from the loop. */
#pragma once

enum op_status { OP_DONE, OP_PENDING };
