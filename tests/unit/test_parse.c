/* SPDX-License-Identifier: Apache-2.0 */
/* Reading programs (lang/lex.l, layout.c, parse.y): what text gives what tree, and what is said where about
 * text that is wrong. Trees are compared as ast_print shows them; errors as "line:column code" each, in
 * order. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "lang/ast.h"
#include "lang/diag.h"

typedef struct Read {
  Buf tree, errors, messages;
  bool oom;
} Read;

static int by_place(const void *a, const void *b) {
  Span x = (*(Diag *const *)a)->span, y = (*(Diag *const *)b)->span;
  return x.from < y.from ? -1 : x.from > y.from;
}

static Read read_program(const char *text, size_t n) {
  Read r = {0};
  Arena a;
  jmp_buf oom;
  arena_init(&a, &oom);
  if (setjmp(oom)) {
    arena_free(&a);
    return (Read){.oom = true};
  }
  Sources s;
  Diags d;
  source_init(&s, &a);
  diag_init(&d, &a, &s);
  Ast *ast = parse_file(&a, &d, source_add(&s, "t.cml", text, (uint32_t)n, false));
  assert_non_null(ast);
  ast_print(ast, &r.tree);
  if (d.n)
    qsort(d.v, d.n, sizeof *d.v, by_place);
  for (uint32_t i = 0; i < d.n; i++) {
    uint32_t line, col;
    source_position(&s, d.v[i]->span.file, d.v[i]->span.from, &line, &col);
    buf_printf(&r.errors, "%s%u:%u %s", i ? ", " : "", line, col, d.v[i]->code + 3);
    buf_printf(&r.messages, "%s %s\n", d.v[i]->cause, d.v[i]->remedy ? d.v[i]->remedy : "");
    assert_non_null(diag_page(d.v[i]->code));
  }
  arena_free(&a);
  return r;
}

static void free_read(Read *r) {
  buf_free(&r->tree);
  buf_free(&r->errors);
  buf_free(&r->messages);
}

static void tree_is(const char *text, const char *tree) {
  Read r = read_program(text, strlen(text));
  assert_string_equal(buf_str(&r.errors), "");
  assert_string_equal(buf_str(&r.tree), tree);
  free_read(&r);
}

/* An expression, as the default of a parameter. */
static void expr_is(const char *text, const char *tree) {
  char program[2000], wanted[2000];
  snprintf(program, sizeof program, "param p = %s\n", text);
  snprintf(wanted, sizeof wanted, "param p = %s\n", tree);
  tree_is(program, wanted);
}

static void errors_are(const char *text, const char *errors) {
  Read r = read_program(text, strlen(text));
  assert_string_equal(buf_str(&r.errors), errors);
  free_read(&r);
}

static void says(const char *text, const char *words) {
  Read r = read_program(text, strlen(text));
  if (!strstr(buf_str(&r.messages), words))
    fail_msg("\"%s\" is not in: %s", words, buf_str(&r.messages));
  free_read(&r);
}

static void test_expressions(void **state) {
  (void)state;
  expr_is("1 + 2 * 3 - 4", "(- (+ 1 (* 2 3)) 4)");
  expr_is("-x ^ 2", "(neg (^ x 2))");
  expr_is("2 ^ -x ^ 2", "(^ 2 (neg (^ x 2)))");
  expr_is("2 ^ 3 ^ 4", "(^ 2 (^ 3 4))");
  expr_is("a div b mod c / d", "(/ (mod (div a b) c) d)");
  expr_is("not a == b and c or d", "(or (and (not (== a b)) c) d)");
  expr_is("a or b and c", "(or a (and b c))");
  expr_is("not a not in [1, 2]", "(not (not-in a [ 1 2 ]))");
  expr_is("x in 0..5 and y in -1.5..k", "(and (in x (.. 0 5)) (in y (.. (neg 1.5) k)))");
  expr_is("x in 0.. or x in ..5", "(or (in x (.. 0 _)) (in x (.. _ 5)))");
  expr_is("a is null or b is not null", "(or (is-null a) (is-not-null b))");
  expr_is("if a > 0 then b else if c then d else e + 1", "(if (> a 0) b (if c d (+ e 1)))");
  expr_is("(a + b) * c", "(* (+ a b) c)");
  expr_is("f(a, k = 3, l = [1, 2],)", "(f a k=3 l=[ 1 2 ])");
  expr_is("mean(x where ok and y > 1)", "(mean x where (and ok (> y 1)))");
  expr_is("count(y) by x + mean(z) by (a, hour(b))", "(+ (by (count y) x) (by (mean z) a (hour b)))");
  expr_is("[sin = a, cos = b]", "[ sin=a cos=b ]");
  expr_is("users.age + each", "(+ users.age each)");
  expr_is("f(each float except [price, y]) + g(each int)", "(+ (f (each float price y)) (g (each int)))");
  expr_is("mod + div", "(+ mod div)");
  expr_is("a ==\n  b +\n c", "(== a (+ b c))");
  expr_is("f(a\n + b\n\n, c)", "(f (+ a b) c)");
  expr_is("if a then\n b else\n c", "(if a b c)");
}

