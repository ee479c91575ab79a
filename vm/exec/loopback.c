/* SPDX-License-Identifier: Apache-2.0 */
/* The executor for tests: everything that may go wrong on many machines goes wrong here, on one, and the
 * bits must not change.
 *
 * Every task runs in a forked child, which parses the program text anew, loads the fitted values from
 * their bytes, finds passes by name, and sends its saved partials and row errors back through a pipe.
 * Tasks are run in shuffled order; about one in four is run twice and must give the same bytes; one child
 * in ten is killed and its task repeated; every partial must survive save, load, save; blocks and matrices
 * that were kept for children are dropped at random and made again. The parent only reads and writes.
 * Children never touch the data engine (whose threads they do not have), and the parent has no threads of
 * its own. The choices come from a counter, so that a failure comes again.
 *
 * Read loop_reduce and loop_write, then window, run_task, child. */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/hash.h"
#include "vm/jit.h"
#include "vm/exec/answer.h"
#include "vm/exec/home.h"
#include "vm/written.h"

enum { WINDOW = 6 }; /* raw blocks that are shuffled together */

typedef struct Kept { /* what the parent keeps of a block from scan to scan, for children to find */
  Block *rows;
  Block *unit[UNITS]; /* of one matrix */
  uint32_t unit_stage;
} Kept;

typedef struct Held { /* by rows stage */
  Kept *v;
  uint32_t n;
} Held;

typedef struct Loop {
  Executor x; /* first */
  Home home;
  Buf *fitted; /* bytes, by number */
  Held *held;  /* by stage */
  Worker *worker; /* of the parent: makes what is kept */
  uint64_t choices;
  bool opened;
} Loop;

typedef struct Task {
  const Buf *ask;
  Stages of;
  uint32_t rows_stage;
  bool writes; /* rows, instead of jobs */
  uint32_t seq, u0, u1;
  const Block *raw;
  const RowErrors *read_errors;
  RowErrors *found; /* of its block, by all tasks */
  Kept *kept;
  Buf result;
} Task;

static uint64_t choose(Loop *l, uint64_t n) {
  return rng_word(UINT64_C(0x636d6c), l->choices++) % n;
}

/* ---- In the child ---- */

static Status child_map(const Task *t, const Home *h, Worker *w, const Ask *ask, const Block *rows,
                        RowErrors *errors, Answer *a, Err *e) {
  JobSet *set = NULL;
  Status st = jobset_new(&ask->jobs, &set, e);
  uint32_t *maker = mem_alloc((t->of.n + 1) * sizeof *maker), nmatrix = 0;
  int32_t *uses = mem_alloc((t->of.n + 1) * sizeof *uses);
  Units *units = mem_alloc((t->of.n + 1) * sizeof *units);
  if (!maker || !uses || !units)
    return err_memory(e);
  worker_matrices(h->p, t->of, maker, uses, &nmatrix);
  for (uint32_t k = 0; k < nmatrix; k++) {
    bool there = t->kept->unit[0] && t->kept->unit_stage == maker[k];
    units[k] = (Units){.stage = maker[k],
                       .unit = there ? t->kept->unit : mem_alloc(UNITS * sizeof *units[k].unit),
                       .keep = there};
    if (!units[k].unit)
      return err_memory(e);
  }
  Sink sink = answer_sink(a);
  Mapped m = {.of = t->of, .matrix = units, .uses = uses, .nmatrix = nmatrix, .seen = a->seen};
  if (!st)
    st = worker_map(w, &m, set, rows, t->u0, t->u1, &sink, errors, e);
  return st ? st : answer_exact(a, set, e);
}

