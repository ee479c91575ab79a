/* SPDX-License-Identifier: Apache-2.0 */
/* The wire to a Spark driver: see channel.h. Read channel_ask, then start_driver.
 *
 * The driver is a process group of its own, so that Ctrl-C comes to cmlc alone, which tells the driver; where
 * cmlc dies, the driver sees the socket close, and ends. What the driver prints goes to a file in the private
 * folder: its last lines are shown when it ends by itself. */
#define _GNU_SOURCE /* accept4 */
#include "vm/exec/channel.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/arena.h"

enum { TICK = 100, START_SECONDS = 120, CANCEL_SECONDS = 20, BYE_SECONDS = 10, HEAD = 5 };
enum { SAYS_OK, SAYS_ERROR, SAYS_PROGRESS, SAYS_NOTE, SAYS_ROWS };

struct Channel {
  char folder[256];
  int listening, fd; /* -1: none */
  pid_t driver;      /* 0: has ended */
  const atomic_bool *cancel;
  bool cancelled;    /* the driver was told */
  Buf in;            /* the frame that came last */
};

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

void frame_str(Buf *b, const char *s) {
  size_t n = s ? strlen(s) : 0;
  buf_u32(b, (uint32_t)n);
  buf_put(b, s, n);
}

Bytes frame_take_str(Rd *r) {
  uint32_t n = rd_u32(r);
  return (Bytes){rd_take(r, n), r->bad ? 0 : n};
}

/* ---- Finding and starting it ---- */

/* The pyspark package of the user's Python. */
static bool pyspark_home(char *out, size_t room) {
  FILE *p =
      popen("python3 -c 'import os, pyspark; print(os.path.dirname(pyspark.__file__))' 2>/dev/null", "r");
  bool got = p && fgets(out, (int)room, p);
  if (p)
    pclose(p);
  if (got)
    out[strcspn(out, "\n")] = 0;
  return got && *out;
}

static Status find_submit(const SparkOptions *o, char *out, size_t room, Err *e) {
  const char *home = o->home ? o->home : getenv("SPARK_HOME");
  char found[2048];
  if ((!home || !*home) && pyspark_home(found, sizeof found))
    home = found;
  if (!home || !*home)
    return err_set(e, ST_RESOURCE, "CML0530",
                   "Set SPARK_HOME to where Spark 4 lies, or install it: pip install pyspark.",
                   "Apache Spark was not found");
  snprintf(out, room, "%s/bin/spark-submit", home);
  if (access(out, X_OK))
    return err_set(e, ST_RESOURCE, "CML0530", "Set SPARK_HOME to where Spark 4 lies.", "there is no `%s`",
                   out);
  return ST_OK;
}

typedef struct Command {
  const char *v[256];
  uint32_t n;
  Arena a;
} Command;

static void word(Command *c, const char *s) {
  if (s && c->n + 1 < sizeof c->v / sizeof *c->v)
    c->v[c->n++] = s;
}

static bool is_set(const SparkOptions *o, const char *key) {
  size_t n = strlen(key);
  for (uint32_t i = 0; i < o->nconf; i++)
    if (!strncmp(o->conf[i], key, n) && o->conf[i][n] == '=')
      return true;
  return false;
}

static void conf(Command *c, const SparkOptions *o, const char *key, const char *value) {
  if (is_set(o, key))
    return;
  word(c, "--conf");
  word(c, arena_printf(&c->a, "%s=%s", key, value));
}

static Status command(Command *c, const SparkOptions *o, const char *folder, const char *submit, Err *e) {
  const char *lib = spark_folder();
  char overhead[32];
  snprintf(overhead, sizeof overhead, "%llum", (unsigned long long)((o->memory >> 20) + 384));
  word(c, submit);
  if (o->master) {
    word(c, "--master");
    word(c, o->master);
  }
  word(c, "--class");
  word(c, "cml.spark.Main");
  word(c, "--name");
  word(c, "cml");
  conf(c, o, "spark.executor.memoryOverhead", overhead); /* where our blocks lie */
  for (uint32_t i = 0; i < o->nconf; i++) {
    word(c, "--conf");
    word(c, o->conf[i]);
  }
  word(c, arena_printf(&c->a, "%s/cml-spark.jar", lib));
  word(c, arena_printf(&c->a, "%s/socket", folder));
  if (c->n + 1 >= sizeof c->v / sizeof *c->v)
    return err_set(e, ST_USAGE, "CML0530", "Write them to a file: --conf-file of Spark, spark-defaults.conf.",
                   "there are too many --conf options");
  return ST_OK;
}

