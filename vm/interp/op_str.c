/* SPDX-License-Identifier: Apache-2.0 */
/* Strings: comparison, text functions, casts from and to text.
 *
 * A function of strings is written once, over an Item: the arguments of one row. It is called for each
 * *entry of the dictionary* where one string argument differs from row to row and all else is constant,
 * and what came out is kept while panels come with that same dictionary; else for each row. Numbers become
 * text through a dictionary that grows with the values seen, so that a column of few values costs a
 * look-up per row, and steps behind it find the same dictionary again. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE 1 /* memmem */
#endif
#include <stddef.h>
#include <string.h>

#include "base/arena.h"
#include "base/num.h"
#include "base/unicode.h"
#include "vm/interp/op.h"

enum { GROWN_MAX = 1 << 14 }; /* values in a growing dictionary before it starts anew */

typedef struct Item {
  Str s[3];      /* string arguments in order */
  int64_t i[2];  /* integer arguments in order */
} Item;

typedef struct Cell { /* a number as result: b and i, or f */
  union {
    int64_t i;
    double f;
  };
  bool null;
} Cell;

typedef void (*TextFn)(const Item *x, Buf *out);
typedef Cell (*NumberFn)(const Item *x);

typedef struct StrState {
  DictMap map;     /* by dictionary; also holds what is made by row, as dst */
  IntMap values;   /* growing dictionary: bits of the value -> code */
  Dict *grown;
} StrState;

static void state_drop(void *state) {
  StrState *w = state;
  dictmap_free(&w->map);
  intmap_free(&w->values);
  dict_drop(w->grown);
  mem_free(w);
}

Status prepare_str(Step *s, Err *e) {
  s->state = mem_alloc(sizeof(StrState));
  if (!s->state)
    return err_memory(e);
  s->drop = state_drop;
  return ST_OK;
}

/* ---- Calling a function for entries or rows ---- */

static void item_of_row(const Step *s, uint32_t r, Item *x) {
  uint32_t ns = 0, ni = 0;
  for (uint32_t k = 0; k < s->v->narg; k++) {
    if (s->arg[k]->type == IR_STR)
      x->s[ns++] = col_str(s->arg[k], r);
    else
      x->i[ni++] = s->arg[k]->i[r];
  }
}

/* The one argument that differs from row to row, when it is a string; -1: none or several. *at = its place
 * among the strings. */
int step_varying(const Step *s, uint32_t *at) {
  int found = -1;
  uint32_t ns = 0;
  for (uint32_t k = 0; k < s->v->narg; k++) {
    const Col *c = s->arg[k];
    if (!c->constant) {
      if (found >= 0 || c->type != IR_STR)
        return -1;
      found = (int)k;
      *at = ns;
    }
    ns += c->type == IR_STR;
  }
  return found;
}

static void text_by_entry(Step *s, TextFn fn, int arg, uint32_t at) {
  StrState *w = s->state;
  const Col *a = s->arg[arg];
  if (dictmap_stale(s, &w->map, a->dict, 1)) {
    Item x = {.i = {0, 0}};
    item_of_row(s, 0, &x);
    DictBuild b;
    dict_begin(&b);
    for (uint32_t i = 0; i < a->dict->n; i++) {
      x.s[at] = dict_at(a->dict, i);
      fn(&x, &b.bytes);
      dict_entry(&b);
    }
    w->map.dst = dict_done(&b);
    if (!w->map.dst) {
      dictmap_forget(&w->map);
      step_memory(s);
    }
  }
  if (!w->map.dst) {
    s->out->dict = s->t->none;
    return;
  }
  memcpy(s->out->code, a->code, s->n * sizeof *a->code);
  s->out->dict = w->map.dst;
}

static void text_by_row(Step *s, TextFn fn) {
  StrState *w = s->state;
  dictmap_forget(&w->map);
  DictBuild b;
  dict_begin(&b);
  for (uint32_t r = 0; r < s->n; r++) {
    s->out->code[r] = b.n;
    if (step_is_null(s->out, r))
      continue;
    Item x = {.i = {0, 0}};
    item_of_row(s, r, &x);
    fn(&x, &b.bytes);
    dict_entry(&b);
  }
  w->map.dst = dict_done(&b);
  if (!w->map.dst)
    step_memory(s);
  s->out->dict = w->map.dst ? w->map.dst : s->t->none;
}