static void test_literals(void **state) {
  (void)state;
  expr_is("[5%, 0.1%, 10k, 3M, 1.5k, 80%, 1e-4, 2.50, 007]",
          "[ 0.05 0.001 10000 3000000 1500.0 0.8 1e-4 2.5 7 ]");
  expr_is("[true, false, null, 9223372036854775807]", "[ true false null 9223372036854775807 ]");
  expr_is("\"a\\\"b\\\\c\\n\\u{e9}\\u{1F600} {x} \xc3\xa4\"",
          "\"a\\\"b\\\\c\\n\xc3\xa9\xf0\x9f\x98\x80 {x} \xc3\xa4\"");
  expr_is("`emp.var.rate` + `where`", "(+ emp.var.rate where)");
  tree_is("\xef\xbb\xbfparam a = 1\r\nparam b = 2\r\n", "param a = 1\nparam b = 2\n");
  tree_is("param a = 1", "param a = 1\n");
  tree_is("", "");
  tree_is("\n\n# only a comment", "");
}

static void test_declarations(void **state) {
  (void)state;
  tree_is("param x: float\nparam y: list<int>? = [1]\n", "param x : float\nparam y : list<int>? = [ 1 ]\n");
  tree_is("fn f(x: const int, y: vector<3>, z: vector<n>?, w: fitted float = 2): float = x\n",
          "fn f (x: const int) (y: vector<3>) (z: vector<n>?) (w: fitted float = 2) : float = x\n");
}

static void test_bodies(void **state) {
  (void)state;
  tree_is("fn f() { 1 }\n", "fn f = 1\n");
  tree_is("fn f(x: T) {\n  let a = x\n\n  # b\n  let b = a\n  (-b)\n}\n",
          "fn f (x: T) = (neg b)\n  let a = x\n  let b = a\n");
  tree_is("native fn add(a: float, b: float): float = \"add.f64\"\nnative aggregate m(a: T): T = "
          "\"m\"\nparam native = 1\n",
          "native add (a: float) (b: float) : float op add.f64\nnative aggregate m (a: T) : T op m\nparam "
          "native = 1\n");
  errors_are("fn f(x: float) { let a = 1 }\n", "1:28 0114");
  errors_are("fn f(x: float) {\n 1\n 2\n}\n", "3:2 0114");
  errors_are("fn f(x: float) {\n 1\n let a = 2\n a\n}\n", "2:2 0114");
  errors_are("fn f(x: float) {\n let a = 2 +\n}\n", "2:13 0101");
  errors_are("fn f(x: float) {\n let a = x\n -a\n}\n", "3:2 0108");
}

