/* SPDX-License-Identifier: Apache-2.0 */
/* What a site keeps between scans: see shelf.h. Read shelf_add, then give_way. */
#define _GNU_SOURCE /* O_TMPFILE, fallocate */
#include "vm/exec/shelf.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/arena.h"
#include "vm/interp.h"

typedef struct Slot {
  Block *b;         /* or NULL: */
  uint64_t at, n;   /* it lies in the file */
} Slot;

struct Kept {
  uint32_t stage, part;
  bool rows, whole, gone; /* gone: freed when nobody holds it */
  uint32_t holders;
  uint32_t n, cap;
  Slot *v;
  ScanInfo info;
};

Status shelf_init(Shelf *s, uint64_t budget, const char *scratch, Err *e) {
  *s = (Shelf){.budget = budget, .scratch = scratch, .file = -1};
  if (pthread_mutex_init(&s->lock, NULL))
    return err_memory(e);
  return ST_OK;
}

/* A place in the file is free again. Places are not given a second time before all of them are free: what
 * lies in between becomes a hole. */
static void free_place(Shelf *s, const Slot *t) {
  int bad = 0;
  s->spilled -= t->n;
  if (s->spilled) {
    bad = fallocate(s->file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)t->at, (off_t)t->n);
  } else if (s->end) {
    s->end = 0;
    bad = ftruncate(s->file, 0);
  }
  (void)bad; /* then it takes room on the disk for longer */
}

static void free_slot(Shelf *s, const Slot *t) {
  if (t->b)
    s->used -= t->b->bytes;
  else if (t->n)
    free_place(s, t);
  block_drop(t->b);
}

static void free_run(Shelf *s, Kept *k) {
  for (uint32_t i = 0; i < k->n; i++)
    free_slot(s, &k->v[i]);
  mem_free(k->v);
  mem_free(k);
}

void shelf_free(Shelf *s) {
  for (uint32_t i = 0; i < s->n; i++)
    free_run(s, s->run[i]);
  mem_free(s->run);
  if (s->file >= 0)
    close(s->file);
  pthread_mutex_destroy(&s->lock);
}

/* ---- A block in the file ----
 *
 * Arrays one behind the other, as they lie in memory: the file never leaves the process. */

typedef struct Tape {
  const Shelf *shelf;
  uint64_t at;
  bool write;
  Err *e;
} Tape;

typedef struct Head { /* of a block; what else it has are arrays */
  uint32_t file, npos, n, invalid, ncol, x;
  uint64_t pos, bytes;
} Head;

static bool run_over(Tape *t, void *p, size_t n) {
  char *c = p;
  while (n && t->e->code == ST_OK) {
    int fd = t->shelf->file;
    ssize_t k = t->write ? pwrite(fd, c, n, (off_t)t->at) : pread(fd, c, n, (off_t)t->at);
    if (k < 0 && errno == EINTR)
      continue;
    if (k <= 0) {
      err_set(t->e, ST_RESOURCE, "CML0507", "Free space there, or give more --memory.",
              "the scratch file in %s cannot be %s: %s", t->shelf->scratch, t->write ? "written" : "read",
              k ? strerror(errno) : "it ends");
      break;
    }
    c += k;
    n -= (size_t)k;
    t->at += (uint64_t)k;
  }
  return t->e->code == ST_OK;
}

/* An array of n bytes: there, or room is made for it. */
static bool array(Tape *t, void *slot, size_t n) {
  void *p;
  memcpy(&p, slot, sizeof p);
  uint8_t there = p != NULL;
  if (!run_over(t, &there, 1))
    return false;
  if (there && !p) {
    p = mem_alloc64(n ? n : 1);
    memcpy(slot, &p, sizeof p);
    if (!p)
      err_memory(t->e);
  }
  return !there || (t->e->code == ST_OK && run_over(t, p, n));
}

