/* SPDX-License-Identifier: Apache-2.0 */
/* Lists of strings and sparse vectors (vm/interp: op_text.c, op_sparse.c, sparse rows in op_vector.c and
 * matrix.c): what each step gives for texts with every awkward character, rows with nulls, panels of all
 * sizes. */
#include "tests/unit/interp_kit.h"

#include "base/unicode.h"
#include "vm/interp/words.h"

enum { ROWS = 7 }; /* no more than a panel of a hostile build has */

static const char *const texts[ROWS] = {
    "The cat, the CAT -- the_cat's 2nd hat!",
    "",
    "... ,;-",
    ("\xc3\x84pfel \xce\xa3\xce\x9f\xce\xa6\xce\x99\xce\x91 \xf0\x9d\x84\x9e\xf0\x9f\x98\x80"
     " na\xc3\xafve \xe4\xb8\xad\xe6\x96\x87"), /* one text: clang asks for the brackets */
    "a b c a b a",
    "null",
    "x",
};

static Col text_column(Kit *k, bool nulls) {
  Col c = {.type = IR_STR, .dict = kit_dict(k, texts, NULL, ROWS), .code = NEWN(&k->a, uint32_t, PANEL_ROWS)};
  for (uint32_t r = 0; r < ROWS; r++)
    c.code[r] = r;
  if (nulls) {
    c.null = NEWN(&k->a, uint8_t, PANEL_ROWS);
    c.null[5] = 1;
    c.code[5] = 0;
  }
  return c;
}

static uint32_t tokens(Kit *k, uint32_t text, bool lower, int64_t min) {
  return STEP(k, OP_TOKENIZE_STR, text, kit_b(k, lower), kit_i64(k, min));
}

/* The words of a row with | between them; a null row has none. */
static const char *words(Kit *k, const Col *c, uint32_t r) {
  const char *s = "";
  for (uint32_t i = c->ptr[r]; i < c->ptr[r + 1]; i++) {
    const uint32_t *off = c->dict->off + c->code[i];
    s = arena_printf(&k->a, "%s%s%.*s", s, i == c->ptr[r] ? "" : "|", (int)(off[1] - off[0]),
                     c->dict->bytes + off[0]);
  }
  return s;
}

static void test_tokenize(void **state) {
  (void)state;
  static const char *const lower[ROWS] = {
      "the|cat|the|cat|the_cat|s|2nd|hat",
      "",
      "",
      "\xc3\xa4pfel|\xcf\x83\xce\xbf\xcf\x86\xce\xb9\xce\xb1|na\xc3\xafve|\xe4\xb8\xad\xe6\x96\x87",
      "a|b|c|a|b|a",
      "",
      "x"};
  static const char *const two[ROWS] = {
      "The|cat|the|CAT|the_cat|2nd|hat",
      "",
      "",
      "\xc3\x84pfel|\xce\xa3\xce\x9f\xce\xa6\xce\x99\xce\x91|na\xc3\xafve|\xe4\xb8\xad\xe6\x96\x87",
      "",
      "",
      ""};
  Kit *k = kit_new();
  uint32_t text = kit_col(k, text_column(k, true));
  kit_out(k, tokens(k, text, true, 1), "a");
  kit_out(k, tokens(k, text, false, 2), "b");
  Interp *t = kit_interp(k, NULL);
  Col out[2];
  RowErrors errors;
  for (uint32_t n = 0; n <= ROWS; n++) {
    kit_run(k, t, n, out, NULL, &errors);
    for (uint32_t r = 0; r < n; r++) {
      assert_string_equal(words(k, &out[0], r), lower[r]);
      assert_string_equal(words(k, &out[1], r), two[r]);
      assert_int_equal(out[0].null[r], r == 5);
    }
  }
  interp_free(t);
  kit_free(k);
}

