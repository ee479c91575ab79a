/* SPDX-License-Identifier: Apache-2.0 */
/* The text form of the IR, read; nothing is trusted. First tokens, then a function for each statement, in
 * the order of print.c. An error sets in->e and makes every further token T_END, so that all loops end.
 * Sizes are bounded by the length of the text. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/num.h"
#include "vm/ir/names.h"
#include "vm/ops.h"

/* ---- Reading: tokens ---- */

typedef enum { T_END, T_LINE, T_WORD, T_STRING, T_NUMBER, T_VALUE, T_FITTED, T_SIGN } Tok;

typedef struct In {
  Arena *a;
  const char *p, *end;
  uint32_t line;
  Tok tok;
  char sign;         /* T_SIGN: { } [ ] = , : ? @ */
  const char *text;  /* T_WORD, T_STRING: NUL-terminated */
  double num;        /* T_NUMBER */
  int64_t i;         /* T_NUMBER when whole, T_VALUE, T_FITTED */
  bool whole;
  Err *e;
} In;

static bool fail(In *in, const char *what) {
  err_set(in->e, ST_DATA, "CML0450", "It was not written by cml, or is damaged.", "IR text, line %u: %s",
          in->line, what);
  in->tok = T_END;
  return false;
}

static bool word_char(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '.' ||
         c == '-';
}

static bool read_string(In *in) {
  const char *q = in->p + 1;
  char *out = arena_alloc(in->a, 64), *o = out;
  size_t cap = 64;
  if (!out)
    return err_memory(in->e), in->tok = T_END, false;
  for (; q < in->end && *q != '"'; q++) {
    if ((size_t)(o - out) + 2 > cap) {
      char *bigger = arena_alloc(in->a, cap * 2);
      if (!bigger)
        return err_memory(in->e), in->tok = T_END, false;
      memcpy(bigger, out, cap);
      o = bigger + (o - out);
      out = bigger;
      cap *= 2;
    }
    unsigned char c = (unsigned char)*q;
    if (c < 32)
      return fail(in, "a string is not closed on its line");
    if (c == '\\') {
      unsigned x;
      if (++q >= in->end)
        return fail(in, "a string is not closed");
      if (*q == 'x') {
        if (in->end - q < 3 || sscanf((char[3]){q[1], q[2], 0}, "%2x", &x) != 1 || !x)
          return fail(in, "a bad escape");
        c = (unsigned char)x;
        q += 2;
      } else {
        c = (unsigned char)*q;
      }
    }
    *o++ = (char)c;
  }
  if (q >= in->end)
    return fail(in, "a string is not closed");
  *o = 0;
  in->text = out;
  in->p = q + 1;
  in->tok = T_STRING;
  return true;
}

static bool next(In *in) {
  if (in->e->code)
    return in->tok = T_END, false;
  while (in->p < in->end && (*in->p == ' ' || *in->p == '\t' || *in->p == '\r'))
    in->p++;
  if (in->p >= in->end)
    return in->tok = T_END, true;
  char c = *in->p;
  if (c == '\n') {
    in->p++;
    in->line++;
    return in->tok = T_LINE, true;
  }
  if (c == '"')
    return read_string(in);
  if (strchr("{}[]=,:?@", c) && c) {
    in->p++;
    in->sign = c;
    return in->tok = T_SIGN, true;
  }
  const char *start = in->p;
  if (c == '%' || c == '$')
    in->p++;
  while (in->p < in->end && (word_char(*in->p) || *in->p == '+'))
    in->p++;
  size_t n = (size_t)(in->p - start);
  if (!n)
    return fail(in, "an unexpected character");
  if (c == '%' || c == '$') {
    in->tok = c == '%' ? T_VALUE : T_FITTED;
    if (!num_parse_i64(start + 1, n - 1, &in->i) || in->i < 0 || in->i > INT32_MAX)
      return fail(in, "a bad number of a value");
    return true;
  }
  if ((c >= '0' && c <= '9') || c == '-' ||
      (n == 3 && (!memcmp(start, "nan", 3) || !memcmp(start, "inf", 3)))) {
    in->tok = T_NUMBER;
    in->whole = num_parse_i64(start, n, &in->i);
    if (!num_parse_f64(start, n, &in->num))
      return fail(in, "a bad number");
    return true;
  }
  in->text = arena_strndup(in->a, start, n);
  if (!in->text)
    return err_memory(in->e), in->tok = T_END, false;
  in->tok = T_WORD;
  return true;
}

