/* SPDX-License-Identifier: Apache-2.0 */
/* The canonical form (lang/fmt.c): what it makes of odd layouts, and its two laws on every text here: it does
 * not change the tree, and formatting a formatted text changes nothing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "lang/ast.h"
#include "lang/diag.h"

static void read_program(const char *text, Buf *tree, Buf *form) {
  Arena a;
  jmp_buf oom;
  arena_init(&a, &oom);
  if (setjmp(oom)) {
    arena_free(&a);
    fail();
  }
  Sources s;
  Diags d;
  source_init(&s, &a);
  diag_init(&d, &a, &s);
  Ast *ast = parse_file(&a, &d, source_add(&s, "t.cml", text, (uint32_t)strlen(text), false));
  if (d.errors)
    diag_print(&d, stderr, false);
  assert_int_equal(d.errors, 0);
  ast_print(ast, tree);
  fmt_print(ast, &s, form);
  arena_free(&a);
}

static void formats(const char *text, const char *canonical) {
  Buf tree = {0}, form = {0}, tree2 = {0}, form2 = {0};
  read_program(text, &tree, &form);
  assert_string_equal(buf_str(&form), canonical);
  read_program(buf_str(&form), &tree2, &form2);
  assert_string_equal(buf_str(&tree2), buf_str(&tree));
  assert_string_equal(buf_str(&form2), buf_str(&form));
  buf_free(&tree);
  buf_free(&form);
  buf_free(&tree2);
  buf_free(&form2);
}

/* A program that is canonical already. */
static void stays(const char *text) {
  formats(text, text);
}

static void test_program(void **state) {
  (void)state;
  stays("## Will a flight leave more than 15 minutes late?\n"
        "param ridge: float = 1e-4\n"
        "param rare:  int   = 50\n"
        "\n"
        "data flights {\n"
        "    from    parquet(\"data/flights-3m.parquet\")\n"
        "    schema  {\n"
        "        date:        timestamp\n"
        "        delay:       int             # minutes; negative = early\n"
        "        distance:    int in 0..6000  # miles; checked while reading\n"
        "        origin:      category\n"
        "        destination: category\n"
        "    }\n"
        "    where   delay > -120\n"
        "    derive  late = delay > 15\n"
        "    derive  hour = hour(date)\n"
        "    split   train 80%, test 20% by hash(date, origin, destination)\n"
        "}\n"
        "\n"
        "features departure of flights {\n"
        "    hour     = cyclic(hour(date), period = 24)\n"
        "    weekday  = one_hot(weekday(date))\n"
        "    route    = target_mean(destination, late)  # cross-fitted\n"
        "    distance = standardize(log1p(distance))\n"
        "}\n"
        "\n"
        "model late_model = logistic_regression(late ~ departure, l2 = ridge)\n"
        "\n"
        "evaluate late_model on flights.test {\n"
        "    auc, log_loss, accuracy\n"
        "    auc by origin top 10\n"
        "    expect auc >= 0.64\n"
        "}\n"
        "\n"
        "evaluate late_model on flights.train { auc }\n"
        "\n"
        "export late_model {\n"
        "    bundle \"late.cmlm\"\n"
        "    predictions of flights.test keep [a, b] to \"scored.parquet\"\n"
        "    features of flights.test keep [a, b] to \"features.parquet\"\n"
        "}\n");
}

static void test_blanks(void **state) {
  (void)state;
  formats("param a=f( x ,k=- 1,l=[ 1,2 ] )+2 ^ - 3", "param a = f(x, k = -1, l = [1, 2]) + 2^-3\n");
  formats("param  a :list < vector< 3 > > ? = x  in 0 .. 5 and y  not   in[1] or z in .. 3",
          "param a: list<vector<3>>? = x in 0..5 and y not in [1] or z in ..3\n");
  formats("param a = x in  -1 .. -y and a<b and -(c)>-d", "param a = x in -1..-y and a < b and -(c) > -d\n");
  formats("param a = mean( x where ok ) by( a,b ) * d . c - not_a",
          "param a = mean(x where ok) by (a, b) * d.c - not_a\n");
  formats("fn f(x:const int,y:T=- 1):float=x", "fn f(x: const int, y: T = -1): float = x\n");
  formats("fn f(x: float) {1}\nfn g(x: float) {\n\n\n let a=x\n let long=a\n\n\n\n a }",
          "fn f(x: float) { 1 }\n\nfn g(x: float) {\n    let a    = x\n    let long = a\n\n    a\n}\n");
  formats("data d{from csv(\"a\")\nschema {a:int,b:float}\n}",
          "data d {\n    from    csv(\"a\")\n    schema  { a: int, b: float }\n}\n");
  formats("", "");
  formats("\n\n", "");
  formats("model m = f(a~b+c,on=d.e)", "model m = f(a ~ b + c, on = d.e)\n");
}

