/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* `limpet serve`: argv[0] is the word, then its flags. Returns the exit code. */
int serve_main(int argc, char **argv);
