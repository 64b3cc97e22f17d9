/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* `limpet serve`: argv after the word. Returns the exit code. */
int serve_main(int argc, char **argv);