/* ASCII is read 64 bytes at once, or more; another character makes it go one by one. */
static void same_words(TextWords *a, TextWords *b, const char *s, uint32_t n, bool lower, uint32_t min) {
  char *exact = malloc(n + 1), *other = malloc(n + 4);
  memcpy(exact, s, n);
  memcpy(other, s, n);
  memcpy(other + n, " \xc3\xa4", 3);
  int64_t m = words_find(a, (Str){exact, n}, lower, min), k = words_find(b, (Str){other, n + 3}, lower, min);
  assert_int_equal(m + (min == 1), k);
  for (int64_t i = 0; i < m; i++) {
    uint32_t len = a->at[2 * i + 1] - a->at[2 * i];
    assert_int_equal(a->at[2 * i], b->at[2 * i]);
    assert_int_equal(len, b->at[2 * i + 1] - b->at[2 * i]);
    assert_memory_equal(a->low + a->at[2 * i], b->low + b->at[2 * i], len);
  }
  free(exact);
  free(other);
}

static void test_ascii(void **state) {
  (void)state;
  static const char few[] = "aZ_09 .", all[] = "@AZ[`az{/09:_^\x01\x7f \n";
  TextWords a = {0}, b = {0};
  char s[400];
  for (uint32_t k = 0; k < 4000; k++) {
    uint64_t w = rng_word(7, k);
    uint32_t n = (uint32_t)(w % (sizeof s));
    for (uint32_t i = 0; i < n; i++) {
      uint64_t c = rng_word(w, i);
      s[i] = k % 3 == 0 ? few[c % 7] : k % 3 == 1 ? all[c % (sizeof all - 1)] : c % 9 ? 'q' : ' ';
    }
    for (uint32_t min = 1; min < 8; min += min)
      same_words(&a, &b, s, n, k & 1, min);
  }
  words_free(&a);
  words_free(&b);
}

static void test_sorted_keys(void **state) {
  (void)state;
  for (uint32_t k = 0; words_have_512() && k < 20 * KEYS_512; k++) {
    uint32_t n = 1 + k % KEYS_512, *in = malloc(n * sizeof *in), out[KEYS_512], bits = 1 + k / KEYS_512;
    uint32_t want[KEYS_512];
    for (uint32_t i = 0; i < n; i++) {
      uint32_t x = in[i] = (uint32_t)(rng_word(k, i) & ((UINT64_C(1) << bits) - 1)), j = i;
      for (; j && want[j - 1] > x; j--)
        want[j] = want[j - 1];
      want[j] = x;
    }
    keys_sort_512(in, n, out);
    assert_memory_equal(out, want, n * sizeof *want);
    free(in);
  }
}

static void test_lists(void **state) {
  (void)state;
  static const char *stop[] = {"the", "b"};
  Kit *k = kit_new();
  uint32_t text = kit_col(k, text_column(k, true)), t1 = tokens(k, text, true, 1);
  uint32_t grams = STEP(k, OP_N_GRAMS_STRS, t1, kit_i64(k, 2), kit_i64(k, 1));
  uint32_t less = STEP(k, OP_REMOVE_STRS, t1, kit_vocab(k, stop, 2));
  kit_out(k, grams, "grams");
  kit_out(k, less, "less");
  kit_out(k, STEP(k, OP_LENGTH_STRS, less), "length");
  kit_out(k, STEP(k, OP_CONTAINS_STRS, t1, kit_str(k, "cat")), "contains");
  kit_out(k, STEP(k, OP_JOIN_STRS, less, kit_str(k, "--")), "join");
  kit_out(k, STEP(k, OP_SPLIT_STR, text, kit_str(k, "a")), "split");
  kit_out(k, STEP(k, OP_N_GRAMS_STRS, t1, kit_i64(k, 3), kit_i64(k, 3)), "three");
  Interp *t = kit_interp(k, NULL);
  Col out[7];
  RowErrors errors;
  kit_run(k, t, ROWS, out, NULL, &errors);
  assert_string_equal(words(k, &out[0], 4), "a|b|c|a|b|a|a b|b c|c a|a b|b a");
  assert_string_equal(words(k, &out[0], 1), "");
  assert_string_equal(words(k, &out[0], 6), "x");
  assert_string_equal(words(k, &out[1], 0), "cat|cat|the_cat|s|2nd|hat");
  assert_string_equal(words(k, &out[1], 4), "a|c|a|a");
  assert_int_equal(out[2].i[4], 4);
  assert_int_equal(out[2].i[1], 0);
  assert_int_equal(out[3].b[0], 1);
  assert_int_equal(out[3].b[4], 0);
  assert_int_equal(out[4].null[5], 1);
  const uint32_t *off = out[4].dict->off + out[4].code[4];
  assert_int_equal(off[1] - off[0], 10);
  assert_memory_equal(out[4].dict->bytes + off[0], "a--c--a--a", 10);
  assert_string_equal(words(k, &out[5], 4), "| b c | b |");
  assert_string_equal(words(k, &out[5], 1), "");
  assert_string_equal(words(k, &out[5], 6), "x");
  assert_string_equal(words(k, &out[6], 4), "a b c|b c a|c a b|a b a");
  interp_free(t);
  kit_free(k);
}