static void text(Step *s, TextFn fn) {
  uint32_t at = 0;
  int arg = step_varying(s, &at);
  if (arg >= 0 && s->n > 0)
    text_by_entry(s, fn, arg, at);
  else
    text_by_row(s, fn);
}

static void store(Step *s, uint32_t r, Cell c) {
  switch (s->out->type) {
  case IR_BOOL:
    s->out->b[r] = (uint8_t)c.i;
    break;
  case IR_F64:
    s->out->f[r] = c.f;
    break;
  default:
    s->out->i[r] = c.i;
    break;
  }
}

static void number(Step *s, NumberFn fn) {
  StrState *w = s->state;
  uint32_t at = 0;
  int arg = step_varying(s, &at);
  if (arg < 0 || s->n == 0) {
    for (uint32_t r = 0; r < s->n; r++) {
      Item x = {.i = {0, 0}};
      Cell c = {.i = 0};
      if (!step_is_null(s->out, r)) {
        item_of_row(s, r, &x);
        c = fn(&x);
        if (c.null)
          step_mask(s)[r] = 1;
      }
      store(s, r, c);
    }
    return;
  }
  const Col *a = s->arg[arg];
  if (dictmap_stale(s, &w->map, a->dict, sizeof(Cell))) {
    Cell *table = w->map.table;
    Item x = {.i = {0, 0}};
    item_of_row(s, 0, &x);
    for (uint32_t i = 0; i < a->dict->n; i++) {
      x.s[at] = dict_at(a->dict, i);
      table[i] = fn(&x);
    }
  }
  const Cell *table = w->map.table;
  if (!table)
    return;
  uint32_t nulls = 0;
  for (uint32_t r = 0; r < s->n; r++) {
    store(s, r, table[a->code[r]]);
    nulls |= table[a->code[r]].null;
  }
  if (!nulls || !s->info->may_null)
    return;
  uint8_t *m = step_mask(s);
  for (uint32_t r = 0; r < s->n; r++)
    m[r] |= table[a->code[r]].null;
}

const void *step_cells(const Step *s) {
  const StrState *w = s->state;
  return w->map.table;
}

_Static_assert(sizeof(Cell) == 16 && offsetof(Cell, null) == 8, "compiled code reads cells");

#define TEXT(code, fn)          \
  void step_##code(Step *s) {   \
    text(s, fn);                \
  }
#define NUMBER(code, fn)        \
  void step_##code(Step *s) {   \
    number(s, fn);              \
  }

/* ---- Comparison ---- */

#define COMPARE(code, name, expr)                    \
  static Cell name(const Item *x) {                  \
    const Str a = x->s[0], b = x->s[1];              \
    return (Cell){.i = (expr)};                      \
  }                                                  \
  NUMBER(code, name)

COMPARE(EQ_STR, str_is, str_eq(a, b))
COMPARE(NE_STR, str_is_not, !str_eq(a, b))
COMPARE(LT_STR, str_lt, str_cmp(a, b) < 0)
COMPARE(LE_STR, str_le, str_cmp(a, b) <= 0)
COMPARE(GT_STR, str_gt, str_cmp(a, b) > 0)
COMPARE(GE_STR, str_ge, str_cmp(a, b) >= 0)
COMPARE(CONTAINS_STR, str_contains, b.n == 0 || (a.n >= b.n && memmem(a.p, a.n, b.p, b.n) != NULL))
COMPARE(STARTS_WITH_STR, str_starts, a.n >= b.n && !memcmp(a.p, b.p, b.n))
COMPARE(ENDS_WITH_STR, str_ends, a.n >= b.n && !memcmp(a.p + (a.n - b.n), b.p, b.n))

/* ---- Text functions ---- */

