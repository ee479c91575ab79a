/* SPDX-License-Identifier: Apache-2.0 */
/* Finding the module, and having code made: at once where it is forced, else by one thread in the background,
 * which begins with the first program that promises to pay.
 *
 * The module, libcml-jit.so, is looked for in this order: the file named by the environment variable CML_JIT;
 * the folder of the running program (a build); lib/cml beside it; where this build was made; the folder of
 * the installed package. */
#include <dlfcn.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "vm/jit/parts.h"

#define MODULE "libcml-jit.so"

enum { WAITING, WANTED, READY, REFUSED }; /* of a JitCode */

struct JitCode {
  Jit *j;
  JitCode *next;
  uint32_t program;
  atomic_int refs; /* of interpreters, and of the list while it is in it */
  atomic_int state;
  atomic_ullong rows; /* that came to it */
  uint64_t expected;
  JitProg *prog;
  JitNative native;
};

struct Jit {
  JitMode mode;
  void *lib;
  const JitModule *module;
  pthread_mutex_t lock; /* everything below */
  pthread_cond_t changed;
  pthread_t thread;
  bool started, stop;
  JitCode *code;      /* newest first */
  uint64_t *expected; /* by program: rows that were told of before it came */
  uint32_t nexpected;
  JitStats stats;
  atomic_ullong compiled, interpreted, again;
};

int jit_mode_of(const char *name) {
  static const char *const names[] = {"auto", "off", "force"};
  for (int i = 0; i < 3; i++)
    if (!strcmp(name, names[i]))
      return i;
  return -1;
}

/* ---- The module ---- */

/* The places where it may be, in order: 0 .. 4. False: no such place. */
static bool module_path(int place, char path[PATH_MAX]) {
  char self[PATH_MAX];
  const char *named = getenv("CML_JIT");
  if (place == 0)
    return named && *named && snprintf(path, PATH_MAX, "%s", named) < PATH_MAX;
  if (place == 3)
    return snprintf(path, PATH_MAX, "%s", CML_BUILD_DIR "/" MODULE) < PATH_MAX;
  if (place == 4)
    return snprintf(path, PATH_MAX, "%s", CML_PKGLIBDIR "/" MODULE) < PATH_MAX;
  ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
  if (n <= 0)
    return false;
  self[n] = 0;
  char *slash = strrchr(self, '/');
  if (!slash)
    return false;
  *slash = 0;
  return snprintf(path, PATH_MAX, "%s/%s%s", self, place == 1 ? "" : "../lib/cml/", MODULE) < PATH_MAX;
}

static bool find_module(char path[PATH_MAX]) {
  const char *named = getenv("CML_JIT");
  for (int place = 0; place < 5; place++) {
    if (module_path(place, path) && access(path, R_OK) == 0)
      return true;
    if (place == 0 && named && *named)
      return false;
  }
  return false;
}

bool jit_installed(char *version, uint32_t n) {
  char path[PATH_MAX];
#ifdef CML_LLVM_VERSION
  snprintf(version, n, "JIT with LLVM %s", CML_LLVM_VERSION);
#else
  snprintf(version, n, "JIT");
#endif
  return find_module(path);
}

