/* SPDX-License-Identifier: Apache-2.0 */
/* Fitted values: making, freeing, keys and look-up, and their bytes.
 *
 * Bytes: u8 version, u8 type, then by type
 *   bool     u8
 *   i64      i64
 *   f64      f64
 *   str      blob
 *   list     u64 count, f64 each: ascending, no NaN
 *   vocab    u64 count, blob each: ascending, distinct
 *   vec      u64 count, f64 each
 *   mat      u32 rows, u32 columns, f64 each, row after row
 *   table    u8 value type, u8 parts of a key, u32 variants, u64 keys, blob of each key (ascending, distinct,
 *            well formed), a null flag of each (variant, key), a value of each (0 under a null)
 *   model    estimator, task, d, names of features, names of classes, tensors (name, rows, columns, values),
 *            then the report
 * A reader trusts nothing: counts are bounded by the bytes that are left, flags are 0 or 1, order is
 * checked, nothing may follow. */
#include "vm/fitted.h"

#include <stdio.h>
#include <string.h>

#include "base/arena.h"
#include "vm/estimator.h"

enum { VERSION = 1, VARIANTS_MOST = 257, KEYS_MOST = 16 };

/* Tags of key parts. 0 is left for "null", which the hash op uses and no table holds. */
enum { KEY_B = 1, KEY_I64 = 2, KEY_STR = 3 };

void key_put_b(Buf *k, bool v) {
  buf_u8(k, KEY_B);
  buf_u8(k, v);
}

void key_put_i64(Buf *k, int64_t v) {
  uint64_t u = (uint64_t)v ^ UINT64_C(1) << 63;
  uint8_t b[9] = {KEY_I64};
  for (int i = 0; i < 8; i++)
    b[1 + i] = (uint8_t)(u >> (56 - 8 * i));
  buf_put(k, b, sizeof b);
}

void key_put_str(Buf *k, const char *s, uint32_t n) {
  static const uint8_t zero[2] = {0, 1}, end[2] = {0, 0};
  buf_u8(k, KEY_STR);
  for (uint32_t i = 0; i < n;) {
    const char *z = memchr(s + i, 0, n - i);
    uint32_t len = z ? (uint32_t)(z - s) - i : n - i;
    buf_put(k, s + i, len);
    i += len;
    if (z) {
      buf_put(k, zero, 2);
      i++;
    }
  }
  buf_put(k, end, 2);
}

size_t key_prefix(const uint8_t *p, size_t n, uint32_t parts) {
  size_t i = 0;
  for (; parts; parts--) {
    if (i >= n)
      return 0;
    switch (p[i++]) {
    case KEY_B:
      if (i >= n || p[i++] > 1)
        return 0;
      break;
    case KEY_I64:
      if (n - i < 8)
        return 0;
      i += 8;
      break;
    case KEY_STR:
      for (;; i++) {
        if (i >= n)
          return 0;
        if (p[i])
          continue;
        if (++i >= n || p[i] > 1)
          return 0;
        if (!p[i])
          break;
      }
      i++;
      break;
    default:
      return 0;
    }
  }
  return i;
}

/* Whether p[0..n) is what key_put_* write for `parts` parts. */
static bool key_good(const uint8_t *p, size_t n, uint32_t parts) {
  return n && key_prefix(p, n, parts) == n;
}

/* ---- Freeing ---- */

static void table_free(Table *t) {
  if (!t)
    return;
  mem_free(t->off);
  mem_free(t->bytes);
  mem_free(t->i);
  mem_free(t->f);
  mem_free(t->null);
  map_free(&t->index);
  mem_free(t);
}

static void model_free(Model *m) {
  if (!m)
    return;
  for (uint32_t i = 0; m->feature && i < m->d; i++)
    mem_free(m->feature[i]);
  for (uint32_t i = 0; i < m->ntensor; i++) {
    mem_free((char *)m->tensor[i].name);
    mem_free(m->tensor[i].v);
  }
  for (uint32_t i = 0; m->class && i < m->nclass; i++)
    mem_free(m->class[i]);
  mem_free(m->feature);
  mem_free(m->class);
  mem_free(m->tensor);
  mem_free(m->objective);
  mem_free(m);
}