/* In the child. */
static void become(const Command *c, const char *folder) {
  char log[300];
  sigset_t none;
  snprintf(log, sizeof log, "%s/log", folder);
  int in = open("/dev/null", O_RDONLY), out = open(log, O_WRONLY | O_CREAT | O_APPEND, 0600);
  setpgid(0, 0);
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, NULL);
  signal(SIGINT, SIG_DFL);
  signal(SIGTERM, SIG_DFL);
  signal(SIGPIPE, SIG_DFL);
  if (in >= 0 && out >= 0 && dup2(in, 0) >= 0 && dup2(out, 1) >= 0 && dup2(out, 2) >= 0)
    execv(c->v[0], (char *const *)(uintptr_t)c->v);
  _exit(127);
}

static Status start_driver(Channel *c, const SparkOptions *o, Err *e) {
  char submit[2200];
  Command cmd = {.n = 0};
  arena_init(&cmd.a, NULL);
  Status st = find_submit(o, submit, sizeof submit, e);
  if (!st)
    st = command(&cmd, o, c->folder, submit, e);
  if (!st) {
    c->driver = fork();
    if (c->driver == 0)
      become(&cmd, c->folder);
    if (c->driver < 0) {
      c->driver = 0;
      st = err_set(e, ST_RESOURCE, "CML0504", NULL, "cannot start a process: %s", strerror(errno));
    } else {
      setpgid(c->driver, c->driver); /* whoever comes first */
    }
  }
  arena_free(&cmd.a);
  return st;
}

static Status listen_there(Channel *c, Err *e) {
  const char *tmp = getenv("TMPDIR");
  struct sockaddr_un a = {.sun_family = AF_UNIX};
  if (!tmp || *tmp != '/' || strlen(tmp) > sizeof a.sun_path - 32)
    tmp = "/tmp"; /* the path of a socket is short */
  snprintf(c->folder, sizeof c->folder, "%s/cmlc-spark-XXXXXX", tmp);
  if (!mkdtemp(c->folder)) {
    c->folder[0] = 0;
    return err_set(e, ST_RESOURCE, "CML0501", "Set TMPDIR to a folder that can be written.",
                   "cannot make a temporary folder: %s", strerror(errno));
  }
  snprintf(a.sun_path, sizeof a.sun_path, "%.80s/socket", c->folder);
  c->listening = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (c->listening < 0 || bind(c->listening, (struct sockaddr *)&a, sizeof a) || listen(c->listening, 1))
    return err_set(e, ST_RESOURCE, "CML0504", NULL, "cannot make a socket: %s", strerror(errno));
  return ST_OK;
}

Status channel_start(const SparkOptions *o, const atomic_bool *cancel, Channel **out, Err *e) {
  Channel *c = mem_alloc(sizeof *c);
  *out = NULL;
  if (!c)
    return err_memory(e);
  c->listening = c->fd = -1;
  c->cancel = cancel;
  if (!spark_folder())
    err_set(e, ST_RESOURCE, "CML0530", "Build it with: scripts/setup --spark.",
            "this cmlc was built without Spark");
  else if (listen_there(c, e) == ST_OK)
    start_driver(c, o, e);
  if (e->code == ST_OK)
    *out = c;
  else
    channel_close(c);
  return e->code;
}

/* ---- Its end ---- */

/* Has it ended? */
static bool ended(Channel *c) {
  int status;
  if (c->driver && waitpid(c->driver, &status, WNOHANG) == c->driver)
    c->driver = 0;
  return !c->driver;
}

static void remove_folder(const Channel *c) {
  char path[300];
  if (!c->folder[0])
    return;
  snprintf(path, sizeof path, "%s/socket", c->folder);
  unlink(path);
  snprintf(path, sizeof path, "%s/log", c->folder);
  unlink(path);
  rmdir(c->folder);
}

/* Waits for it, and kills what is left. */
static void end_driver(Channel *c, double seconds) {
  double until = now() + seconds;
  pid_t group = c->driver;
  while (!ended(c) && now() < until)
    usleep(20000);
  if (c->driver) {
    kill(-group, SIGKILL);
    waitpid(c->driver, NULL, 0);
    c->driver = 0;
  } else if (group) {
    kill(-group, SIGKILL); /* whom it left behind */
  }
}

