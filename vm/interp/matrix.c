/* SPDX-License-Identifier: Apache-2.0 */
/* The feature vector: widths and names of its slots, and matrices assembled from slot columns. See
 * interp.h and Matrix in column.h.
 *
 * A slot is a number or a vector: dense, one-hot or sparse (shape.c). Dense layout: all d elements of a
 * row. Sparse layout (CSR): all elements of the dense slots, also zeros, of each one-hot slot the element
 * that is 1, if any, and the entries of sparse slots; columns ascend since slots do. */
#include <string.h>

#include "base/arena.h"
#include "vm/interp/op.h"
#include "vm/shape.h"

VECTOR_LOOPS

enum {
  SPARSE_ABOVE = 32,   /* columns */
  SPARSE_BELOW = 4,    /* filled less than 1 / this */
  SPARSE_FILLED = 64,  /* entries that a row of a sparse slot is thought to have */
#ifdef CML_HOSTILE
  FIRST_ROWS = 2,
#else
  FIRST_ROWS = 2048,
#endif
};

/* ---- Slots ---- */

typedef struct SlotDef {
  const char *name;
  uint32_t val;
} SlotDef;

/* Names of one slot's elements, from feature[0] on: what shape_names says, behind the slot's name. */
static Status name_slot(const RowProg *p, const Env *env, const Shape *shape, SlotDef def, char **feature,
                        uint32_t width, Err *e) {
  if (p->val[def.val].type != IR_VEC) {
    feature[0] = mem_strdup(def.name);
    return feature[0] ? ST_OK : err_memory(e);
  }
  if (shape_names(p, env, shape, def.val, feature, e) != ST_OK)
    return e->code;
  size_t n = strlen(def.name);
  for (uint32_t k = 0; k < width; k++) {
    size_t m = strlen(feature[k]);
    char *s = mem_alloc(n + m + 1);
    if (!s)
      return err_memory(e);
    memcpy(s, def.name, n);
    memcpy(s + n, feature[k], m);
    mem_free(feature[k]);
    feature[k] = s;
  }
  return ST_OK;
}

static Status slots_make(const RowProg *p, const Env *env, const SlotDef *def, uint32_t n, bool names,
                         Slots *out, Err *e) {
  memset(out, 0, sizeof *out);
  out->width = mem_alloc((n + (size_t)1) * sizeof *out->width);
  if (!out->width)
    return err_memory(e);
  out->n = n;
  uint64_t d = 0, filled = 0;
  Shape *shape = mem_alloc((p->nval + (size_t)1) * sizeof *shape);
  Status st = shape ? shapes_of(p, env, shape, e) : err_memory(e);
  for (uint32_t k = 0; k < n && st == ST_OK; k++) {
    bool vector = p->val[def[k].val].type == IR_VEC;
    out->width[k] = vector ? shape[def[k].val].width : 1;
    d += out->width[k];
    const Shape *sh = &shape[def[k].val];
    filled += vector && sh->hot                                   ? 1
              : vector && sh->sparse && sh->width > SPARSE_FILLED ? SPARSE_FILLED
                                                                  : out->width[k];
  }
  if (st == ST_OK && d >= INT32_MAX)
    st = err_set(e, ST_RESOURCE, "CML0522", "Keep fewer levels: raise min_count.",
                 "the feature vector has %llu elements", (unsigned long long)d);
  if (st == ST_OK) {
    out->d = (uint32_t)d;
    out->sparse = d > SPARSE_ABOVE && SPARSE_BELOW * filled < d;
    out->feature = names ? mem_alloc((d + 1) * sizeof *out->feature) : NULL;
    st = out->feature || !names ? ST_OK : err_memory(e);
  }
  for (uint32_t k = 0, at = 0; k < n && st == ST_OK && names; at += out->width[k], k++)
    st = name_slot(p, env, shape, def[k], out->feature + at, out->width[k], e);
  mem_free(shape);
  if (st != ST_OK)
    slots_free(out);
  return st;
}

/* The slots that a score step takes. */
static Status slots_scored(const RowProg *p, const Env *env, const IrVal *v, bool names, Slots *out, Err *e) {
  SlotDef *def = mem_alloc((v->narg + (size_t)1) * sizeof *def);
  memset(out, 0, sizeof *out);
  if (!def)
    return err_memory(e);
  for (uint32_t k = 0; k < v->narg; k++)
    def[k] = (SlotDef){v->nlist && v->names[k] ? v->names[k] : "", v->arg[k]};
  Status st = slots_make(p, env, def, v->narg, names, out, e);
  mem_free(def);
  return st;
}

Status slots_of_step(const Interp *t, const Step *s, bool names, Slots *out, Err *e) {
  return slots_scored(t->p, t->env, s->v, names, out, e);
}