/* The elements of row r. */
static void elements(const Col *c, uint32_t r, double *x) {
  memset(x, 0, c->width * sizeof *x);
  for (uint32_t i = c->ptr[r]; i < c->ptr[r + 1]; i++) {
    assert_true(c->el[i] < c->width && (i == c->ptr[r] || c->el[i] > c->el[i - 1]));
    x[c->el[i]] += c->f[i];
  }
}

static uint64_t hash_of(const char *p, uint32_t n) {
  return hash_bytes(1, p, n);
}

/* Against counting in a dense row, for narrow, wide and odd numbers of elements. */
static void try_counts(uint32_t width, uint32_t copies) {
  Kit *k = kit_new();
  const char *s = "";
  for (uint32_t i = 0; i < copies; i++)
    s = arena_printf(&k->a, "%s word%u w%u the", s, i * 7 % 31, i);
  const char *list[2] = {s, "the the"};
  Col c = {.type = IR_STR, .dict = kit_dict(k, list, NULL, 2), .code = NEWN(&k->a, uint32_t, PANEL_ROWS)};
  c.code[1] = 1;
  uint32_t t1 = tokens(k, kit_col(k, c), true, 1), n = kit_i64(k, width), no = kit_b(k, false),
           yes = kit_b(k, true);
  kit_out(k, t1, "t");
  kit_out(k, STEP(k, OP_TF_STRS, t1, n, no, no), "tf");
  kit_out(k, STEP(k, OP_TF_STRS, t1, n, yes, no), "binary");
  kit_out(k, STEP(k, OP_TF_STRS, t1, n, no, yes), "sublinear");
  kit_out(k, STEP(k, OP_HASHED_STRS, t1, n, yes), "signed");
  Interp *t = kit_interp(k, NULL);
  Col out[5];
  RowErrors errors;
  kit_run(k, t, 2, out, NULL, &errors);
  double *want = NEWN(&k->a, double, width), *sign = NEWN(&k->a, double, width),
         *x = NEWN(&k->a, double, width);
  for (uint32_t r = 0; r < 2; r++) {
    memset(want, 0, width * sizeof *want);
    memset(sign, 0, width * sizeof *sign);
    for (uint32_t i = out[0].ptr[r]; i < out[0].ptr[r + 1]; i++) {
      const uint32_t *off = out[0].dict->off + out[0].code[i];
      uint64_t h = hash_of(out[0].dict->bytes + off[0], off[1] - off[0]);
      want[(h >> 32) * width >> 32]++;
      sign[(h >> 32) * width >> 32] += h & 1 ? -1 : 1;
    }
    for (uint32_t o = 1; o < 5; o++) {
      elements(&out[o], r, x);
      for (uint32_t j = 0; j < width; j++) {
        double w = o == 1   ? want[j]
                   : o == 2 ? want[j] > 0
                   : o == 3 ? (want[j] > 0 ? 1 + log(want[j]) : 0)
                            : sign[j];
        assert_true(fabs(x[j] - w) <= 1e-15 * fabs(w));
      }
    }
  }
  interp_free(t);
  kit_free(k);
}

static void test_counts(void **state) {
  (void)state;
  static const uint32_t widths[] = {1, 2, 3, 100, 511, 513, 1 << 12, 1 << 18, 262147};
  for (uint32_t i = 0; i < sizeof widths / sizeof *widths; i++)
    for (uint32_t copies = 0; copies < 200; copies += 1 + copies * 2)
      try_counts(widths[i], copies);
}

