/* SPDX-License-Identifier: Apache-2.0 */
/* Reading bundles: nothing is trusted. The header is bounded and checked; every tensor is found by name
 * with the type and shape that are expected; keys, levels and offsets are checked for order; the IR is
 * parsed and verified; fitted values are held against the steps that read them; the estimator checks its
 * own tensors; and the feature vector must have as many elements as the model. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/hash.h"
#include "vm/bundle.h"
#include "vm/interp.h"
#include "vm/ops.h"

enum { HEADER_MOST = 64 << 20, FILE_MOST = 1 << 30, FITTED_MOST = 1 << 20 };

typedef struct In {
  json_t *header;
  const uint8_t *data; /* behind the header */
  uint64_t n;
  Err *e;
} In;

static bool bad(In *in, const char *what, const char *name) {
  err_set(in->e, ST_DATA, "CML0453", "It was not written by cml, or is damaged.",
          "the bundle is not valid: %s%s%.80s", what, name ? " " : "", name ? name : "");
  return false;
}

/* The bytes of a tensor with this type; *count = its elements. NULL (and an error) when it is not there or
 * not as it must be. */
static const uint8_t *tensor(In *in, const char *name, const char *dtype, uint64_t *count) {
  json_t *t = json_object_get(in->header, name), *shape = json_object_get(t, "shape"),
         *off = json_object_get(t, "data_offsets");
  const char *d = json_string_value(json_object_get(t, "dtype"));
  if (!d || strcmp(d, dtype) != 0 || json_array_size(shape) > 2 || json_array_size(off) != 2)
    return bad(in, "no tensor of the right type is named", name), NULL;
  uint64_t n = 1, size = strcmp(dtype, "U8") == 0 ? 1 : 8;
  for (size_t i = 0; i < json_array_size(shape); i++) {
    json_int_t k = json_integer_value(json_array_get(shape, i));
    if (k < 0 || (k > 0 && n > in->n / (uint64_t)k))
      return bad(in, "wrong shape of", name), NULL;
    n *= (uint64_t)k;
  }
  json_int_t from = json_integer_value(json_array_get(off, 0)),
             to = json_integer_value(json_array_get(off, 1));
  if (from < 0 || to < from || (uint64_t)to > in->n || (uint64_t)(to - from) != n * size)
    return bad(in, "wrong offsets of", name), NULL;
  *count = n;
  return in->data + from;
}

static int64_t i64_at(const uint8_t *p, uint64_t i) {
  int64_t v;
  memcpy(&v, p + 8 * i, 8);
  return v;
}

static double f64_at(const uint8_t *p, uint64_t i) {
  double v;
  memcpy(&v, p + 8 * i, 8);
  return v;
}

/* Strings as bytes and offsets. On success *n of them and their offsets as u32 (mem_alloc'ed), bytes in
 * place. */
static const uint8_t *strings(In *in, const char *name_bytes, const char *name_off, uint32_t *n,
                              uint32_t **off) {
  uint64_t nb, no;
  const uint8_t *b = tensor(in, name_bytes, "U8", &nb), *o = b ? tensor(in, name_off, "I64", &no) : NULL;
  if (!o)
    return NULL;
  if (no < 1 || no > (1u << 28) || nb > UINT32_MAX || i64_at(o, 0) != 0 || i64_at(o, no - 1) != (int64_t)nb)
    return bad(in, "wrong offsets in", name_off), NULL;
  *off = mem_alloc(no * sizeof **off);
  if (!*off)
    return err_memory(in->e), NULL;
  for (uint64_t i = 0; i < no; i++) {
    int64_t v = i64_at(o, i);
    if (v < 0 || v > (int64_t)nb || (i && v < (*off)[i - 1])) {
      mem_free(*off);
      *off = NULL;
      return bad(in, "wrong offsets in", name_off), NULL;
    }
    (*off)[i] = (uint32_t)v;
  }
  *n = (uint32_t)(no - 1);
  return b;
}