static void test_data(void **state) {
  (void)state;
  tree_is("data d {\n from csv(\"a.csv\", null = \"?\")\n}\n",
          "data d\n  from = (csv \"a.csv\" null=\"?\")\n");
  tree_is(
      "data d {\n split train: a 50%, b 50% by time(t)\n group (k, l)\n sample a 5% by hash(k) where x > 1\n sample b 5%\n"
      " schema { a: int in 0.. known on_invalid = null, b: int on_invalid = drop\n }\n expect count(distinct a where b) > 1\n}\n",
      "data d\n  split train = (time t) part a 0.5 part b 0.5\n  group by k l\n  sample a = (hash k) of 0.05 top (> x 1)\n"
      "  sample b of 0.05\n  schema\n    a: int in (.. 0 _) known on_invalid null\n    b: int on_invalid drop\n"
      "  expect = (> (count_distinct a where b) 1)\n");
  errors_are("data d {\n expect mean(distinct a) > 1\n}\n", "2:14 0101");
}

static void test_data_block(void **state) {
  (void)state;
  tree_is("data d {\n"
          "  from csv(\"a.csv\", header = false)\n"
          "  schema {\n"
          "    ## years\n"
          "    age: float? in 0..120\n"
          "    size: category in [\"S\", \"M\"] ordered known\n"
          "    from: int, t: timestamp known # c\n"
          "  }\n"
          "  where age is not null\n"
          "  derive a = 1, b = f(2,\n 3)\n"
          "  weight w\n"
          "  split train 80%, test 20% by hash(id)\n"
          "  folds 5\n"
          "  expect count() > 10k\n"
          "}\n",
          "data d\n"
          "  from = (csv \"a.csv\" header=false)\n"
          "  schema\n"
          "    age: float? in (.. 0 120) doc=\"years\"\n"
          "    size: category in [ \"S\" \"M\" ] ordered known\n"
          "    from: int\n"
          "    t: timestamp known\n"
          "  where = (is-not-null age)\n"
          "  derive a = 1\n"
          "  derive b = (f 2 3)\n"
          "  weight = w\n"
          "  split = (hash id) part train 0.8 part test 0.2\n"
          "  folds = 5\n"
          "  expect = (> (count) 10000)\n");
  tree_is("data d {\n from train = csv(\"a\"),\n test = csv(\"b\")\n split train, test by value(part) }\n",
          "data d\n  from args train=(csv \"a\") test=(csv \"b\")\n  split = (value part) part train part "
          "test\n");
}

static void test_rest(void **state) {
  (void)state;
  tree_is("features f of d { a = x\n let b = on\n top = of.to }\n",
          "features f of d\n  slot a = x\n  let b = on\n  slot top = of.to\n");
  tree_is("model m = lr(y > 1 ~ f + g, l2 = p, on = d.fit)\nmodel k = kmeans(f, k = 8,)\nmodel e = x()\n",
          "model m target (> y 1) formula (+ f g) = (lr l2=p on=d.fit)\nmodel k formula f = (kmeans "
          "k=8)\nmodel e = (x)\n");
  tree_is("evaluate m on d.test {\n auc, f1(t = 0.3) by (a, b) top 3,\n top by top top 10\n expect auc >= "
          "0.6\n}\nevaluate m on d { auc }\n",
          "evaluate m on d.test\n  metric auc = auc\n  metric f1 = (f1 t=0.3) by a b top 3\n  metric top = "
          "top by top top 10\n"
          "  expect = (>= auc 0.6)\nevaluate m on d\n  metric auc = auc\n");
  tree_is(
      "export m {\n bundle \"a\"\n predictions of d.test keep [a, b] to \"b\"\n predictions of d to "
      "\"c\"\n}\n",
      "export m\n  bundle = \"a\"\n  predictions = \"b\" of d.test args a b\n  predictions = \"c\" of d\n");
  tree_is("export f {\n features of d.test keep [of, to] to \"b\"\n features of d to \"c\"\n}\n"
          "features of of d { to = of }\n",
          "export f\n  features = \"b\" of d.test args of to\n  features = \"c\" of d\nfeatures of of d\n  slot to = of\n");
}

static void test_docs(void **state) {
  (void)state;
  tree_is("## The program.\n## Two lines.\n\n## A param.\nparam a = 1 ## no doc\n# c\nparam b = 2\n### "
          "rule\nparam c = 3\n",
          "file doc=\"The program.\\nTwo lines.\"\nparam a = 1 doc=\"A param.\"\nparam b = 2\nparam c = 3\n");
}