static Status child_write(const Task *t, const Home *h, Worker *w, const Block *rows, RowErrors *errors,
                          Answer *a, Buf *body, Err *e) {
  uint32_t from = 0;
  Buf one = {.n = 0};
  Written c;
  Status st = written_columns(&h->p->stage[t->of.v[0]].prog, &h->env, &c, e);
  while (!st) {
    Block *out = NULL;
    st = worker_predict(w, t->of.v[0], rows, &from, errors, &out, e);
    if (!st)
      st = record_of_rows(c.column, out->col, c.n, out->n, out->file, out->pos, out->at, &one, e);
    if (!st) {
      buf_blob(body, one.p, one.n);
      a->seen[0] += out->n;
    }
    if (from >= rows->n)
      break;
  }
  return st;
}

/* What it has of its program and its fitted values, as they came. */
static Status child_home(const Loop *l, Home *h, Worker **w, Err *e) {
  Status st = home_open(h, buf_bytes(&l->home.text), &l->home.reg, &l->home.lim, e);
  for (uint32_t i = 0; !st && i < h->env.n; i++) {
    bool twice;
    if (l->fitted[i].n)
      st = home_put(h, i, buf_bytes(&l->fitted[i]), &twice, e);
  }
  if (!st)
    st = worker_new(h->p, &h->env, NULL, w, e);
  if (!st)
    worker_jit(*w, jit_in_child(h->lim.jit));
  return st;
}

/* Everything of a task, from bytes to bytes. Nothing is freed: the process ends. */
static void child(const Loop *l, const Task *t, Buf *o) {
  Err e;
  Home h;
  Ask ask = {.keep_rows = false};
  Answer a;
  Worker *w = NULL;
  Block *rows = t->kept->rows;
  RowErrors errors = *t->read_errors, again = {.count = 0};
  Buf body = {.n = 0}, answer = {.n = 0};
  bool first = t->u0 == 0; /* of its block: says what became of all of it */
  err_clear(&e);
  Status st = child_home(l, &h, &w, &e);
  if (!st)
    st = ask_take(buf_bytes(t->ask), h.p, &h.reg, &ask, &e);
  if (!st)
    st = answer_open(&a, &ask.jobs, t->of.n, &e);
  if (!st && !rows)
    st = worker_rows(w, t->rows_stage, t->raw, &errors, &rows, &e);
  for (uint32_t r = 0; !st && first && r < rows->n; r++)
    a.info.kept[rows->part ? rows->part[r] & 63 : 0]++;
  if (!st && first)
    a.info.kept[KEPT_INVALID] = rows->invalid;
  if (!st && !t->writes)
    st = child_map(t, &h, w, &ask, rows, first ? &errors : &again, &a, &e);
  else if (!st)
    st = child_write(t, &h, w, rows, &errors, &a, &body, &e);
  if (!st) {
    a.errors = first ? errors : again;
    st = answer_put(&a, &answer, &e);
  }
  buf_put(o, &e, sizeof e);
  buf_blob(o, answer.p, answer.n);
  buf_blob(o, body.p, body.n);
  o->bad = o->bad || body.bad || answer.bad;
}

static void send_all(int fd, const Buf *b) {
  for (size_t at = 0; at < b->n;) {
    ssize_t n = write(fd, b->p + at, b->n - at);
    if (n < 0 && errno == EINTR)
      continue;
    if (n <= 0)
      _exit(3);
    at += (size_t)n;
  }
}

/* ---- In the parent ---- */

/* Runs it in a child once. *died: it was killed, by us or otherwise. */
static Status run_once(const Loop *l, const Task *t, bool kill_it, Buf *out, int *status, Err *e) {
  int fd[2];
  buf_clear(out);
  if (pipe(fd))
    return err_set(e, ST_RESOURCE, "CML0504", NULL, "cannot make a pipe: %s", strerror(errno));
  pid_t pid = fork();
  if (pid < 0) {
    close(fd[0]);
    close(fd[1]);
    return err_set(e, ST_RESOURCE, "CML0504", NULL, "cannot start a process: %s", strerror(errno));
  }
  if (pid == 0) {
    Buf o = {.n = 0};
    close(fd[0]);
    child(l, t, &o);
    if (o.bad)
      _exit(2);
    send_all(fd[1], &o);
    _exit(0);
  }
  close(fd[1]);
  if (kill_it)
    kill(pid, SIGKILL);
  uint8_t part[65536];
  for (;;) {
    ssize_t n = read(fd[0], part, sizeof part);
    if (n < 0 && errno == EINTR)
      continue;
    if (n <= 0)
      break;
    buf_put(out, part, (size_t)n);
  }
  close(fd[0]);
  while (waitpid(pid, status, 0) < 0 && errno == EINTR)
    ;
  return out->bad ? err_memory(e) : ST_OK;
}