static bool ascending(const uint8_t *b, const uint32_t *off, uint32_t n) {
  for (uint32_t i = 1; i < n; i++) {
    uint32_t na = off[i] - off[i - 1], nb = off[i + 1] - off[i];
    int c = memcmp(b + off[i - 1], b + off[i], na < nb ? na : nb);
    if (c > 0 || (c == 0 && na >= nb))
      return false;
  }
  return true;
}

static char *name_of(char out[96], uint32_t k, const char *suffix) {
  snprintf(out, 96, "fitted.%u%s", k, suffix);
  return out;
}

static bool read_vocab(In *in, uint32_t k, Fitted *f) {
  char a[96], b[96];
  uint32_t n, *off = NULL;
  const uint8_t *p = strings(in, name_of(a, k, ".bytes"), name_of(b, k, ".offsets"), &n, &off);
  if (!p)
    return false;
  Dict *d = mem_alloc(sizeof *d);
  char *bytes = d ? mem_alloc((size_t)off[n] + 1) : NULL;
  if (!bytes) {
    mem_free(d);
    mem_free(off);
    return err_memory(in->e), false;
  }
  memcpy(bytes, p, off[n]);
  *d = (Dict){.n = n, .off = off, .bytes = bytes};
  atomic_init(&d->refs, 1);
  f->vocab = d;
  f->n = n;
  if (!ascending(p, off, n))
    return bad(in, "the levels are not in order in", a);
  return fitted_vocab_index(f, in->e) == ST_OK;
}

static bool read_table(In *in, uint32_t k, uint8_t nkey, IrType type, Fitted *f) {
  char a[96], b[96];
  uint64_t nv, nn;
  Table *t = f->table = mem_alloc(sizeof *t);
  if (!t)
    return err_memory(in->e), false;
  t->type = (uint8_t)type;
  t->nkey = nkey;
  t->nvariant = 1;
  const uint8_t *p = strings(in, name_of(a, k, ".keys"), name_of(b, k, ".offsets"), &t->n, &t->off);
  const uint8_t *v = p ? tensor(in, name_of(a, k, ".values"), type == IR_I64 ? "I64" : "F64", &nv) : NULL;
  const uint8_t *null = v ? tensor(in, name_of(a, k, ".nulls"), "U8", &nn) : NULL;
  if (!null)
    return false;
  if (nv != t->n || nn != t->n || !ascending(p, t->off, t->n))
    return bad(in, "keys and values do not fit in table", a);
  t->bytes = mem_alloc((size_t)t->off[t->n] + 1);
  t->null = mem_alloc((size_t)t->n + 1);
  t->i = type == IR_I64 ? mem_alloc(8 * ((size_t)t->n + 1)) : NULL;
  t->f = type == IR_I64 ? NULL : mem_alloc(8 * ((size_t)t->n + 1));
  if (!t->bytes || !t->null || !(t->i || t->f))
    return err_memory(in->e), false;
  memcpy(t->bytes, p, t->off[t->n]);
  for (uint32_t i = 0; i < t->n; i++) {
    if (null[i] > 1)
      return bad(in, "a null flag is neither 0 nor 1 in", a);
    t->null[i] = null[i];
    if (t->i)
      t->i[i] = i64_at(v, i);
    else
      t->f[i] = f64_at(v, i);
  }
  return table_index(t, in->e) == ST_OK;
}

/* Strings of their own; *n counts those that are there, also after a failure. */
static bool read_names(In *in, const char *bytes, const char *offsets, char ***out, uint32_t *n) {
  uint32_t count, *off = NULL;
  const uint8_t *p = strings(in, bytes, offsets, &count, &off);
  if (!p)
    return false;
  char **v = *out = mem_alloc(sizeof *v * ((size_t)count + 1));
  for (uint32_t i = 0; v && i < count; i++) {
    uint32_t len = off[i + 1] - off[i];
    v[i] = mem_alloc((size_t)len + 1);
    if (!v[i])
      break;
    memcpy(v[i], p + off[i], len);
    *n = i + 1;
  }
  mem_free(off);
  return v && *n == count ? true : (err_memory(in->e), false);
}