/* Character by character; a byte that is no UTF-8 stays. */
static void put_mapped(Buf *out, Str a, uint32_t (*fn)(uint32_t)) {
  char part[256];
  const char *p = a.p, *end = a.p + a.n;
  while (p < end) {
    uint32_t n = 0, len;
    while (n + 4 <= sizeof part && p < end) {
      uint32_t c = utf8_at(p, end, &len);
      if (len == 1 && c >= 0x80)
        part[n++] = *p;
      else
        n += utf8_put(part + n, fn(c));
      p += len;
    }
    buf_put(out, part, n);
  }
}

static void lower(const Item *x, Buf *out) {
  put_mapped(out, x->s[0], unicode_lower);
}

static void upper(const Item *x, Buf *out) {
  put_mapped(out, x->s[0], unicode_upper);
}

static bool is_blank(char c) {
  return c == ' ' || (c >= '\t' && c <= '\r');
}

static void trim(const Item *x, Buf *out) {
  Str a = x->s[0];
  while (a.n && is_blank(a.p[0])) {
    a.p++;
    a.n--;
  }
  while (a.n && is_blank(a.p[a.n - 1]))
    a.n--;
  buf_put(out, a.p, a.n);
}

static bool begins_character(char c) {
  return ((unsigned char)c & 0xc0) != 0x80;
}

static Cell length(const Item *x) {
  Cell c = {.i = 0};
  for (uint32_t i = 0; i < x->s[0].n; i++)
    c.i += begins_character(x->s[0].p[i]);
  return c;
}

static void substring(const Item *x, Buf *out) {
  Str a = x->s[0];
  int64_t from = x->i[0], n = x->i[1], last;
  if (n <= 0)
    return;
  if (__builtin_add_overflow(from, n - 1, &last))
    last = INT64_MAX; /* only upwards: n is positive */
  int64_t at = 0;
  uint32_t begin = a.n, end = a.n;
  for (uint32_t i = 0; i < a.n; i++) {
    if (!begins_character(a.p[i]))
      continue;
    at++;
    if (at >= from && begin == a.n)
      begin = i;
    if (at > last) {
      end = i;
      break;
    }
  }
  if (begin < end)
    buf_put(out, a.p + begin, end - begin);
}

static void replace(const Item *x, Buf *out) {
  Str a = x->s[0], old = x->s[1], new = x->s[2];
  while (old.n && a.n >= old.n) {
    const char *hit = memmem(a.p, a.n, old.p, old.n);
    if (!hit)
      break;
    uint32_t before = (uint32_t)(hit - a.p);
    buf_put(out, a.p, before);
    buf_put(out, new.p, new.n);
    a.p += before + old.n;
    a.n -= before + old.n;
  }
  buf_put(out, a.p, a.n);
}

static void concat(const Item *x, Buf *out) {
  buf_put(out, x->s[0].p, x->s[0].n);
  buf_put(out, x->s[1].p, x->s[1].n);
}

TEXT(LOWER_STR, lower)
TEXT(UPPER_STR, upper)
TEXT(TRIM_STR, trim)
TEXT(SUBSTRING_STR, substring)
TEXT(REPLACE_STR, replace)
TEXT(CONCAT_STR, concat)
NUMBER(LENGTH_STR, length)

/* ---- From text ---- */

static Cell parse_b(const Item *x) {
  bool yes = str_eq(x->s[0], (Str){"true", 4}), no = str_eq(x->s[0], (Str){"false", 5});
  return (Cell){.i = yes, .null = !yes && !no};
}

#define PARSE(code, name, field, fn)                          \
  static Cell name(const Item *x) {                           \
    Cell c = {.i = 0};                                        \
    c.null = !fn(x->s[0].p, x->s[0].n, &c.field);             \
    if (c.null)                                               \
      c.i = 0;                                                \
    return c;                                                 \
  }                                                           \
  NUMBER(code, name)

NUMBER(CAST_STR_B, parse_b)
PARSE(CAST_STR_I64, parse_i64, i, num_parse_i64)
PARSE(CAST_STR_F64, parse_f64, f, num_parse_f64)
PARSE(CAST_STR_DATE, parse_date, i, num_parse_date)
PARSE(CAST_STR_TS, parse_timestamp, i, num_parse_timestamp)

