/* SPDX-License-Identifier: Apache-2.0 */
/* The feature vector: widths and names of its slots, and matrices assembled from slot columns. See
 * interp.h and Matrix in column.h.
 *
 * A slot is a number or a vector: dense, one-hot or sparse (shape.c). Dense layout: all d elements of a
 * row. Sparse layout (CSR): all elements of the dense slots, also zeros, of each one-hot slot the element
 * that is 1, if any, and the entries of sparse slots; columns ascend since slots do. */
#include <string.h>

#include "base/arena.h"
#include "base/slab.h"
#include "vm/interp/op.h"
#include "vm/kernel/rows.h"
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

static Status slots_in(const RowProg *p, const Env *env, bool names, Slots *out, Err *e) {
  for (uint32_t i = 0; i < p->nval; i++)
    if (op_scores(p->val[i].op))
      return slots_scored(p, env, &p->val[i], names, out, e);
  SlotDef *def = mem_alloc((p->nout + (size_t)1) * sizeof *def);
  uint32_t n = 0;
  memset(out, 0, sizeof *out);
  if (!def)
    return err_memory(e);
  for (uint32_t k = 0; k < p->nout; k++) {
    if (p->out[k].role == OUT_SLOT)
      def[n++] = (SlotDef){p->out[k].name ? p->out[k].name : "", p->out[k].val};
  }
  Status st = slots_make(p, env, def, n, names, out, e);
  mem_free(def);
  return st;
}

Status slots_of(const RowProg *p, const Env *env, Slots *out, Err *e) {
  return slots_in(p, env, true, out, e);
}