static bool is_word(const In *in, const char *w) {
  return in->tok == T_WORD && strcmp(in->text, w) == 0;
}

static bool is_sign(const In *in, char c) {
  return in->tok == T_SIGN && in->sign == c;
}

static bool take_sign(In *in, char c) {
  if (!is_sign(in, c))
    return fail(in, "a sign is missing");
  return next(in);
}

static const char *take_string(In *in) {
  if (in->tok != T_STRING)
    return fail(in, "a string is missing"), "";
  const char *s = in->text;
  next(in);
  return s;
}

static int64_t take_int(In *in, int64_t lo, int64_t hi) {
  if (in->tok != T_NUMBER || !in->whole || in->i < lo || in->i > hi)
    return fail(in, "a whole number is missing or out of its range"), lo;
  int64_t v = in->i;
  next(in);
  return v;
}

static double take_num(In *in) {
  if (in->tok != T_NUMBER)
    return fail(in, "a number is missing"), 0;
  double v = in->num;
  next(in);
  return v;
}

static uint32_t take_ref(In *in, Tok tok) {
  if (in->tok != tok)
    return fail(in, "a value is missing"), 0;
  uint32_t v = (uint32_t)in->i;
  next(in);
  return v;
}

static void take_place(In *in, uint32_t *line, uint32_t *col) {
  if (!is_sign(in, '@'))
    return;
  next(in);
  *line = (uint32_t)take_int(in, 0, INT32_MAX);
  take_sign(in, ':');
  *col = (uint32_t)take_int(in, 0, INT32_MAX);
}

static int find_name(In *in, const char *const *names, int n) {
  for (int i = 0; in->tok == T_WORD && i < n; i++)
    if (strcmp(names[i], in->text) == 0)
      return next(in), i;
  fail(in, "an unknown word");
  return 0;
}

static int find_kind(In *in) {
  int k = in->tok == T_WORD ? kind_of(in->text) : -1;
  if (k < 0)
    return fail(in, "an unknown kind of column"), 0;
  next(in);
  return k;
}

static void skip_lines(In *in) {
  while (in->tok == T_LINE)
    next(in);
}

static void end_line(In *in) {
  if (in->tok != T_LINE && in->tok != T_END && !is_sign(in, '}'))
    fail(in, "more than one statement on a line");
  skip_lines(in);
}

/* ---- Reading: statements ---- */

typedef struct ProgCap { /* growing arrays of a RowProg */
  uint32_t val, out;
} ProgCap;

static void read_list(In *in, IrVal *v) {
  uint32_t cap = 0;
  double *list = NEWN(in->a, double, 1);
  take_sign(in, '[');
  while (in->tok == T_NUMBER) {
    double x = take_num(in);
    PUSH(in->a, list, v->nlist, cap, x);
    if (!list)
      return (void)err_memory(in->e);
    if (is_sign(in, ','))
      next(in);
  }
  take_sign(in, ']');
  v->list = list;
}

static const char **read_names(In *in, uint32_t *n) {
  uint32_t cap = 0;
  const char **names = NEWN(in->a, const char *, 1);
  take_sign(in, '[');
  while (in->tok == T_STRING) {
    const char *s = take_string(in);
    PUSH(in->a, names, *n, cap, s);
    if (!names)
      return err_memory(in->e), NULL;
    if (is_sign(in, ','))
      next(in);
  }
  take_sign(in, ']');
  return names;
}

