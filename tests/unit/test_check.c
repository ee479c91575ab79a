/* SPDX-License-Identifier: Apache-2.0 */
/* The checker through its API: trees, phases, null rules, params, a catalog that shows columns, the target's
 * family, and memory that runs out. What messages look like is tested by tests/golden/check. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lang/diag.h"
#include "lang/native.h"
#include "lang/tree.h"
#include "lang/tree_text.h"
#include "lang/type.h"

/* ---- A small world ---- */

static const Option est_options[] = {{"l2", OPT_FLOAT, 0, 0, 1e300, NULL, "The ridge penalty."},
                                     {"rounds", OPT_INT, 10, 1, 1000, NULL, "The number of rounds."},
                                     {"solver", OPT_ENUM, 0, 0, 0, "auto|newton", "The way to solve."},
                                     {NULL, OPT_BOOL, 0, 0, 0, NULL, NULL}};
static const Option csv_options[] = {{"header", OPT_BOOL, 1, 0, 1, NULL, "Is there a header?"},
                                     {NULL, OPT_BOOL, 0, 0, 0, NULL, NULL}};
static const CatEstimator estimators[] = {
    {"linear_regression", TASK_BIT(TASK_REGRESSION), est_options, NULL, ""},
    {"logistic_regression", TASK_BIT(TASK_BINARY) | TASK_BIT(TASK_MULTICLASS), est_options, "l2", ""},
    {"kmeans", TASK_BIT(TASK_CLUSTER), est_options, NULL, ""},
    {NULL, 0, NULL, NULL, NULL}};
static const CatMetric metrics[] = {{"auc", TASK_BIT(TASK_BINARY), NULL, NULL, true, ""},
                                    {"rmse", TASK_BIT(TASK_REGRESSION), NULL, NULL, true, ""},
                                    {NULL, 0, NULL, NULL, false, NULL}};
static const CatFormat formats[] = {{"csv", csv_options, ""}, {"parquet", NULL, ""}, {NULL, NULL, NULL}};

static const CatColumn file_columns[] = {
    {"id", "int", NULL, false, false},
    {"amount", "float", NULL, true, false},
    {"at", "timestamp", NULL, false, false},
    {"city", "string", NULL, false, false},
    {"big", NULL, "int128 is not supported", false, false},
};

static Status columns(void *ctx, Arena *a, const CatSource *src, CatColumn **out, uint32_t *n, Err *e) {
  (void)ctx;
  if (strcmp(src->path, "missing.csv") == 0)
    return err_set(e, ST_DATA, "CML0401", "look at the path", "there is no file missing.csv");
  *n = sizeof file_columns / sizeof *file_columns;
  *out = NEWN(a, CatColumn, *n);
  memcpy(*out, file_columns, sizeof file_columns);
  for (uint32_t i = 0; i < *n; i++)
    (*out)[i].inferred = strcmp(src->format, "csv") == 0;
  return ST_OK;
}

static const char *const modules[] = {"native", "scale",     "impute", "encode", "bin",
                                      "time",   "transform", "vector", "text",   "stop_words"};
enum { MODULES = 10 };

typedef struct World {
  Arena arena;
  jmp_buf oom;
  Sources sources;
  Diags diags;
  Library *library;
  Tree *tree;
  Status outcome;
} World;

static char *module_text[MODULES];

static int load_modules(void **state) {
  (void)state;
  const char *root = getenv("CML_SRCDIR");
  for (int i = 0; i < MODULES; i++) {
    char path[1024];
    snprintf(path, sizeof path, "%s/stdlib/%s.cml", root ? root : ".", modules[i]);
    FILE *f = fopen(path, "rb");
    if (!f)
      return -1;
    module_text[i] = calloc(1, 200000);
    if (fread(module_text[i], 1, 199999, f) == 0)
      return -1;
    fclose(f);
  }
  return 0;
}

static int free_modules(void **state) {
  (void)state;
  for (int i = 0; i < MODULES; i++)
    free(module_text[i]);
  return 0;
}

/* False: memory ran out. */
static bool check_with(World *w, const char *text, const Catalog *cat, const CheckOptions *given) {
  memset(w, 0, sizeof *w);
  arena_init(&w->arena, &w->oom);
  if (setjmp(w->oom))
    return false;
  CheckOptions o = *given;
  o.outcome = &w->outcome;
  source_init(&w->sources, &w->arena);
  diag_init(&w->diags, &w->arena, &w->sources);
  w->library = library_new(&w->arena, &w->diags, modules, (const char *const *)module_text, MODULES);
  uint16_t file = source_add(&w->sources, "dir/t.cml", text, (uint32_t)strlen(text), false);
  Ast *ast = parse_file(&w->arena, &w->diags, file);
  w->tree = check_program(&w->arena, &w->diags, ast, w->library, cat, &o);
  return true;
}