static bool dict(Tape *t, Dict **slot) {
  Dict *d = *slot;
  if (!t->write) {
    d = *slot = mem_alloc(sizeof *d);
    if (!d)
      return err_memory(t->e), false;
    atomic_init(&d->refs, 1);
  }
  if (!run_over(t, &d->n, sizeof d->n) || !array(t, &d->off, (d->n + (size_t)1) * sizeof *d->off))
    return false;
  return array(t, &d->bytes, d->off[d->n]);
}

/* Nothing of it is in *c before it has been read: a pointer in the file is one of another time, and only says
 * that there is something. */
static bool column(Tape *t, Col *c, uint32_t n) {
  Col head = *c;
  if (!run_over(t, &head, sizeof head))
    return false;
  size_t rows = head.constant ? 1 : n, size = head.type == IR_BOOL ? 1 : head.type == IR_STR ? 4 : 8;
  if (!t->write) {
    *c = head;
    c->i = NULL;
    c->null = NULL;
    c->dict = NULL;
  }
  return array(t, &c->i, rows * size) && array(t, &c->null, rows) && (!head.dict || dict(t, &c->dict));
}

static bool matrix(Tape *t, Matrix **slot) {
  if (!t->write && !(*slot = mem_alloc(sizeof **slot)))
    return err_memory(t->e), false;
  Matrix *x = *slot, head = *x;
  if (!run_over(t, &head, sizeof head))
    return false;
  if (!t->write) {
    x->n = head.n;
    x->d = head.d;
  }
  if (!head.ptr)
    return array(t, &x->a, (size_t)head.n * head.d * sizeof *x->a);
  if (!array(t, &x->ptr, (head.n + (size_t)1) * sizeof *x->ptr))
    return false;
  uint32_t entries = x->ptr[head.n];
  return array(t, &x->col, entries * sizeof *x->col) && array(t, &x->val, entries * sizeof *x->val);
}

static bool tape_block(Tape *t, Block *b) {
  Head head = {b->file, b->npos, b->n, b->invalid, b->ncol, b->x != NULL, b->pos, b->bytes};
  if (!run_over(t, &head, sizeof head))
    return false;
  if (!t->write) {
    b->file = head.file;
    b->pos = head.pos;
    b->npos = head.npos;
    b->n = head.n;
    b->invalid = head.invalid;
    b->bytes = head.bytes;
    if (head.ncol && !(b->col = mem_alloc(head.ncol * sizeof *b->col)))
      return err_memory(t->e), false;
    b->ncol = head.ncol;
  }
  size_t n = head.n;
  bool good = array(t, &b->at, n * sizeof *b->at) && array(t, &b->part, n) && array(t, &b->fold, n) &&
              array(t, &b->weight, n * sizeof *b->weight) && array(t, &b->y, n * sizeof *b->y);
  for (uint32_t k = 0; good && k < b->ncol; k++)
    good = column(t, &b->col[k], head.n);
  return good && (!head.x || matrix(t, &b->x));
}

static Status load(const Shelf *s, const Slot *slot, Block **out, Err *e) {
  Tape t = {.shelf = s, .at = slot->at, .e = e};
  Block *b = mem_alloc(sizeof *b);
  *out = b;
  if (!b)
    return err_memory(e);
  atomic_init(&b->refs, 1);
  if (!tape_block(&t, b)) {
    block_drop(b);
    *out = NULL;
  }
  return e->code;
}

/* About: for its place in the file. */
static uint64_t size_of(const Block *b) {
  uint64_t n = 4096 + b->n * (uint64_t)(4 + 2 + 16);
  for (uint32_t k = 0; k < b->ncol; k++) {
    const Dict *d = b->col[k].dict;
    n += sizeof(Col) + 64 + 9 * (uint64_t)b->n + (d ? (d->n + (uint64_t)1) * 4 + d->off[d->n] : 0);
  }
  const Matrix *x = b->x;
  if (x)
    n += x->ptr ? 4 * (x->n + (uint64_t)1) + 12 * (uint64_t)x->ptr[x->n] : 8 * (uint64_t)x->n * x->d;
  return (n + 4095) / 4096 * 4096;
}