void fitted_free(Fitted *f) {
  if (!f)
    return;
  mem_free(f->s);
  mem_free(f->list);
  dict_drop(f->vocab);
  map_free(&f->vocab_index);
  table_free(f->table);
  model_free(f->model);
  mem_free(f);
}

/* ---- Models ---- */

uint32_t model_outputs(ModelTask task, uint32_t nclass) {
  return task == TASK_MULTICLASS ? nclass : task == TASK_CLUSTER ? 2 : 1;
}

Status model_shape(const Model *m, Err *e) {
  bool good = m->task < TASK_N && (m->est->tasks & TASK_BIT(m->task));
  good = good && (m->task == TASK_MULTICLASS ? m->nclass >= 2 && m->nclass <= CLASSES_MAX : m->nclass == 0);
  for (uint32_t i = 1; good && i < m->nclass; i++)
    good = strcmp(m->class[i - 1], m->class[i]) < 0;
  if (good)
    return ST_OK;
  return err_set(e, ST_DATA, "CML0455", "It was not written by cml, or is damaged.",
                 "a stored model has not the classes that its task wants");
}

const Tensor *model_tensor(const Model *m, const char *name) {
  for (uint32_t i = 0; i < m->ntensor; i++)
    if (!strcmp(m->tensor[i].name, name))
      return &m->tensor[i];
  return NULL;
}

/* A new tensor whose values are still to be filled in; NULL: memory, or a fault. */
static Tensor *tensor_new(Model *m, const char *name, uint32_t rows, uint32_t cols, Err *e) {
  uint64_t n = (uint64_t)rows * cols;
  if (model_tensor(m, name)) {
    err_set(e, ST_FAULT, "CML0601", NULL, "a model has two tensors named \"%.80s\"", name);
    return NULL;
  }
  Tensor *v = n < SIZE_MAX / 16 ? mem_realloc(m->tensor, (m->ntensor + 1u) * sizeof *v) : NULL;
  if (v)
    m->tensor = v;
  double *x = v ? mem_alloc((size_t)(n ? n : 1) * sizeof *x) : NULL;
  char *s = x ? mem_strdup(name) : NULL;
  if (!s) {
    mem_free(x);
    err_memory(e);
    return NULL;
  }
  v += m->ntensor++;
  *v = (Tensor){s, rows, cols, x};
  return v;
}

Status model_add_tensor(Model *m, const char *name, uint32_t rows, uint32_t cols, const double *v, Err *e) {
  Tensor *t = tensor_new(m, name, rows, cols, e);
  if (!t)
    return e->code;
  if (rows && cols)
    memcpy(t->v, v, (size_t)rows * cols * sizeof *v);
  return ST_OK;
}

/* ---- Order and indexes ---- */

static Status damaged(Err *e, const char *what) {
  return err_set(e, ST_DATA, "CML0455", "It was not written by cml, or is damaged.",
                 "a stored fitted value is not valid: %s", what);
}

static int bytes_cmp(const void *a, size_t na, const void *b, size_t nb) {
  size_t n = na < nb ? na : nb;
  int c = n ? memcmp(a, b, n) : 0;
  return c ? c : (na > nb) - (na < nb);
}

/* An index of n byte strings that must be strictly ascending. */
static Status index_ascending(Map *index, const uint8_t *bytes, const uint32_t *off, uint32_t n, Err *e) {
  map_free(index);
  for (uint32_t i = 0; i < n; i++) {
    if (off[i + 1] < off[i])
      return damaged(e, "its offsets are not in order");
    if (i && bytes_cmp(bytes + off[i - 1], off[i] - off[i - 1], bytes + off[i], off[i + 1] - off[i]) >= 0)
      return damaged(e, "its keys or levels are not in order");
    if (map_add(index, bytes + off[i], off[i + 1] - off[i], NULL) < 0)
      return err_memory(e);
  }
  return ST_OK;
}

Status fitted_vocab_index(Fitted *f, Err *e) {
  if (f->type != IR_VOCAB || !f->vocab || f->n != f->vocab->n)
    return damaged(e, "it is no list of categories");
  return index_ascending(&f->vocab_index, (const uint8_t *)f->vocab->bytes, f->vocab->off, f->n, e);
}