static void read_val(In *in, RowProg *p, ProgCap *cap) {
  IrVal v = {0};
  uint32_t ncap = 0;
  if (take_ref(in, T_VALUE) != p->nval)
    fail(in, "values are not numbered in order");
  take_sign(in, '=');
  int op = in->tok == T_WORD ? op_find(in->text) : -1;
  if (op < 0) {
    if (in->tok == T_WORD)
      err_set(in->e, ST_DATA, "CML0451", "It needs a newer cml.",
              "IR text, line %u: unknown operation `%s` (this cml has ops version %d)", in->line, in->text,
              OPS_VERSION);
    return (void)fail(in, "an operation is missing");
  }
  v.op = (uint16_t)op;
  next(in);
  while (in->tok == T_VALUE) {
    uint32_t arg = take_ref(in, T_VALUE);
    PUSH(in->a, v.arg, v.narg, ncap, arg);
    if (!v.arg)
      return (void)err_memory(in->e);
  }
  while (in->tok == T_WORD) {
    const char *w = in->text;
    next(in);
    take_sign(in, '=');
    if (!strcmp(w, "i"))
      v.i = take_int(in, INT64_MIN, INT64_MAX);
    else if (!strcmp(w, "f"))
      v.f = take_num(in);
    else if (!strcmp(w, "g"))
      v.g = take_num(in);
    else if (!strcmp(w, "s"))
      v.s = take_string(in);
    else if (!strcmp(w, "kept"))
      v.kept = (uint32_t)take_int(in, 0, IR_KEPT_MOST);
    else if (!strcmp(w, "list") && !v.names)
      read_list(in, &v);
    else if (!strcmp(w, "names") && !v.list)
      v.names = read_names(in, &v.nlist);
    else
      fail(in, "an unknown immediate");
    if (in->e->code)
      return;
  }
  take_sign(in, ':');
  v.type = (uint8_t)find_name(in, ir_type_name, IR_TYPES);
  if (is_sign(in, '?')) {
    v.nullable = true;
    next(in);
  }
  take_place(in, &v.line, &v.col);
  v.scalar = ir_is_scalar(p, &v);
  PUSH(in->a, p->val, p->nval, cap->val, v);
  if (!p->val)
    err_memory(in->e);
}

static void read_out(In *in, RowProg *p, ProgCap *cap) {
  IrOut o = {0};
  next(in);
  o.role = (OutRole)find_name(in, ir_role_name, IR_ROLES);
  if (in->tok == T_STRING)
    o.name = take_string(in);
  if (o.role == OUT_COLUMN)
    o.kind = (uint8_t)find_kind(in);
  o.val = take_ref(in, T_VALUE);
  PUSH(in->a, p->out, p->nout, cap->out, o);
  if (!p->out)
    err_memory(in->e);
}

static IrOption read_option(In *in) {
  IrOption o = {0};
  double *list = NULL;
  uint32_t cap = 0, lcap = 0, n = 0;
  next(in);
  o.name = take_string(in);
  if (in->tok == T_STRING)
    o.str = take_string(in);
  else
    o.num = take_num(in);
  while (in->tok == T_STRING) { /* values of single slots */
    const char *name = take_string(in);
    double v = take_num(in);
    PUSH(in->a, o.names, o.n, cap, name);
    PUSH(in->a, list, n, lcap, v);
    if (!o.names || !list) {
      err_memory(in->e);
      break;
    }
  }
  o.list = list;
  return o;
}