Status slots_of(const RowProg *p, const Env *env, Slots *out, Err *e) {
  for (uint32_t i = 0; i < p->nval; i++)
    if (op_scores(p->val[i].op))
      return slots_scored(p, env, &p->val[i], true, out, e);
  SlotDef *def = mem_alloc((p->nout + (size_t)1) * sizeof *def);
  uint32_t n = 0;
  memset(out, 0, sizeof *out);
  if (!def)
    return err_memory(e);
  for (uint32_t k = 0; k < p->nout; k++) {
    if (p->out[k].role == OUT_SLOT)
      def[n++] = (SlotDef){p->out[k].name ? p->out[k].name : "", p->out[k].val};
  }
  Status st = slots_make(p, env, def, n, true, out, e);
  mem_free(def);
  return st;
}

void slots_free(Slots *s) {
  for (uint32_t k = 0; s->feature && k < s->d; k++)
    mem_free(s->feature[k]);
  mem_free(s->feature);
  mem_free(s->width);
  memset(s, 0, sizeof *s);
}

/* ---- Values that no model takes ---- */

static bool all_finite(const double *v, size_t n) {
  uint64_t bad = 0;
  for (size_t i = 0; i < n; i++)
    bad |= !(__builtin_fabs(v[i]) <= __DBL_MAX__);
  return !bad;
}

bool slot_is_finite(const Col *c, uint32_t n) {
  if (c->type == IR_VEC && c->is_hot)
    return true;
  if (col_is_ragged(c))
    return all_finite(c->f + c->ptr[0], c->ptr[n] - c->ptr[0]);
  return all_finite(c->f, (size_t)(c->constant && n ? 1 : n) * (c->type == IR_VEC ? c->width : 1));
}

int64_t slot_bad_element(const Col *c, uint32_t r) {
  if (c->type == IR_VEC && c->is_hot)
    return -1;
  if (col_is_ragged(c)) {
    for (uint32_t i = c->ptr[r]; i < c->ptr[r + 1]; i++) {
      if (!(__builtin_fabs(c->f[i]) <= __DBL_MAX__))
        return c->el[i];
    }
    return -1;
  }
  uint32_t width = c->type == IR_VEC ? c->width : 1;
  const double *v = c->f + (size_t)(c->constant ? 0 : r) * width;
  for (uint32_t k = 0; k < width; k++) {
    if (!(__builtin_fabs(v[k]) <= __DBL_MAX__))
      return k;
  }
  return -1;
}

double slot_value(const Col *c, uint32_t r, uint32_t k) {
  size_t row = c->constant ? 0 : r;
  if (!col_is_ragged(c))
    return c->f[row * (c->type == IR_VEC ? c->width : 1) + k];
  for (uint32_t i = c->ptr[r]; i < c->ptr[r + 1]; i++) {
    if (c->el[i] == k)
      return c->f[i];
  }
  return 0;
}

/* ---- Building ---- */

struct MatrixBuilder {
  Matrix m;
  const Slots *slots;
  uint32_t max_rows, cap_rows;
  uint64_t cap_entries;  /* sparse */
  const Col **pick;      /* slot columns of an append */
  uint8_t *bad;          /* rows of an append that have failed */
};

MatrixBuilder *matrix_builder(const Slots *s, uint32_t max_rows, Err *e) {
  MatrixBuilder *b = mem_alloc(sizeof *b);
  if (!b) {
    err_memory(e);
    return NULL;
  }
  b->slots = s;
  b->max_rows = max_rows;
  b->m.d = s->d;
  b->pick = mem_alloc((s->n + (size_t)1) * sizeof *b->pick);
  b->bad = mem_alloc(PANEL_ROWS);
  if (!b->pick || !b->bad) {
    err_memory(e);
    matrix_builder_free(b);
    return NULL;
  }
  return b;
}

static void arrays_free(Matrix *m) {
  mem_free(m->a);
  mem_free(m->ptr);
  mem_free(m->col);
  mem_free(m->val);
  m->a = NULL;
  m->ptr = NULL;
  m->col = NULL;
  m->val = NULL;
}