static Status load_module(Jit *j, Err *e) {
  char path[PATH_MAX];
  if (j->module)
    return ST_OK;
  if (!find_module(path))
    return err_set(e, ST_RESOURCE, "CML0514", "Configure cml with LLVM, or leave --jit out.",
                   "the JIT compiler, %s, was not found", MODULE);
  /* Never unloaded again: LLVM has destructors of its own. */
  j->lib = dlopen(path, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
  if (!j->lib) {
    const char *why = dlerror();
    return err_set(e, ST_RESOURCE, "CML0514", "Configure cml with LLVM, or leave --jit out.",
                   "the JIT compiler cannot be loaded: %s", why ? why : path);
  }
  const JitModule *m = dlsym(j->lib, "cml_jit_module");
  if (!m || m->abi != JIT_ABI)
    return err_set(e, ST_RESOURCE, "CML0514", "Install cml anew, or unset CML_JIT.",
                   "the JIT compiler %s is of another version of cml", path);
  j->module = m;
  return ST_OK;
}

/* ---- One Jit ---- */

static Jit *new_jit(JitMode mode) {
  Jit *j = mem_alloc(sizeof *j);
  if (!j)
    return NULL;
  j->mode = mode;
  pthread_mutex_init(&j->lock, NULL);
  pthread_cond_init(&j->changed, NULL);
  return j;
}

Status jit_open(JitMode mode, uint64_t memory, Jit **out, Err *e) {
  *out = NULL;
  if (mode == JIT_OFF || (mode == JIT_AUTO && memory < JIT_ROOM))
    return ST_OK;
  Jit *j = new_jit(mode);
  if (!j)
    return err_memory(e);
  if (mode == JIT_FORCE && load_module(j, e) != ST_OK) {
    jit_close(j);
    return e->code;
  }
  *out = j;
  return ST_OK;
}

Jit *jit_in_child(const Jit *parent) {
  Jit *j = parent ? new_jit(parent->mode) : NULL;
  if (j) {
    j->lib = parent->lib;
    j->module = parent->module;
  }
  return j;
}

void jit_forget(Jit *j) {
  if (!j)
    return;
  pthread_mutex_lock(&j->lock);
  JitCode *c = j->code;
  j->code = NULL;
  pthread_mutex_unlock(&j->lock);
  while (c) {
    JitCode *next = c->next;
    jit_code_drop(c);
    c = next;
  }
}

void jit_close(Jit *j) {
  if (!j)
    return;
  pthread_mutex_lock(&j->lock);
  j->stop = true;
  pthread_cond_broadcast(&j->changed);
  bool started = j->started;
  pthread_mutex_unlock(&j->lock);
  if (started)
    pthread_join(j->thread, NULL);
  jit_forget(j);
  if (j->lib)
    dlclose(j->lib); /* it stays */
  pthread_cond_destroy(&j->changed);
  pthread_mutex_destroy(&j->lock);
  mem_free(j->expected);
  mem_free(j);
}

JitStats jit_stats(Jit *j) {
  JitStats s = {0};
  if (!j)
    return s;
  pthread_mutex_lock(&j->lock);
  s = j->stats;
  pthread_mutex_unlock(&j->lock);
  s.compiled = atomic_load(&j->compiled);
  s.interpreted = atomic_load(&j->interpreted);
  s.again = atomic_load(&j->again);
  return s;
}

/* ---- Compiling ---- */

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* In the thread, or where it is forced; without the lock. */
static Status compile(Jit *j, JitCode *c, Err *e) {
  JitNative native = {NULL, NULL, NULL};
  double from = now();
  Status st = load_module(j, e);
  if (!st)
    st = j->module->compile(c->prog, &native, e);
  double seconds = now() - from;
  pthread_mutex_lock(&j->lock);
  j->stats.seconds += seconds;
  if (st) {
    snprintf(j->stats.failed, sizeof j->stats.failed, "%.*s", (int)sizeof j->stats.failed - 1, e->cause);
  } else {
    j->stats.programs++;
    j->stats.steps += c->prog->steps;
    c->native = native;
  }
  atomic_store_explicit(&c->state, st ? REFUSED : READY, memory_order_release);
  pthread_cond_broadcast(&j->changed);
  pthread_mutex_unlock(&j->lock);
  return st;
}

static JitCode *next_wanted(Jit *j) {
  for (JitCode *c = j->code; c; c = c->next)
    if (atomic_load(&c->state) == WANTED)
      return c;
  return NULL;
}

static void *work(void *arg) {
  Jit *j = arg;
  pthread_mutex_lock(&j->lock);
  while (!j->stop) {
    JitCode *c = next_wanted(j);
    if (!c) {
      pthread_cond_wait(&j->changed, &j->lock);
      continue;
    }
    Err e = {0};
    atomic_fetch_add(&c->refs, 1);
    pthread_mutex_unlock(&j->lock);
    compile(j, c, &e);
    jit_code_drop(c);
    pthread_mutex_lock(&j->lock);
  }
  pthread_mutex_unlock(&j->lock);
  return NULL;
}

/* Has it made in the background. Holding the lock. */
static void want(Jit *j, JitCode *c) {
  int waiting = WAITING;
  if (!atomic_compare_exchange_strong(&c->state, &waiting, WANTED))
    return;
  if (!j->started && pthread_create(&j->thread, NULL, work, j) == 0)
    j->started = true;
  if (!j->started)
    atomic_store(&c->state, REFUSED);
  pthread_cond_broadcast(&j->changed);
}

/* ---- Programs ---- */

bool jit_takes(const Jit *j, uint32_t steps) {
  return j->mode == JIT_FORCE || steps >= JIT_STEPS;
}

static bool pays(const JitCode *c, uint64_t rows) {
  return rows * c->prog->steps >= JIT_PAYS;
}

void jit_expect(Jit *j, uint32_t program, uint64_t rows) {
  if (!j || j->mode == JIT_FORCE)
    return;
  pthread_mutex_lock(&j->lock);
  if (program >= j->nexpected) {
    uint32_t n = program + 16;
    uint64_t *v = mem_realloc(j->expected, n * sizeof *v);
    for (uint32_t i = j->nexpected; v && i < n; i++)
      v[i] = 0;
    j->expected = v ? v : j->expected;
    j->nexpected = v ? n : j->nexpected;
  }
  if (program < j->nexpected)
    j->expected[program] = rows;
  for (JitCode *c = j->code; c; c = c->next)
    if (c->program == program && pays(c, rows + atomic_load(&c->rows)))
      want(j, c);
  pthread_mutex_unlock(&j->lock);
}

static JitCode *find_code(Jit *j, uint32_t program) {
  for (JitCode *c = j->code; c; c = c->next)
    if (c->program == program)
      return c;
  return NULL;
}

Status jit_code(Jit *j, uint32_t program, JitProg *prog, JitCode **out, Err *e) {
  pthread_mutex_lock(&j->lock);
  JitCode *c = find_code(j, program);
  if (c) {
    jit_prog_free(prog);
    atomic_fetch_add(&c->refs, 1);
  } else if ((c = mem_alloc(sizeof *c))) {
    c->j = j;
    c->program = program;
    c->prog = prog;
    c->next = j->code;
    j->code = c;
    atomic_init(&c->refs, 2);
    atomic_init(&c->state, j->mode == JIT_FORCE ? WANTED : WAITING);
    if (j->mode == JIT_FORCE) {
      pthread_mutex_unlock(&j->lock);
      compile(j, c, e);
      pthread_mutex_lock(&j->lock);
    } else if (program < j->nexpected && pays(c, j->expected[program])) {
      want(j, c);
    }
  } else {
    jit_prog_free(prog);
    err_memory(e);
  }
  while (c && j->mode == JIT_FORCE && atomic_load(&c->state) == WANTED) /* another worker makes it */
    pthread_cond_wait(&j->changed, &j->lock);
  pthread_mutex_unlock(&j->lock);
  *out = c;
  if (c && j->mode == JIT_FORCE && atomic_load(&c->state) == REFUSED)
    return e->code ? e->code
                   : err_set(e, ST_FAULT, "CML0616", "Run it with --jit=off.", "the JIT compiler failed");
  return e->code;
}

void jit_code_drop(JitCode *c) {
  if (!c || atomic_fetch_sub(&c->refs, 1) != 1)
    return;
  if (c->native.owned)
    c->j->module->release(&c->native);
  jit_prog_free(c->prog);
  mem_free(c);
}

const JitNative *jit_code_ready(JitCode *c, uint32_t rows) {
  int state = atomic_load_explicit(&c->state, memory_order_acquire);
  if (state == READY)
    return &c->native;
  if (state != WAITING)
    return NULL;
  uint64_t seen = atomic_fetch_add(&c->rows, rows) + rows;
  if (pays(c, seen)) {
    pthread_mutex_lock(&c->j->lock);
    want(c->j, c);
    pthread_mutex_unlock(&c->j->lock);
  }
  return NULL;
}

void jit_count(JitCode *c, uint32_t compiled, uint32_t interpreted, uint32_t again) {
  if (compiled)
    atomic_fetch_add_explicit(&c->j->compiled, compiled, memory_order_relaxed);
  if (interpreted)
    atomic_fetch_add_explicit(&c->j->interpreted, interpreted, memory_order_relaxed);
  if (again)
    atomic_fetch_add_explicit(&c->j->again, again, memory_order_relaxed);
}