static const Catalog blind = {estimators, metrics, formats, NULL, NULL};
static const Catalog seeing = {estimators, metrics, formats, columns, NULL};

static void show(World *w) {
  diag_print(&w->diags, stderr, false);
}

static Tree *good(World *w, const char *text) {
  CheckOptions o = {.no_data = true};
  assert_true(check_with(w, text, &blind, &o));
  if (!w->tree)
    show(w);
  assert_non_null(w->tree);
  assert_int_equal(w->outcome, ST_OK);
  return w->tree;
}

/* Checks that the errors are exactly these codes, in order, separated by blanks. */
static void bad(const char *text, const Catalog *cat, Status outcome, const char *codes) {
  World w;
  CheckOptions o = {.no_data = cat == &blind};
  char got[400] = "";
  assert_true(check_with(&w, text, cat, &o));
  for (uint32_t i = 0; i < w.diags.n; i++)
    if (w.diags.v[i]->severity == SEV_ERROR) {
      strcat(got, *got ? " " : "");
      strcat(got, w.diags.v[i]->code);
      assert_non_null(diag_page(w.diags.v[i]->code));
    }
  if (strcmp(got, codes) != 0)
    show(&w);
  assert_string_equal(got, codes);
  assert_null(w.tree);
  assert_int_equal(w.outcome, outcome);
  arena_free(&w.arena);
}

#define DATA                                                                                                 \
  "data d {\n from csv(\"d.csv\")\n schema { id: int, x: float, n: float?, c: category, k: category?, y: "   \
  "float }\n"                                                                                                \
  " derive late = y > 3\n split train 80%, test 20% by hash(id)\n}\n"
#define TAIL "model m = logistic_regression(late ~ f)\nevaluate m on d.test { auc }\n"

static const char *slot_text(World *w, uint32_t i) {
  Buf b = {0};
  tree_print_node(w->tree->features[0]->slot[i].expr, &b);
  const char *s = arena_strdup(&w->arena, buf_str(&b));
  buf_free(&b);
  return s;
}

/* ---- Tests ---- */

static void test_types(void **state) {
  (void)state;
  Type t;
  assert_int_equal(type_cost(TY_INT, TY_INT), 0);
  assert_true(type_cost(TY_BOOL, TY_INT) < type_cost(TY_BOOL, TY_FLOAT));
  assert_int_equal(type_cost(TY_FLOAT, TY_INT), -1);
  assert_int_equal(type_cost(TY_CATEGORY, TY_STRING), 0);
  assert_int_equal(type_cost(TY_FLOAT, TY_CATEGORY), -1);
  assert_true(type_cost(TY_DATE, TY_CATEGORY) > 0);
  assert_true(type_join((Type){.kind = TY_INT, .nullable = true}, type_of(TY_FLOAT), &t));
  assert_int_equal(t.kind, TY_FLOAT);
  assert_true(t.nullable);
  assert_false(type_join(type_of(TY_INT), type_of(TY_CATEGORY), &t));
  assert_false(type_join(type_of(TY_DATE), type_of(TY_TIMESTAMP), &t));
}

static void test_sharing(void **state) {
  (void)state;
  World w;
  Tree *t =
      good(&w, DATA
           "features f of d {\n a = log1p(x) + 1\n b = [p = 1 + 1, q = log1p(x) + 1.0]\n z = standardize(x)\n"
           " e = standardize(x)\n}\n" TAIL);
  const TSlot *s = t->features[0]->slot;
  assert_ptr_equal(s[0].expr, s[1].expr->arg[1]); /* equal expressions are one node */
  assert_ptr_equal(s[2].expr, s[3].expr);
  assert_int_equal(s[1].expr->arg[0]->kind, N_LIT); /* 1 + 1 is folded */
  assert_true(s[1].expr->arg[0]->f == 2);
  assert_int_equal(s[2].expr->phase, PH_ROW);
  assert_int_equal(s[2].expr->arg[1]->phase, PH_FITTED);
  for (const Node *n = s[2].expr; n->narg; n = n->arg[0])
    assert_true(n->arg[0]->id < n->id && n->id < t->nnode);
  assert_string_equal(t->dir, "dir");
  arena_free(&w.arena);
}

