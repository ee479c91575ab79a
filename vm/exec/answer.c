/* SPDX-License-Identifier: Apache-2.0 */
/* What a scan is asked for, and what came of it: see answer.h. All numbers little-endian; nothing read is
 * trusted: partials are verified by their pass, the rest here. */
#include "vm/exec/answer.h"

#include <string.h>

#include "base/arena.h"
#include "vm/exec/home.h"

enum { ASK_VERSION = 1, JOBS_MOST = 1 << 20 };

static Status unreadable(Err *e) {
  return err_set(e, ST_FAULT, "CML0614", NULL, "a worker sent something that cannot be read");
}

/* ---- Ask ---- */

bool ask_once(const Jobs *jobs) {
  bool once = jobs->n > 0;
  for (uint32_t i = 0; once && i < jobs->n; i++)
    once = jobs->v[i].once;
  return once;
}

Status ask_put(const Ask *a, Buf *o, Err *e) {
  buf_u32(o, ASK_VERSION);
  buf_u32(o, a->rows_stage);
  buf_u8(o, a->keep_rows);
  buf_u8(o, a->once);
  buf_u32(o, a->of.n);
  for (uint32_t i = 0; i < a->of.n; i++)
    buf_u32(o, a->of.v[i]);
  buf_u32(o, a->jobs.n);
  for (uint32_t i = 0; i < a->jobs.n; i++) {
    const Job *j = &a->jobs.v[i];
    buf_cstr(o, j->pass->name);
    buf_u32(o, j->of);
    buf_u32(o, (uint32_t)j->leave_out);
    buf_u32(o, (uint32_t)j->only_fold);
    buf_blob(o, j->par.p, j->par.n);
  }
  return o->bad ? err_memory(e) : ST_OK;
}

static bool good_stages(const Ask *a, const Program *p) {
  for (uint32_t i = 0; i < a->of.n; i++) {
    uint32_t s = a->of.v[i];
    if (s >= p->nstage || p->stage[s].from != (int32_t)a->rows_stage)
      return false;
    for (uint32_t k = 0; k < i; k++)
      if (a->of.v[k] == s)
        return false;
  }
  return a->of.n > 0 && a->rows_stage < p->nstage && p->stage[a->rows_stage].kind == STAGE_ROWS;
}

static Status take_job(Rd *r, const Registry *reg, Ask *a, Err *e) {
  Bytes name = rd_blob(r);
  char text[128] = "";
  if (name.n && name.n < sizeof text)
    memcpy(text, name.p, name.n);
  const Pass *pass = home_pass(reg, text);
  if (!pass)
    return r->bad ? unreadable(e)
                  : err_set(e, ST_FAULT, "CML0610", NULL, "pass %s is not in the registry", text);
  Job *j = jobs_add(&a->jobs, pass);
  if (!j)
    return err_memory(e);
  j->of = rd_u32(r);
  j->leave_out = (int32_t)rd_u32(r);
  j->only_fold = (int32_t)rd_u32(r);
  Bytes par = rd_blob(r);
  buf_put(&j->par, par.p, par.n);
  if (r->bad || j->of >= a->of.n)
    return unreadable(e);
  return j->par.bad ? err_memory(e) : ST_OK;
}

Status ask_take(Bytes b, const Program *p, const Registry *reg, Ask *out, Err *e) {
  Rd r = rd_of(b);
  *out = (Ask){.rows_stage = 0};
  uint32_t version = rd_u32(&r);
  out->rows_stage = rd_u32(&r);
  out->keep_rows = rd_u8(&r) != 0;
  out->once = rd_u8(&r) != 0;
  uint32_t n = rd_u32(&r);
  if (r.bad || version != ASK_VERSION || n > p->nstage)
    return unreadable(e);
  uint32_t *v = mem_alloc((n + 1) * sizeof *v);
  if (!v)
    return err_memory(e);
  for (uint32_t i = 0; i < n; i++)
    v[i] = rd_u32(&r);
  out->of = (Stages){.v = v, .n = n};
  uint32_t njob = rd_u32(&r);
  if (r.bad || njob > JOBS_MOST || !good_stages(out, p))
    return unreadable(e);
  Status st = ST_OK;
  for (uint32_t i = 0; i < njob && !st; i++)
    st = take_job(&r, reg, out, e);
  return !st && !rd_done(&r) ? unreadable(e) : st;
}