static void read_agg(In *in, Stage *s, uint32_t *cap) {
  IrAgg a = {.arg = -1, .where = -1, .weight = -1, .leave_out = -1, .text = ""};
  uint32_t kcap = 0;
  next(in);
  a.fitted = take_ref(in, T_FITTED);
  if (in->tok != T_WORD)
    return (void)fail(in, "an aggregate is missing");
  a.op = in->text;
  next(in);
  while (in->tok == T_WORD) {
    const char *w = in->text;
    next(in);
    if (!strcmp(w, "crossfit")) {
      a.crossfit = true;
      continue;
    }
    take_sign(in, '=');
    if (!strcmp(w, "arg"))
      a.arg = (int32_t)take_ref(in, T_VALUE);
    else if (!strcmp(w, "where"))
      a.where = (int32_t)take_ref(in, T_VALUE);
    else if (!strcmp(w, "weight"))
      a.weight = (int32_t)take_ref(in, T_VALUE);
    else if (!strcmp(w, "par"))
      a.par = take_num(in);
    else if (!strcmp(w, "par2"))
      a.par2 = take_num(in);
    else if (!strcmp(w, "par3"))
      a.par3 = take_num(in);
    else if (!strcmp(w, "leave_out"))
      a.leave_out = (int32_t)take_int(in, 0, 1000);
    else if (!strcmp(w, "by")) {
      uint32_t key = take_ref(in, T_VALUE);
      PUSH(in->a, a.key, a.nkey, kcap, key);
      if (!a.key)
        return (void)err_memory(in->e);
    } else {
      fail(in, "an unknown word of an aggregate");
    }
    if (in->e->code)
      return;
  }
  a.text = take_string(in);
  take_place(in, &a.line, &a.col);
  PUSH(in->a, s->agg, s->nagg, *cap, a);
  if (!s->agg)
    err_memory(in->e);
}

static void read_metric(In *in, Stage *s, uint32_t *cap) {
  IrMetric m = {.fitted = -1, .threshold = -1, .vs_threshold = -1};
  uint32_t ocap = 0;
  next(in);
  m.name = take_string(in);
  if (!is_word(in, "text"))
    return (void)fail(in, "`text` is missing");
  next(in);
  m.text = take_string(in);
  if (is_word(in, "by")) {
    next(in);
    m.by = take_string(in);
    if (!is_word(in, "top"))
      return (void)fail(in, "`top` is missing");
    next(in);
    m.top = take_int(in, 0, INT64_MAX);
  }
  if (is_word(in, "fitted")) {
    next(in);
    m.fitted = (int32_t)take_ref(in, T_FITTED);
  }
  if (is_word(in, "threshold")) {
    next(in);
    m.threshold = (int32_t)take_ref(in, T_FITTED);
  }
  if (is_word(in, "vs")) {
    next(in);
    m.vs = take_string(in);
    m.vs_number = take_num(in);
    if (in->tok == T_FITTED)
      m.vs_threshold = (int32_t)take_ref(in, T_FITTED);
  }
  take_sign(in, '{');
  skip_lines(in);
  while (is_word(in, "set")) {
    IrOption o = read_option(in);
    PUSH(in->a, m.option, m.noption, ocap, o);
    if (!m.option)
      return (void)err_memory(in->e);
    end_line(in);
  }
  take_sign(in, '}');
  PUSH(in->a, s->metric, s->nmetric, *cap, m);
  if (!s->metric)
    err_memory(in->e);
}

static void read_expect(In *in, Stage *s, uint32_t *cap) {
  IrExpect x = {0};
  ProgCap pc = {0, 0};
  next(in);
  x.text = take_string(in);
  take_place(in, &x.line, &x.col);
  take_sign(in, '{');
  skip_lines(in);
  while (!in->e->code && (in->tok == T_VALUE || is_word(in, "out"))) {
    if (in->tok == T_VALUE)
      read_val(in, &x.prog, &pc);
    else
      read_out(in, &x.prog, &pc);
    end_line(in);
  }
  take_sign(in, '}');
  PUSH(in->a, s->expect, s->nexpect, *cap, x);
  if (!s->expect)
    err_memory(in->e);
}

typedef struct StageCap {
  ProgCap prog;
  uint32_t input, option, column, declared, parts, unions, agg, options, metric, expect;
} StageCap;

static int32_t find_stage(In *in, const Program *p, const char *name) {
  for (uint32_t i = 0; i < p->nstage; i++)
    if (strcmp(p->stage[i].name, name) == 0)
      return (int32_t)i;
  fail(in, "a stage is named that does not stand before");
  return -1;
}