/* A text of n characters, most of them ASCII, and its words with | between them, one character at a time. */
static uint32_t make_text(Kit *k, uint64_t seed, uint32_t n, uint32_t min, char **text, const char **want) {
  static const uint32_t other[] = {0xc4, 0xe4, 0x17f, 0x130, 0x23a, 0x4e2d, 0x1d11e, 0x1f600, 0x2014, 0x212a};
  static const char ascii[] = "abcXYZ019_ .,@[`{/:\x7f-"; /* and 0 */
  char *t = *text = NEWN(&k->a, char, 4 * n + 1), *w = NEWN(&k->a, char, 8 * n + 2), *from = w, *to = w;
  uint32_t chars = 0, rare = seed % 3 ? 97 : 5;
  *want = w;
  for (uint32_t i = 0; i <= n; i++) {
    uint64_t x = rng_word(seed, i);
    uint32_t c = x % rare == 0 ? other[x / rare % 10] : x % 3 ? 'a' + x / 3 % 26 : (uint8_t)ascii[x / 3 % 22];
    t += i < n ? utf8_put(t, c) : 0;
    if (i < n && unicode_is_word(c)) {
      to += utf8_put(to, unicode_lower(c));
      chars++;
      continue;
    }
    if (chars >= min) {
      *to++ = '|';
      from = to;
    }
    to = from;
    chars = 0;
  }
  to[to > w ? -1 : 0] = 0;
  return (uint32_t)(t - *text);
}

static void same_rows(const Col *a, const Col *b, uint32_t r) {
  uint32_t n = a->ptr[r + 1] - a->ptr[r];
  assert_int_equal(b->ptr[r + 1] - b->ptr[r], n);
  for (uint32_t i = 0; i < n; i++) {
    assert_int_equal(a->el[a->ptr[r] + i], b->el[b->ptr[r] + i]);
    assert_true(a->f[a->ptr[r] + i] == b->f[b->ptr[r] + i]);
  }
}

/* Words that are only counted are not written: the counts are those of words that are. */
static void try_counted(uint64_t seed, uint32_t longest, uint32_t min) {
  static const char *levels[] = {"a", "b", "_", "ab", "x9", "\xc3\xa4", "zz"};
  Kit *k = kit_new();
  const char *list[ROWS], *want[ROWS];
  uint32_t len[ROWS];
  for (uint32_t r = 0; r < ROWS; r++) {
    char *text;
    len[r] = make_text(k, seed + r, (uint32_t)(rng_word(seed, ~r) % (longest + 1)), min, &text, &want[r]);
    list[r] = text;
  }
  Col c = {.type = IR_STR, .dict = kit_dict(k, list, len, ROWS), .code = NEWN(&k->a, uint32_t, PANEL_ROWS)};
  for (uint32_t r = 0; r < ROWS; r++)
    c.code[r] = r;
  uint32_t text = kit_col(k, c), n = kit_i64(k, 1 << 20), no = kit_b(k, false), yes = kit_b(k, true);
  uint32_t shown = tokens(k, text, true, min), voc = kit_vocab(k, levels, 7);
  for (uint32_t alone = 0; alone < 2; alone++) {
#define WORDS (alone ? tokens(k, text, true, min) : shown)
    kit_out(k, STEP(k, OP_TF_STRS, WORDS, n, no, no), "tf");
    kit_out(k, STEP(k, OP_TF_STRS, WORDS, kit_i64(k, 5), no, yes), "few");
    kit_out(k, STEP(k, OP_HASHED_STRS, WORDS, n, yes), "signed");
    kit_out(k, STEP(k, OP_COUNT_VECTOR_STRS, WORDS, voc, no, no), "known");
  }
  kit_out(k, shown, "words");
  Interp *t = kit_interp(k, NULL);
  Col out[9];
  RowErrors errors;
  kit_run(k, t, ROWS, out, NULL, &errors);
  for (uint32_t r = 0; r < ROWS; r++) {
    assert_string_equal(words(k, &out[8], r), want[r]);
    for (uint32_t o = 0; o < 4; o++)
      same_rows(&out[o], &out[o + 4], r);
  }
  interp_free(t);
  kit_free(k);
}

