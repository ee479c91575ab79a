/* SPDX-License-Identifier: Apache-2.0 */
/* Command lines. One table of flags serves parsing and help, so that they cannot differ. */
#include <string.h>

#include "app/app.h"
#include "app/execute.h"
#include "base/num.h"

#define LEAST_MEMORY (UINT64_C(64) << 20)

static void help(const char *command, const char *synopsis, const Flag *flags) {
  printf("usage: cmlc %s%s%s\n", command, *synopsis ? " " : "", synopsis);
  if (flags->name)
    printf("\n");
  for (const Flag *f = flags; f->name; f++) {
    char left[64];
    snprintf(left, sizeof left, "%s%s%s%s%s", f->alias ? f->alias : "", f->alias ? ", " : "", f->name,
             f->value ? " " : "", f->value ? f->value : "");
    printf("  %-24s %s\n", left, f->help);
  }
}

static int find(const Flag *flags, const char *word, size_t n) {
  for (int i = 0; flags[i].name; i++)
    if ((strlen(flags[i].name) == n && strncmp(flags[i].name, word, n) == 0) ||
        (flags[i].alias && strlen(flags[i].alias) == n && strncmp(flags[i].alias, word, n) == 0))
      return i;
  return -1;
}

static void unknown(const char *command, const Flag *flags, const char *word) {
  const char *names[64];
  unsigned n = 0;
  for (const Flag *f = flags; f->name && n < 64; f++)
    names[n++] = f->name;
  const char *near = diag_nearest(word, names, n);
  fprintf(stderr, "cmlc %s: unknown option `%s`%s%s%s\n  = cmlc %s --help lists the options\n", command, word,
          near ? "; did you mean `" : "", near ? near : "", near ? "`?" : "", command);
}

Status args_parse(Arena *a, int argc, char **argv, const char *command, const char *synopsis,
                  const Flag *flags, Args *out) {
  int nflag = 0;
  while (flags[nflag].name)
    nflag++;
  *out = (Args){.flag = flags};
  out->value = NEWN(a, const char *, nflag + 1);
  out->many = NEWN(a, const char *, argc + 1);
  out->many_flag = NEWN(a, uint32_t, argc + 1);
  out->word = NEWN(a, const char *, argc + 1);
  if (!out->value || !out->many || !out->many_flag || !out->word)
    return ST_RESOURCE;
  bool words = false;
  for (int i = 0; i < argc; i++) {
    const char *w = argv[i];
    if (words || w[0] != '-' || !w[1]) {
      out->word[out->nword++] = w;
      continue;
    }
    if (!strcmp(w, "--")) {
      words = true;
      continue;
    }
    if (!strcmp(w, "--help") || !strcmp(w, "-h")) {
      help(command, synopsis, flags);
      return ST_CANCEL;
    }
    const char *eq = !strncmp(w, "--", 2) ? strchr(w, '=') : NULL;
    int k = find(flags, w, eq ? (size_t)(eq - w) : strlen(w));
    if (k < 0) {
      unknown(command, flags, w);
      return ST_USAGE;
    }
    if (!flags[k].value && eq) {
      fprintf(stderr, "cmlc %s: `%s` takes no value\n", command, flags[k].name);
      return ST_USAGE;
    }
    if (!flags[k].value) {
      out->value[k] = "";
      continue;
    }
    const char *v = eq ? eq + 1 : i + 1 < argc ? argv[++i] : NULL;
    if (!v) {
      fprintf(stderr, "cmlc %s: `%s` needs a value: %s %s\n", command, w, flags[k].name, flags[k].value);
      return ST_USAGE;
    }
    out->value[k] = v;
    if (flags[k].repeat) {
      out->many_flag[out->nmany] = (uint32_t)k;
      out->many[out->nmany++] = v;
    }
  }
  return ST_OK;
}

const char *args_get(const Args *a, const char *name) {
  int k = find(a->flag, name, strlen(name));
  return k < 0 ? NULL : a->value[k];
}

const char *const *args_defines(Arena *a, const Args *args, uint32_t *pairs, Err *e) {
  const char **out = NEWN(a, const char *, 2 * args->nmany + 1);
  *pairs = 0;
  for (uint32_t i = 0; out && i < args->nmany; i++) {
    if (!strcmp(args->flag[args->many_flag[i]].name, "--conf"))
      continue;
    const char *eq = strchr(args->many[i], '=');
    if (!eq || eq == args->many[i]) {
      const Flag *f = &args->flag[args->many_flag[i]];
      char remedy[96];
      snprintf(remedy, sizeof remedy, "Write %s NAME=VALUE.", f->alias ? f->alias : f->name);
      err_set(e, ST_USAGE, "", remedy, "`%s %s` has no name and value", f->alias ? f->alias : f->name,
              args->many[i]);
      break;
    }
    out[2 * *pairs] = arena_strndup(a, args->many[i], (size_t)(eq - args->many[i]));
    out[2 * *pairs + 1] = eq + 1;
    ++*pairs;
  }
  return out;
}

