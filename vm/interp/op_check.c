/* SPDX-License-Identifier: Apache-2.0 */
/* Which rows stay, which are wrong, and what is told of the latter: keep and check.*; and levels: part_of,
 * check.in, indicator, which all ask where a string stands in a list of strings, once per dictionary. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/arena.h"
#include "base/num.h"
#include "vm/interp/op.h"

VECTOR_LOOPS

void step_KEEP(Step *s) {
  const uint8_t *a = s->arg[0]->b; /* 0 under a null */
  Interp *t = s->t;
  memcpy(s->out->b, a, s->n);
  for (uint32_t r = 0; r < s->n; r++) {
    t->live[r] &= a[r];
    t->kept[r] &= a[r];
  }
}

/* ---- Ranges, nulls, NaN: the register is that of the argument ---- */

#define CHECK_RANGE(code, T, F, LOW, HIGH, PRINT)                                                           \
  void step_##code(Step *s) {                                                                               \
    const Col *c = s->arg[0];                                                                               \
    const T low = LOW(s->v->f), high = HIGH(s->v->g);                                                       \
    *s->out = *c;                                                                                           \
    uint32_t bad = 0;                                                                                       \
    for (uint32_t r = 0; r < s->n; r++)                                                                     \
      bad |= (c->F[r] < low) | (c->F[r] > high);                                                            \
    for (uint32_t r = 0; bad && r < s->n; r++) {                                                            \
      if (!(c->F[r] < low || c->F[r] > high))                                                               \
        continue;                                                                                           \
      char x[NUM_MAX], from[NUM_MAX], to[NUM_MAX];                                                          \
      PRINT(x, c->F[r]);                                                                                    \
      num_print_f64(from, s->v->f, false);                                                                  \
      num_print_f64(to, s->v->g, false);                                                                    \
      step_fail(s, r, s->v->s, "%s is outside %s..%s", x, from, to);                                        \
    }                                                                                                       \
  }

/* The least int >= v, the greatest <= v. */
int64_t check_from(double v) {
  v = ceil(v);
  return v <= -0x1p63 || v != v ? INT64_MIN : v >= 0x1p63 ? INT64_MAX : (int64_t)v;
}

int64_t check_to(double v) {
  v = floor(v);
  return v >= 0x1p63 || v != v ? INT64_MAX : v <= -0x1p63 ? INT64_MIN : (int64_t)v;
}

static void print_plain(char out[NUM_MAX], double v) {
  num_print_f64(out, v, false);
}

static void print_int(char out[NUM_MAX], int64_t v) {
  num_print_i64(out, v);
}

#define SAME(v) (v)
CHECK_RANGE(CHECK_RANGE_I64, int64_t, i, check_from, check_to, print_int)
CHECK_RANGE(CHECK_RANGE_F64, double, f, SAME, SAME, print_plain)

static void check_null(Step *s) {
  *s->out = *s->arg[0];
  s->out->null = NULL;
  const uint8_t *null = s->arg[0]->null;
  for (uint32_t r = 0; null && r < s->n; r++) {
    if (null[r])
      step_fail(s, r, s->v->s, "a null, and the column is not declared nullable");
  }
}

void step_CHECK_NULL_B(Step *s) {
  check_null(s);
}

void step_CHECK_NULL_I64(Step *s) {
  check_null(s);
}

void step_CHECK_NULL_F64(Step *s) {
  check_null(s);
}

void step_CHECK_NULL_STR(Step *s) {
  check_null(s);
}

void step_CHECK_NAN_F64(Step *s) {
  const Col *c = s->arg[0];
  *s->out = *c;
  uint32_t bad = 0;
  for (uint32_t r = 0; r < s->n; r++)
    bad |= c->f[r] != c->f[r];
  for (uint32_t r = 0; bad && r < s->n; r++) {
    if (c->f[r] != c->f[r])
      step_fail(s, r, s->v->s, "NaN, and the column is not declared nullable");
  }
}

/* ---- Levels ---- */

typedef struct Levels {
  Map index;      /* string -> number, where there is no ready one */
  const Map *use;
  DictMap map;    /* int32: number + 1 by entry, 0 = none */
} Levels;

static void levels_drop(void *state) {
  Levels *w = state;
  map_free(&w->index);
  dictmap_free(&w->map);
  mem_free(w);
}