/* A copy of m with room for just `rows` rows and `nnz` entries. */
static bool arrays_copy(Matrix *to, const Matrix *m, bool sparse, size_t rows, size_t nnz, size_t *bytes) {
  *to = (Matrix){.n = m->n, .d = m->d};
  size_t used = m->ptr ? m->ptr[m->n] : 0, cells = rows * m->d;
  if (!sparse) {
    to->a = mem_alloc64(cells ? cells * sizeof *to->a : 64);
    *bytes = cells * sizeof *to->a;
    if (to->a && m->n)
      memcpy(to->a, m->a, (size_t)m->n * m->d * sizeof *to->a);
    return to->a != NULL;
  }
  to->ptr = mem_alloc64((rows + 1) * sizeof *to->ptr);
  to->col = mem_alloc64(nnz ? nnz * sizeof *to->col : 64);
  to->val = mem_alloc64(nnz ? nnz * sizeof *to->val : 64);
  *bytes = (rows + 1) * sizeof *to->ptr + nnz * (sizeof *to->col + sizeof *to->val);
  if (!to->ptr || !to->col || !to->val) {
    arrays_free(to);
    return false;
  }
  to->ptr[0] = 0;
  if (m->ptr) {
    memcpy(to->ptr, m->ptr, ((size_t)m->n + 1) * sizeof *to->ptr);
    memcpy(to->col, m->col, used * sizeof *to->col);
    memcpy(to->val, m->val, used * sizeof *to->val);
  }
  return true;
}

/* For n more rows with `more` entries (sparse). */
static Status make_room(MatrixBuilder *b, uint32_t n, uint64_t more, Err *e) {
  const Slots *s = b->slots;
  uint64_t rows = (uint64_t)b->m.n + n, entries = (b->m.ptr ? b->m.ptr[b->m.n] : 0) + more;
  bool there = b->m.a || b->m.ptr;
  if (there && rows <= b->cap_rows && (!s->sparse || entries <= b->cap_entries))
    return ST_OK;
  uint64_t cap = b->cap_rows ? b->cap_rows : FIRST_ROWS;
  while (cap < rows)
    cap *= 2;
  if (cap > b->max_rows && rows <= b->max_rows)
    cap = b->max_rows;
  uint64_t nnz = b->cap_entries;
  while (s->sparse && nnz < entries) /* as many as the rows so far have, for all rows there is room for */
    nnz = nnz * 2 < entries * cap / (rows ? rows : 1) ? entries * cap / (rows ? rows : 1) : nnz * 2;
  if (rows > UINT32_MAX || (s->sparse && entries > UINT32_MAX))
    return err_set(e, ST_RESOURCE, "CML0522", "Keep fewer features.",
                   "a block of %llu rows has too many feature values", (unsigned long long)rows);
  Matrix to;
  size_t bytes;
  nnz = nnz > UINT32_MAX ? UINT32_MAX : nnz;
  if (!arrays_copy(&to, &b->m, s->sparse, cap, (size_t)nnz, &bytes))
    return err_memory(e);
  arrays_free(&b->m);
  b->m = to;
  b->cap_rows = (uint32_t)cap;
  b->cap_entries = nnz;
  return ST_OK;
}

static void put_dense(MatrixBuilder *b, const Col *const *slot, uint32_t n) {
  const Slots *s = b->slots;
  size_t d = s->d;
  double *a = b->m.a + (size_t)b->m.n * d;
  for (uint32_t k = 0; k < s->n; k++) {
    const Col *c = slot[k];
    size_t width = s->width[k], step = c->constant ? 0 : 1;
    if (c->type == IR_VEC && c->is_hot) {
      for (uint32_t r = 0; r < n; r++) {
        int32_t hot = c->hot[r * step];
        for (size_t j = 0; j < width; j++)
          a[r * d + j] = 0;
        if (hot >= 0)
          a[r * d + (uint32_t)hot] = 1;
      }
    } else if (col_is_ragged(c)) {
      for (uint32_t r = 0; r < n; r++) {
        for (size_t j = 0; j < width; j++)
          a[r * d + j] = 0;
        for (uint32_t i = c->ptr[r]; i < c->ptr[r + 1]; i++)
          a[r * d + c->el[i]] = c->f[i];
      }
    } else if (width == 1) {
      for (uint32_t r = 0; r < n; r++)
        a[r * d] = c->f[r * step];
    } else {
      for (uint32_t r = 0; r < n; r++) {
        for (size_t j = 0; j < width; j++)
          a[r * d + j] = c->f[r * step * width + j];
      }
    }
    a += width;
  }
}

static void put_sparse(MatrixBuilder *b, const Col *const *slot, uint32_t n) {
  const Slots *s = b->slots;
  Matrix *m = &b->m;
  uint32_t at = m->ptr[m->n];
  for (uint32_t r = 0; r < n; r++) {
    uint32_t first = 0;
    for (uint32_t k = 0; k < s->n; k++) {
      const Col *c = slot[k];
      size_t row = c->constant ? 0 : r;
      uint32_t width = s->width[k];
      if (c->type == IR_VEC && c->is_hot) {
        if (c->hot[row] >= 0) {
          m->col[at] = first + (uint32_t)c->hot[row];
          m->val[at++] = 1;
        }
      } else if (col_is_ragged(c)) {
        for (uint32_t i = c->ptr[row]; i < c->ptr[row + 1]; i++) {
          m->col[at] = first + c->el[i];
          m->val[at++] = c->f[i];
        }
      } else {
        for (uint32_t j = 0; j < width; j++) {
          m->col[at] = first + j;
          m->val[at++] = c->f[row * width + j];
        }
      }
      first += width;
    }
    m->ptr[m->n + r + 1] = at;
  }
}

