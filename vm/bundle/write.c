/* SPDX-License-Identifier: Apache-2.0 */
/* Writing bundles; the format is drawn in bundle.h. First the score stage is cut out of its program and
 * its fitted values renumbered in order of first use; then every value gives its tensors; then they are
 * sorted, and header and tensors are put out. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/hash.h"
#include "vm/bundle.h"
#include "vm/ops.h"

typedef struct Item { /* a tensor to be written */
  char name[96];
  const char *dtype;   /* "F64", "I64", "U8" */
  uint64_t shape[2];
  int dims;
  Buf data;
} Item;

typedef struct Out {
  Item *v;
  uint32_t n, cap;
  bool bad;
  Buf sink;            /* what is put after memory ran out */
} Out;

static Buf *add(Out *o, const char *dtype, int dims, uint64_t rows, uint64_t cols, const char *fmt,
                uint32_t k, const char *suffix) {
  if (o->n == o->cap) {
    uint32_t cap = o->cap ? o->cap * 2 : 16;
    Item *v = mem_realloc(o->v, cap * sizeof *v);
    if (!v) {
      o->bad = true;
      o->sink.bad = true; /* swallows what is put */
      return &o->sink;
    }
    o->v = v;
    o->cap = cap;
  }
  Item *t = &o->v[o->n++];
  *t = (Item){.dtype = dtype, .shape = {rows, cols}, .dims = dims};
  int n = snprintf(t->name, sizeof t->name, fmt, k);
  snprintf(t->name + n, sizeof t->name - (size_t)n, "%s", suffix);
  return &t->data;
}

static void put_f64s(Buf *b, const double *v, uint64_t n) {
  for (uint64_t i = 0; i < n; i++)
    buf_f64(b, v[i]);
}

static void add_strings(Out *o, const char *fmt, uint32_t k, const char *bytes, const char *offsets,
                        char *const *s, uint32_t n) {
  uint64_t total = 0;
  for (uint32_t i = 0; i < n; i++)
    total += strlen(s[i]);
  Buf *b = add(o, "U8", 1, total, 0, fmt, k, bytes);
  for (uint32_t i = 0; i < n; i++)
    buf_text(b, s[i]);
  b = add(o, "I64", 1, (uint64_t)n + 1, 0, fmt, k, offsets);
  total = 0;
  buf_i64(b, 0);
  for (uint32_t i = 0; i < n; i++)
    buf_i64(b, (int64_t)(total += strlen(s[i])));
}

static void add_table(Out *o, uint32_t k, const Table *t) {
  buf_put(add(o, "U8", 1, t->off[t->n], 0, "fitted.%u", k, ".keys"), t->bytes, t->off[t->n]);
  Buf *b = add(o, "I64", 1, (uint64_t)t->n + 1, 0, "fitted.%u", k, ".offsets");
  for (uint32_t i = 0; i <= t->n; i++)
    buf_i64(b, t->off[i]);
  b = add(o, t->type == IR_I64 ? "I64" : "F64", 1, t->n, 0, "fitted.%u", k, ".values");
  for (uint32_t i = 0; i < t->n; i++) { /* variant 0: fitted on all training rows */
    if (t->type == IR_I64)
      buf_i64(b, t->i[i]);
    else
      buf_f64(b, t->f[i]);
  }
  b = add(o, "U8", 1, t->n, 0, "fitted.%u", k, ".nulls");
  for (uint32_t i = 0; i < t->n; i++)
    buf_u8(b, t->null ? t->null[i] : 0);
}

static void add_model(Out *o, uint32_t k, const Model *m) {
  char suffix[64];
  for (uint32_t i = 0; i < m->ntensor; i++) {
    const Tensor *t = &m->tensor[i];
    snprintf(suffix, sizeof suffix, ".%s", t->name);
    Buf *b = add(o, "F64", 2, t->rows, t->cols, "fitted.%u", k, suffix);
    put_f64s(b, t->v, (uint64_t)t->rows * t->cols);
  }
  add_strings(o, "features", k, ".bytes", ".offsets", m->feature, m->d);
  if (m->nclass)
    add_strings(o, "classes", k, ".bytes", ".offsets", m->class, m->nclass);
}

static void add_vocab(Out *o, uint32_t k, const Dict *d) {
  buf_put(add(o, "U8", 1, d->off[d->n], 0, "fitted.%u", k, ".bytes"), d->bytes, d->off[d->n]);
  Buf *b = add(o, "I64", 1, (uint64_t)d->n + 1, 0, "fitted.%u", k, ".offsets");
  for (uint32_t i = 0; i <= d->n; i++)
    buf_i64(b, d->off[i]);
}

static void add_fitted(Out *o, uint32_t k, const Fitted *f) {
  switch (f->type) {
  case IR_BOOL: buf_u8(add(o, "U8", 0, 1, 0, "fitted.%u", k, ""), f->b); break;
  case IR_I64: buf_i64(add(o, "I64", 0, 1, 0, "fitted.%u", k, ""), f->i); break;
  case IR_F64: buf_f64(add(o, "F64", 0, 1, 0, "fitted.%u", k, ""), f->f); break;
  case IR_STR: buf_put(add(o, "U8", 1, f->n, 0, "fitted.%u", k, ""), f->s, f->n); break;
  case IR_LIST: put_f64s(add(o, "F64", 1, f->n, 0, "fitted.%u", k, ""), f->list, f->n); break;
  case IR_VOCAB: add_vocab(o, k, f->vocab); break;
  case IR_VEC: put_f64s(add(o, "F64", 1, f->n, 0, "fitted.%u", k, ""), f->list, f->n); break;
  case IR_MAT:
    put_f64s(add(o, "F64", 2, f->rows, f->cols, "fitted.%u", k, ""), f->list, (uint64_t)f->rows * f->cols);
    break;
  case IR_TABLE: add_table(o, k, f->table); break;
  default: add_model(o, k, f->model);
  }
}