void ask_free(Ask *a) {
  mem_free((uint32_t *)a->of.v);
  jobs_free(&a->jobs);
  *a = (Ask){.rows_stage = 0};
}

/* ---- Answer ---- */

Status answer_open(Answer *a, const Jobs *jobs, uint32_t n, Err *e) {
  memset(a, 0, sizeof *a);
  a->jobs = jobs;
  a->nseen = n;
  a->seen = mem_alloc((n + 1) * sizeof *a->seen);
  a->par = mem_alloc((jobs->n + 1) * sizeof *a->par);
  a->tree = mem_alloc((jobs->n + 1) * sizeof *a->tree);
  a->exact = mem_alloc((jobs->n + 1) * sizeof *a->exact);
  if (!a->seen || !a->par || !a->tree || !a->exact)
    return err_memory(e);
  for (uint32_t i = 0; i < jobs->n; i++) {
    const Job *j = &jobs->v[i];
    a->par[i] = j->pass->open(buf_bytes(&j->par), e);
    if (!a->par[i])
      return e->code ? e->code : err_memory(e);
    tree_init(&a->tree[i], j->pass, a->par[i]);
  }
  return ST_OK;
}

void answer_close(Answer *a) {
  for (uint32_t i = 0; a->par && a->tree && a->exact && i < a->jobs->n; i++) {
    const Pass *pass = a->jobs->v[i].pass;
    if (!a->par[i])
      continue;
    tree_free(&a->tree[i]);
    if (a->exact[i])
      pass->free(a->par[i], a->exact[i]);
    pass->close(a->par[i]);
  }
  mem_free(a->seen);
  mem_free(a->par);
  mem_free(a->tree);
  mem_free(a->exact);
  memset(a, 0, sizeof *a);
}

static Status add_node(void *ctx, uint32_t job, TreeNode node, Err *e) {
  return tree_add(&((Answer *)ctx)->tree[job], node, e);
}

Sink answer_sink(Answer *a) {
  return (Sink){.node = add_node, .ctx = a};
}

/* Takes p, which may be NULL. */
static Status add_exact(Answer *a, uint32_t job, void *p, Err *e) {
  const Pass *pass = a->jobs->v[job].pass;
  if (!p || !a->exact[job]) {
    a->exact[job] = p ? p : a->exact[job];
    return ST_OK;
  }
  Status st = pass->merge(a->par[job], a->exact[job], p, e);
  pass->free(a->par[job], p);
  return st;
}

Status answer_exact(Answer *a, JobSet *s, Err *e) {
  Status st = ST_OK;
  for (uint32_t i = 0; i < a->jobs->n && !st; i++)
    if (a->jobs->v[i].pass->kind == RED_EXACT)
      st = add_exact(a, i, jobset_take(s, i), e);
  return st;
}

/* ---- As bytes ---- */

static void put_errors(const RowErrors *r, Buf *o) {
  buf_u64(o, r->count);
  buf_u32(o, r->n);
  for (uint32_t i = 0; i < r->n; i++) {
    const RowError *x = &r->v[i];
    buf_u32(o, x->file);
    buf_u64(o, x->pos);
    buf_u32(o, x->step);
    buf_u32(o, x->line);
    buf_u32(o, x->col);
    buf_cstr(o, x->column);
    buf_cstr(o, x->text);
    buf_cstr(o, x->allow);
  }
  buf_u32(o, r->seen_file);
  buf_u64(o, r->seen_block);
  for (size_t w = 0; w < sizeof r->seen / sizeof *r->seen; w++)
    if (r->seen[w]) {
      buf_u32(o, (uint32_t)w);
      buf_u64(o, r->seen[w]);
    }
  buf_u32(o, UINT32_MAX);
}