Status matrix_put(MatrixBuilder *b, const Col *const *slot, uint32_t n, Err *e) {
  const Slots *s = b->slots;
  uint64_t entries = 0;
  for (uint32_t k = 0; k < s->n; k++) {
    const Col *c = slot[k];
    uint32_t width = c->type == IR_VEC ? c->width : 1;
    if (width != s->width[k] || (c->type != IR_VEC && c->type != IR_F64))
      return err_set(e, ST_FAULT, "CML0601", "This is a fault of cml: please report it with the program.",
                     "slot %u has %u elements, not %u", k, width, s->width[k]);
    bool ragged = col_is_ragged(c), hot = c->type == IR_VEC && c->is_hot;
    entries += ragged ? c->ptr[n] - c->ptr[0] : (uint64_t)n * (hot ? 1 : width);
  }
  Status st = make_room(b, n, entries, e);
  if (st != ST_OK)
    return st;
  if (s->sparse)
    put_sparse(b, slot, n);
  else
    put_dense(b, slot, n);
  b->m.n += n;
  return ST_OK;
}

/* The data error of row r, if it has not one already. */
static void refuse(MatrixBuilder *b, const RowProg *p, uint32_t out, const RowsIn *in, uint32_t r,
                   const char *feature, const char *what,
                   RowErrors *errors) {
  if (b->bad[r])
    return;
  b->bad[r] = 1;
  const IrVal *v = &p->val[p->out[out].val];
  RowError x = {.file = in->file, .pos = in->pos + (in->at ? in->at[r] : r), .step = p->nval, .line = v->line,
                .col = v->col, .allow = ALLOW_WHERE};
  Buf text = {NULL, 0, 0, false};
  buf_printf(&text, "the feature `%.120s` is %s, which no model takes", feature, what);
  strncpy(x.text, buf_str(&text), sizeof x.text - 1);
  strncpy(x.column, p->out[out].name ? p->out[out].name : "", sizeof x.column - 1);
  buf_free(&text);
  row_errors_add(errors, &x);
}

Status matrix_append(MatrixBuilder *b, const RowProg *p, const Col *slot, const RowsIn *in, RowErrors *errors,
                     Err *e) {
  const Slots *s = b->slots;
  uint32_t n = in->n, k = 0, first = 0;
  memset(b->bad, 0, n);
  for (uint32_t o = 0; o < p->nout && k < s->n; o++) {
    if (p->out[o].role != OUT_SLOT)
      continue;
    const Col *c = &slot[k];
    b->pick[k] = c;
    for (uint32_t r = 0; c->null && r < n; r++) {
      if (c->null[c->constant ? 0 : r])
        refuse(b, p, o, in, r, p->out[o].name ? p->out[o].name : "", "null", errors);
    }
    bool finite = slot_is_finite(c, n);
    for (uint32_t r = 0; !finite && r < n; r++) {
      int64_t at = slot_bad_element(c, r);
      if (at < 0)
        continue;
      double v = slot_value(c, r, (uint32_t)at);
      refuse(b, p, o, in, r, s->feature[first + (uint32_t)at], v != v ? "NaN" : "infinite", errors);
    }
    first += s->width[k++];
  }
  return matrix_put(b, b->pick, n, e);
}

Matrix *matrix_take(MatrixBuilder *b, size_t *bytes) {
  Matrix *m = mem_alloc(sizeof *m);
  Err e = {.code = ST_OK};
  *bytes = 0;
  if (!m || make_room(b, 0, 0, &e) != ST_OK) {
    mem_free(m);
    return NULL;
  }
  size_t nnz = b->m.ptr ? b->m.ptr[b->m.n] : 0;
  if (!arrays_copy(m, &b->m, b->slots->sparse, b->m.n, nnz, bytes)) {
    mem_free(m);
    return NULL;
  }
  *bytes += sizeof *m;
  matrix_reset(b);
  return m;
}

const Matrix *matrix_view(const MatrixBuilder *b) {
  return &b->m;
}

void matrix_reset(MatrixBuilder *b) {
  b->m.n = 0;
  if (b->m.ptr)
    b->m.ptr[0] = 0;
}

void matrix_builder_free(MatrixBuilder *b) {
  if (!b)
    return;
  arrays_free(&b->m);
  mem_free(b->pick);
  mem_free(b->bad);
  mem_free(b);
}

void matrix_free(Matrix *m) {
  if (!m)
    return;
  arrays_free(m);
  mem_free(m);
}