/* ---- The score stage on its own ---- */

/* A program of that stage alone; old[k] = number of its k-th fitted value in p. */
static Program *cut_out(Arena *a, const Program *p, uint32_t stage, uint32_t *old) {
  Program *q = NEW(a, Program);
  Stage *s = q ? NEW(a, Stage) : NULL;
  IrVal *val = s ? NEWN(a, IrVal, p->stage[stage].prog.nval + 1) : NULL;
  if (!val)
    return NULL;
  *s = p->stage[stage];
  *q = (Program){.name = p->name, .seed = p->seed, .stage = s, .nstage = 1};
  s->train = -1;
  s->seq = 0;
  s->line = s->col = 0;
  for (uint32_t i = 0; i < s->prog.nval; i++) {
    val[i] = s->prog.val[i];
    if (!op_fitted(val[i].op))
      continue;
    uint32_t k = 0;
    while (k < q->nfitted && old[k] != (uint32_t)val[i].i)
      k++;
    if (k == q->nfitted)
      old[q->nfitted++] = (uint32_t)val[i].i;
    if (op_scores(val[i].op))
      s->fitted = k;
    val[i].i = k;
  }
  s->prog.val = val;
  return q;
}

static int by_name(const void *a, const void *b) {
  return strcmp(((const Item *)a)->name, ((const Item *)b)->name);
}

static json_t *header_of(const Out *o, const BundleMeta *meta, uint32_t nmeta) {
  json_t *h = json_object(), *m = json_object();
  char version[16];
  const struct {
    const char *key;
    int value;
  } versions[] = {{"format_version", BUNDLE_VERSION},
                  {"ir_version", IR_VERSION},
                  {"ops_version", OPS_VERSION},
                  {"math_version", MATH_VERSION},
                  {"hash_version", HASH_VERSION}};
  json_object_set_new(m, "format", json_string("cml-bundle"));
  for (size_t i = 0; i < sizeof versions / sizeof *versions; i++) {
    snprintf(version, sizeof version, "%d", versions[i].value);
    json_object_set_new(m, versions[i].key, json_string(version));
  }
  for (uint32_t i = 0; i < nmeta; i++)
    json_object_set_new(m, meta[i].key, json_string(meta[i].value));
  json_object_set_new(h, "__metadata__", m);
  uint64_t at = 0;
  for (uint32_t i = 0; i < o->n; i++) {
    const Item *t = &o->v[i];
    json_t *x = json_object(), *shape = json_array(), *off = json_array();
    for (int k = 0; k < t->dims; k++)
      json_array_append_new(shape, json_integer((json_int_t)t->shape[k]));
    json_array_append_new(off, json_integer((json_int_t)at));
    json_array_append_new(off, json_integer((json_int_t)(at += t->data.n)));
    json_object_set_new(x, "dtype", json_string(t->dtype));
    json_object_set_new(x, "shape", shape);
    json_object_set_new(x, "data_offsets", off);
    json_object_set_new(h, t->name, x);
  }
  return h;
}

Status bundle_bytes(const Program *p, uint32_t stage, const Fitted *const *fitted, const BundleMeta *meta,
                    uint32_t nmeta, Buf *out, Err *e) {
  Arena a;
  Out o = {0};
  char *text = NULL;
  json_t *h = NULL;
  arena_init(&a, NULL);
  uint32_t *old = NEWN(&a, uint32_t, p->nfitted + 1);
  Program *q = old ? cut_out(&a, p, stage, old) : NULL;
  if (!q) {
    err_memory(e);
    goto done;
  }
  ir_print(q, add(&o, "U8", 1, 0, 0, "program", 0, ""));
  if (o.n)
    o.v[0].shape[0] = o.v[0].data.n;
  for (uint32_t k = 0; k < q->nfitted; k++)
    add_fitted(&o, k, fitted[old[k]]);
  for (uint32_t i = 0; i < o.n; i++)
    o.bad |= o.v[i].data.bad;
  if (!o.bad) {
    qsort(o.v, o.n, sizeof *o.v, by_name);
    h = header_of(&o, meta, nmeta);
    text = h ? json_dumps(h, JSON_COMPACT | JSON_SORT_KEYS) : NULL;
  }
  if (text) {
    size_t n = strlen(text), padded = (n + 7) & ~(size_t)7;
    buf_u64(out, padded);
    buf_put(out, text, n);
    for (; n < padded; n++)
      buf_u8(out, ' ');
    for (uint32_t i = 0; i < o.n; i++)
      buf_put(out, o.v[i].data.p, o.v[i].data.n);
  }
  if (!text || out->bad)
    err_memory(e);
done:
  for (uint32_t i = 0; i < o.n; i++)
    buf_free(&o.v[i].data);
  mem_free(o.v);
  free(text);
  json_decref(h);
  arena_free(&a);
  return e->code;
}

Status bundle_write(const char *path, const Program *p, uint32_t stage, const Fitted *const *fitted,
                    const BundleMeta *meta, uint32_t nmeta, Err *e) {
  Buf b = {0};
  if (bundle_bytes(p, stage, fitted, meta, nmeta, &b, e) == ST_OK)
    file_write_whole(path, buf_bytes(&b), e);
  buf_free(&b);
  return e->code;
}
