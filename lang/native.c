/* SPDX-License-Identifier: Apache-2.0 */
/* Library and overloads; see native.h. */
#include "lang/native.h"

#include <string.h>

#include "lang/diag.h"
#include "lang/type.h"

struct Library {
  Arena *arena;
  const Ast **ast;
  uint32_t nast;
  Table native; /* name -> Native */
  Table fn;     /* name -> Decl */
};

/* ---- Declarations ---- */

static char variable_of(const TypeExpr *t) {
  if (!t->name[0] || t->name[1])
    return 0;
  return strchr("TON", t->name[0]) ? t->name[0] : 0;
}

static bool read_type(const TypeExpr *t, Type *out, char *var) {
  memset(out, 0, sizeof *out);
  out->nullable = t->nullable;
  *var = variable_of(t);
  if (*var)
    return true;
  if (!type_named(t->name, &out->kind))
    return false;
  return out->kind != TY_LIST || (t->elem && type_named(t->elem->name, &out->elem));
}

static Phase phase_named(const TypeExpr *t) {
  if (!t->phase)
    return PH_ROW;
  return strcmp(t->phase, "const") == 0 ? PH_CONST : PH_FITTED;
}

static Native *read_native(Library *l, Diags *d, const Decl *decl) {
  Native *f = NEW(l->arena, Native);
  f->name = decl->name;
  f->op = decl->op;
  f->aggregate = decl->aggregate;
  f->decl = decl;
  f->param = NEWN(l->arena, NativeParam, NATIVE_ARGS);
  bool good = decl->type && read_type(decl->type, &f->result, &f->var);
  for (const Parameter *p = decl->params; good && p; p = p->next) {
    if (f->aggregate && strcmp(p->name, "weight") == 0) {
      f->weight = true;
      continue;
    }
    NativeParam *q = &f->param[f->nparam++];
    good = f->nparam < NATIVE_ARGS && p->type && read_type(p->type, &q->type, &q->var);
    q->name = p->name;
    q->def = p->def;
    q->phase = good ? phase_named(p->type) : PH_ROW;
  }
  if (!good) {
    diag_add(d, SEV_ERROR, "CML0219", decl->span, "write types of the language, or a type variable T, O, N",
             "the declaration of native `%s` has a type that is not known", decl->name);
    return NULL;
  }
  return f;
}

static void add_native(Library *l, Diags *d, const Decl *decl) {
  Native *f = read_native(l, d, decl);
  if (!f || table_add(&l->native, f->name, f))
    return;
  Native *last = table_get(&l->native, f->name);
  while (last->next)
    last = last->next;
  last->next = f;
}

Library *library_new(Arena *a, Diags *d, const char *const *name, const char *const *text, uint32_t n) {
  Library *l = NEW(a, Library);
  l->arena = a;
  l->ast = NEWN(a, const Ast *, n);
  table_init(&l->native, a);
  table_init(&l->fn, a);
  for (uint32_t i = 0; i < n; i++) {
    const char *path = strchr(name[i], '/') ? name[i] : arena_printf(a, "stdlib/%s.cml", name[i]);
    uint16_t file = source_add(d->sources, path, text[i], (uint32_t)strlen(text[i]), true);
    const Ast *ast = parse_file(a, d, file);
    l->ast[l->nast++] = ast;
    for (const Decl *decl = ast->decls; decl; decl = decl->next) {
      if (decl->kind == D_NATIVE)
        add_native(l, d, decl);
      else if (decl->kind == D_FN && !table_add(&l->fn, decl->name, (void *)(uintptr_t)decl))
        diag_add(d, SEV_ERROR, "CML0208", decl->name_span, NULL, "`%s` is declared twice in the library",
                 decl->name);
    }
  }
  return l;
}

const Ast *library_ast(const Library *l, uint32_t i) {
  return i < l->nast ? l->ast[i] : NULL;
}

const Native *library_native(const Library *l, const char *name) {
  return table_get(&l->native, name);
}

const Decl *library_fn(const Library *l, const char *name) {
  return table_get(&l->fn, name);
}

void library_names(const Library *l, Near *near) {
  near_table(near, &l->native);
  near_table(near, &l->fn);
}

/* ---- Overloads ---- */

static bool variable_takes(char var, TypeKind kind) {
  switch (var) {
  case 'T': return type_is_scalar(kind);
  case 'O': return type_is_scalar(kind) && kind != TY_BOOL;
  default: return type_is_number(kind) || kind == TY_TIMESTAMP || kind == TY_DATE || kind == TY_DURATION;
  }
}

/* The common type of all operands that the variable stands for; bool becomes int where bool is not taken. */
static bool bind_variable(const Native *f, Node *const *arg, uint32_t n, Type *bound) {
  bool first = true;
  char var = 0;
  for (uint32_t i = 0; i < n; i++) {
    if (!f->param[i].var || !arg[i])
      continue;
    var = f->param[i].var;
    if (!first && !type_join(*bound, arg[i]->type, bound))
      return false;
    if (first)
      *bound = arg[i]->type;
    first = false;
  }
  if (var && bound->kind == TY_BOOL && var != 'T')
    bound->kind = TY_INT;
  bound->nullable = false;
  return !var || bound->kind == TY_ERROR || variable_takes(var, bound->kind);
}

int native_fit(const Native *f, Node *const *arg, uint32_t n, Type *bound) {
  *bound = type_of(TY_ERROR);
  if (n > f->nparam || !bind_variable(f, arg, n, bound))
    return -1;
  int sum = 0;
  bool vector = false;
  for (uint32_t i = 0; i < n; i++)
    vector = vector || (arg[i] && arg[i]->type.kind == TY_VECTOR);
  for (uint32_t i = 0; i < n; i++) {
    const NativeParam *p = &f->param[i];
    if (!arg[i])
      continue;
    Type want = p->var ? *bound : p->type;
    if (vector && want.kind == TY_VECTOR && type_cost(arg[i]->type.kind, TY_FLOAT) >= 0) {
      sum += 8; /* a number beside a vector stands for every element */
      continue;
    }
    int cost = type_cost(arg[i]->type.kind, want.kind);
    if (cost < 0 || (want.kind == TY_LIST && arg[i]->type.kind == TY_LIST && arg[i]->type.elem != want.elem))
      return -1;
    sum += cost;
  }
  return sum;
}

static const char *param_text(Arena *a, const NativeParam *p) {
  static const char *const words[] = {"const ", "fitted ", ""};
  const char *phase = words[p->phase];
  if (p->var)
    return arena_printf(a, "%s: %s%c%s", p->name, phase, p->var, p->type.nullable ? "?" : "");
  return arena_printf(a, "%s: %s%s", p->name, phase, type_text(a, p->type));
}

const char *native_signature(Arena *a, const Native *f) {
  const char *s = arena_printf(a, "%s(", f->name);
  for (uint32_t i = 0; i < f->nparam; i++)
    s = arena_printf(a, "%s%s%s", s, i ? ", " : "", param_text(a, &f->param[i]));
  return arena_printf(a, "%s%s)", s, f->weight ? ", weight: float" : "");
}