static void test_counted(void **state) {
  (void)state;
  for (uint64_t seed = 0; seed < 40; seed++)
    try_counted(seed * 100, seed < 30 ? 40 + 20 * (uint32_t)seed : 9000, 1 + seed % 3);
}

static void test_vocabulary(void **state) {
  (void)state;
  static const char *levels[] = {"a", "cat", "the", "x"};
  Kit *k = kit_new();
  uint32_t t1 = tokens(k, kit_col(k, text_column(k, false)), true, 1), no = kit_b(k, false);
  uint32_t v = STEP(k, OP_COUNT_VECTOR_STRS, t1, kit_vocab(k, levels, 4), no, no);
  kit_out(k, v, "v");
  kit_slot(k, v, "text");
  Interp *t = kit_interp(k, NULL);
  Col out[2];
  RowErrors errors;
  kit_run(k, t, ROWS, out, NULL, &errors);
  static const double want[ROWS][4] = {{0, 2, 2, 0}, {0}, {0}, {0}, {3, 0, 0, 0}, {0}, {0, 0, 0, 1}};
  for (uint32_t r = 0; r < ROWS; r++) {
    double x[4];
    elements(&out[0], r, x);
    assert_memory_equal(x, want[r], sizeof x);
  }
  Slots s;
  Err e = {.code = ST_OK};
  assert_int_equal(slots_of(&k->p, NULL, &s, &e), ST_OK);
  assert_string_equal(s.feature[1], "text=cat");
  slots_free(&s);
  interp_free(t);
  kit_free(k);
}

/* Weights, norms and sums of sparse rows are those of the dense rows; both layouts of the matrix hold
 * them. */
static void test_arithmetic(void **state) {
  (void)state;
  for (uint32_t width = 5; width < 1000; width += 290) {
    Kit *k = kit_new();
    uint32_t t1 = tokens(k, kit_col(k, text_column(k, false)), true, 1), no = kit_b(k, false);
    uint32_t tf = STEP(k, OP_TF_STRS, t1, kit_i64(k, width), no, no);
    Fitted w = {.type = IR_VEC, .n = width, .list = NEWN(&k->a, double, width)};
    for (uint32_t j = 0; j < width; j++)
      w.list[j] = 1.0 / (j + 2);
    const Fitted *fitted[] = {&w};
    Env env = {fitted, 1};
    uint32_t weights = kit_step(k, OP_FITTED_VEC, NULL, 0);
    kit_last(k)->scalar = true;
    uint32_t weighted = STEP(k, OP_MUL_VEC, tf, weights);
    uint32_t norm = STEP(k, OP_NORMALIZE_VEC, STEP(k, OP_MUL_VEC, kit_f64(k, 3), weighted), kit_f64(k, 2));
    kit_slot(k, norm, "text");
    kit_out(k, tf, "tf");
    kit_out(k, STEP(k, OP_TOTAL_VEC, weighted), "total");
    kit_out(k, STEP(k, OP_SUB_VEC, tf, weights), "dense");
    Interp *t = kit_interp(k, &env);
    Col out[4];
    RowErrors errors;
    kit_run(k, t, ROWS, out, NULL, &errors);
    assert_true(out[0].is_sparse && !out[3].is_sparse);
    Slots s;
    Err e = {.code = ST_OK};
    assert_int_equal(slots_of(&k->p, &env, &s, &e), ST_OK);
    assert_int_equal(s.sparse, width > 256);
    MatrixBuilder *b = matrix_builder(&s, 100, &e);
    RowsIn in = {.n = ROWS, .col = k->col};
    for (int twice = 0; twice < 2; twice++)
      assert_int_equal(matrix_append(b, &k->p, out, &in, &errors, &e), ST_OK);
    size_t bytes;
    Matrix *m = matrix_take(b, &bytes);
    double *x = NEWN(&k->a, double, width), *y = NEWN(&k->a, double, width);
    for (uint32_t r = 0; r < ROWS; r++) {
      double sum = 0, square = 0;
      elements(&out[1], r, x);
      for (uint32_t j = 0; j < width; j++) {
        assert_true(out[3].f[(size_t)r * width + j] == x[j] - w.list[j]);
        x[j] *= w.list[j];
        sum += x[j];
        square += x[j] * x[j];
      }
      assert_true(fabs(out[2].f[r] - sum) < 1e-14);
      for (uint32_t copy = r; copy < 2 * ROWS; copy += ROWS) {
        memset(y, 0, width * sizeof *y);
        for (uint32_t i = m->ptr ? m->ptr[copy] : 0; m->ptr && i < m->ptr[copy + 1]; i++)
          y[m->col[i]] = m->val[i];
        for (uint32_t j = 0; j < width; j++)
          assert_true(fabs((m->a ? m->a[(size_t)copy * width + j] : y[j]) -
                           (square > 0 ? x[j] / sqrt(square) : 0)) < 1e-14);
      }
    }
    if (width > 256)
      assert_string_equal(s.feature[17], "text#17");
    matrix_free(m);
    matrix_builder_free(b);
    slots_free(&s);
    interp_free(t);
    kit_free(k);
  }
}