static void test_errors(void **state) {
  (void)state;
  /* each independent error is reported, none that follows from another */
  errors_are("param a = 1 +\nparam b = * 2\nparam c = f(1 2)\nparam d = 3\n",
             "1:14 0101, 2:11 0101, 3:15 0101");
  errors_are("data d {\n  form csv(\"x\")\n  where a = 5\n  split a 80%\n}\nmodel m = lr(late f)\n",
             "2:3 0110, 3:11 0101, 4:14 0101, 6:19 0101");
  errors_are("features f of d {\n a = g(x\n b = h(y)\n c = [1, 2\n}\nparam p = 1 $\n",
             "2:7 0106, 4:6 0106, 6:13 0102");
  errors_are("data d {\n schema {\n a: int\n where a > 3\n}\nparam p = )\n", "2:9 0106, 6:11 0106");
  errors_are("data d {\n from csv(\"a\")\nfeatures f of d {\n a = x\nparam p = 1\n", "1:8 0106, 3:17 0106");
  errors_are("features f of d {\n a = (x + y]\n b = f(x)}\n}\n", "2:12 0106, 4:1 0106");
  errors_are("param a = b\n  + c\nparam x = if a then b\n  else c\n", "2:3 0108, 4:3 0108");
  errors_are("param a = 1 < 2 < 3\nparam b = a && c || !d\nparam c = a ** 2 // 3\n",
             "1:17 0101, 2:13 0112, 2:18 0112, 2:21 0112, 3:13 0112, 3:18 0112");
  errors_are("param a = .5\nparam b = 5.\nparam c = 10km\nparam d = 99999999999999999999\nparam e = 1e999\n",
             "1:11 0105, 2:11 0105, 3:11 0105, 4:11 0105, 5:11 0105");
  errors_are("param a = \"x\nparam b = \"\\q\"\nparam c = 'x'\nparam d = \"\\u{0}\"\n",
             "1:11 0104, 2:12 0104, 3:11 0104, 4:12 0104");
  errors_are("param a = gr\xc3\xb6\xc3\x9f"
             "e \xe2\x89\xa4 3\nparam b = 1 \xe2\x80\x93 2\n",
             "1:11 0102, 1:17 0102, 2:13 0102");
  errors_are("param where = 1\nfeatures f of d { by = 1 }\n", "1:7 0113, 2:19 0113");
  errors_are("tune m {\n a in [1, 2]\n}\nuse x\nparam p = 1\nallow CML0311 because \"x\"\n",
             "1:1 0111, 6:1 0111");
  errors_are("data d {\n join u on id\n window by u order by d {\n a = 1\n }\n sample 10%\n aggregate by x "
             "{\n n = count()\n}\n serve { join u }\n group k\n}\n",
             "2:2 0111, 3:2 0111, 6:9 0101, 7:2 0111, 10:2 0111");
  errors_are("evaluate m using kfold(5) { auc }\nevaluate m on d { auc vs n, f1\n p = mean(x)\n}\nexport m "
             "{\n onnx \"x\"\n c \"y\"\n}\n",
             "1:12 0111, 3:2 0111, 6:2 0111, 7:2 0111");
  errors_are("model m = lr(a ~ f, g, l2 = 1, l2 = 2)\nparam p = f(a = 1, 2)\n",
             "1:21 0115, 1:32 0115, 2:20 0115");
  errors_are("split a 80% by hash(b)\nwhere x\n}\nparam p = 1;\n", "1:1 0109, 4:12 0112");
  errors_are("`a\nparam b = @\n", "1:1 0102, 2:11 0102");
}