static void test_breaks(void **state) {
  (void)state;
  stays("features f of d {\n"
        "    a = g(\n"
        "        x,\n"
        "        h(\n"
        "            y\n"
        "        )\n"
        "    )\n"
        "    b = x +\n"
        "        y\n"
        "    c = if x then\n"
        "        y else\n"
        "        z\n"
        "}\n");
  formats("param a = f(x,\ny,\n      z)\n", "param a = f(x,\n    y,\n    z)\n");
  formats("model m = f(a ~ b,\n\n\n  k = [\n1,\n2\n])\n",
          "model m = f(a ~ b,\n\n    k = [\n        1,\n        2\n    ])\n");
}

static void test_comments(void **state) {
  (void)state;
  stays("# only a comment\n");
  stays("## Title\n"
        "\n"
        "# about a\n"
        "param a = 1  # one\n"
        "\n"
        "# about f\n"
        "features f of d {  # opens\n"
        "    # first\n"
        "    a = g(  # inside\n"
        "        # own line\n"
        "        x\n"
        "    )\n"
        "\n"
        "    ## documented\n"
        "    b = y  # b\n"
        "    # last\n"
        "}  # closed\n"
        "# end\n");
  formats("param a = 1 # x\nparam b = 22     #  y\n\nparam c = 3 # z\n#e",
          "param a = 1   # x\nparam b = 22  #  y\n\nparam c = 3  # z\n#e\n");
  formats("data d {\n   # c1\n\n\n     # c2   \n from csv(\"x\")   \n   # c3\n}\n# t\nparam a = 1\n",
          "data d {\n    # c1\n\n    # c2\n    from    csv(\"x\")\n    # c3\n}\n\n# t\nparam a = 1\n");
  formats("param a = b + # why\n  c\n", "param a = b +  # why\n    c\n");
}

static void test_spread(void **state) {
  (void)state;
  formats("param a = 1\nparam b = 2\nfn f() = 1\nfn g() = 2\n\n\n\nfn h() { 1 }\nmodel m = x(y)\nfn i() "
          "{\n1\n}\nfn j() = 1\n",
          "param a = 1\nparam b = 2\n\nfn f() = 1\nfn g() = 2\n\nfn h() { 1 }\n\nmodel m = x(y)\n\nfn i() "
          "{\n    1\n}\n\nfn j() = 1\n");
  formats("features f of d {\n\n a = 1\n\n\n\n bb = 2\n ccc = 3\n\n}\n",
          "features f of d {\n    a = 1\n\n    bb  = 2\n    ccc = 3\n}\n");
}

static void test_errors(void **state) {
  (void)state;
  static const char text[] = "param   a = (1\n";
  Buf form = {0};
  Arena a;
  jmp_buf oom;
  arena_init(&a, &oom);
  if (setjmp(oom)) {
    arena_free(&a);
    fail();
  }
  Sources s;
  Diags d;
  source_init(&s, &a);
  diag_init(&d, &a, &s);
  Ast *ast = parse_file(&a, &d, source_add(&s, "t.cml", text, sizeof text - 1, false));
  fmt_print(ast, &s, &form); /* what is not understood stays as it is */
  assert_string_equal(buf_str(&form), text);
  bool failed = false;
  for (long n = 1; n < 20; n++) {
    buf_clear(&form);
    mem_fail_at(n);
    fmt_print(ast, &s, &form);
    mem_fail_at(0);
    failed |= form.bad;
  }
  assert_true(failed);
  buf_free(&form);
  arena_free(&a);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_program),  cmocka_unit_test(test_blanks), cmocka_unit_test(test_breaks),
      cmocka_unit_test(test_comments), cmocka_unit_test(test_spread), cmocka_unit_test(test_errors),
  };
  return cmocka_run_group_tests_name("fmt", tests, NULL, NULL);
}