static void test_null_rules(void **state) {
  (void)state;
  World w;
  good(&w, "fn filled(v: float) = coalesce(v, 0)\nfn strict(v: float) = v + 1\nfn asks(v: float?) = "
           "coalesce(v, 0)\n" DATA
           "features f of d {\n a = coalesce(filled(n), 1)\n b = coalesce(strict(n), 1)\n e = asks(n)\n"
           " g = target_mean(c, n)\n}\n" TAIL);
  assert_non_null(
      strstr(slot_text(&w, 0), "null_when.f64"));     /* the body swallowed the null: it is put back */
  assert_null(strstr(slot_text(&w, 1), "null_when")); /* null anyway */
  assert_null(strstr(slot_text(&w, 2), "null_when")); /* the parameter takes null */
  assert_null(strstr(slot_text(&w, 3), "null_when")); /* only read through aggregates, which skip nulls */
  arena_free(&w.arena);
}

static void test_params(void **state) {
  (void)state;
  World w;
  const char *text =
      "param a: float = 1\nparam b: int = 2\nparam c: string = \"z\"\n"
      "data d {\n from csv(\"{c}-{b}.csv\")\n schema { x: float, y: float }\n}\n"
      "features f of d { x = x * a }\nmodel m = linear_regression(y ~ f)\nexport m { bundle \"{c}.cmlm\" }\n";
  const char *define[] = {"b", "7"};
  CheckOptions o = {.define = define, .ndefine = 1, .no_data = true};
  setenv("CML_PARAM_C", "env", 1);
  setenv("CML_PARAM_B", "9", 1); /* -p goes before the environment */
  assert_true(check_with(&w, text, &blind, &o));
  assert_non_null(w.tree);
  assert_string_equal(w.tree->data[0]->source[0].path, "env-7.csv");
  assert_string_equal(w.tree->export_[0].path, "env.cmlm");
  assert_true(w.tree->param[0].value->f == 1);
  arena_free(&w.arena);
  const char *wrong[] = {"b", "x", "bb", "1"};
  o = (CheckOptions){.define = wrong, .ndefine = 2, .no_data = true};
  assert_true(check_with(&w, text, &blind, &o));
  assert_null(w.tree);
  assert_int_equal(w.diags.errors, 2);
  arena_free(&w.arena);
  unsetenv("CML_PARAM_C");
  unsetenv("CML_PARAM_B");
}

static void test_columns_of_the_file(void **state) {
  (void)state;
  World w;
  CheckOptions o = {0};
  assert_true(
      check_with(&w,
                 "data d {\n from parquet(\"a\")\n}\nfeatures f of d { x = standardize(coalesce(amount, 0))\n"
                 " h = hour(at) }\nmodel m = linear_regression(id ~ f)\nexport m { bundle \"b\" }\n",
                 &seeing, &o));
  assert_non_null(w.tree);
  assert_int_equal(w.tree->data[0]->ncolumn, 4); /* the refused one is not there */
  assert_false(w.tree->data[0]->column[0]->declared);
  assert_true(w.tree->data[0]->column[2]->used);
  assert_false(w.tree->data[0]->column[3]->used);
  arena_free(&w.arena);
#define SEEN(schema, more) "data d {\n from parquet(\"a\")\n schema { " schema " }\n" more "}\n"
  bad(SEEN("id: int, amont: float", ""), &seeing, ST_PROGRAM, "CML0314");
  bad(SEEN("amount: int, at: date, city: float, big: int", ""), &seeing, ST_PROGRAM,
      "CML0314 CML0314 CML0314 CML0314");
  bad(SEEN("id: float", "derive z = amount + 1\n"), &seeing, ST_PROGRAM,
      "CML0204"); /* not declared: not seen */
  bad("data d {\n from parquet(\"a\")\n derive z = big + 1\n}\n", &seeing, ST_PROGRAM, "CML0204");
  bad("data d {\n from csv(\"missing.csv\")\n derive z = u + 1\n}\n", &seeing, ST_DATA, "CML0313");
  bad("data d {\n from csv(\"missing.csv\")\n derive z = lag(u)\n}\n", &seeing, ST_PROGRAM,
      "CML0313 CML0202");
  assert_true(check_with(
      &w, SEEN("id: float, city: category", "") "data e {\n from csv(\"a\")\n schema { city: float }\n}\n",
      &seeing, &o)); /* int as float, string as category, text as anything */
  assert_non_null(w.tree);
  arena_free(&w.arena);
}

static void test_family(void **state) {
  (void)state;
  World w;
  Tree *t = good(&w, DATA "features f of d {\n a = x\n b = target_mean(c, late)\n e = mean(y) * x\n}\n" TAIL);
  const Node *target = t->model[0]->target;
  const TSlot *s = t->features[0]->slot;
  assert_false(tree_in_family(s[0].expr, target));
  assert_true(tree_in_family(s[1].expr, target));
  assert_true(tree_in_family(s[2].expr, target));
  arena_free(&w.arena);
  bad(DATA
      "features f of d {\n a = y\n b = if late then 1 else 0\n g = coalesce(mean(x) by late, 0)\n}\n" TAIL,
      &blind, ST_PROGRAM, "CML0303 CML0303 CML0303");
}

