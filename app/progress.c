/* SPDX-License-Identifier: Apache-2.0 */
/* Progress; see progress.h. Cheap: the executor may call for every block. */
#include "app/progress.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/num.h"

double seconds_now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void clear_line(Meter *m) {
  if (m->line)
    fputs("\r\033[K", stderr);
  m->line = false;
}

static void show(Meter *m, uint64_t done, uint64_t total, double now) {
  char rows[NUM_MAX], all[NUM_MAX], rate[NUM_MAX];
  double spent = now - m->start, per = spent > 0 ? (double)done / spent : 0;
  num_print_grouped(rows, done);
  num_print_grouped(rate, (uint64_t)per);
  if (m->app->terminal)
    clear_line(m);
  fprintf(stderr, "%-28s ", m->stage);
  if (total && done <= total) {
    num_print_grouped(all, total);
    if (m->app->terminal) {
      int full = (int)(20.0 * (double)done / (double)total);
      fprintf(stderr, "[%.*s%.*s] ", full, "####################", 20 - full, "                    ");
    }
    fprintf(stderr, "%s of %s rows, %s/s, %.0f s left", rows, all, rate, per > 0 ? (double)(total - done) / per : 0.0);
  } else {
    fprintf(stderr, "%s rows, %s/s, %.0f s", rows, rate, spent);
  }
  if (m->app->terminal)
    m->line = true;
  else
    fputc('\n', stderr);
  fflush(stderr);
  m->shown = now;
}

static void on_rows(void *ctx, uint64_t done, uint64_t total) {
  Meter *m = ctx;
  double now = seconds_now();
  if (m->quiet)
    return;
  pthread_mutex_lock(&m->lock);
  if (now - m->shown >= (m->app->terminal ? 0.1 : 10.0) && now - m->start >= 0.3)
    show(m, done, total, now);
  pthread_mutex_unlock(&m->lock);
}

void meter_start(Meter *m, const App *app, bool quiet, const char *stage) {
  memset(m, 0, sizeof *m);
  m->app = app;
  m->quiet = quiet;
  m->progress = (Progress){on_rows, m};
  pthread_mutex_init(&m->lock, NULL);
  meter_stage(m, stage);
}

void meter_stage(Meter *m, const char *stage) {
  pthread_mutex_lock(&m->lock);
  clear_line(m);
  snprintf(m->stage, sizeof m->stage, "%s", stage);
  m->start = m->shown = seconds_now();
  pthread_mutex_unlock(&m->lock);
}

void meter_end(Meter *m) {
  clear_line(m);
  fflush(stderr);
  pthread_mutex_destroy(&m->lock);
}
