/* SPDX-License-Identifier: Apache-2.0 */
/* Parquet files of Hadoop's file systems, for code that looks at files of this machine: each becomes a file
 * of the same size with the footer at its end, and a hole before it. Read spark_mirrors. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "vm/exec/spark_parts.h"

enum { TAIL = 64 << 10, AT_ONCE = 256 }; /* bytes; files whose footers come in one answer */

static bool put_at(int fd, const uint8_t *p, size_t n, uint64_t at) {
  for (size_t k = 0; k < n;) {
    ssize_t some = pwrite(fd, p + k, n - k, (off_t)(at + k));
    if (some < 0 && errno == EINTR)
      continue;
    if (some <= 0)
      return false;
    k += (size_t)some;
  }
  return true;
}

/* tail: its last bytes, the last four of which are also its first. */
static Status mirror(const SparkFile *f, Bytes tail, uint32_t k, const char *dir, Err *e) {
  const char *name = strrchr(f->name, '/');
  char path[4096];
  snprintf(path, sizeof path, "%s/%06u-%.255s", dir, k, name ? name + 1 : f->name);
  int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  bool good = fd >= 0 && !ftruncate(fd, (off_t)f->bytes);
  if (good && tail.n >= 4 && tail.n <= f->bytes)
    good = put_at(fd, tail.p, tail.n, f->bytes - tail.n) &&
           (tail.n == f->bytes || put_at(fd, tail.p + tail.n - 4, 4, 0));
  if (!good)
    err_set(e, ST_RESOURCE, "CML0503", "Free space in the folder TMPDIR, or set that to another one.",
            "cannot make `%s`: %s", path, strerror(errno));
  if (fd >= 0)
    close(fd);
  return e->code;
}

Status spark_mirrors(Executor *x, const SparkFile *file, uint32_t n, const char *dir, Err *e) {
  Buf b = {0}, answer = {0};
  for (uint32_t i = 0; i < n && e->code == ST_OK; i += AT_ONCE) {
    uint32_t some = n - i < AT_ONCE ? n - i : AT_ONCE;
    buf_clear(&b);
    buf_u64(&b, TAIL);
    buf_u32(&b, some);
    for (uint32_t k = i; k < i + some; k++)
      frame_str(&b, file[k].name);
    if (spark_ask((Spark *)x, FRAME_TAILS, &b, &answer, e) != ST_OK)
      break;
    Rd r = rd_of(buf_bytes(&answer));
    bool good = rd_u32(&r) == some;
    for (uint32_t k = i; good && k < i + some && e->code == ST_OK; k++) {
      Bytes tail = rd_blob(&r);
      good = !r.bad;
      if (good)
        mirror(&file[k], tail, k, dir, e);
    }
    if (e->code == ST_OK && (!good || !rd_done(&r)))
      spark_garbled(e);
  }
  buf_free(&b);
  buf_free(&answer);
  return e->code;
}