Status table_index(Table *t, Err *e) {
  for (uint32_t i = 0; i < t->n; i++)
    if (t->off[i + 1] < t->off[i] || !key_good(t->bytes + t->off[i], t->off[i + 1] - t->off[i], t->nkey))
      return damaged(e, "a key of a table is malformed");
  return index_ascending(&t->index, t->bytes, t->off, t->n, e);
}

Status table_join(Table *all, const Table *const *without, uint32_t n, Err *e) {
  size_t cells = (size_t)all->n * (n + 1);
  void *values = mem_alloc(8 * cells + 8);
  uint8_t *null = mem_alloc(cells + 1);
  if (!values || !null) {
    mem_free(values);
    mem_free(null);
    return err_memory(e);
  }
  for (uint32_t v = 0; v <= n; v++) {
    const Table *from = v ? without[v - 1] : all;
    const uint64_t *bits =
        from->type == IR_I64 ? (const uint64_t *)from->i : (const uint64_t *)(const void *)from->f;
    for (uint32_t k = 0; k < all->n; k++) {
      size_t to = (size_t)v * all->n + k;
      int64_t at = v ? map_find(&from->index, all->bytes + all->off[k], all->off[k + 1] - all->off[k]) : k;
      null[to] = at < 0 || (from->null && from->null[at]);
      if (!null[to])
        memcpy((char *)values + 8 * to, bits + at, 8);
    }
  }
  mem_free(all->i);
  mem_free(all->f);
  mem_free(all->null);
  all->i = all->type == IR_I64 ? values : NULL;
  all->f = all->type == IR_I64 ? NULL : values;
  all->null = null;
  all->nvariant = n + 1;
  return ST_OK;
}

/* ---- Writing ---- */

static void put_text(Buf *b, const char *s, size_t n) {
  buf_blob(b, s ? s : "", n);
}

static void put_f64s(Buf *b, const double *v, uint64_t n) {
  for (uint64_t i = 0; i < n; i++)
    buf_f64(b, v[i]);
}

static void save_table(const Table *t, Buf *b) {
  buf_u8(b, t->type);
  buf_u8(b, t->nkey);
  buf_u32(b, t->nvariant);
  buf_u64(b, t->n);
  for (uint32_t i = 0; i < t->n; i++)
    buf_blob(b, t->bytes + t->off[i], t->off[i + 1] - t->off[i]);
  uint64_t cells = (uint64_t)t->n * t->nvariant;
  buf_put(b, t->null, (size_t)cells);
  for (uint64_t c = 0; c < cells; c++) {
    if (t->type == IR_I64)
      buf_i64(b, t->i[c]);
    else
      buf_f64(b, t->f[c]);
  }
}

static void save_model(const Model *m, Buf *b) {
  buf_cstr(b, m->est->name);
  buf_u8(b, (uint8_t)m->task);
  buf_u64(b, m->d);
  for (uint32_t i = 0; i < m->d; i++)
    buf_cstr(b, m->feature[i]);
  buf_u64(b, m->nclass);
  for (uint32_t i = 0; i < m->nclass; i++)
    buf_cstr(b, m->class[i]);
  buf_u64(b, m->ntensor);
  for (uint32_t i = 0; i < m->ntensor; i++) {
    const Tensor *t = &m->tensor[i];
    buf_cstr(b, t->name);
    buf_u32(b, t->rows);
    buf_u32(b, t->cols);
    put_f64s(b, t->v, (uint64_t)t->rows * t->cols);
  }
  buf_u32(b, m->iterations);
  buf_u8(b, m->converged);
  put_text(b, m->warning, strnlen(m->warning, sizeof m->warning));
  buf_u64(b, m->nobjective);
  put_f64s(b, m->objective, m->nobjective);
  buf_u64(b, m->rows);
  buf_f64(b, m->weight);
  put_text(b, m->solver, strnlen(m->solver, sizeof m->solver));
}

