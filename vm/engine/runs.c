/* SPDX-License-Identifier: Apache-2.0 */
/* Records of kind 3 -> Blocks: blocks of plain Parquet files, of which somebody else gives the bytes. Read
 * run_next.
 *
 * Each run opens its file anew, from the footer on: a worker need not know it before, nor keep it. What the
 * record says of the file was true when it was divided; where that is so no more, it has changed. */
#include <string.h>

#include "vm/engine/parquet.h"
#include "vm/engine/records.h"

enum { PAGE_MOST = 512 << 20 }; /* bytes of memory for a page of texts: what a reader here has with 2 GB */

struct Run {
  const Reader *r;
  FileBytes in;
  PqFile *f;
  uint32_t file, group; /* of the last block: its first row group */
  uint64_t pos, end;    /* of the next block; behind the last one */
  uint32_t at;          /* number of the next block in the record */
  uint64_t *read;       /* its bits */
  SourceType *type;
};

static Status changed(const Reader *r, uint32_t file, Err *e) {
  err_set(e, ST_DATA, "CML0533", "Run it again.", "the file changed while it was read");
  return err_at(e, "%s", r->file[file]);
}

uint64_t run_handle(Bytes record) {
  uint64_t handle;
  memcpy(&handle, (const uint8_t *)record.p + RECORD_HEAD, sizeof handle);
  return handle;
}

/* What the record says behind its head. */
static Status take_record(Run *x, Bytes record, const RecordHead *h, uint64_t *size, Err *e) {
  const Reader *r = x->r;
  Rd in = rd_of(record);
  uint64_t blocks = h->n, words = (blocks + 63) / 64, rows = r->file_rows[h->file];
  for (uint32_t i = 0; i < RECORD_HEAD / 8 + 1; i++)
    rd_u64(&in);
  *size = rd_u64(&in);
  if (!blocks || record.n != RUN_HEAD + words * 8 + r->ncol || rows == UINT64_MAX || h->pos >= rows ||
      blocks > (rows - h->pos + BLOCK - 1) / BLOCK)
    return record_bad(e);
  x->read = mem_alloc(words * sizeof *x->read);
  x->type = mem_alloc((r->ncol + 1) * sizeof *x->type);
  if (!x->read || !x->type)
    return err_memory(e);
  for (uint32_t i = 0; i < words; i++)
    x->read[i] = rd_u64(&in);
  for (uint32_t k = 0; k < r->ncol && e->code == ST_OK; k++) {
    x->type[k].type = (duckdb_type)rd_u8(&in);
    typed_fits(&r->col[k], x->type[k].type, r->file[h->file], e);
  }
  x->pos = h->pos;
  x->end = h->pos + blocks * BLOCK < rows ? h->pos + blocks * BLOCK : rows;
  return e->code;
}

static Status open_file(Run *x, uint64_t size, Err *e) {
  const Reader *r = x->r;
  if (parquet_own_open(r, r->file[x->file], &x->in, size, &x->f, e) != ST_OK)
    return e->code;
  if (!x->f || x->f->first[x->f->ngroup] != r->file_rows[x->file] || !parquet_own_fits(r, x->f, x->type))
    return changed(r, x->file, e);
  x->f->page_most = PAGE_MOST;
  pq_forget(x->f);
  return ST_OK;
}

Status run_open(const Reader *r, Bytes record, const FileBytes *in, Run **out, Err *e) {
  RecordHead h;
  uint64_t size;
  *out = NULL;
  if (record_head(record, &h, e) != ST_OK)
    return e->code;
  if (h.kind != RECORD_RUN || !r->file_rows || h.file >= r->nfile)
    return record_bad(e);
  Run *x = mem_alloc(sizeof *x);
  if (!x)
    return err_memory(e);
  *x = (Run){.r = r, .in = *in, .file = h.file};
  if (take_record(x, record, &h, &size, e) == ST_OK && open_file(x, size, e) == ST_OK)
    *out = x;
  else
    run_close(x);
  return e->code;
}

void run_close(Run *x) {
  if (!x)
    return;
  pq_drop(x->f);
  mem_free(x->read);
  mem_free(x->type);
  mem_free(x);
}

/* The row groups that the block's rows lie in. */
static Status fetch(Run *x, uint64_t end, Err *e) {
  const PqFile *f = x->f;
  while (f->first[x->group + 1] <= x->pos)
    x->group++;
  uint32_t to = x->group + 1;
  while (f->first[to] < end)
    to++;
  return pq_fetch(x->f, &x->in, x->group, to, e);
}

static Status values(Run *x, Draft *b, Err *e) {
  memcpy(b->type, x->type, b->ncol * sizeof *b->type);
  if (!(x->read[x->at / 64] >> (x->at % 64) & 1)) {
    b->skipped = true;
    return ST_OK;
  }
  if (fetch(x, x->pos + b->n, e) != ST_OK)
    return e->code;
  pq_hold(b->pq = x->f);
  return parquet_own_values(b, e);
}

Status run_next(Run *x, RowErrors *errors, Block **out, Err *e) {
  const Reader *r = x->r;
  Draft b = {.r = r, .col = r->col, .ncol = r->ncol, .errors = errors, .at_file = x->file, .pos = x->pos};
  *out = NULL;
  if (x->pos == x->end)
    return ST_OK;
  b.in = record_input(r, x->file);
  b.n = (uint32_t)(x->end - x->pos < BLOCK ? x->end - x->pos : BLOCK);
  if (draft_start(&b, e) == ST_OK && values(x, &b, e) == ST_OK)
    draft_block(&b, out, e);
  draft_free(&b);
  x->pos += b.n;
  x->at++;
  return e->code;
}