static void test_messages(void **state) {
  (void)state;
  says("parm x = 1\n", "`parm` is not a declaration Did you mean `param`?");
  says("def f(x):\n", "A function is written `fn name(x: float) = ...`.");
  says("data d { late = delay > 15 }\n", "A computed column is written `derive late = ...`.");
  says("data d {\n schema { a: int }\n where a = 5\n}\n", "write `==` to compare");
  says("data d {\n from csv(\"a\")\n", "this `{` is not closed at the end of the file");
  says("param a = f(b c)\n", "or an operator, found `c`");
  says("features f of d {\n modell m\n}\n", "expected `=`, found `m`");
  says("model m = lr(late f)\n", "A formula is written `target ~ block`.");
  says("data d {\n schema { emp.var: int }\n}\n", "written in backticks");
  says("param = 3\n", "expected a name, found `=`");
  says("features f of d {\n a = x +\n b = y\n}\n", "The line above ends with `+`");
  says("export m { bundel \"x\" }\n", "Did you mean `bundle`?");
  says("tune m { }\n", "`tune` is not part of this version of cml Remove it.");
  says("split a 80% by hash(b)\n", "`split` is an entry of `data`, and stands outside of one");
}

static void test_bytes(void **state) {
  (void)state;
  Read r = read_program("param a = 1\0x\n", 14);
  assert_string_equal(buf_str(&r.errors), "1:12 0103");
  free_read(&r);
  errors_are("param a = \"\xff\"\n", "1:12 0103");
  errors_are("param a = \"\xc0\xaf\xed\xa0\x80\"\n", "1:12 0103");
  errors_are("\x01param a = 1\n", "1:1 0102");
}

/* `n` copies of `open`, then `middle`, then `n` copies of `close`, as an expression. */
static Read nested(const char *open, const char *middle, const char *close, int n) {
  Buf b = {0};
  buf_text(&b, "param p = ");
  for (int i = 0; i < n; i++)
    buf_text(&b, open);
  buf_text(&b, middle);
  for (int i = 0; i < n; i++)
    buf_text(&b, close);
  buf_text(&b, "\nparam q = 1\n");
  Read r = read_program((const char *)b.p, b.n);
  buf_free(&b);
  return r;
}

static void test_limits(void **state) {
  static const char *const shape[][3] = {
      {"(", "1", ")"},   {"f(", "1", ")"},  {"[", "1", "]"},   {"-", "1", ""},
      {"not ", "a", ""}, {"2 ^ ", "1", ""}, {"", "1", " + 1"}, {"if a then b else ", "c", ""},
      {"{", "", "}"},    {"(", "", "]"},
  };
  (void)state;
  for (size_t i = 0; i < sizeof shape / sizeof *shape; i++) {
    Read r = nested(shape[i][0], shape[i][1], shape[i][2], 100000);
    assert_true(r.errors.n > 0 && r.errors.n < 20000);
    free_read(&r);
    r = nested(shape[i][0], shape[i][1], shape[i][2], 150);
    if (i < 8)
      assert_string_equal(buf_str(&r.errors), "");
    free_read(&r);
  }
  Read r = nested("@ ", "1", "\n$", 100000); /* errors are counted, and cut */
  assert_true(r.errors.n < 20000 && strstr(buf_str(&r.messages), "too many syntax errors"));
  free_read(&r);
  r = nested("f(a, k = 1,", "1", "", 50000);
  assert_true(r.errors.n > 0);
  free_read(&r);
}

/* Whatever allocation fails, the way out is the arena's, and nothing leaks (the sanitizer build looks). */
static void test_memory(void **state) {
  static const char program[] = "## d\nparam a: float = 1\ndata d {\n from csv(\"x\")\n where a = 5\n}\n";
  (void)state;
  bool failed = false;
  for (long n = 1; n < 40; n++) {
    mem_fail_at(n);
    Read r = read_program(program, sizeof program - 1);
    mem_fail_at(0);
    failed |= r.oom || r.tree.bad;
    free_read(&r);
  }
  assert_true(failed);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_expressions),  cmocka_unit_test(test_literals),
      cmocka_unit_test(test_declarations), cmocka_unit_test(test_bodies),
      cmocka_unit_test(test_data),         cmocka_unit_test(test_data_block),
      cmocka_unit_test(test_rest),         cmocka_unit_test(test_docs),
      cmocka_unit_test(test_errors),       cmocka_unit_test(test_messages),
      cmocka_unit_test(test_bytes),        cmocka_unit_test(test_limits),
      cmocka_unit_test(test_memory),
  };
  return cmocka_run_group_tests_name("parse", tests, NULL, NULL);
}