static void read_column(In *in, Stage *s, uint32_t *cap) {
  IrColumn c = {0};
  c.name = take_string(in);
  c.kind = (uint8_t)find_kind(in);
  if (is_sign(in, '?')) {
    c.nullable = true;
    next(in);
  }
  PUSH(in->a, s->column, s->ncolumn, *cap, c);
  if (!s->column)
    err_memory(in->e);
}

static void read_input(In *in, Stage *s, StageCap *cap) {
  IrInput v = {0};
  v.format = take_string(in);
  v.path = take_string(in);
  cap->option = 0;
  PUSH(in->a, s->input, s->ninput, cap->input, v);
  if (!s->input)
    err_memory(in->e);
}

/* An option of the input before it. */
static void read_pair(In *in, Stage *s, uint32_t *cap) {
  const char *pair[2];
  if (!s->ninput)
    return (void)fail(in, "an option stands before its input");
  IrInput *v = &s->input[s->ninput - 1];
  uint32_t n = 2 * v->noption;
  pair[0] = take_string(in);
  pair[1] = take_string(in);
  for (int i = 0; i < 2; i++) {
    PUSH(in->a, v->option, n, *cap, pair[i]);
    if (!v->option)
      return (void)err_memory(in->e);
  }
  v->noption++;
}

static const char **read_words(In *in, const char **v, uint32_t *n, uint32_t *cap) {
  while (in->tok == T_STRING) {
    const char *name = take_string(in);
    PUSH(in->a, v, *n, *cap, name);
    if (!v)
      return err_memory(in->e), NULL;
  }
  return v;
}

static void read_folds(In *in, Stage *s) {
  s->folds = (uint32_t)take_int(in, 1, 1000);
  s->forward = is_word(in, "forward");
  if (s->forward)
    next(in);
}

static void read_union(In *in, Stage *s, uint32_t *cap) {
  IrUnion u = {.name = take_string(in)};
  u.parts = (uint64_t)take_int(in, INT64_MIN, INT64_MAX);
  PUSH(in->a, s->unions, s->nunions, *cap, u);
  if (!s->unions)
    err_memory(in->e);
}

/* One statement of a stage; the word is the current token. */
static void read_statement(In *in, const Program *p, Stage *s, StageCap *cap) {
  if (in->tok == T_VALUE)
    return read_val(in, &s->prog, &cap->prog);
  if (in->tok != T_WORD)
    return (void)fail(in, "a statement is missing");
  if (is_word(in, "out"))
    return read_out(in, &s->prog, &cap->prog);
  if (is_word(in, "agg"))
    return read_agg(in, s, &cap->agg);
  if (is_word(in, "metric"))
    return read_metric(in, s, &cap->metric);
  if (is_word(in, "expect"))
    return read_expect(in, s, &cap->expect);
  if (is_word(in, "set")) {
    IrOption o = read_option(in);
    PUSH(in->a, s->options, s->noptions, cap->options, o);
    if (!s->options)
      err_memory(in->e);
    return;
  }
  const char *w = in->text;
  next(in);
  if (!strcmp(w, "input"))
    read_input(in, s, cap);
  else if (!strcmp(w, "path"))
    s->path = take_string(in);
  else if (!strcmp(w, "option"))
    read_pair(in, s, &cap->option);
  else if (!strcmp(w, "column"))
    read_column(in, s, &cap->column);
  else if (!strcmp(w, "folds"))
    read_folds(in, s);
  else if (!strcmp(w, "union"))
    read_union(in, s, &cap->unions);
  else if (!strcmp(w, "zones"))
    s->zones = true;
  else if (!strcmp(w, "early"))
    s->early = true;
  else if (!strcmp(w, "level"))
    s->level = (uint32_t)take_int(in, 0, 1000000);
  else if (!strcmp(w, "estimator"))
    s->estimator = take_string(in);
  else if (!strcmp(w, "fitted"))
    s->fitted = take_ref(in, T_FITTED);
  else if (!strcmp(w, "target"))
    s->target = take_string(in);
  else if (!strcmp(w, "positive"))
    s->positive = take_string(in);
  else if (!strcmp(w, "task"))
    s->task = (ModelTask)find_name(in, task_name, TASK_N);
  else if (!strcmp(w, "classes"))
    s->classes = (int32_t)take_ref(in, T_FITTED);
  else if (!strcmp(w, "seq"))
    s->seq = (uint32_t)take_int(in, 0, 1000000);
  else if (!strcmp(w, "joins"))
    s->joins = true;
  else if (!strcmp(w, "program"))
    s->program = find_stage(in, p, take_string(in));
  else if (!strcmp(w, "matrix"))
    s->matrix = find_stage(in, p, take_string(in));
  else if (!strcmp(w, "seen"))
    s->seen = true;
  else if (!strcmp(w, "train"))
    s->train = find_stage(in, p, take_string(in));
  else if (!strcmp(w, "score"))
    s->score = find_stage(in, p, take_string(in));
  else if (!strcmp(w, "parts"))
    s->parts = read_words(in, s->parts, &s->nparts, &cap->parts);
  else if (!strcmp(w, "declared"))
    s->declared = read_words(in, s->declared, &s->ndeclared, &cap->declared);
  else
    fail(in, "an unknown statement");
}