static bool read_model(In *in, uint32_t k, const Registry *r, ModelTask task, Fitted *f) {
  const char *est =
      json_string_value(json_object_get(json_object_get(in->header, "__metadata__"), "estimator"));
  char prefix[96], *p = name_of(prefix, k, ".");
  size_t np = strlen(p);
  Model *m = f->model = mem_alloc(sizeof *m);
  if (!m)
    return err_memory(in->e), false;
  for (uint32_t i = 0; est && r->estimator[i]; i++)
    if (strcmp(r->estimator[i]->name, est) == 0)
      m->est = r->estimator[i];
  if (!m->est)
    return bad(in, "this cml has no estimator", est ? est : "(none)");
  m->task = task;
  if (!read_names(in, "features.bytes", "features.offsets", &m->feature, &m->d) ||
      (task == TASK_MULTICLASS && !read_names(in, "classes.bytes", "classes.offsets", &m->class, &m->nclass)))
    return false;
  m->nout = model_outputs(task, m->nclass);
  if (model_shape(m, in->e) != ST_OK)
    return false;
  const char *key;
  json_t *t;
  json_object_foreach(in->header, key, t) {
    uint64_t n;
    if (strncmp(key, p, np) != 0)
      continue;
    const uint8_t *v = tensor(in, key, "F64", &n);
    json_t *shape = json_object_get(t, "shape");
    if (!v)
      return false;
    if (json_array_size(shape) != 2)
      return bad(in, "wrong shape of", key);
    uint64_t rows = (uint64_t)json_integer_value(json_array_get(shape, 0)),
             cols = (uint64_t)json_integer_value(json_array_get(shape, 1));
    if (rows > UINT32_MAX || cols > UINT32_MAX)
      return bad(in, "wrong shape of", key);
    double *copy = mem_alloc(8 * (n + 1)); /* tensors in the file need not be aligned */
    if (!copy)
      return err_memory(in->e), false;
    memcpy(copy, v, 8 * n);
    Status st = model_add_tensor(m, key + np, (uint32_t)rows, (uint32_t)cols, copy, in->e);
    mem_free(copy);
    if (st != ST_OK)
      return false;
  }
  return m->est->verify(m, in->e) == ST_OK;
}

static bool read_matrix(In *in, const char *key, Fitted *f) {
  uint64_t n;
  const uint8_t *v = tensor(in, key, "F64", &n);
  json_t *shape = json_object_get(json_object_get(in->header, key), "shape");
  if (!v)
    return false;
  uint64_t rows = (uint64_t)json_integer_value(json_array_get(shape, 0)),
           cols = (uint64_t)json_integer_value(json_array_get(shape, 1));
  if (json_array_size(shape) != 2 || rows > UINT32_MAX || cols > UINT32_MAX || rows * cols != n)
    return bad(in, "wrong shape of", key);
  f->rows = (uint32_t)rows;
  f->cols = (uint32_t)cols;
  f->list = mem_alloc(8 * (n + 1));
  if (!f->list)
    return err_memory(in->e), false;
  memcpy(f->list, v, 8 * n);
  return true;
}

