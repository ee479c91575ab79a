/* SPDX-License-Identifier: Apache-2.0 */
/* Where the rows of Parquet files lie, for who divides them: row groups, and blocks that nobody wants. Each
 * file is opened as if it were to be read, so what is said of it, and what is wrong with it, are the same. */
#include <string.h>
#include <sys/stat.h>

#include "vm/engine/parquet.h"
#include "vm/engine/records.h"

static Status group_layout(const PqFile *f, Arena *a, FileLayout *l, Err *e) {
  uint64_t *row = NEWN(a, uint64_t, f->ngroup + 1), *from = NEWN(a, uint64_t, f->ngroup + 1),
           *to = NEWN(a, uint64_t, f->ngroup + 1);
  if (!row || !from || !to)
    return err_memory(e);
  memcpy(row, f->first, (f->ngroup + 1) * sizeof *row);
  for (uint32_t g = 0; g < f->ngroup; g++)
    for (uint32_t k = 0; k < f->ncol; k++) {
      const PqChunk *c = &f->chunk[(size_t)g * f->ncol + k];
      from[g] = !k || c->from < from[g] ? c->from : from[g];
      to[g] = c->end > to[g] ? c->end : to[g];
    }
  l->ngroup = f->ngroup;
  l->row = row;
  l->from = from;
  l->to = to;
  return ST_OK;
}

/* The file that is open. */
static Status plain_layout(const Reader *r, Arena *a, FileLayout *l, Err *e) {
  const PqFile *f = r->pq;
  uint8_t *type = NEWN(a, uint8_t, r->ncol + 1);
  l->rows = f->first[f->ngroup];
  uint64_t blocks = (l->rows + BLOCK - 1) / BLOCK;
  uint8_t *read = r->read ? NEWN(a, uint8_t, blocks + 1) : NULL;
  if (!type || (r->read && !read))
    return err_memory(e);
  for (uint32_t k = 0; k < r->ncol; k++)
    type[k] = (uint8_t)r->type[k].type;
  if (read)
    memcpy(read, r->read, blocks);
  l->plain = true;
  l->ncol = r->ncol;
  l->type = type;
  l->read = read;
  return group_layout(f, a, l, e);
}

Status reader_layout(Reader *r, Arena *a, FileLayout **out, uint32_t *n, Err *e) {
  FileLayout *l = *out = NEWN(a, FileLayout, r->nfile + 1);
  *n = r->nfile;
  if (!l)
    return err_memory(e);
  r->look = true;
  for (; r->at_file < r->nfile && e->code == ST_OK; r->at_file++, l++) {
    struct stat st;
    while (r->at_file >= r->in->end)
      r->in++;
    l->bytes = stat(r->file[r->at_file], &st) ? 0 : (uint64_t)st.st_size;
    if (reader_open_file(r, e) == ST_OK && r->pq)
      plain_layout(r, a, l, e);
    reader_end_file(r);
  }
  return e->code;
}

Status run_record(const FileLayout *l, uint32_t file, uint64_t first, uint32_t n, Buf *out, Err *e) {
  buf_clear(out);
  buf_u32(out, RECORD_RUN);
  buf_u32(out, file);
  buf_u64(out, first * BLOCK);
  buf_u32(out, n);
  buf_u32(out, 0);
  buf_u64(out, 0);
  buf_u64(out, l->bytes);
  for (uint32_t i = 0; i < n; i += 64) {
    uint64_t word = 0;
    for (uint32_t k = i; k < n && k < i + 64; k++)
      word |= (uint64_t)(!l->read || l->read[first + k]) << (k - i);
    buf_u64(out, word);
  }
  buf_put(out, l->type, l->ncol);
  return out->bad ? err_memory(e) : ST_OK;
}