Status prepare_levels(Step *s, Err *e) {
  Levels *w = mem_alloc(sizeof *w);
  if (!w)
    return err_memory(e);
  s->state = w;
  s->drop = levels_drop;
  bool own_names = s->v->op == OP_CHECK_IN_STR;
  const Step *vocab = own_names ? NULL : &s->t->step[s->v->arg[1]];
  if (vocab && vocab->fitted && vocab->fitted->vocab_index.n == vocab->fitted->n) {
    w->use = &vocab->fitted->vocab_index;
    return ST_OK;
  }
  uint32_t n = own_names ? s->v->nlist : step_vocab_size(s, 1);
  for (uint32_t i = 0; i < n; i++) {
    const char *p = "";
    uint32_t len = 0;
    if (own_names) {
      p = s->v->names[i];
      len = (uint32_t)strlen(p);
    } else {
      step_vocab_at(s, 1, i, &p, &len);
    }
    int64_t at = map_add(&w->index, p, len, NULL);
    if (at < 0)
      return err_memory(e);
    if (at != (int64_t)i && !own_names)
      return err_set(e, ST_FAULT, "CML0601", "This is a fault of cml: please report it with the program.",
                     "the list of levels in step %%%u names `%.40s` twice", s->number, p);
  }
  w->use = &w->index;
  return ST_OK;
}

/* By entry of the argument's dictionary: number + 1, or 0. NULL: memory. */
const int32_t *step_levels(Step *s) {
  Levels *w = s->state;
  const Col *c = s->arg[0];
  if (dictmap_stale(s, &w->map, c->dict, sizeof(int32_t))) {
    int32_t *table = w->map.table;
    for (uint32_t i = 0; w->use->n && i < c->dict->n; i++) {
      Str x = dict_at(c->dict, i);
      table[i] = (int32_t)map_find(w->use, x.p, x.n) + 1;
    }
  }
  return w->map.table;
}

/* At most 40 bytes of a string, not cut inside a character, with control bytes as dots. */
static const char *shown(Str x, char out[48]) {
  uint32_t n = x.n < 40 ? x.n : 40;
  while (n && n < x.n && ((unsigned char)x.p[n] & 0xc0) == 0x80)
    n--;
  for (uint32_t i = 0; i < n; i++)
    out[i] = (unsigned char)x.p[i] < 0x20 ? '.' : x.p[i];
  strcpy(out + n, n < x.n ? "..." : "");
  return out;
}

void step_CHECK_IN_STR(Step *s) {
  const Col *c = s->arg[0];
  const int32_t *level = step_levels(s);
  *s->out = *c;
  if (!level)
    return;
  uint32_t bad = 0;
  for (uint32_t r = 0; r < s->n; r++)
    bad |= level[c->code[r]] == 0;
  for (uint32_t r = 0; bad && r < s->n; r++) {
    char text[48];
    if (!level[c->code[r]])
      step_fail(s, r, s->v->s, "`%s` is none of the %u values of its domain", shown(col_str(c, r), text),
                s->v->nlist);
  }
}

void step_INDEX_OF_STR(Step *s) {
  const Col *c = s->arg[0];
  const int32_t *of = step_levels(s);
  if (!of)
    return;
  uint8_t *null = step_mask(s);
  for (uint32_t r = 0; r < s->n; r++) {
    int32_t at = of[c->code[r]];
    null[r] |= at == 0;
    s->out->i[r] = at > 0 ? at - 1 : 0;
  }
}

void step_PART_OF_STR(Step *s) {
  const Col *c = s->arg[0];
  const int32_t *level = step_levels(s);
  if (!level)
    return;
  for (uint32_t r = 0; r < s->n; r++) {
    char text[48];
    int32_t k = step_is_null(c, r) ? 0 : level[c->code[r]];
    s->out->i[r] = k > 0 ? k - 1 : 0;
    if (k > 0)
      continue;
    if (step_is_null(c, r))
      step_fail(s, r, NULL, "a null, where the name of a part is wanted");
    else
      step_fail(s, r, NULL, "`%s` is the name of no part", shown(col_str(c, r), text));
  }
}

void step_LEVEL_STR(Step *s) {
  const Col *c = s->arg[0];
  const int32_t *level = step_levels(s);
  if (!level)
    return;
  for (uint32_t r = 0; r < s->n; r++)
    s->out->f[r] = level[c->code[r]] - 1;
}

void step_INDICATOR_STR(Step *s) {
  const Col *c = s->arg[0];
  const int32_t *level = step_levels(s);
  if (!level)
    return;
  for (uint32_t r = 0; r < s->n; r++)
    s->out->hot[r] = level[c->code[r]] - 1;
}
