/* SPDX-License-Identifier: Apache-2.0 */
/* Fuzzes the front end's reading: any bytes give a tree and perhaps errors, never a crash; and what reads
 * without errors keeps its meaning and its form under fmt. */
#include <stdint.h>
#include <string.h>

#include "base/buf.h"
#include "lang/ast.h"
#include "lang/diag.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

typedef struct Text {
  Buf tree, form; /* ast_print and fmt_print; empty when there were errors */
  bool ok;
} Text;

static Text read_text(const char *text, size_t n) {
  Text t = {0};
  Arena a;
  jmp_buf oom;
  arena_init(&a, &oom);
  if (setjmp(oom)) {
    arena_free(&a);
    return (Text){0};
  }
  Sources s;
  Diags d;
  source_init(&s, &a);
  diag_init(&d, &a, &s);
  const Ast *ast = parse_file(&a, &d, source_add(&s, "fuzz.cml", text, (uint32_t)n, false));
  FILE *out = fopen("/dev/null", "w");
  if (out) {
    diag_print(&d, out, true);
    fclose(out);
  }
  if (d.errors == 0) {
    ast_print(ast, &t.tree);
    fmt_print(ast, &s, &t.form);
    t.ok = true;
  }
  arena_free(&a);
  return t;
}

static void free_text(Text *t) {
  buf_free(&t->tree);
  buf_free(&t->form);
}

static bool same(const Buf *a, const Buf *b) {
  return a->n == b->n && (a->n == 0 || memcmp(a->p, b->p, a->n) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  Text once = read_text((const char *)data, size);
  if (once.ok) {
    Text twice = read_text((const char *)once.form.p, once.form.n);
    if (!twice.ok || !same(&once.tree, &twice.tree) || !same(&once.form, &twice.form))
      __builtin_trap();
    free_text(&twice);
  }
  free_text(&once);
  return 0;
}