/* The type a fitted value must have is that of the steps that read it; all must agree. */
static bool read_fitted(In *in, const Registry *r, const Stage *s, uint32_t k, Fitted *f) {
  const RowProg *p = &s->prog;
  static const char *const dtype[] = {[IR_BOOL] = "U8", [IR_I64] = "I64", [IR_F64] = "F64",
                                      [IR_STR] = "U8",  [IR_VEC] = "F64", [IR_LIST] = "F64"};
  char a[96];
  const IrVal *use = NULL;
  int type = -1;
  for (uint32_t i = 0; i < p->nval; i++) {
    const IrVal *v = &p->val[i];
    int t = v->op >= OP_FITTED_B && v->op <= OP_FITTED_MAT       ? (int)v->type
            : v->op == OP_LOOKUP_I64 || v->op == OP_LOOKUP_F64     ? IR_TABLE
            : op_scores(v->op) || v->op == OP_CLASS_VEC            ? IR_MODEL
                                                                   : -1;
    if (t < 0 || v->i != k)
      continue;
    if (use && (t != type || (t == IR_TABLE && (v->op != use->op || v->narg != use->narg))))
      return bad(in, "a fitted value is read in two ways:", name_of(a, k, ""));
    type = t;
    use = v;
  }
  if (!use)
    return bad(in, "nothing reads", name_of(a, k, ""));
  f->type = (IrType)type;
  if (type == IR_VOCAB)
    return read_vocab(in, k, f);
  if (type == IR_TABLE)
    return use->narg <= 16
               ? read_table(in, k, (uint8_t)use->narg, use->op == OP_LOOKUP_I64 ? IR_I64 : IR_F64, f)
               : bad(in, "too many keys in", a);
  if (type == IR_MODEL)
    return read_model(in, k, r, s->task, f);
  if (type == IR_MAT)
    return read_matrix(in, name_of(a, k, ""), f);
  uint64_t n;
  const uint8_t *v = tensor(in, name_of(a, k, ""), dtype[type], &n);
  if (!v)
    return false;
  if (n > UINT32_MAX || (type <= IR_F64 && n != 1))
    return bad(in, "wrong shape of", a);
  f->n = (uint32_t)n;
  switch (type) {
  case IR_BOOL: f->b = v[0] & 1; return true;
  case IR_I64: f->i = i64_at(v, 0); return true;
  case IR_F64: f->f = f64_at(v, 0); return true;
  case IR_STR:
    f->s = mem_alloc(n + 1);
    if (f->s)
      memcpy(f->s, v, n);
    return f->s ? true : (err_memory(in->e), false);
  default:
    f->list = mem_alloc(8 * (n + 1));
    if (!f->list)
      return err_memory(in->e), false;
    memcpy(f->list, v, 8 * n);
    for (uint64_t i = 0; i < n && type == IR_LIST; i++)
      if (f->list[i] != f->list[i] || (i && f->list[i] < f->list[i - 1]))
        return bad(in, "a list is not ascending:", a);
    return true;
  }
}

/* The versions it was written with: an older cml refuses a newer bundle, naming both. */
static bool check_versions(In *in) {
  const struct {
    const char *key;
    int have;
  } v[] = {{"format_version", BUNDLE_VERSION}, {"ir_version", IR_VERSION}, {"ops_version", OPS_VERSION},
           {"math_version", MATH_VERSION}, {"hash_version", HASH_VERSION}};
  json_t *m = json_object_get(in->header, "__metadata__");
  const char *format = json_string_value(json_object_get(m, "format"));
  if (!format || strcmp(format, "cml-bundle") != 0)
    return bad(in, "it is no cml bundle", NULL);
  for (size_t i = 0; i < sizeof v / sizeof *v; i++) {
    const char *s = json_string_value(json_object_get(m, v[i].key));
    int has = 0;
    if (!s || sscanf(s, "%d", &has) != 1 || has < 1)
      return bad(in, "no version is given:", v[i].key);
    if (has > v[i].have) {
      err_set(in->e, ST_DATA, "CML0454", "Use a cml at least as new as the one that wrote it.",
              "the bundle has %s %d; this cml knows %d", v[i].key, has, v[i].have);
      return false;
    }
  }
  return true;
}

/* Every byte behind the header is of one tensor: nothing is cut off, nothing hides behind. */
static bool check_extent(In *in) {
  const char *key;
  json_t *t;
  uint64_t sum = 0, end = 0;
  json_object_foreach(in->header, key, t) {
    json_t *off = json_object_get(t, "data_offsets");
    if (strcmp(key, "__metadata__") == 0)
      continue;
    json_int_t from = json_integer_value(json_array_get(off, 0)),
               to = json_integer_value(json_array_get(off, 1));
    if (json_array_size(off) != 2 || from < 0 || to < from || (uint64_t)to > in->n)
      return bad(in, "wrong offsets of", key);
    sum += (uint64_t)(to - from);
    end = (uint64_t)to > end ? (uint64_t)to : end;
  }
  return sum == in->n && end == in->n ? true : bad(in, "its tensors and its length do not agree", NULL);
}

