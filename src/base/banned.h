/* SPDX-License-Identifier: Apache-2.0
 *
 * Functions that may not be used: they write without a bound, share hidden state between threads,
 * or take stack that nobody checks. A use fails to compile and names the function. Included by
 * base/check.h, so it is everywhere.
 *
 * The system headers that declare them come first, on purpose: their guards then keep a later
 * #include from meeting our macros in the middle of a declaration. */
#pragma once

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define BANNED_(name) banned_function_##name

#undef strcpy
#define strcpy(...) BANNED_(strcpy_use_a_slice_or_bytes_append)
#undef strcat
#define strcat(...) BANNED_(strcat_use_bytes_append)
#undef sprintf
#define sprintf(...) BANNED_(sprintf_use_snprintf_or_bytes_printf)
#undef vsprintf
#define vsprintf(...) BANNED_(vsprintf_use_vsnprintf_or_bytes_vprintf)
#undef strtok
#define strtok(...) BANNED_(strtok_use_slice_split)
#undef localtime
#define localtime(...) BANNED_(localtime_use_clock_iso)
#undef gmtime
#define gmtime(...) BANNED_(gmtime_use_clock_iso)
#undef asctime
#define asctime(...) BANNED_(asctime_use_clock_iso)
#undef ctime
#define ctime(...) BANNED_(ctime_use_clock_iso)
#undef alloca
#define alloca(...) BANNED_(alloca_use_an_arena)