/* ---- The file ---- */

static Status open_file(Shelf *s, Err *e) {
  if (s->file >= 0)
    return ST_OK;
  s->file = open(s->scratch, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
  if (s->file < 0) { /* file systems without it */
    char path[4096];
    if ((size_t)snprintf(path, sizeof path, "%s/cml-XXXXXX", s->scratch) < sizeof path)
      s->file = mkostemp(path, O_CLOEXEC);
    if (s->file >= 0)
      unlink(path);
  }
  if (s->file < 0)
    err_set(e, ST_RESOURCE, "CML0507", "Let it be written to, or give more --memory.",
            "no scratch file can be made in %s: %s", s->scratch, strerror(errno));
  return e->code;
}

/* Writes b to the file. Without the lock; its place was taken under it. */
static Status spill(const Shelf *s, Block *b, const Slot *to, Err *e) {
  Tape t = {.shelf = s, .at = to->at, .write = true, .e = e};
  tape_block(&t, b);
  if (e->code == ST_OK && t.at > to->at + to->n)
    err_set(e, ST_FAULT, "CML0618", NULL, "a block took more room in the scratch file than was reckoned");
  return e->code;
}

static Status take_place(Shelf *s, const Block *b, Slot *to, Err *e) {
  if (open_file(s, e) != ST_OK)
    return e->code;
  to->n = size_of(b);
  to->at = s->end;
  s->end += to->n;
  s->spilled += to->n;
  return ST_OK;
}

/* ---- Runs ---- */

static Kept *find(const Shelf *s, uint32_t stage, uint32_t part) {
  for (uint32_t i = 0; i < s->n; i++)
    if (s->run[i]->stage == stage && s->run[i]->part == part && !s->run[i]->gone)
      return s->run[i];
  return NULL;
}

Kept *shelf_find(Shelf *s, uint32_t stage, uint32_t part) {
  pthread_mutex_lock(&s->lock);
  Kept *k = find(s, stage, part);
  if (k && !k->whole)
    k = NULL;
  if (k)
    k->holders++;
  pthread_mutex_unlock(&s->lock);
  return k;
}

Kept *shelf_begin(Shelf *s, uint32_t stage, uint32_t part, bool rows, Err *e) {
  Kept *k = NULL;
  pthread_mutex_lock(&s->lock);
  if (!find(s, stage, part)) {
    if (s->n == s->cap) {
      uint32_t cap = s->cap ? 2 * s->cap : 64;
      Kept **v = mem_realloc(s->run, cap * sizeof(Kept *));
      s->run = v ? v : s->run;
      s->cap = v ? cap : s->cap;
    }
    k = s->n < s->cap ? mem_alloc(sizeof *k) : NULL;
    if (k) {
      *k = (Kept){.stage = stage, .part = part, .rows = rows, .holders = 1};
      s->run[s->n++] = k;
    } else {
      err_memory(e);
    }
  }
  pthread_mutex_unlock(&s->lock);
  return k;
}

static void remove_run(Shelf *s, Kept *k) {
  uint32_t i = 0;
  while (s->run[i] != k)
    i++;
  s->run[i] = s->run[--s->n];
  free_run(s, k);
}

static void let(Shelf *s, Kept *k) {
  if (--k->holders == 0 && k->gone)
    remove_run(s, k);
}

void shelf_let(Shelf *s, Kept *k) {
  if (!k)
    return;
  pthread_mutex_lock(&s->lock);
  let(s, k);
  pthread_mutex_unlock(&s->lock);
}

void shelf_end(Shelf *s, Kept *k, const ScanInfo *of) {
  pthread_mutex_lock(&s->lock);
  k->whole = of && !k->gone; /* it may have been dropped meanwhile */
  k->gone = !k->whole;
  if (of)
    k->info = *of;
  let(s, k);
  pthread_mutex_unlock(&s->lock);
}

void shelf_drop(Shelf *s, uint32_t stage) {
  pthread_mutex_lock(&s->lock);
  for (uint32_t i = s->n; i-- > 0;) {
    Kept *k = s->run[i];
    if (k->stage != stage)
      continue;
    k->gone = true;
    if (!k->holders)
      remove_run(s, k);
  }
  pthread_mutex_unlock(&s->lock);
}

SiteHeld shelf_held(Shelf *s) {
  SiteHeld h = {.blocks = 0};
  pthread_mutex_lock(&s->lock);
  h.memory = s->used;
  h.scratch = s->spilled;
  for (uint32_t i = 0; i < s->n; i++)
    h.blocks += s->run[i]->n;
  pthread_mutex_unlock(&s->lock);
  return h;
}

uint32_t shelf_count(const Kept *k) {
  return k->n;
}

const ScanInfo *shelf_info(const Kept *k) {
  return &k->info;
}

/* A block of a rows stage in memory goes to the file. False: there is none, or it failed. The lock is given
 * up in between. */
static bool give_way(Shelf *s, Err *e) {
  Kept *k = NULL;
  uint32_t at = 0;
  for (uint32_t i = 0; i < s->n && !k; i++) {
    Kept *r = s->run[i];
    if (!r->rows || !r->whole || r->gone)
      continue;
    for (at = r->n; at > 0 && !r->v[at - 1].b;)
      at--;
    k = at ? r : NULL;
  }
  if (!k)
    return false;
  Slot new = {.b = NULL};
  Block *b = k->v[--at].b;
  if (take_place(s, b, &new, e) != ST_OK)
    return false;
  k->holders++;
  block_hold(b);
  pthread_mutex_unlock(&s->lock);
  spill(s, b, &new, e);
  pthread_mutex_lock(&s->lock);
  if (e->code == ST_OK && k->v[at].b) {
    free_slot(s, &k->v[at]);
    k->v[at] = new;
  } else { /* somebody else was quicker */
    free_place(s, &new);
  }
  let(s, k);
  block_drop(b);
  return e->code == ST_OK;
}

static Status append(Kept *k, const Slot *slot, Err *e) {
  if (k->n == k->cap) {
    uint32_t cap = k->cap ? 2 * k->cap : 16;
    Slot *v = mem_realloc(k->v, cap * sizeof *v);
    if (!v)
      return err_memory(e);
    k->v = v;
    k->cap = cap;
  }
  k->v[k->n++] = *slot;
  return ST_OK;
}

Status shelf_add(Shelf *s, Kept *k, Block *b, Err *e) {
  Slot slot = {.b = NULL};
  pthread_mutex_lock(&s->lock);
  while (!k->rows && s->used + b->bytes > s->budget && give_way(s, e))
    ;
  if (e->code == ST_OK && s->used + b->bytes <= s->budget) {
    block_hold(slot.b = b);
    s->used += b->bytes;
  } else if (e->code == ST_OK && take_place(s, b, &slot, e) == ST_OK) {
    pthread_mutex_unlock(&s->lock);
    spill(s, b, &slot, e);
    pthread_mutex_lock(&s->lock);
  }
  if (e->code != ST_OK || append(k, &slot, e) != ST_OK)
    free_slot(s, &slot);
  pthread_mutex_unlock(&s->lock);
  return e->code;
}

Status shelf_block(Shelf *s, Kept *k, uint32_t i, Block **out, Err *e) {
  *out = NULL;
  if (i >= k->n)
    return err_set(e, ST_FAULT, "CML0603", NULL, "partition %u has other blocks than before", k->part);
  pthread_mutex_lock(&s->lock);
  Slot slot = k->v[i];
  block_hold(*out = slot.b);
  pthread_mutex_unlock(&s->lock);
  return slot.b ? ST_OK : load(s, &slot, out, e);
}