static void test_hashed(void **state) {
  (void)state;
  Kit *k = kit_new();
  uint32_t text = kit_col(k, text_column(k, true)), n = kit_i64(k, 1000);
  kit_out(k, STEP(k, OP_HASHED_STR, text, n, kit_b(k, false)), "hot");
  kit_out(k, STEP(k, OP_HASHED_STR, text, n, kit_b(k, true)), "signed");
  Interp *t = kit_interp(k, NULL);
  Col out[2];
  RowErrors errors;
  kit_run(k, t, ROWS, out, NULL, &errors);
  for (uint32_t r = 0; r < ROWS; r++) {
    uint64_t h = hash_of(texts[r], (uint32_t)strlen(texts[r]));
    double x[1000], sign = h & 1 ? -1 : 1;
    uint32_t at = (uint32_t)((h >> 32) * 1000 >> 32);
    assert_int_equal(out[0].hot[r], r == 5 ? -1 : (int32_t)at);
    elements(&out[1], r, x);
    for (uint32_t j = 0; j < 1000; j++)
      assert_true(x[j] == (r != 5 && j == at ? sign : 0));
  }
  interp_free(t);
  kit_free(k);
}

/* What no compiler of ours writes: an error, never a crash. */
static void test_wrong(void **state) {
  (void)state;
  static const int64_t widths[] = {0, -1, INT64_MIN, ((int64_t)1 << 24) + 1, INT64_MAX};
  for (uint32_t i = 0; i < 6; i++) {
    Kit *k = kit_new();
    uint32_t t1 = tokens(k, kit_col(k, text_column(k, false)), true, -5), no = kit_b(k, false);
    uint32_t n = i < 5 ? kit_i64(k, widths[i]) : STEP(k, OP_LENGTH_STRS, t1);
    kit_out(k, STEP(k, OP_TF_STRS, t1, n, no, no), "tf");
    Interp *t = NULL;
    Err e = {.code = ST_OK};
    assert_int_not_equal(interp_new(&k->p, NULL, k->name, k->ncol, &t, &e), ST_OK);
    kit_free(k);
  }
  Kit *k = kit_new(); /* cut in the middle of a character */
  static const char *const cut[] = {"a\xc3", "\xf0\x9d", "\x80\x80z", "\xff\xfe"};
  Col c = {.type = IR_STR, .dict = kit_dict(k, cut, NULL, 4), .code = NEWN(&k->a, uint32_t, PANEL_ROWS)};
  for (uint32_t r = 0; r < 4; r++)
    c.code[r] = r;
  kit_out(k, tokens(k, kit_col(k, c), true, 1), "t");
  Interp *t = kit_interp(k, NULL);
  Col out[1];
  RowErrors errors;
  kit_run(k, t, 4, out, NULL, &errors);
  assert_string_equal(words(k, &out[0], 0), "a");
  assert_string_equal(words(k, &out[0], 2), "z");
  interp_free(t);
  kit_free(k);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_ascii),      cmocka_unit_test(test_sorted_keys),
      cmocka_unit_test(test_tokenize),   cmocka_unit_test(test_lists),      cmocka_unit_test(test_counts),
      cmocka_unit_test(test_counted),    cmocka_unit_test(test_vocabulary), cmocka_unit_test(test_arithmetic),
      cmocka_unit_test(test_hashed),     cmocka_unit_test(test_wrong),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