Status fitted_save(const Fitted *f, Buf *out, Err *e) {
  buf_u8(out, VERSION);
  buf_u8(out, (uint8_t)f->type);
  switch (f->type) {
  case IR_BOOL:
    buf_u8(out, f->b);
    break;
  case IR_I64:
    buf_i64(out, f->i);
    break;
  case IR_F64:
    buf_f64(out, f->f);
    break;
  case IR_STR:
    put_text(out, f->s, f->n);
    break;
  case IR_LIST:
  case IR_VEC:
    buf_u64(out, f->n);
    put_f64s(out, f->list, f->n);
    break;
  case IR_VOCAB:
    buf_u64(out, f->n);
    for (uint32_t i = 0; i < f->n; i++)
      buf_blob(out, f->vocab->bytes + f->vocab->off[i], f->vocab->off[i + 1] - f->vocab->off[i]);
    break;
  case IR_MAT:
    buf_u32(out, f->rows);
    buf_u32(out, f->cols);
    put_f64s(out, f->list, (uint64_t)f->rows * f->cols);
    break;
  case IR_TABLE:
    save_table(f->table, out);
    break;
  case IR_MODEL:
    save_model(f->model, out);
    break;
  default:
    return err_set(e, ST_FAULT, "CML0601", NULL, "a fitted value has no type that can be stored");
  }
  return out->bad ? err_memory(e) : ST_OK;
}

/* ---- Reading ---- */

static double *take_f64s(Rd *r, uint64_t n, Err *e) {
  const void *p = n <= SIZE_MAX / 8 ? rd_take(r, (size_t)n * 8) : NULL;
  if (!p && n) {
    damaged(e, "it ends too early");
    return NULL;
  }
  double *v = mem_alloc(n ? (size_t)n * 8 : 8);
  if (!v)
    err_memory(e);
  else if (n)
    memcpy(v, p, (size_t)n * 8); /* little-endian, as the machine is */
  return v;
}

/* n blobs to bytes and offsets. */
static Status load_strings(Rd *r, uint32_t n, char **bytes, uint32_t **off, Err *e) {
  Rd start = *r;
  uint64_t total = 0;
  for (uint32_t i = 0; i < n; i++)
    total += rd_blob(r).n;
  if (r->bad || total > UINT32_MAX)
    return damaged(e, "it ends too early, or is too large");
  *bytes = mem_alloc((size_t)total + 1);
  *off = mem_alloc(((size_t)n + 1) * sizeof **off);
  if (!*bytes || !*off)
    return err_memory(e);
  *r = start;
  for (uint32_t i = 0; i < n; i++) {
    Bytes b = rd_blob(r);
    if (b.n)
      memcpy(*bytes + (*off)[i], b.p, b.n);
    (*off)[i + 1] = (*off)[i] + (uint32_t)b.n;
  }
  return ST_OK;
}

static Status load_vocab(Rd *r, Fitted *f, Err *e) {
  uint64_t n = rd_count(r, 8);
  if (r->bad || n >= UINT32_MAX)
    return damaged(e, "it ends too early, or is too large");
  Dict *d = f->vocab = mem_alloc(sizeof *d);
  if (!d)
    return err_memory(e);
  atomic_init(&d->refs, 1);
  d->n = f->n = (uint32_t)n;
  if (load_strings(r, d->n, &d->bytes, &d->off, e))
    return e->code;
  return fitted_vocab_index(f, e);
}

static Status load_table(Rd *r, Fitted *f, Err *e) {
  Table *t = f->table = mem_alloc(sizeof *t);
  if (!t)
    return err_memory(e);
  t->type = rd_u8(r);
  t->nkey = rd_u8(r);
  t->nvariant = rd_u32(r);
  uint64_t n = rd_count(r, 8);
  if (r->bad || n >= UINT32_MAX || (t->type != IR_I64 && t->type != IR_F64) || t->nkey < 1 ||
      t->nkey > KEYS_MOST || t->nvariant < 1 || t->nvariant > VARIANTS_MOST)
    return damaged(e, "its table has an unknown shape");
  t->n = (uint32_t)n;
  if (load_strings(r, t->n, (char **)&t->bytes, &t->off, e))
    return e->code;
  uint64_t cells = n * t->nvariant;
  const uint8_t *null = rd_take(r, (size_t)cells);
  const uint8_t *v = r->bad ? NULL : rd_take(r, (size_t)cells * 8);
  if (r->bad)
    return damaged(e, "it ends too early");
  size_t room = cells ? (size_t)cells : 1;
  t->null = mem_alloc(room);
  t->i = t->type == IR_I64 ? mem_alloc(room * 8) : NULL;
  t->f = t->type == IR_F64 ? mem_alloc(room * 8) : NULL;
  if (!t->null || (!t->i && !t->f))
    return err_memory(e);
  if (cells) {
    memcpy(t->null, null, (size_t)cells);
    memcpy(t->i ? (void *)t->i : (void *)t->f, v, (size_t)cells * 8);
  }
  for (uint64_t c = 0; c < cells; c++) {
    static const uint8_t zero[8];
    if (t->null[c] > 1 || (t->null[c] && memcmp(v + 8 * c, zero, 8)))
      return damaged(e, "a null flag of its table is neither 0 nor 1, or a value stands under a null");
  }
  return table_index(t, e);
}

