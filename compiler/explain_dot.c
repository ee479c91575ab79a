/* SPDX-License-Identifier: Apache-2.0 */
/* The stages as a graph for Graphviz: data flow down, solid; fitted values and models go along dashed
 * edges. */
#include <string.h>

#include "base/buf.h"
#include "compiler/explain.h"
#include "vm/ir/names.h"

static void put_label(Buf *o, const char *text) { /* inside a string of DOT */
  for (; *text; text++) {
    if (*text == '"' || *text == '\\')
      buf_u8(o, '\\');
    if ((unsigned char)*text >= 32)
      buf_u8(o, (uint8_t)*text);
  }
}

static void put_line(Buf *o, const char *text) {
  buf_text(o, "\\l");
  put_label(o, text);
}

enum { LINES = 12 }; /* of a node; the rest is counted */

static void put_count(Buf *o, uint32_t n) {
  if (n > LINES)
    buf_printf(o, "\\land %u more", n - LINES);
}

static void put_cost(Buf *o, const Estimate *g, const RunStage *is) {
  if (g && g->known)
    buf_printf(o, "\\l%s%.0f rows, %.1f MB", g->exact ? "" : "~", g->rows, g->bytes / 1e6);
  if (is && is->scans)
    buf_printf(o, "\\lmeasured: %llu rows, %u scan%s, %.3f s", (unsigned long long)is->rows, is->scans,
               is->scans == 1 ? "" : "s", is->seconds);
}

static void put_source(Buf *o, const Stage *s) {
  for (uint32_t i = 0; i < s->ninput && i < LINES; i++) {
    put_line(o, s->input[i].format);
    buf_text(o, " ");
    put_label(o, s->input[i].path);
  }
  for (uint32_t i = 0; i < s->ncolumn && i < LINES; i++) {
    put_line(o, s->column[i].name);
    buf_printf(o, ": %s%s", kind_name((Kind)s->column[i].kind), s->column[i].nullable ? "?" : "");
  }
  put_count(o, s->ncolumn);
}

static void put_details(Buf *o, const Program *p, const Stage *s) {
  uint32_t n = 0;
  switch (s->kind) {
  case STAGE_SOURCE: put_source(o, s); break;
  case STAGE_ROWS:
    for (uint32_t i = 0; i < s->nparts; i++) {
      buf_text(o, i ? ", " : "\\lparts ");
      put_label(o, s->parts[i]);
    }
    buf_printf(o, "\\l%u steps a row", s->prog.nval);
    break;
  case STAGE_FIT:
    for (uint32_t i = 0; i < s->nagg; i++)
      if (s->agg[i].leave_out < 0 && n++ < LINES) {
        buf_printf(o, "\\l$%u ", s->agg[i].fitted);
        put_label(o, s->agg[i].text);
      }
    put_count(o, n);
    break;
  case STAGE_TRAIN:
    put_line(o, s->estimator);
    for (uint32_t i = 0; i < s->prog.nout; i++)
      if (s->prog.out[i].role == OUT_SLOT && n++ < LINES)
        put_line(o, s->prog.out[i].name);
    put_count(o, n);
    break;
  case STAGE_EVALUATE:
    for (uint32_t i = 0; i < s->nmetric && i < LINES; i++) {
      put_line(o, s->metric[i].text);
      if (s->metric[i].by) {
        buf_text(o, " by ");
        put_label(o, s->metric[i].by);
      }
    }
    put_count(o, s->nmetric);
    break;
  case STAGE_PREDICT:
  case STAGE_TRANSFORM:
  case STAGE_BUNDLE: put_line(o, s->path); break;
  case STAGE_SCORE: buf_printf(o, "\\l%u steps a row", s->prog.nval); break;
  }
  (void)p;
}

static void put_node(Buf *o, const Program *p, uint32_t i, const Estimate *guess, const RunResult *run) {
  static const char *const shape[] = {"cylinder", "box", "box", "box", "box", "box", "note", "note", "note"};
  static const char *const fill[] = {"#e8eef7", "#f5f5f5", "#eaf5ea", "#fff3dc",
                                     "#f5f5f5", "#f3e9f7", "#fdeaea", "#fdeaea", "#fdeaea"};
  const Stage *s = &p->stage[i];
  buf_printf(o, "  s%u [shape=%s, fillcolor=\"%s\", label=\"%s ", i, shape[s->kind], fill[s->kind],
             ir_stage_name[s->kind]);
  put_label(o, s->name);
  if (s->part >= 0 && s->from >= 0 && (uint32_t)s->part < p->stage[s->from].nparts) {
    buf_text(o, "\\lover part ");
    put_label(o, p->stage[s->from].parts[s->part]);
  }
  put_details(o, p, s);
  put_cost(o, guess ? &guess[i] : NULL, run ? &run->stage[i] : NULL);
  buf_text(o, "\\l\"];\n");
}

static void put_edges(Buf *o, const Program *p, uint32_t i) {
  const Stage *s = &p->stage[i];
  if (s->from >= 0)
    buf_printf(o, "  s%d -> s%u;\n", s->from, i);
  if (s->kind == STAGE_BUNDLE && s->score >= 0)
    buf_printf(o, "  s%d -> s%u;\n", s->score, i);
  for (uint32_t k = 0; k < i; k++) { /* one edge from each stage whose values it reads */
    uint32_t n = 0;
    for (uint32_t id = 0; id < p->nfitted; id++)
      n += stage_making(p, id) == (int32_t)k && stage_uses(p, i, id);
    if (n)
      buf_printf(o, "  s%u -> s%u [style=dashed, label=\"%u value%s\"];\n", k, i, n, n == 1 ? "" : "s");
  }
}

void explain_dot(const Program *p, const Estimate *guess, const RunResult *run, Buf *o) {
  buf_text(
      o, "digraph cml {\n  node [style=\"filled\", color=\"#667788\", fontname=\"Helvetica\", fontsize=10];\n"
         "  edge [color=\"#667788\", fontname=\"Helvetica\", fontsize=9];\n");
  for (uint32_t i = 0; i < p->nstage; i++)
    put_node(o, p, i, guess, run);
  for (uint32_t i = 0; i < p->nstage; i++)
    put_edges(o, p, i);
  buf_text(o, "}\n");
}