Status slots_unnamed(const RowProg *p, const Env *env, Slots *out, Err *e) {
  Status st = slots_in(p, env, false, out, e);
  out->p = st ? NULL : p;
  out->env = st ? NULL : env;
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

typedef struct Part { /* a value of a row, or some, and where it begins there */
  const Col *col;
  uint32_t slot, first;
} Part;

struct MatrixBuilder {
  Matrix m;
  const Slots *slots;
  uint32_t max_rows, cap_rows;
  uint64_t cap_entries;  /* sparse */
  Slab *slab;            /* that dense matrices of matrix_begin are cut from */
  Part *part;            /* of an append */
  const double **number; /* the arrays of several that are numbers */
  uint32_t npart, cap_part;
  uint8_t *bad;          /* rows of an append that have failed */
  Slots named;           /* the same slots with names, where a message needed one */
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
  b->bad = mem_alloc(PANEL_ROWS);
  if (!b->bad) {
    err_memory(e);
    matrix_builder_free(b);
    return NULL;
  }
  return b;
}

static void arrays_free(Matrix *m) {
  if (m->slab)
    slab_drop(m->slab);
  else
    mem_free(m->a);
  mem_free(m->ptr);
  mem_free(m->col);
  mem_free(m->val);
  m->slab = NULL;
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

static bool is_number(const Col *c) {
  return c->type != IR_VEC && !c->constant;
}

/* A vector, or a constant. */
static void put_part(const Col *c, size_t d, uint32_t n, double *a) {
  size_t width = c->type == IR_VEC ? c->width : 1, step = c->constant ? 0 : 1;
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
  } else {
    for (uint32_t r = 0; r < n; r++)
      for (size_t j = 0; j < width; j++)
        a[r * d + j] = c->f[r * step * width + j];
  }
}

/* True: all values are finite. */
static bool put_dense(MatrixBuilder *b, uint32_t n) {
  size_t d = b->slots->d;
  double *a = b->m.a + (size_t)b->m.n * d;
  bool finite = true;
  for (uint32_t k = 0, m; k < b->npart; k += m) {
    const Col *c = b->part[k].col;
    double *to = a + b->part[k].first;
    for (m = 0; k + m < b->npart && is_number(b->part[k + m].col); m++)
      b->number[m] = b->part[k + m].col->f;
    if (m) {
      finite = k_rows_of(b->number, m, n, d, to) && finite;
      continue;
    }
    m = 1;
    put_part(c, d, n, to);
    finite = finite && slot_is_finite(c, n);
  }
  return finite;
}

/* The same. */
static bool put_sparse(MatrixBuilder *b, uint32_t n) {
  Matrix *m = &b->m;
  uint32_t at = m->ptr[m->n];
  bool finite = true;
  for (uint32_t k = 0; k < b->npart; k++)
    finite = finite && slot_is_finite(b->part[k].col, n);
  for (uint32_t r = 0; r < n; r++) {
    for (uint32_t k = 0; k < b->npart; k++) {
      const Col *c = b->part[k].col;
      uint32_t first = b->part[k].first, width = c->type == IR_VEC ? c->width : 1;
      size_t row = c->constant ? 0 : r;
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
    }
    m->ptr[m->n + r + 1] = at;
  }
  return finite;
}

/* ---- An append ---- */

static Status add_part(MatrixBuilder *b, const Col *c, uint32_t slot, Err *e) {
  if (b->npart == b->cap_part) {
    uint32_t cap = b->cap_part ? 2 * b->cap_part : 16;
    Part *part = mem_realloc(b->part, cap * sizeof *part);
    b->part = part ? part : b->part;
    const double **number = part ? mem_realloc(b->number, cap * sizeof *number) : NULL;
    b->number = number ? number : b->number;
    if (!part || !number)
      return err_memory(e);
    b->cap_part = cap;
  }
  const Part *last = b->npart ? &b->part[b->npart - 1] : NULL;
  uint32_t first = last ? last->first + (last->col->type == IR_VEC ? last->col->width : 1) : 0;
  b->part[b->npart++] = (Part){c, slot, first};
  return ST_OK;
}

/* The parts of slot k, from number `from` on, are as wide as it is. */
static Status check_slot(const MatrixBuilder *b, uint32_t k, uint32_t from, Err *e) {
  uint64_t width = 0;
  bool good = true;
  for (uint32_t i = from; i < b->npart; i++) {
    const Col *c = b->part[i].col;
    width += c->type == IR_VEC ? c->width : 1;
    good = good && (c->type == IR_VEC || c->type == IR_F64);
  }
  if (good && width == b->slots->width[k])
    return ST_OK;
  return err_set(e, ST_FAULT, "CML0601", "This is a fault of cml: please report it with the program.",
                 "slot %u has %llu elements, not %u", k, (unsigned long long)width, b->slots->width[k]);
}

static Status put_parts(MatrixBuilder *b, uint32_t n, bool *finite, Err *e) {
  uint64_t entries = 0;
  for (uint32_t k = 0; k < b->npart; k++) {
    const Col *c = b->part[k].col;
    bool ragged = col_is_ragged(c), hot = c->type == IR_VEC && c->is_hot;
    entries += ragged ? c->ptr[n] - c->ptr[0] : (uint64_t)n * (hot || c->type != IR_VEC ? 1 : c->width);
  }
  Status st = make_room(b, n, entries, e);
  if (st != ST_OK)
    return st;
  if (b->m.slab)
    slab_touch(b->slab, b->m.a + (size_t)b->m.n * b->m.d, (size_t)n * b->m.d * sizeof *b->m.a);
  *finite = b->slots->sparse ? put_sparse(b, n) : put_dense(b, n);
  b->m.n += n;
  return ST_OK;
}

Status matrix_put(MatrixBuilder *b, const Col *const *slot, uint32_t n, Err *e) {
  bool finite;
  Status st = ST_OK;
  b->npart = 0;
  for (uint32_t k = 0; k < b->slots->n && !st; k++) {
    st = add_part(b, slot[k], k, e);
    st = st ? st : check_slot(b, k, k, e);
  }
  return st ? st : put_parts(b, n, &finite, e);
}

static const char *feature_name(MatrixBuilder *b, uint32_t i) {
  Err e = {.code = ST_OK};
  if (b->slots->feature)
    return b->slots->feature[i];
  if (!b->named.feature)
    slots_of(b->slots->p, b->slots->env, &b->named, &e);
  return b->named.feature ? b->named.feature[i] : "";
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

static bool has_null(const Col *c, uint32_t n) {
  return c->null && memchr(c->null, 1, c->constant && n ? 1 : n);
}

/* The bad rows of output o: its parts are those of a slot, [from, to). */
static void refuse_slot(MatrixBuilder *b, const RowProg *p, uint32_t o, const RowsIn *in, uint32_t from,
                        uint32_t to, RowErrors *errors) {
  for (uint32_t k = from; k < to; k++) {
    const Col *c = b->part[k].col;
    for (uint32_t r = 0; c->null && r < in->n; r++)
      if (c->null[c->constant ? 0 : r])
        refuse(b, p, o, in, r, p->out[o].name ? p->out[o].name : "", "null", errors);
  }
  for (uint32_t k = from; k < to; k++) {
    const Col *c = b->part[k].col;
    bool finite = slot_is_finite(c, in->n);
    for (uint32_t r = 0; !finite && r < in->n; r++) {
      int64_t at = slot_bad_element(c, r);
      if (at < 0)
        continue;
      double v = slot_value(c, r, (uint32_t)at);
      const char *name = feature_name(b, b->part[k].first + (uint32_t)at);
      refuse(b, p, o, in, r, name, v != v ? "NaN" : "infinite", errors);
    }
  }
}

/* t: NULL where no output is in parts. out: all outputs, or the slots alone. */
static Status append(MatrixBuilder *b, const Interp *t, const RowProg *p, const Col *out, bool slots,
                     const RowsIn *in, RowErrors *errors, Err *e) {
  const Slots *s = b->slots;
  uint32_t slot = 0;
  bool finite = true, null = false;
  Status st = ST_OK;
  b->npart = 0;
  for (uint32_t o = 0; o < p->nout && slot < s->n && !st; o++) {
    uint32_t m = 1, from = b->npart;
    if (p->out[o].role != OUT_SLOT)
      continue;
    const Col *const *part = t ? interp_parts(t, o, &m) : NULL;
    for (uint32_t k = 0; k < m && !st; k++)
      st = add_part(b, part ? part[k] : &out[slots ? slot : o], slot, e);
    st = st ? st : check_slot(b, slot++, from, e);
  }
  st = st ? st : put_parts(b, in->n, &finite, e);
  for (uint32_t k = 0; k < b->npart && !null && !st; k++)
    null = has_null(b->part[k].col, in->n);
  if (st || (finite && !null))
    return st;
  memset(b->bad, 0, in->n);
  slot = 0;
  for (uint32_t o = 0, from = 0, to = 0; o < p->nout && slot < s->n; o++) {
    if (p->out[o].role != OUT_SLOT)
      continue;
    while (to < b->npart && b->part[to].slot == slot)
      to++;
    refuse_slot(b, p, o, in, from, to, errors);
    from = to;
    slot++;
  }
  return ST_OK;
}

Status matrix_append(MatrixBuilder *b, const RowProg *p, const Col *slot, const RowsIn *in, RowErrors *errors,
                     Err *e) {
  return append(b, NULL, p, slot, true, in, errors, e);
}

Status matrix_append_parts(MatrixBuilder *b, const Interp *t, const RowProg *p, const Col *out,
                           const RowsIn *in, RowErrors *errors, Err *e) {
  return append(b, t, p, out, false, in, errors, e);
}

Status matrix_begin(MatrixBuilder *b, uint32_t rows, Err *e) {
  size_t n = (size_t)rows * b->m.d * sizeof *b->m.a;
  matrix_reset(b);
  if (b->slots->sparse || !n)
    return ST_OK;
  arrays_free(&b->m);
  if (b->slab)
    slab_rewind(b->slab);
  double *a = b->slab ? slab_take(b->slab, n) : NULL;
  if (!a) {
    slab_drop(b->slab);
    b->slab = slab_new(n);
    a = b->slab ? slab_take(b->slab, n) : NULL;
  }
  b->cap_rows = a ? rows : 0;
  if (!a)
    return err_memory(e);
  b->m.a = a;
  b->m.slab = b->slab;
  return ST_OK;
}

Matrix *matrix_take(MatrixBuilder *b, size_t *bytes) {
  Matrix *m = mem_alloc(sizeof *m);
  Err e = {.code = ST_OK};
  *bytes = 0;
  if (m && b->m.slab && b->m.n) {
    *bytes = (size_t)b->m.n * b->m.d * sizeof *b->m.a;
    slab_trim(b->slab, b->m.a, *bytes);
    *bytes += sizeof *m;
    *m = b->m;
    b->m = (Matrix){.d = m->d};
    b->cap_rows = 0;
    return m;
  }
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
  slab_drop(b->slab);
  mem_free(b->part);
  mem_free(b->number);
  mem_free(b->bad);
  slots_free(&b->named);
  mem_free(b);
}

void matrix_free(Matrix *m) {
  if (!m)
    return;
  arrays_free(m);
  mem_free(m);
}