/* ---- To text ---- */

typedef int (*PrintFn)(char out[NUM_MAX], uint64_t bits);

static int print_b(char out[NUM_MAX], uint64_t bits) {
  strcpy(out, bits ? "true" : "false");
  return bits ? 4 : 5;
}

static int print_i64(char out[NUM_MAX], uint64_t bits) {
  return num_print_i64(out, (int64_t)bits);
}

static int print_f64(char out[NUM_MAX], uint64_t bits) {
  double v;
  memcpy(&v, &bits, sizeof v);
  return num_print_f64(out, v, true);
}

static int print_date(char out[NUM_MAX], uint64_t bits) {
  const int64_t limit = 106751991; /* as in op_time.c */
  int64_t days = (int64_t)bits;
  days = days > limit ? limit : days < -limit ? -limit : days;
  return num_print_date(out, days);
}

static int print_ts(char out[NUM_MAX], uint64_t bits) {
  return num_print_timestamp(out, (int64_t)bits);
}

/* The growing dictionary, with the values of w->values from number `from` on, of which row first[i - from]
 * is one. */
static bool grow(StrState *w, uint32_t from, const uint64_t *bits, PrintFn print) {
  DictBuild b;
  dict_begin(&b);
  for (uint32_t i = 0; i < from; i++)
    dict_put(&b, dict_at(w->grown, i));
  for (uint32_t i = from; i < w->values.n; i++) {
    char part[NUM_MAX];
    buf_put(&b.bytes, part, (size_t)print(part, bits[i - from]));
    dict_entry(&b);
  }
  dict_drop(w->grown);
  w->grown = dict_done(&b);
  return w->grown != NULL;
}

/* bits[r] = the value of row r as a key */
static void print_rows(Step *s, const uint64_t *bits, PrintFn print) {
  StrState *w = s->state;
  uint64_t fresh[PANEL_ROWS];
  s->out->dict = s->t->none;
  if (w->values.n > GROWN_MAX || !w->grown) {
    intmap_clear(&w->values);
    dict_drop(w->grown);
    w->grown = NULL;
  }
  uint32_t from = w->values.n;
  for (uint32_t r = 0; r < s->n; r++) {
    s->out->code[r] = 0;
    if (step_is_null(s->out, r))
      continue;
    uint32_t before = w->values.n;
    int64_t code = intmap_add(&w->values, bits[r]);
    if (code < 0) {
      intmap_clear(&w->values);
      dict_drop(w->grown);
      w->grown = NULL;
      step_memory(s);
      return;
    }
    if (w->values.n > before)
      fresh[before - from] = bits[r];
    s->out->code[r] = (uint32_t)code;
  }
  if ((w->values.n > from || !w->grown) && !grow(w, from, fresh, print)) {
    intmap_clear(&w->values);
    step_memory(s);
    return;
  }
  s->out->dict = w->grown;
}

void step_CAST_B_STR(Step *s) {
  uint64_t bits[PANEL_ROWS];
  for (uint32_t r = 0; r < s->n; r++)
    bits[r] = s->arg[0]->b[r];
  print_rows(s, bits, print_b);
}

void step_CAST_I64_STR(Step *s) {
  print_rows(s, (const uint64_t *)s->arg[0]->i, print_i64);
}

void step_CAST_DATE_STR(Step *s) {
  print_rows(s, (const uint64_t *)s->arg[0]->i, print_date);
}

void step_CAST_TS_STR(Step *s) {
  print_rows(s, (const uint64_t *)s->arg[0]->i, print_ts);
}

void step_CAST_F64_STR(Step *s) {
  uint64_t bits[PANEL_ROWS];
  for (uint32_t r = 0; r < s->n; r++) {
    double v = s->arg[0]->f[r];
    v = v != v ? __builtin_nan("") : v == 0 ? 0 : v; /* one NaN, one zero */
    memcpy(&bits[r], &v, sizeof v);
  }
  print_rows(s, bits, print_f64);
}
