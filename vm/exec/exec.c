/* SPDX-License-Identifier: Apache-2.0 */
/* What all executors share beside their workers: lists of jobs, and the report of data errors. */
#include <stdio.h>
#include <string.h>

#include "base/arena.h"
#include "base/num.h"
#include "vm/exec.h"

Job *jobs_add(Jobs *j, const Pass *pass) {
  if (j->n == j->cap) {
    uint32_t cap = j->cap ? 2 * j->cap : 8;
    Job *v = mem_realloc(j->v, cap * sizeof *v);
    if (!v)
      return NULL;
    j->v = v;
    j->cap = cap;
  }
  Job *o = &j->v[j->n++];
  memset(o, 0, sizeof *o);
  o->pass = pass;
  o->leave_out = o->only_fold = -1;
  return o;
}

void jobs_clear(Jobs *j) {
  for (uint32_t i = 0; i < j->n; i++)
    buf_free(&j->v[i].par);
  j->n = 0;
}

void jobs_free(Jobs *j) {
  jobs_clear(j);
  mem_free(j->v);
  *j = (Jobs){.n = 0};
}

/* "flights.csv, record 17, column delay (program line 8)" */
static void place(const RowError *r, const char *const *file, uint32_t nfile, char *out, size_t size) {
  char rec[NUM_MAX], line[32] = "";
  num_print_grouped(rec, r->pos + 1);
  if (r->line)
    snprintf(line, sizeof line, " (program line %u)", r->line);
  const char *name = r->file < nfile && file[r->file] ? file[r->file] : "data";
  snprintf(out, size, "%s, record %s%s%s%s", name, rec, r->column[0] ? ", column " : "", r->column, line);
}

/* n bytes of UTF-8 are cut where a character begins. */
static void cut_line(char *s, size_t n) {
  if (strlen(s) <= n)
    return;
  n -= 3;
  while (n && ((unsigned char)s[n] & 0xc0) == 0x80)
    n--;
  strcpy(s + n, "...");
}

/* "Correct the data, or let the program allow such values: `n: float`; `x: float?`." The first three. */
static void remedy_of(const RowErrors *r, char *out, size_t size) {
  size_t n = (size_t)snprintf(out, size, "Correct the data");
  int said = 0;
  for (uint32_t i = 0; i < r->n && said < 3; i++) {
    const char *allow = r->v[i].allow;
    bool again = !*allow;
    for (uint32_t j = 0; j < i && !again; j++)
      again = strcmp(r->v[j].allow, allow) == 0;
    if (!again)
      n += (size_t)snprintf(out + n, size - n, "%s%s",
                            said++ ? "; " : ", or let the program allow such values: ", allow);
  }
  snprintf(out + n, size - n, ".");
}

Status exec_row_errors(const RowErrors *r, const char *const *file, uint32_t nfile, Err *e) {
  char at[600], remedy[sizeof e->remedy];
  if (!r->count)
    return ST_OK;
  if (e->code)
    return e->code;
  remedy_of(r, remedy, sizeof remedy);
  if (r->count == 1) {
    place(&r->v[0], file, nfile, at, sizeof at);
    cut_line(at, sizeof e->where - 1);
    err_set(e, ST_DATA, "CML0430", remedy, "%s", r->v[0].text);
    return err_at(e, "%s", at);
  }
  char text[sizeof e->cause], line[900], count[NUM_MAX];
  size_t n = 0, room = sizeof text;
  num_print_grouped(count, r->count);
  n = (size_t)snprintf(text, room, "%s rows have bad values%s:", count,
                       r->count > r->n ? " (the first ten are shown)" : "");
  size_t each = (room - n) / r->n - 3;
  for (uint32_t i = 0; i < r->n; i++) {
    place(&r->v[i], file, nfile, at, sizeof at);
    snprintf(line, sizeof line, "%s: %s", at, r->v[i].text);
    cut_line(line, each);
    n += (size_t)snprintf(text + n, room - n, "\n  %s", line);
  }
  return err_set(e, ST_DATA, "CML0430", remedy, "%s", text);
}