static void read_stage(In *in, Program *p, uint32_t *cap) {
  Stage s = {.from = -1, .part = -1, .train = -1, .classes = -1, .matrix = -1, .program = -1, .score = -1};
  StageCap sc = {0};
  s.seq = p->nstage;
  s.kind = (StageKind)find_name(in, ir_stage_name, IR_STAGES);
  s.name = take_string(in);
  if (is_word(in, "from")) {
    next(in);
    s.from = find_stage(in, p, take_string(in));
  }
  if (is_word(in, "part")) {
    next(in);
    s.part = (int32_t)take_int(in, 0, 1000);
  }
  take_place(in, &s.line, &s.col);
  take_sign(in, '{');
  skip_lines(in);
  while (!in->e->code && in->tok != T_END && !is_sign(in, '}')) {
    read_statement(in, p, &s, &sc);
    end_line(in);
  }
  take_sign(in, '}');
  PUSH(in->a, p->stage, p->nstage, *cap, s);
  if (!p->stage)
    err_memory(in->e);
}

Status ir_parse(Arena *a, const char *text, uint32_t n, Program **out, Err *e) {
  In in = {.a = a, .p = text, .end = text + n, .line = 1, .e = e};
  Program *p = NEW(a, Program);
  uint32_t cap = 0;
  if (!p)
    return err_memory(e);
  if (memchr(text, 0, n))
    return fail(&in, "a NUL byte"), e->code;
  next(&in);
  skip_lines(&in);
  if (!is_word(&in, "cml-ir"))
    fail(&in, "it does not begin with `cml-ir`");
  next(&in);
  int64_t version = take_int(&in, 1, INT32_MAX);
  if (!e->code && version > IR_VERSION)
    err_set(e, ST_DATA, "CML0451", "It needs a newer cml.", "IR version %lld; this cml reads up to %d",
            (long long)version, IR_VERSION);
  end_line(&in);
  if (!is_word(&in, "program"))
    fail(&in, "`program` is missing");
  next(&in);
  p->name = take_string(&in);
  if (!is_word(&in, "seed"))
    fail(&in, "`seed` is missing");
  next(&in);
  p->seed = (uint64_t)take_int(&in, INT64_MIN, INT64_MAX);
  if (!is_word(&in, "fitted"))
    fail(&in, "`fitted` is missing");
  next(&in);
  p->nfitted = (uint32_t)take_int(&in, 0, 1000000);
  end_line(&in);
  while (!e->code && in.tok != T_END) {
    read_stage(&in, p, &cap);
    end_line(&in);
  }
  if (e->code)
    return e->code;
  *out = p;
  return ir_verify(p, e);
}
