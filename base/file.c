/* SPDX-License-Identifier: Apache-2.0 */
/* Files; see file.h. */
#include "base/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

Status file_read(const char *path, size_t most, Status code, Buf *out, Err *e) {
  struct stat st;
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0)
    return err_set(e, code, "CML0401", "Check the path.", "cannot open `%s`: %s", path, strerror(errno));
  if (fstat(fd, &st) == 0 && S_ISDIR(st.st_mode))
    err_set(e, code, "CML0401", "Name a file.", "`%s` is a folder", path);
  char chunk[65536];
  ssize_t n = 0;
  while (e->code == ST_OK && (n = read(fd, chunk, sizeof chunk)) > 0) {
    buf_put(out, chunk, (size_t)n);
    if (out->n > most)
      err_set(e, code, "CML0401", "Give a smaller one.", "`%s` is larger than %zu bytes", path, most);
  }
  if (n < 0)
    err_set(e, code, "CML0401", NULL, "cannot read `%s`: %s", path, strerror(errno));
  if (out->bad)
    err_memory(e);
  close(fd);
  return e->code;
}

static bool write_all(int fd, Bytes b) {
  while (b.n) {
    ssize_t k = write(fd, b.p, b.n);
    if (k < 0 && errno == EINTR)
      continue;
    if (k <= 0)
      return false;
    b.p += k;
    b.n -= (size_t)k;
  }
  return true;
}

static Status cannot_write(const char *path, int why, Err *e) {
  return err_set(e, ST_RESOURCE, "CML0503",
                 "Check that the folder exists and may be written, and that the disk has room.",
                 "cannot write `%s`: %s", path, strerror(why));
}

/* A device or a pipe: never replaced. */
static Status write_into(const char *path, Bytes content, Err *e) {
  int fd = open(path, O_WRONLY | O_CLOEXEC);
  if (fd < 0)
    return cannot_write(path, errno, e);
  bool ok = write_all(fd, content);
  int err = errno;
  if (close(fd) != 0 && ok) {
    ok = false;
    err = errno;
  }
  return ok ? ST_OK : cannot_write(path, err, e);
}

static Status replace(const char *path, const struct stat *old, Bytes content, Err *e) {
  char tmp[4096], dir[4096];
  const char *slash = strrchr(path, '/');
  snprintf(dir, sizeof dir, "%.*s", slash ? (int)(slash - path + 1) : 1, slash ? path : ".");
  int n = snprintf(tmp, sizeof tmp, "%s/.%s.tmp-%ld", slash ? dir : ".", slash ? slash + 1 : path,
                   (long)getpid());
  if (n < 0 || (size_t)n >= sizeof tmp)
    return err_set(e, ST_RESOURCE, "CML0503", NULL, "the path `%s` is too long", path);
  int fd = open(tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  if (fd < 0)
    return cannot_write(path, errno, e);
  bool ok = write_all(fd, content) && (!old || fchmod(fd, old->st_mode & 0777) == 0) && fsync(fd) == 0;
  int err = errno;
  if (close(fd) != 0 && ok) {
    ok = false;
    err = errno;
  }
  if (ok && rename(tmp, path) != 0) {
    ok = false;
    err = errno;
  }
  if (!ok) {
    unlink(tmp);
    return cannot_write(path, err, e);
  }
  int d = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (d >= 0) {
    fsync(d);
    close(d);
  }
  return ST_OK;
}

Status file_write_whole(const char *path, Bytes content, Err *e) {
  struct stat old;
  if (stat(path, &old) != 0)
    return replace(path, NULL, content, e);
  if (!S_ISREG(old.st_mode))
    return write_into(path, content, e);
  char *real = realpath(path, NULL);
  if (!real)
    return cannot_write(path, errno, e);
  replace(real, &old, content, e);
  free(real);
  return e->code;
}

bool file_is_remote(const char *path) {
  size_t n = 0;
  while ((path[n] >= 'a' && path[n] <= 'z') || (path[n] >= 'A' && path[n] <= 'Z') ||
         (n && path[n] && strchr("0123456789+.-", path[n])))
    n++;
  return n > 1 && strncmp(path + n, "://", 3) == 0;
}

char *file_join(const char *dir, const char *path) {
  if (path[0] == '/' || file_is_remote(path) || !dir || !dir[0] || !strcmp(dir, "."))
    return mem_strdup(path);
  size_t k = strlen(dir), n = k + strlen(path) + 2;
  char *s = mem_alloc(n);
  if (s)
    snprintf(s, n, "%s%s%s", dir, dir[k - 1] == '/' ? "" : "/", path);
  return s;
}

char *folder_temporary(Arena *a, Err *e) {
  const char *tmp = getenv("TMPDIR");
  char *dir = arena_printf(a, "%s/cmlc-XXXXXX", tmp && *tmp == '/' ? tmp : "/tmp");
  if (!dir)
    err_memory(e);
  else if (!mkdtemp(dir))
    err_set(e, ST_RESOURCE, "CML0501", "Set TMPDIR to a folder that can be written.",
            "cannot make a temporary folder `%s`: %s", dir, strerror(errno));
  return e->code == ST_OK ? dir : NULL;
}

void folder_remove(const char *dir) {
  DIR *d = opendir(dir);
  for (struct dirent *f; d && (f = readdir(d));)
    if (strcmp(f->d_name, ".") && strcmp(f->d_name, ".."))
      unlinkat(dirfd(d), f->d_name, 0);
  if (d)
    closedir(d);
  rmdir(dir);
}
