/* SPDX-License-Identifier: Apache-2.0 */
/* Text files -> records of kind 2, and these -> columns of a block. Read splitter_next, then record_text.
 *
 * Behind the head of such a record stand what was learned from its file, and the text of whole records:
 *   u32 kind of line ends, and is it a list (JSON); u32 number of values of a record (CSV); u64 lines above;
 *   u32 of each value its column; u64 bytes of the text; the text
 * The options of the file are not in it: they are the source's, which both sides know. */
#include <string.h>

#include "vm/engine/csv.h"
#include "vm/engine/records.h"

enum { LIST = 0x100 };
#ifdef CML_HOSTILE
enum { TEXT_MOST = 200 };
#else
enum { TEXT_MOST = 32 << 20 }; /* bytes of text in a record; it may end some behind that */
#endif

struct Splitter {
  Reader *r; /* of this one file */
  ByteSource in;
  uint32_t file;
  uint64_t pos;
};

/* ---- Files -> records ---- */

static Status open_reader(Splitter *x, const EngineSource *s, const IrColumn *col, uint32_t ncol,
                          uint32_t input, const char *path, Err *e) {
  Reader *r = x->r = reader_new(s);
  if (!r)
    return err_memory(e);
  if (records_inputs(r, s, e) != ST_OK || reader_columns(r, col, ncol, e) != ST_OK)
    return e->code;
  r->file = NEWN(&r->mem, const char *, 1);
  if (!r->file || !(r->file[0] = arena_strdup(&r->mem, path)))
    return err_memory(e);
  if (input >= r->ninput || !r->input[input].opt.ops->text)
    return record_bad(e);
  r->nfile = 1;
  r->in = &r->input[input];
  r->bytes = &x->in;
  r->open = r->own = true;
  return r->in->opt.ops->open(r, e);
}

Status splitter_open(const EngineSource *s, const IrColumn *col, uint32_t ncol, uint32_t input, uint32_t file,
                     const char *path, ByteSource in, Splitter **out, Err *e) {
  *out = NULL;
  Splitter *x = mem_alloc(sizeof *x);
  if (!x)
    return err_memory(e);
  x->in = in;
  x->file = file;
  if (open_reader(x, s, col, ncol, input, path, e) == ST_OK)
    *out = x;
  else
    splitter_close(x);
  return e->code;
}

void splitter_close(Splitter *x) {
  if (!x)
    return;
  reader_close(x->r);
  mem_free(x);
}

static Status put_record(const Splitter *x, const CsvText *t, uint32_t n, Buf *out, Err *e) {
  const Reader *r = x->r;
  buf_u32(out, RECORD_TEXT);
  buf_u32(out, x->file);
  buf_u64(out, x->pos);
  buf_u32(out, n);
  buf_u32(out, 0);
  buf_u32(out, t->rules.ends | (t->rules.list ? LIST : 0));
  buf_u32(out, r->nfield);
  buf_u64(out, t->lines);
  for (uint32_t i = 0; i < r->nfield; i++)
    buf_u32(out, r->which[i]);
  if (r->nfield % 2)
    buf_u32(out, 0);
  buf_u64(out, t->n);
  buf_put(out, t->p, t->n);
  return out->bad ? err_memory(e) : ST_OK;
}

/* Text without a row, which no block would have: what is wrong with it is said here. Frees it. */
static Status check_rest(const Splitter *x, CsvText *t, Err *e) {
  const Reader *r = x->r;
  Draft b = {.r = r, .col = r->col, .ncol = r->ncol, .in = r->in, .pos = x->pos};
  b.csv = mem_alloc(sizeof *b.csv);
  if (!b.csv) {
    csv_text_free(t);
    return err_memory(e);
  }
  *b.csv = (struct CsvDraft){*t, r->nfield, r->which};
  return r->in->opt.ops->values(&b, e);
}

Status splitter_next(Splitter *x, Buf *record, uint32_t *rows, Err *e) {
  CsvText t;
  uint32_t n = 0, most = BLOCK - (uint32_t)(x->pos % BLOCK);
  *rows = 0;
  buf_clear(record);
  while (csv_take(x->r->csv, most, TEXT_MOST, &t, &n, e) == ST_OK && t.n && n == 0) {
    if (check_rest(x, &t, e) != ST_OK)
      return e->code;
  }
  if (e->code != ST_OK || n == 0)
    return e->code;
  put_record(x, &t, n, record, e);
  csv_text_free(&t);
  x->pos += n;
  *rows = n;
  return e->code;
}

/* ---- Records -> columns ---- */

/* Each column has one value of a record. */
static bool which_fits(const uint32_t *which, uint32_t nfield, uint32_t ncol, Err *e) {
  uint8_t *seen = mem_alloc(ncol + 1);
  uint32_t n = 0;
  bool good = seen != NULL;
  if (!seen)
    err_memory(e);
  for (uint32_t i = 0; i < nfield && good; i++) {
    if (which[i] == CSV_NONE)
      continue;
    good = which[i] < ncol && !seen[which[i]];
    n += good;
    if (good)
      seen[which[i]] = 1;
  }
  mem_free(seen);
  return good && n == ncol;
}

Status record_text(RecordDraft *d, const RecordHead *h, Take *t, Err *e) {
  Draft *b = &d->b;
  const Options *o = &b->in->opt;
  const uint32_t *head = take(t, 2 * sizeof *head);
  const uint64_t *lines = take(t, sizeof *lines);
  const uint32_t *which = head && lines ? take(t, (uint64_t)head[1] * sizeof *which) : NULL;
  const uint64_t *bytes = which ? take(t, sizeof *bytes) : NULL;
  const char *text = bytes ? take(t, *bytes) : NULL;
  if (!text || !o->ops->text || (head[0] & ~LIST) > ENDS_CR || t->at != t->n)
    return record_bad(e);
  if (o->ops == &csv_ops ? !which_fits(which, head[1], b->ncol, e) : head[1] != 0)
    return e->code ? e->code : record_bad(e);
  b->csv = mem_alloc(sizeof *b->csv);
  char *copy = mem_alloc64(*bytes + CSV_PAD); /* it is rewritten when it is taken apart */
  if (!b->csv || !copy) {
    mem_free(b->csv);
    mem_free(copy);
    b->csv = NULL;
    return err_memory(e);
  }
  memcpy(copy, text, *bytes);
  memset(copy + *bytes, 0, CSV_PAD);
  CsvRules rules = csv_rules(&o->csv);
  rules.ends = (CsvEnds)(head[0] & ~LIST);
  rules.list = (head[0] & LIST) != 0;
  rules.one = head[1] == 1;
  *b->csv = (struct CsvDraft){
      {.p = copy, .n = *bytes, .room = *bytes + CSV_PAD, .lines = *lines, .rules = rules}, head[1], which};
  b->n = b->done + h->n;
  if (o->ops->values(b, e) == ST_OK && b->done != b->n)
    record_bad(e);
  return e->code;
}
