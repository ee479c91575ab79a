/* SPDX-License-Identifier: Apache-2.0 */
/* cmlc: finds the command and runs it. Exit statuses are those of base/err.h. */
#include <errno.h>
#include <malloc.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "app/app.h"
#include "stdlib/registry.h"

const Command commands[] = {
    {"run", "compile and run a program", cmd_run},
    {"check", "all diagnostics of a program, no run", cmd_check},
    {"explain", "what is fitted where and in which scan: stages, passes, IR", cmd_explain},
    {"schema", "the `schema` of a data file, or of the sources of a program", cmd_schema},
    {"verify", "does a program give the same in every way to run it: threads, memory, machine code, passes",
     cmd_verify},
    {"predict", "score a file with a bundle", cmd_predict},
    {"fmt", "the canonical form of a program", cmd_fmt},
    {"doc", "functions, estimators, metrics, formats, error codes", cmd_doc},
    {"version", "version of cmlc and of what it writes", cmd_version},
    {NULL, NULL, NULL},
};

/* The two globals: a signal handler has no argument. */
static atomic_bool cancelled;
static atomic_int cancelled_by;

static void on_interrupt(int sig) {
  atomic_store(&cancelled_by, sig);
  if (atomic_exchange(&cancelled, true))
    _exit(128 + sig); /* the second Ctrl-C does not wait */
}

static void usage(FILE *out) {
  fprintf(out, "usage: cmlc COMMAND ...\n\n");
  for (const Command *c = commands; c->name; c++)
    fprintf(out, "  %-9s %s\n", c->name, c->purpose);
  fprintf(out, "\ncmlc COMMAND --help tells more. Exit status: 0 done; 1 an `expect` failed; 2 usage; 3 the "
               "program is wrong;\n"
               "4 the data are wrong; 5 a resource is missing or used up; 6 a fault of cmlc.\n");
}

void app_print(const Buf *b) {
  if (b->n)
    fwrite(b->p, 1, b->n, stdout);
}

void app_error(const App *app, const Err *e) {
  if (e->code == ST_CANCEL) {
    fprintf(stderr, "interrupted: files that were not finished are as they were before\n");
    return;
  }
  const char *red = app->colour ? "\033[1;31m" : "", *end = app->colour ? "\033[0m" : "";
  if (e->where[0])
    fprintf(stderr, "%s: ", e->where);
  fprintf(stderr, "%serror%s%s%s: %s\n", red, e->id[0] ? " " : "", e->id, end, e->cause);
  if (e->remedy[0])
    fprintf(stderr, "  = %s\n", e->remedy);
}

/* What was printed has arrived, or the status says that it has not: a full disk behind standard output. A
 * reader that has gone (`| head`) knows what it did. */
static int flushed(const App *app, int st) {
  errno = 0;
  if (fflush(stdout) == 0 && !ferror(stdout))
    return st;
  if (errno != EPIPE) {
    Err e = {0};
    /* why is known only if the last of it failed, so it is never said */
    err_set(&e, ST_RESOURCE, "CML0503", "Check that the disk has room.", "cannot write to standard output");
    app_error(app, &e);
  }
  return st <= ST_EXPECT ? ST_RESOURCE : st;
}

int main(int argc, char **argv) {
  /* Blocks are large and short-lived: give them back to the system, and let workers share few malloc
   * arenas. */
  mallopt(M_ARENA_MAX, 2);
  mallopt(M_MMAP_THRESHOLD, 1 << 20);
  mallopt(M_TRIM_THRESHOLD, 64 << 20);
  struct sigaction sa = {.sa_handler = on_interrupt, .sa_flags = SA_RESTART};
  sigaction(SIGINT, &sa, NULL);
  sigaction(SIGTERM, &sa, NULL);
  signal(SIGPIPE, SIG_IGN);
  signal(SIGXFSZ, SIG_IGN); /* a file over the limit is a write error, with a message */
  bool terminal = isatty(STDERR_FILENO);
  const char *no_colour = getenv("NO_COLOR"), *term = getenv("TERM");
  StdlibRegistry space;
  const Registry *registry = stdlib_registry(&space);
  App app = {.registry = registry, .argv0 = argv[0], .terminal = terminal, .cancel = &cancelled,
             .colour = terminal && !(no_colour && *no_colour) && !(term && !strcmp(term, "dumb"))};
  if (argc < 2) {
    usage(stderr);
    return ST_USAGE;
  }
  if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h") || !strcmp(argv[1], "help")) {
    usage(stdout);
    return flushed(&app, ST_OK);
  }
  const char *name = !strcmp(argv[1], "--version") ? "version" : argv[1];
  const char *names[16];
  unsigned n = 0;
  for (const Command *c = commands; c->name; c++) {
    if (!strcmp(c->name, name)) {
      int st = flushed(&app, c->run(&app, argc - 2, argv + 2));
      return st == ST_CANCEL ? 128 + atomic_load(&cancelled_by) : st;
    }
    names[n++] = c->name;
  }
  const char *near = diag_nearest(name, names, n);
  fprintf(stderr, "cmlc: unknown command `%s`%s%s%s\n  = cmlc --help lists the commands\n", name,
          near ? "; did you mean `" : "", near ? near : "", near ? "`?" : "");
  return ST_USAGE;
}