void channel_close(Channel *c) {
  if (!c)
    return;
  if (c->fd >= 0 && c->driver) {
    static const uint8_t bye[HEAD] = {1, 0, 0, 0, FRAME_BYE};
    (void)!send(c->fd, bye, sizeof bye, MSG_NOSIGNAL);
    shutdown(c->fd, SHUT_WR);
  } else if (c->driver) {
    kill(-c->driver, SIGTERM); /* it never came so far */
  }
  end_driver(c, BYE_SECONDS);
  if (c->fd >= 0)
    close(c->fd);
  if (c->listening >= 0)
    close(c->listening);
  remove_folder(c);
  buf_free(&c->in);
  mem_free(c);
}

/* A line of a log that says nothing to a user. */
static bool chatter(const char *line) {
  return !*line || strstr(line, "WARNING: ") == line || strstr(line, " INFO ") || strstr(line, " WARN ") ||
         strstr(line, "\tat ") == line || strstr(line, "Setting default log level") ||
         strstr(line, "To adjust logging level");
}

/* The last lines of its log. */
static Status died(Channel *c, Err *e) {
  enum { SHOWN = 12, ROOM = 1 << 16 };
  char path[300], *text = mem_alloc(ROOM + 1);
  const char *line[SHOWN];
  uint32_t n = 0;
  snprintf(path, sizeof path, "%s/log", c->folder);
  FILE *f = text ? fopen(path, "r") : NULL;
  if (f && fseek(f, 0, SEEK_END) == 0) {
    long size = ftell(f);
    fseek(f, size > ROOM ? size - ROOM : 0, SEEK_SET);
    text[fread(text, 1, ROOM, f)] = 0;
  }
  if (f)
    fclose(f);
  for (char *s = text, *end; s && *s; s = end) {
    end = s + strcspn(s, "\n");
    if (*end)
      *end++ = 0;
    if (chatter(s))
      continue;
    if (n == SHOWN)
      memmove(line, line + 1, --n * sizeof *line);
    line[n++] = s;
  }
  char cause[1200] = "";
  size_t at = 0;
  for (uint32_t i = 0; i < n && at + 4 < sizeof cause; i++)
    at += (size_t)snprintf(cause + at, sizeof cause - at, "\n  %.180s", line[i]);
  err_set(e, ST_RESOURCE, "CML0530", "Look at the master's address, and at Spark's own log.",
          "the Spark driver ended by itself%s%s", n ? "; it said last:" : "", cause);
  mem_free(text);
  return e->code;
}

/* ---- Frames ---- */

/* Waits until there is something to read there. */
static Status await(Channel *c, int fd, double until, Err *e) {
  double grace = 0;
  for (;;) {
    struct pollfd p = {.fd = fd, .events = POLLIN};
    int n = poll(&p, 1, TICK);
    if (n > 0)
      return ST_OK;
    if (n < 0 && errno != EINTR)
      return err_set(e, ST_RESOURCE, "CML0530", NULL, "the Spark driver cannot be waited for: %s",
                     strerror(errno));
    if (c->cancel && atomic_load(c->cancel)) {
      if (c->fd < 0)
        return err_set(e, ST_CANCEL, NULL, NULL, "interrupted");
      if (!c->cancelled) {
        static const uint8_t stop[HEAD] = {1, 0, 0, 0, FRAME_CANCEL};
        (void)!send(c->fd, stop, sizeof stop, MSG_NOSIGNAL);
        c->cancelled = true;
        grace = now() + CANCEL_SECONDS;
      } else if (now() > grace) {
        return err_set(e, ST_CANCEL, NULL, NULL, "interrupted");
      }
    }
    if (ended(c))
      return died(c, e);
    if (until > 0 && now() > until)
      return err_set(e, ST_RESOURCE, "CML0530", "Look whether Java 17 starts there at all.",
                     "the Spark driver did not start within %d seconds", START_SECONDS);
  }
}

static Status connect_driver(Channel *c, Err *e) {
  if (c->fd >= 0)
    return ST_OK;
  if (await(c, c->listening, now() + START_SECONDS, e) != ST_OK)
    return e->code;
  c->fd = accept4(c->listening, NULL, NULL, SOCK_CLOEXEC);
  if (c->fd < 0)
    return err_set(e, ST_RESOURCE, "CML0530", NULL, "the Spark driver cannot be reached: %s",
                   strerror(errno));
  return ST_OK;
}

static Status send_all(Channel *c, const void *p, size_t n, Err *e) {
  const char *s = p;
  while (n) {
    ssize_t k = send(c->fd, s, n, MSG_NOSIGNAL);
    if (k < 0 && errno == EINTR)
      continue;
    if (k <= 0)
      return died(c, e);
    s += k;
    n -= (size_t)k;
  }
  return ST_OK;
}