static void take_text(Rd *r, char *out, size_t room) {
  Bytes b = rd_blob(r);
  if (b.n >= room)
    r->bad = true;
  else if (b.n)
    memcpy(out, b.p, b.n);
}

static bool take_errors(Rd *r, RowErrors *out) {
  memset(out, 0, sizeof *out);
  out->count = rd_u64(r);
  out->n = rd_u32(r);
  if (r->bad || out->n > ROW_ERRORS || out->n > out->count)
    return false;
  for (uint32_t i = 0; i < out->n; i++) {
    RowError *x = &out->v[i];
    x->file = rd_u32(r);
    x->pos = rd_u64(r);
    x->step = rd_u32(r);
    x->line = rd_u32(r);
    x->col = rd_u32(r);
    take_text(r, x->column, sizeof x->column);
    take_text(r, x->text, sizeof x->text);
    take_text(r, x->allow, sizeof x->allow);
  }
  out->seen_file = rd_u32(r);
  out->seen_block = rd_u64(r);
  for (;;) {
    uint32_t w = rd_u32(r);
    if (w == UINT32_MAX || r->bad)
      return !r->bad;
    if (w >= sizeof out->seen / sizeof *out->seen)
      return false;
    out->seen[w] = rd_u64(r);
  }
}

static Status put_partial(const Pass *pass, const void *par, const void *partial, Buf *o, Err *e) {
  Buf one = {.n = 0};
  Status st = pass->save(par, partial, &one, e);
  buf_blob(o, one.p, one.n);
  o->bad = o->bad || one.bad;
  buf_free(&one);
  return st;
}

/* Its nodes in the order of their places: two workers who saw the same rows answer with the same bytes. */
static Status put_tree(Tree *t, Buf *o, Err *e) {
  Status st = ST_OK;
  tree_sort(t);
  buf_u32(o, t->n);
  for (uint32_t k = 0; k < t->n && !st; k++) {
    const TreeNode *n = &t->v[k];
    buf_u32(o, n->file);
    buf_u32(o, n->level);
    buf_u64(o, n->index);
    buf_u8(o, n->partial != NULL);
    if (n->partial)
      st = put_partial(t->pass, t->par, n->partial, o, e);
  }
  return st;
}

Status answer_put(const Answer *a, Buf *o, Err *e) {
  Status st = ST_OK;
  bool bad = a->errors.count > 0;
  buf_u32(o, bad);
  if (bad)
    put_errors(&a->errors, o);
  buf_u64(o, a->info.read);
  buf_u64(o, a->info.rows);
  buf_u64(o, a->info.bytes);
  buf_u8(o, a->info.from_cache);
  for (uint32_t i = 0; i < KEPT; i++)
    if (a->info.kept[i]) {
      buf_u32(o, i);
      buf_u64(o, a->info.kept[i]);
    }
  buf_u32(o, UINT32_MAX);
  buf_u32(o, a->nseen);
  for (uint32_t i = 0; i < a->nseen; i++)
    buf_u64(o, a->seen[i]);
  buf_u32(o, bad ? 0 : a->jobs->n);
  for (uint32_t i = 0; i < a->jobs->n && !st && !bad; i++) {
    const Pass *pass = a->jobs->v[i].pass;
    if (pass->kind != RED_EXACT) {
      st = put_tree(&a->tree[i], o, e);
      continue;
    }
    buf_u32(o, a->exact[i] != NULL);
    if (a->exact[i])
      st = put_partial(pass, a->par[i], a->exact[i], o, e);
  }
  return !st && o->bad ? err_memory(e) : st;
}