/* A blob as a string of the reader's own: no byte of it is 0. */
static char *take_cstr(Rd *r, Err *e) {
  Bytes b = rd_blob(r);
  if (r->bad || (b.n && memchr(b.p, 0, b.n))) {
    damaged(e, "a name in it is malformed");
    return NULL;
  }
  char *s = mem_alloc(b.n + 1);
  if (!s)
    err_memory(e);
  else if (b.n)
    memcpy(s, b.p, b.n);
  return s;
}

static Status take_text(Rd *r, char *out, size_t room, Err *e) {
  char *s = take_cstr(r, e);
  if (!s)
    return e->code;
  bool fits = strlen(s) < room;
  if (fits)
    snprintf(out, room, "%s", s);
  mem_free(s);
  return fits ? ST_OK : damaged(e, "a text in it is too long");
}

static Status load_tensors(Rd *r, Model *m, Err *e) {
  uint64_t n = rd_count(r, 16);
  if (r->bad)
    return damaged(e, "it ends too early");
  for (uint64_t i = 0; i < n; i++) {
    char *name = take_cstr(r, e);
    if (!name)
      return e->code;
    uint32_t rows = rd_u32(r), cols = rd_u32(r);
    uint64_t count = (uint64_t)rows * cols;
    const void *p = count < SIZE_MAX / 16 ? rd_take(r, (size_t)count * 8) : NULL;
    Tensor *t = NULL;
    if (r->bad || (count && !p))
      damaged(e, "it ends too early");
    else if (model_tensor(m, name))
      damaged(e, "two of its tensors have one name");
    else
      t = tensor_new(m, name, rows, cols, e);
    mem_free(name);
    if (!t)
      return e->code;
    if (count)
      memcpy(t->v, p, (size_t)count * 8);
  }
  return ST_OK;
}

static Status load_report(Rd *r, Model *m, Err *e) {
  m->iterations = rd_u32(r);
  uint8_t converged = rd_u8(r);
  m->converged = converged == 1;
  if (converged > 1)
    return damaged(e, "a flag in it is neither 0 nor 1");
  if (take_text(r, m->warning, sizeof m->warning, e))
    return e->code;
  uint64_t n = rd_count(r, 8);
  if (r->bad || n > UINT32_MAX)
    return damaged(e, "it ends too early, or is too large");
  m->nobjective = (uint32_t)n;
  m->objective = take_f64s(r, n, e);
  if (!m->objective)
    return e->code;
  m->rows = rd_u64(r);
  m->weight = rd_f64(r);
  return take_text(r, m->solver, sizeof m->solver, e);
}

/* *n counts those that are there, also after a failure. */
static Status load_names(Rd *r, char ***out, uint32_t *n, Err *e) {
  uint64_t count = rd_count(r, 8);
  if (r->bad || count > UINT32_MAX)
    return damaged(e, "it ends too early, or is too large");
  char **v = *out = mem_alloc((count ? (size_t)count : 1) * sizeof *v);
  if (!v)
    return err_memory(e);
  for (; *n < count; ++*n) {
    v[*n] = take_cstr(r, e);
    if (!v[*n])
      return e->code;
  }
  return ST_OK;
}