static void test_model_and_evaluate(void **state) {
  (void)state;
  World w;
  Tree *t = good(&w, DATA "features f of d { x = x }\nmodel m = logistic_regression(c ~ f, positive = "
                          "\"yes\", l2 = 1, solver = newton)\n"
                          "evaluate m on d.test {\n auc\n auc by c top 3\n expect auc > 0.5\n}\n"
                          "evaluate m on d.train { auc }\n");
  const TModel *m = t->model[0];
  assert_string_equal(m->part, "train");
  assert_string_equal(m->positive, "yes");
  assert_int_equal(m->target->type.kind, TY_BOOL);
  assert_int_equal(m->noption, 2);
  assert_int_equal(m->option[0].value->type.kind, TY_FLOAT); /* an int where a float is asked */
  assert_string_equal(m->option[1].value->s, "newton");
  assert_int_equal(t->nevaluate, 2);
  assert_int_equal(t->evaluate[0].nmetric, 2);
  assert_int_equal(t->evaluate[0].metric[1].top, 3);
  assert_string_equal(t->evaluate[0].expect[0].expr->arg[0]->column->name, "auc");
  assert_false(t->evaluate[0].seen);
  assert_true(t->evaluate[1].seen);
  arena_free(&w.arena);
}

/* Every function of the library, called once; and every native declaration has the operation of a known
 * representation. */
static void test_library(void **state) {
  (void)state;
  World w;
  good(&w, DATA
       "features f of d {\n a = standardize(x)\n b = min_max(x)\n e = robust_scale(x)\n g = clip(x, 0, 1)\n"
       " h = impute(n, fill = median(n))\n i = one_hot(c, min_count = 2, drop = \"first\")\n j = target_mean(c, late, "
       "smoothing = 5)\n"
       " l = one_hot(bucketize(x, [1, 2]))\n o = one_hot(quantile_bins(x))\n p = cyclic(x, period = "
       "7)\n"
       " u = max_abs(x)\n v = coalesce(ordinal(c), 0)\n w = count_encode(c)\n xa = one_hot(cross(c, id))\n xb = one_hot(lump(c))\n"
       " xc = box_cox(x)\n xd = yeo_johnson(x)\n xe = quantile_transform(x)\n xf = binarize(x)\n xg = winsorize(x)\n xh = spline(x)\n"
       " q = pca([x, id], 1)\n r = polynomial([x, id])\n s = interact(one_hot(c), x)\n t = normalize([x, id])\n"
       " t1 = count_vector(tokenize(c), stop_words_english())\n t2 = count_vector(tokenize(c), stop_words(\"german\"))\n"
       " t3 = tf_idf(tokenize(c), 64)\n t4 = tf_idf_of(tokenize(c), [\"a\", \"b\"])\n"
       " t5 = tf(tokenize(c), 8) * doc_freq(tokenize(c), 8)\n"
       "}\n" TAIL);
  uint32_t fns = 0, natives = 0;
  for (uint32_t i = 0; library_ast(w.library, i); i++)
    for (const Decl *d = library_ast(w.library, i)->decls; d; d = d->next) {
      fns += d->kind == D_FN;
      natives += d->kind == D_NATIVE;
      assert_non_null(d->doc);
    }
  assert_int_equal(fns, w.tree->features[0]->nslot);
  assert_true(natives > 100);
  arena_free(&w.arena);
}

static void test_pages(void **state) {
  (void)state;
  for (unsigned i = 0; diag_code_at(i); i++)
    assert_true(strlen(diag_page(diag_code_at(i))) > 20);
}

static void test_memory_runs_out(void **state) {
  (void)state;
  World w;
  CheckOptions o = {.no_data = true};
  bool done = false;
  for (long n = 1; n < 400 && !done; n++) {
    mem_fail_at(n);
    done = check_with(&w, DATA "features f of d {\n a = standardize(x)\n}\n" TAIL, &blind, &o);
    mem_fail_at(0);
    arena_free(&w.arena);
  }
  assert_true(done);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_types),
      cmocka_unit_test(test_sharing),
      cmocka_unit_test(test_null_rules),
      cmocka_unit_test(test_params),
      cmocka_unit_test(test_columns_of_the_file),
      cmocka_unit_test(test_family),
      cmocka_unit_test(test_model_and_evaluate),
      cmocka_unit_test(test_library),
      cmocka_unit_test(test_pages),
      cmocka_unit_test(test_memory_runs_out),
  };
  return cmocka_run_group_tests(tests, load_modules, free_modules);
}
