/* SPDX-License-Identifier: Apache-2.0 */
/* Progress of long work on standard error: one line that renews itself on a terminal, a plain line every
 * few seconds elsewhere. */
#ifndef APP_PROGRESS_H
#define APP_PROGRESS_H

#include <pthread.h>

#include "app/app.h"

typedef struct Meter {
  Progress progress;        /* to be handed down; thread-safe */
  const App *app;
  bool quiet;
  char stage[96];
  uint32_t scan;            /* of the stage, from 1 */
  uint64_t done;            /* rows of the scan */
  double begun, shown;      /* seconds; of the scan, of the last line */
  bool line;                /* a line stands on the terminal */
  pthread_mutex_t lock;
} Meter;

void meter_start(Meter *m, const App *app, bool quiet, const char *stage);
void meter_stage(Meter *m, const char *stage); /* the next stage begins */
void meter_end(Meter *m);       /* takes the line away; destroys the lock */
double seconds_now(void);

#endif