static Status load_model(Rd *r, const struct Estimator *const *registry, Fitted *f, Err *e) {
  Model *m = f->model = mem_alloc(sizeof *m);
  if (!m)
    return err_memory(e);
  char *name = take_cstr(r, e);
  if (!name)
    return e->code;
  for (uint32_t i = 0; registry && registry[i]; i++)
    if (!strcmp(registry[i]->name, name))
      m->est = registry[i];
  if (!m->est)
    err_set(e, ST_DATA, "CML0455", "Use a cml that has it.",
            "a stored model needs the estimator \"%.80s\", which this cml does not have", name);
  mem_free(name);
  if (!m->est)
    return e->code;
  m->task = (ModelTask)rd_u8(r);
  if (m->task >= TASK_N)
    return damaged(e, "its task is unknown");
  if (load_names(r, &m->feature, &m->d, e) || load_names(r, &m->class, &m->nclass, e))
    return e->code;
  m->nout = model_outputs(m->task, m->nclass);
  if (model_shape(m, e))
    return e->code;
  if (load_tensors(r, m, e) || load_report(r, m, e))
    return e->code;
  return rd_done(r) ? m->est->verify(m, e) : ST_OK; /* the caller reports what follows */
}

static Status load_list(Rd *r, Fitted *f, Err *e) {
  uint64_t n = rd_count(r, 8);
  if (r->bad || n > UINT32_MAX)
    return damaged(e, "it ends too early, or is too large");
  f->n = (uint32_t)n;
  f->list = take_f64s(r, n, e);
  if (!f->list)
    return e->code;
  for (uint64_t i = 0; i < n; i++)
    if (f->list[i] != f->list[i] || (i && f->list[i] < f->list[i - 1]))
      return damaged(e, "its numbers are not ascending");
  return ST_OK;
}

static Status load_vec(Rd *r, Fitted *f, Err *e) {
  uint64_t n = rd_count(r, 8);
  if (r->bad || n > UINT32_MAX)
    return damaged(e, "it ends too early, or is too large");
  f->n = (uint32_t)n;
  f->list = take_f64s(r, n, e);
  return f->list ? ST_OK : e->code;
}

static Status load_mat(Rd *r, Fitted *f, Err *e) {
  f->rows = rd_u32(r);
  f->cols = rd_u32(r);
  f->list = take_f64s(r, (uint64_t)f->rows * f->cols, e);
  return f->list ? ST_OK : e->code;
}

static Status load_str(Rd *r, Fitted *f, Err *e) {
  Bytes b = rd_blob(r);
  if (r->bad || b.n > UINT32_MAX)
    return damaged(e, "it ends too early, or is too large");
  f->s = mem_alloc(b.n + 1);
  if (!f->s)
    return err_memory(e);
  if (b.n)
    memcpy(f->s, b.p, b.n);
  f->n = (uint32_t)b.n;
  return ST_OK;
}

static Status load(Rd *r, const struct Estimator *const *registry, Fitted *f, Err *e) {
  uint8_t version = rd_u8(r), type = rd_u8(r);
  if (r->bad || version != VERSION)
    return damaged(e, "its version is unknown");
  f->type = (IrType)type;
  switch (type) {
  case IR_BOOL:
    f->b = rd_u8(r);
    return f->b > 1 ? damaged(e, "a flag in it is neither 0 nor 1") : ST_OK;
  case IR_I64:
    f->i = rd_i64(r);
    return ST_OK;
  case IR_F64:
    f->f = rd_f64(r);
    return ST_OK;
  case IR_STR:
    return load_str(r, f, e);
  case IR_LIST:
    return load_list(r, f, e);
  case IR_VOCAB:
    return load_vocab(r, f, e);
  case IR_VEC:
    return load_vec(r, f, e);
  case IR_MAT:
    return load_mat(r, f, e);
  case IR_TABLE:
    return load_table(r, f, e);
  case IR_MODEL:
    return load_model(r, registry, f, e);
  default:
    return damaged(e, "its type is unknown");
  }
}

Status fitted_load(Bytes in, const struct Estimator *const *registry, Fitted **out, Err *e) {
  Rd r = rd_of(in);
  Fitted *f = mem_alloc(sizeof *f);
  *out = NULL;
  if (!f)
    return err_memory(e);
  Status st = load(&r, registry, f, e);
  if (!st && !rd_done(&r))
    st = damaged(e, "it ends too early, or something follows it");
  if (st) {
    fitted_free(f);
    return st;
  }
  *out = f;
  return ST_OK;
}