static Status load_partial(const Answer *a, uint32_t job, Bytes b, bool check, void **out, Err *e) {
  const Pass *pass = a->jobs->v[job].pass;
  Buf again = {.n = 0};
  *out = pass->load(a->par[job], b, e);
  if (!*out)
    return e->code ? e->code : err_memory(e);
  Status st = check ? pass->save(a->par[job], *out, &again, e) : ST_OK;
  if (!st && again.bad)
    st = err_memory(e);
  if (!st && check && (again.n != b.n || (b.n && memcmp(again.p, b.p, b.n))))
    st = err_set(e, ST_FAULT, "CML0613", NULL, "a partial of pass %s is not the same after load and save",
                 pass->name);
  buf_free(&again);
  if (st)
    pass->free(a->par[job], *out);
  return st;
}

static Status take_job_result(Answer *a, uint32_t job, Rd *r, bool check, Err *e) {
  bool exact = a->jobs->v[job].pass->kind == RED_EXACT;
  uint32_t n = rd_u32(r);
  Status st = ST_OK;
  for (uint32_t k = 0; k < n && !st; k++) {
    TreeNode node = {.file = 0};
    void *p = NULL;
    if (!exact) {
      node.file = rd_u32(r);
      node.level = rd_u32(r);
      node.index = rd_u64(r);
    }
    bool there = exact || rd_u8(r);
    Bytes b = there ? rd_blob(r) : (Bytes){.n = 0};
    if (r->bad || node.level > 64)
      return unreadable(e);
    if (there)
      st = load_partial(a, job, b, check, &p, e);
    node.partial = p;
    if (!st)
      st = exact ? add_exact(a, job, p, e) : tree_add(&a->tree[job], node, e);
  }
  return st;
}

Status answer_take(Answer *a, Bytes b, RowErrors *errors, bool check, Err *e) {
  Rd r = rd_of(b);
  RowErrors found;
  uint32_t bad = rd_u32(&r);
  if (bad) {
    if (!take_errors(&r, &found))
      return unreadable(e);
    row_errors_merge(errors ? errors : &a->errors, &found);
  }
  a->info.read += rd_u64(&r);
  a->info.rows += rd_u64(&r);
  a->info.bytes += rd_u64(&r);
  a->fresh |= rd_u8(&r) == 0;
  a->info.from_cache = !a->fresh;
  for (;;) {
    uint32_t i = rd_u32(&r);
    if (i == UINT32_MAX || r.bad)
      break;
    if (i >= KEPT)
      return unreadable(e);
    a->info.kept[i] += rd_u64(&r);
  }
  if (rd_u32(&r) != a->nseen)
    return unreadable(e);
  for (uint32_t i = 0; i < a->nseen; i++)
    a->seen[i] += rd_u64(&r);
  uint32_t njob = rd_u32(&r);
  if (r.bad || njob != (bad ? 0 : a->jobs->n))
    return unreadable(e);
  Status st = ST_OK;
  for (uint32_t i = 0; i < njob && !st; i++)
    st = take_job_result(a, i, &r, check, e);
  return !st && !rd_done(&r) ? unreadable(e) : st;
}

static Status finish_job(Answer *a, uint32_t i, Buf *out, Err *e) {
  const Pass *pass = a->jobs->v[i].pass;
  void *all = a->exact[i];
  a->exact[i] = NULL;
  Status st = pass->kind == RED_EXACT ? ST_OK : tree_finish(&a->tree[i], &all, e);
  if (!st && !all && !(all = pass->init(a->par[i], e)))
    st = e->code ? e->code : err_memory(e);
  buf_clear(out);
  if (!st)
    st = pass->save(a->par[i], all, out, e);
  if (!st && out->bad)
    st = err_memory(e);
  if (all)
    pass->free(a->par[i], all);
  return st;
}

Status answer_finish(Answer *a, Buf *out, Err *e) {
  Status st = ST_OK;
  for (uint32_t i = 0; i < a->jobs->n && !st; i++)
    st = finish_job(a, i, &out[i], e);
  return st;
}