static Status receive(Channel *c, void *p, size_t n, Err *e) {
  char *s = p;
  while (n) {
    if (await(c, c->fd, 0, e) != ST_OK)
      return e->code;
    ssize_t k = recv(c->fd, s, n, 0);
    if (k < 0 && errno == EINTR)
      continue;
    if (k <= 0) {
      end_driver(c, 2); /* so that its log is whole */
      return died(c, e);
    }
    s += k;
    n -= (size_t)k;
  }
  return ST_OK;
}

/* The next frame, into c->in. */
static Status next_frame(Channel *c, uint8_t *kind, Err *e) {
  uint8_t head[HEAD];
  if (receive(c, head, sizeof head, e) != ST_OK)
    return e->code;
  uint32_t n = (uint32_t)head[0] | (uint32_t)head[1] << 8 | (uint32_t)head[2] << 16 | (uint32_t)head[3] << 24;
  *kind = head[4];
  if (!n)
    return err_set(e, ST_FAULT, "CML0614", NULL, "the Spark driver sent something that cannot be read");
  buf_clear(&c->in);
  n--;
  if (n > c->in.cap) {
    uint8_t *p = mem_realloc(c->in.p, n);
    if (!p)
      return err_memory(e);
    c->in.p = p;
    c->in.cap = n;
  }
  c->in.n = n;
  return receive(c, c->in.p, n, e);
}

static void take_into(Rd *r, char *out, size_t room) {
  Bytes b = frame_take_str(r);
  size_t n = b.n < room ? b.n : room - 1;
  if (n)
    memcpy(out, b.p, n);
  while (n && b.n >= room && ((uint8_t)out[n] & 0xc0) == 0x80) /* cut between two characters */
    n--;
  out[n] = 0;
}

static Status their_error(Channel *c, Err *e) {
  Rd r = rd_of(buf_bytes(&c->in));
  Err theirs = {0};
  theirs.code = (Status)rd_u32(&r);
  take_into(&r, theirs.id, sizeof theirs.id);
  take_into(&r, theirs.where, sizeof theirs.where);
  take_into(&r, theirs.cause, sizeof theirs.cause);
  take_into(&r, theirs.remedy, sizeof theirs.remedy);
  if (r.bad || theirs.code < ST_USAGE || theirs.code > ST_CANCEL)
    return err_set(e, ST_FAULT, "CML0614", NULL, "the Spark driver sent something that cannot be read");
  if (e->code == ST_OK)
    *e = theirs;
  return e->code;
}

static void tell(const Channel *c, uint8_t kind, const ChannelHooks *h) {
  Rd r = rd_of(buf_bytes(&c->in));
  if (kind == SAYS_PROGRESS && h && h->progress) {
    uint64_t done = rd_u64(&r), total = rd_u64(&r);
    if (!r.bad)
      h->progress(h->ctx, done, total);
  }
  if (kind == SAYS_NOTE && h && h->note) {
    char text[1024];
    take_into(&r, text, sizeof text);
    h->note(h->ctx, text);
  }
}

Status channel_ask(Channel *c, FrameKind kind, const Buf *body, const ChannelHooks *hooks, Buf *answer,
                   Err *e) {
  uint64_t n = (body ? body->n : 0) + 1;
  uint8_t head[HEAD] = {(uint8_t)n, (uint8_t)(n >> 8), (uint8_t)(n >> 16), (uint8_t)(n >> 24), (uint8_t)kind};
  if (body && body->bad)
    return err_memory(e);
  if (n > INT32_MAX)
    return err_set(e, ST_RESOURCE, "CML0532", "Learn from fewer features or groups.",
                   "%llu bytes are too many to be sent to Spark at once", (unsigned long long)n);
  Err theirs = {0};
  if (connect_driver(c, e) != ST_OK || send_all(c, head, sizeof head, e) != ST_OK ||
      (body && send_all(c, body->p, body->n, e) != ST_OK))
    return e->code;
  for (;;) {
    uint8_t says = SAYS_ERROR;
    if (next_frame(c, &says, e) != ST_OK)
      return e->code;
    if (says == SAYS_OK)
      break;
    if (says == SAYS_ERROR)
      return theirs.code ? (*e = theirs).code : their_error(c, e);
    if (says == SAYS_ROWS && hooks && hooks->rows && !theirs.code) {
      Rd r = rd_of(buf_bytes(&c->in));
      hooks->rows(hooks->ctx, rd_blob(&r), &theirs); /* the answer is waited for all the same */
    } else {
      tell(c, says, hooks);
    }
  }
  if (theirs.code)
    return (*e = theirs).code;
  if (answer) {
    Buf b = *answer;
    *answer = c->in;
    c->in = b;
  }
  return ST_OK;
}