const char *const *args_conf(Arena *a, const Args *args, uint32_t *n, Err *e) {
  const char **out = NEWN(a, const char *, args->nmany + 1);
  *n = 0;
  for (uint32_t i = 0; out && i < args->nmany; i++) {
    if (strcmp(args->flag[args->many_flag[i]].name, "--conf"))
      continue;
    const char *eq = strchr(args->many[i], '=');
    if (!eq || eq == args->many[i])
      err_set(e, ST_USAGE, "", "Write --conf KEY=VALUE.", "`--conf %s` has no key and value", args->many[i]);
    out[(*n)++] = args->many[i];
  }
  return out;
}

Status args_executor(Arena *a, const Args *args, Execution *x, Err *e) {
  const char *name = args_get(args, "--executor"), *master = args_get(args, "--master");
  uint32_t n = 0;
  const char *const *conf = args_conf(a, args, &n, e);
  bool spark = name && !strcmp(name, "spark");
  if (name && !spark && strcmp(name, "local") && strcmp(name, "loopback"))
    return err_set(e, ST_USAGE, "", NULL, "`--executor` is local, spark or loopback");
  if (!spark && (master || n))
    return err_set(e, ST_USAGE, "", NULL, "`--master` and `--conf` go with `--executor spark`");
  x->loopback = name && !strcmp(name, "loopback");
  SparkOptions *o = spark ? NEW(a, SparkOptions) : NULL;
  if (spark && (!o || !conf))
    err_memory(e);
  if (o)
    *o = (SparkOptions){.master = master,
                        .conf = conf,
                        .nconf = n,
                        .memory = args_get(args, "--memory") ? x->limits.memory : SPARK_MEMORY};
  x->spark = o;
  return e->code;
}

bool args_jit(const Args *args, JitMode *mode) {
  const char *s = args_get(args, "--jit");
  int v = s ? jit_mode_of(s) : JIT_AUTO;
  *mode = v < 0 ? JIT_AUTO : (JitMode)v;
  return v >= 0;
}

Status args_seed(const Args *args, uint64_t *seed) {
  const char *s = args_get(args, "--seed");
  int64_t v = 0;
  if (s && !num_parse_i64(s, strlen(s), &v)) {
    fprintf(stderr, "cmlc: `--seed` is a whole number, not `%s`\n", s);
    return ST_USAGE;
  }
  *seed = (uint64_t)v;
  return ST_OK;
}

Status args_passes(const Args *args, const char *name) {
  for (const char *s = args_get(args, name); s && *s;) {
    size_t k = strcspn(s, ",");
    bool found = false;
    for (uint32_t i = 0; passes[i].name; i++)
      found |= strlen(passes[i].name) == k && strncmp(s, passes[i].name, k) == 0;
    if (!found) {
      fprintf(stderr, "cmlc: `%s`: there is no pass `%.*s`; there are", name, (int)k, s);
      for (uint32_t i = 0; passes[i].name; i++)
        fprintf(stderr, "%s %s", i ? "," : "", passes[i].name);
      fprintf(stderr, "\n");
      return ST_USAGE;
    }
    s += k + (s[k] == ',');
  }
  return ST_OK;
}

bool args_size(const char *text, uint64_t *bytes) {
  size_t n = strlen(text);
  double v;
  unsigned shift = 0;
  if (n && strchr("kKmMgGtT", text[n - 1])) {
    static const char unit[] = "kmgt";
    shift = 10 * (1 + (unsigned)(strchr(unit, text[n - 1] | 32) - unit));
    n--;
  }
  if (!num_parse_f64(text, n, &v) || !(v > 0) || v * (double)(UINT64_C(1) << shift) >= 0x1p62)
    return false;
  *bytes = (uint64_t)(v * (double)(UINT64_C(1) << shift));
  return *bytes >= LEAST_MEMORY;
}

bool args_count(const char *text, uint32_t lo, uint32_t hi, uint32_t *n) {
  int64_t v;
  if (!num_parse_i64(text, strlen(text), &v) || v < lo || v > hi)
    return false;
  *n = (uint32_t)v;
  return true;
}