static Status run_task(Loop *l, Task *t, Err *e) {
  const char *name = l->home.p->stage[t->of.v[0]].name;
  Buf second = {.n = 0};
  int status = 0;
  bool twice = choose(l, 4) == 0, kill_it = choose(l, 10) == 0;
  Status st = run_once(l, t, kill_it, &t->result, &status, e);
  if (!st && kill_it) /* lost with its worker: again */
    st = run_once(l, t, false, &t->result, &status, e);
  if (!st && (!WIFEXITED(status) || WEXITSTATUS(status)))
    return err_set(e, ST_FAULT, "CML0611", NULL, "a worker of stage %s ended with %s %d", name,
                   WIFSIGNALED(status) ? "signal" : "status",
                   WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
  if (!st && twice)
    st = run_once(l, t, false, &second, &status, e);
  if (!st && twice && (second.n != t->result.n || memcmp(second.p, t->result.p, second.n)))
    st = err_set(e, ST_FAULT, "CML0612", NULL,
                 "the same task of stage %s gave different bytes the second time", name);
  buf_free(&second);
  return st;
}

typedef struct Gathered { /* of a scan, in the parent */
  Loop *l;
  Ask ask;
  Buf bytes;        /* of it */
  Answer answer;
  RowErrors errors; /* of the windows before */
  bool bad;         /* a bad row was found */
} Gathered;

/* Takes a result up to its body. */
static Status take_result(Gathered *g, const Task *t, Bytes *body, Err *e) {
  Rd r = rd_of(buf_bytes(&t->result));
  const void *err = rd_take(&r, sizeof(Err));
  Bytes answer = rd_blob(&r);
  *body = rd_blob(&r);
  if (!rd_done(&r))
    return err_set(e, ST_FAULT, "CML0614", NULL, "a worker sent something that cannot be read");
  Err theirs;
  memcpy(&theirs, err, sizeof theirs);
  if (theirs.code) {
    if (!e->code)
      *e = theirs;
    return e->code;
  }
  Status st = answer_take(&g->answer, answer, t->found, true, e);
  g->bad = g->bad || t->found->count;
  return st;
}

static void let_go(Kept *k) {
  block_drop(k->rows);
  for (uint32_t u = 0; u < UNITS; u++)
    block_drop(k->unit[u]);
  memset(k, 0, sizeof *k);
}

static void held_clear(Held *h) {
  for (uint32_t i = 0; i < h->n; i++)
    let_go(&h->v[i]);
  mem_free(h->v);
  *h = (Held){.n = 0};
}

/* Sometimes loses what is kept of a block, sometimes makes it again. */
static Status maybe_keep(Loop *l, Stages of, uint32_t rows_stage, const Block *raw, Kept *k, Err *e) {
  RowErrors errors = {.count = 0};
  Status st = ST_OK;
  if (choose(l, 3) == 0)
    let_go(k);
  if (!k->rows && choose(l, 2) == 0)
    st = worker_rows(l->worker, rows_stage, raw, &errors, &k->rows, e);
  const Stage *s = &l->home.p->stage[of.v[choose(l, of.n)]];
  uint32_t stage = s->matrix >= 0 ? (uint32_t)s->matrix : (uint32_t)(s - l->home.p->stage);
  bool train = s->kind == STAGE_TRAIN;
  if (k->unit[0] && (k->unit_stage != stage || choose(l, 3) == 0))
    for (uint32_t u = 0; u < UNITS; u++) {
      block_drop(k->unit[u]);
      k->unit[u] = NULL;
    }
  if (!st && !errors.count && train && k->rows && !k->unit[0] && choose(l, 2) == 0) {
    k->unit_stage = stage;
    for (uint32_t u = 0; u < UNITS && !st; u++)
      st = worker_unit(l->worker, stage, k->rows, u, &errors, &k->unit[u], e);
  }
  if (st || errors.count)
    let_go(k);
  return st;
}

static Kept *kept_of(Loop *l, uint32_t rows_stage, uint32_t seq, Err *e) {
  Held *h = &l->held[rows_stage];
  if (seq >= h->n) {
    Kept *v = mem_realloc(h->v, (seq + 1) * sizeof *v);
    if (!v) {
      err_memory(e);
      return NULL;
    }
    memset(v + h->n, 0, (seq + 1 - h->n) * sizeof *v);
    h->v = v;
    h->n = seq + 1;
  }
  return &h->v[seq];
}

typedef struct Window {
  Block *raw[WINDOW];
  RowErrors errors[WINDOW]; /* of reading */
  RowErrors found[WINDOW];  /* all; tasks of a block come in any order, and share its bad rows */
  uint32_t n, first; /* blocks, number of the first */
  Task task[4 * WINDOW];
  uint32_t ntask;
} Window;

/* Its bad rows, block after block, to those of the windows before. */
static void window_errors(Window *w, Gathered *g) {
  for (uint32_t i = 0; i < w->n; i++)
    row_errors_merge(&g->errors, &w->found[i]);
  memset(w->found, 0, sizeof w->found);
}

static void window_clear(Window *w) {
  for (uint32_t i = 0; i < w->n; i++)
    block_drop(w->raw[i]);
  for (uint32_t i = 0; i < w->ntask; i++)
    buf_free(&w->task[i].result);
  w->first += w->n;
  w->n = w->ntask = 0;
}

/* Reads some blocks and runs their tasks in shuffled order; results lie in the tasks, in the order of
 * positions. */
static Status window_run(Loop *l, Window *w, Reader *rd, uint32_t pieces, Gathered *g, Err *e) {
  Stages of = g->ask.of;
  uint32_t rows_stage = g->ask.rows_stage;
  bool writes = ir_writes_rows(&l->home.p->stage[of.v[0]]);
  Status st = ST_OK;
  RowErrors tail = {.count = 0};
  uint32_t order[4 * WINDOW], seq;
  while (w->n < WINDOW && !st) {
    memset(&w->errors[w->n], 0, sizeof w->errors[0]);
    Block *b = NULL;
    st = reader_next(rd, &b, &seq, &w->errors[w->n], e);
    if (st || !b) {
      tail = w->errors[w->n];
      break;
    }
    w->raw[w->n++] = b;
    g->answer.info.read += b->npos;
    g->answer.info.bytes += b->bytes;
  }
  row_errors_merge(&g->errors, &tail);
  for (uint32_t i = 0; i < w->n && !st; i++) {
    Kept *k = kept_of(l, rows_stage, w->first + i, e);
    st = k ? maybe_keep(l, of, rows_stage, w->raw[i], k, e) : e->code;
  }
  for (uint32_t i = 0; i < w->n && !st; i++) {
    uint32_t n = pieces > 1 && choose(l, 2) ? pieces : 1;
    for (uint32_t q = 0; q < n; q++)
      w->task[w->ntask++] = (Task){.ask = &g->bytes,
                                   .of = of,
                                   .rows_stage = rows_stage,
                                   .writes = writes,
                                   .seq = w->first + i,
                                   .u0 = q * UNITS / n,
                                   .u1 = (q + 1) * UNITS / n,
                                   .raw = w->raw[i],
                                   .read_errors = &w->errors[i],
                                   .found = &w->found[i],
                                   .kept = kept_of(l, rows_stage, w->first + i, e)};
  }
  for (uint32_t i = 0; i < w->ntask; i++) {
    uint32_t k = (uint32_t)choose(l, i + 1);
    order[i] = order[k];
    order[k] = i;
  }
  for (uint32_t i = 0; i < w->ntask && !st; i++) {
    if (l->home.lim.cancel && atomic_load(l->home.lim.cancel))
      return err_set(e, ST_CANCEL, NULL, NULL, "interrupted");
    Bytes body;
    st = run_task(l, &w->task[order[i]], e);
    if (!st && !writes)
      st = take_result(g, &w->task[order[i]], &body, e);
  }
  return st;
}

/* The scan's request, as the children get it, and what takes their answers. */
static Status begin(Loop *l, Stages of, const Jobs *jobs, Gathered *g, Reader **rd, Err *e) {
  *g = (Gathered){.l = l, .ask = {.of = of}};
  if (!l->opened)
    return err_set(e, ST_FAULT, "CML0606", NULL, "the executor was not opened");
  if (jobs)
    g->ask.jobs = *jobs;
  Status st = home_rows_stage(&l->home, of, &g->ask.rows_stage, e);
  if (!st)
    st = ask_put(&g->ask, &g->bytes, e);
  if (!st)
    st = answer_open(&g->answer, &g->ask.jobs, of.n, e);
  return st ? st : home_reader(&l->home, g->ask.rows_stage, rd, e);
}

static void end(Gathered *g, Reader *rd, ScanInfo *info) {
  for (uint32_t i = 0; g->answer.seen && i < g->answer.nseen; i++)
    g->answer.info.rows += g->answer.seen[i];
  if (info)
    *info = g->answer.info;
  if (g->answer.seen)
    answer_close(&g->answer);
  buf_free(&g->bytes);
  if (rd)
    reader_close(rd);
}

static Status row_errors(const Gathered *g, const Reader *rd, Err *e) {
  uint32_t n = 0;
  const char *const *file = reader_files(rd, &n);
  return exec_row_errors(&g->errors, file, n, e);
}

static Status loop_reduce(Executor *x, Stages of, const Jobs *jobs, Buf *out, ScanInfo *info, uint64_t *seen,
                          Progress *pr, Err *e) {
  Loop *l = (Loop *)x;
  Reader *rd = NULL;
  JobSet *set = NULL;
  uint32_t pieces = 1;
  Gathered g;
  Window *w = mem_alloc(sizeof *w);
  Status st = begin(l, of, jobs, &g, &rd, e);
  if (!st && !w)
    st = err_memory(e);
  if (!st)
    st = jobset_new(jobs, &set, e);
  if (!st && jobset_units(set) <= QUARTER)
    pieces = UNITS / QUARTER;
  jobset_free(set);
  while (!st) {
    st = window_run(l, w, rd, pieces, &g, e);
    bool last = w->n < WINDOW;
    window_errors(w, &g);
    window_clear(w);
    if (!st && pr && pr->rows)
      pr->rows(pr->ctx, g.answer.info.read, reader_total(rd));
    if (last)
      break;
  }
  if (!st)
    st = row_errors(&g, rd, e);
  if (!st)
    st = answer_finish(&g.answer, out, e);
  if (seen && g.answer.seen)
    memcpy(seen, g.answer.seen, of.n * sizeof *seen);
  end(&g, rd, info);
  mem_free(w);
  return st;
}

/* ---- Writing ---- */

static Status write_result(const Loop *l, const Task *t, Bytes body, Writer *w, Err *e) {
  Written c;
  Status st = written_columns(&l->home.p->stage[t->of.v[0]].prog, &l->home.env, &c, e);
  if (st)
    return st;
  Rd r = rd_of(body);
  while (!st && !rd_done(&r)) {
    Arena a;
    Col *col = NULL;
    uint32_t n = 0;
    arena_init(&a, NULL);
    st = rows_of_record(&a, rd_blob(&r), c.column, c.n, &col, &n, e);
    if (!st && n)
      st = writer_put(w, col, n, e);
    arena_free(&a);
  }
  written_free(&c);
  return st;
}

static Status loop_write(Executor *x, uint32_t stage, const char *path, ScanInfo *info, Progress *pr,
                         Err *e) {
  Loop *l = (Loop *)x;
  Reader *rd = NULL;
  Writer *out = NULL;
  Gathered g;
  Window *w = mem_alloc(sizeof *w);
  Status st = begin(l, (Stages){.v = &stage, .n = 1}, NULL, &g, &rd, e);
  if (!st && !w)
    st = err_memory(e);
  bool last = false;
  while (!st && !last) {
    st = window_run(l, w, rd, 1, &g, e);
    last = w->n < WINDOW;
    if (!st && !out)
      st = home_writer(&l->home, stage, path, g.answer.info.digest, &out, e);
    for (uint32_t i = 0; i < w->ntask && !st; i++) {
      Bytes body;
      st = take_result(&g, &w->task[i], &body, e);
      if (!st && !g.bad)
        st = write_result(l, &w->task[i], body, out, e);
    }
    window_errors(w, &g);
    window_clear(w);
    if (!st && pr && pr->rows)
      pr->rows(pr->ctx, g.answer.info.read, reader_total(rd));
  }
  if (!st)
    st = row_errors(&g, rd, e);
  if (out && st)
    writer_abort(out);
  else if (out)
    st = writer_commit(out, &g.answer.info.written, e);
  end(&g, rd, info);
  mem_free(w);
  return st;
}

/* ---- The rest of the interface ---- */

static Status loop_open(Executor *x, Bytes text, const Registry *r, const Limits *lim, Err *e) {
  Loop *l = (Loop *)x;
  Status st = home_open(&l->home, text, r, lim, e);
  if (st)
    return st;
  l->opened = true;
  l->fitted = mem_alloc((l->home.p->nfitted + 1) * sizeof *l->fitted);
  l->held = mem_alloc((l->home.p->nstage + 1) * sizeof *l->held);
  if (!l->fitted || !l->held)
    return err_memory(e);
  return worker_new(l->home.p, &l->home.env, lim->cancel, &l->worker, e);
}

static Status loop_put(Executor *x, uint32_t id, Bytes value, Err *e) {
  Loop *l = (Loop *)x;
  bool again;
  if (!l->opened)
    return err_set(e, ST_FAULT, "CML0606", NULL, "the executor was not opened");
  Status st = home_put(&l->home, id, value, &again, e);
  if (st)
    return st;
  worker_forget(l->worker);
  for (uint32_t i = 0; again && i < l->home.p->nstage; i++)
    held_clear(&l->held[i]);
  buf_clear(&l->fitted[id]);
  buf_put(&l->fitted[id], value.p, value.n);
  return l->fitted[id].bad ? err_memory(e) : ST_OK;
}

static void loop_drop(Executor *x, uint32_t stage) {
  Loop *l = (Loop *)x;
  if (l->opened && stage < l->home.p->nstage)
    held_clear(&l->held[stage]);
}

static void loop_close(Executor *x) {
  Loop *l = (Loop *)x;
  for (uint32_t i = 0; l->held && i < l->home.p->nstage; i++)
    held_clear(&l->held[i]);
  for (uint32_t i = 0; l->fitted && i < l->home.p->nfitted; i++)
    buf_free(&l->fitted[i]);
  mem_free(l->held);
  mem_free(l->fitted);
  worker_free(l->worker);
  if (l->opened)
    home_close(&l->home);
  mem_free(l);
}

Status exec_loopback(Executor **out, Err *e) {
  Loop *l = mem_alloc(sizeof *l);
  if (!l)
    return err_memory(e);
  l->x = (Executor){.name = "loopback",
                    .open = loop_open,
                    .put = loop_put,
                    .reduce = loop_reduce,
                    .write = loop_write,
                    .drop = loop_drop,
                    .close = loop_close};
  *out = &l->x;
  return ST_OK;
}
