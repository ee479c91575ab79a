/* SPDX-License-Identifier: Apache-2.0 */
/* Constants of the calendar, for the interpreter (op_time.c) and the JIT, which do the same operations. */
#ifndef VM_INTERP_CALENDAR_H
#define VM_INTERP_CALENDAR_H

#include <stdint.h>

#define DAY_US INT64_C(86400000000)
#define HOUR_US INT64_C(3600000000)

/* What a timestamp can hold, in days around 1970. */
enum { DAYS_MAX = 106751991, ERAS = 731, DAYS_ERA = 146097 /* 400 years */, SHIFT_YEARS = 400 * ERAS };
/* from 1 March of year -SHIFT_YEARS to 1 January 1970 */
enum { SHIFT_DAYS = 719468 + ERAS * DAYS_ERA };
/* 1970-01-01 was a Thursday, and SHIFT_DAYS + WEEKDAY_PLUS is 3 modulo 7. */
enum { WEEKDAY_PLUS = 7 + 3 - SHIFT_DAYS % 7 };

#endif