static bool read_program(In *in, Bundle *b) {
  uint64_t n;
  const uint8_t *text = tensor(in, "program", "U8", &n);
  if (!text)
    return false;
  if (n > (16u << 20))
    return bad(in, "the program is too long", NULL);
  if (ir_parse(&b->arena, (const char *)text, (uint32_t)n, &b->program, in->e) != ST_OK)
    return false;
  if (b->program->nstage != 1 || b->program->stage[0].kind != STAGE_SCORE ||
      b->program->nfitted > FITTED_MOST)
    return bad(in, "the program is not one score stage", NULL);
  uint32_t models = 0;
  const RowProg *p = &b->program->stage[0].prog;
  for (uint32_t i = 0; i < p->nval; i++)
    if (op_scores(p->val[i].op)) {
      b->model = (uint32_t)p->val[i].i;
      models++;
    }
  return models == 1 ? true : bad(in, "the program has not one model", NULL);
}

/* Does the feature vector that the slots give have the elements that the model was trained on? */
static bool check_width(In *in, Bundle *b) {
  const RowProg *p = &b->program->stage[0].prog;
  Env env = {(const Fitted **)b->fitted, b->nfitted};
  const Model *m = b->fitted[b->model]->model;
  Slots s = {0};
  if (slots_of(p, &env, &s, in->e) != ST_OK)
    return false;
  bool ok = s.d == m->d;
  for (uint32_t i = 0; ok && i < s.d; i++)
    ok = strcmp(s.feature[i], m->feature[i]) == 0;
  slots_free(&s);
  return ok ? true : bad(in, "the feature vector does not fit the model", NULL);
}

Status bundle_parse(Bytes file, const Registry *r, Bundle **out, Err *e) {
  In in = {.e = e};
  Rd rd = rd_of(file);
  uint64_t n = rd_u64(&rd);
  json_error_t je;
  Bundle *b = mem_alloc(sizeof *b);
  if (!b)
    return err_memory(e);
  arena_init(&b->arena, NULL);
  const void *head = n <= HEADER_MOST ? rd_take(&rd, (size_t)n) : NULL;
  if (!head) {
    bad(&in, "the header is missing or too long", NULL);
    goto done;
  }
  in.header = json_loadb(head, (size_t)n, JSON_REJECT_DUPLICATES, &je);
  if (!json_is_object(in.header)) {
    bad(&in, "the header is no JSON object", NULL);
    goto done;
  }
  in.data = rd.p;
  in.n = (uint64_t)(rd.end - rd.p);
  if (!check_versions(&in) || !check_extent(&in) || !read_program(&in, b))
    goto done;
  b->nfitted = b->program->nfitted;
  b->fitted = mem_alloc(sizeof *b->fitted * ((size_t)b->nfitted + 1));
  if (!b->fitted) {
    err_memory(e);
    goto done;
  }
  for (uint32_t k = 0; k < b->nfitted; k++) {
    b->fitted[k] = mem_alloc(sizeof **b->fitted);
    if (!b->fitted[k]) {
      err_memory(e);
      goto done;
    }
    if (!read_fitted(&in, r, &b->program->stage[0], k, b->fitted[k]))
      goto done;
  }
  char *meta = json_dumps(json_object_get(in.header, "__metadata__"), JSON_SORT_KEYS | JSON_INDENT(2));
  b->meta = meta ? mem_strdup(meta) : NULL;
  free(meta);
  if (!b->meta)
    err_memory(e);
  else
    check_width(&in, b);
done:
  json_decref(in.header);
  if (e->code != ST_OK) {
    bundle_free(b);
    return e->code;
  }
  *out = b;
  return ST_OK;
}

Status bundle_read(const char *path, const Registry *r, Bundle **out, Err *e) {
  Buf b = {0};
  if (file_read(path, FILE_MOST, ST_DATA, &b, e) == ST_OK)
    bundle_parse(buf_bytes(&b), r, out, e);
  if (e->code != ST_OK)
    err_at(e, "%s", path);
  buf_free(&b);
  return e->code;
}

void bundle_free(Bundle *b) {
  if (!b)
    return;
  for (uint32_t k = 0; b->fitted && k < b->nfitted; k++)
    if (b->fitted[k])
      fitted_free(b->fitted[k]);
  mem_free(b->fitted);
  mem_free(b->meta);
  arena_free(&b->arena);
  mem_free(b);
}
