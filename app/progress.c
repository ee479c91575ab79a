/* SPDX-License-Identifier: Apache-2.0 */
/* Progress; see progress.h. Cheap: the executor may call for every block. */
#include "app/progress.h"

#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

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

/* Columns of the terminal, asked for each time since it may be resized. */
static int width(void) {
  struct winsize w;
  return ioctl(STDERR_FILENO, TIOCGWINSZ, &w) == 0 && w.ws_col >= 20 ? w.ws_col : 80;
}

/* The first n characters of a text, as bytes. */
static int head(const char *s, int n) {
  int i = 0;
  for (; s[i]; i++)
    if (((unsigned char)s[i] & 0xc0) != 0x80 && n-- == 0)
      break;
  return i;
}

/* "flights.train.fit0, scan 2": a stage may read its rows many times. */
static void name_line(const Meter *m, char out[128]) {
  if (m->scan > 1)
    snprintf(out, 128, "%s, scan %u", m->stage, m->scan);
  else
    snprintf(out, 128, "%s", m->stage);
}

static void show(Meter *m, uint64_t done, uint64_t total, double now) {
  char rows[NUM_MAX], all[NUM_MAX], rate[NUM_MAX], name[128], tail[192], bar[24] = "";
  double spent = now - m->begun, per = spent > 0 ? (double)done / spent : 0;
  name_line(m, name);
  num_print_grouped(rows, done);
  num_print_grouped(rate, (uint64_t)per);
  num_print_grouped(all, total);
  if (total && done <= total && per > 0)
    snprintf(tail, sizeof tail, "%s of %s rows, %s/s, %.0f s left", rows, all, rate,
             (double)(total - done) / per);
  else
    snprintf(tail, sizeof tail, "%s rows, %s/s, %.0f s", rows, rate, spent);
  m->shown = now;
  if (!m->app->terminal) {
    fprintf(stderr, "%s: %s\n", name, tail);
    return;
  }
  /* One line, never wrapped: what is left of it behind the numbers goes to the bar, then to the name. */
  int room = width() - 1 - (int)strlen(tail) - 1,
      full = total && done <= total ? (int)(10.0 * (double)done / (double)total) : -1;
  if (full >= 0 && room >= 13 + 12)
    snprintf(bar, sizeof bar, "[%.*s%.*s] ", full, "##########", 10 - full, "          ");
  room -= (int)strlen(bar);
  int shown = head(name, room > 0 ? room : 0);
  clear_line(m);
  fprintf(stderr, "%.*s %s%.*s", shown, name, bar, width() - 1, tail);
  m->line = true;
  fflush(stderr);
}

static void on_rows(void *ctx, uint64_t done, uint64_t total) {
  Meter *m = ctx;
  double now = seconds_now();
  if (m->quiet)
    return;
  pthread_mutex_lock(&m->lock);
  /* calls of several threads may come out of order by a little, but a scan starts near 0 */
  if (done < m->done) {
    if (done < m->done / 2) {
      m->scan++;
      m->begun = now;
      m->done = done;
    }
  } else {
    m->done = done;
  }
  if (now - m->shown >= (m->app->terminal ? 0.1 : 10.0) && now - m->begun >= (m->app->terminal ? 0.3 : 0.0))
    show(m, m->done, total, now);
  pthread_mutex_unlock(&m->lock);
}

void app_warning(const App *app, const char *where, const char *text) {
  fprintf(stderr, "%swarning%s: %s: %s\n", app->colour ? "\033[1;33m" : "", app->colour ? "\033[0m" : "",
          where, text);
}

static void on_note(void *ctx, const char *text) {
  Meter *m = ctx;
  pthread_mutex_lock(&m->lock);
  clear_line(m);
  app_warning(m->app, m->stage, text);
  pthread_mutex_unlock(&m->lock);
}

void meter_start(Meter *m, const App *app, bool quiet, const char *stage) {
  memset(m, 0, sizeof *m);
  m->app = app;
  m->quiet = quiet;
  m->progress = (Progress){.rows = on_rows, .note = on_note, .ctx = m};
  pthread_mutex_init(&m->lock, NULL);
  meter_stage(m, stage);
}

void meter_stage(Meter *m, const char *stage) {
  pthread_mutex_lock(&m->lock);
  clear_line(m);
  snprintf(m->stage, sizeof m->stage, "%s", stage);
  m->begun = m->shown = seconds_now();
  m->scan = 1;
  m->done = 0;
  pthread_mutex_unlock(&m->lock);
}

void meter_end(Meter *m) {
  clear_line(m);
  fflush(stderr);
  pthread_mutex_destroy(&m->lock);
}
