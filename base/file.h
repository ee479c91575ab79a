/* SPDX-License-Identifier: Apache-2.0 */
/* Files: read whole, written whole or not at all. */
#ifndef BASE_FILE_H
#define BASE_FILE_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"

/* Reads at most `most` bytes; a longer file is an error. The code of failures is `code` (ST_PROGRAM for
 * programs, ST_DATA for data). */
Status file_read(const char *path, size_t most, Status code, Buf *out, Err *e);
/* Temporary file beside it, fsync, rename, fsync of the folder: the old file or the new one is there,
 * nothing between. The mode of an old file is kept; a link keeps standing, and the file it leads to is
 * renewed. What is no regular file (a device, a pipe) is written into. */
Status file_write_whole(const char *path, Bytes content, Err *e);
/* Has it a scheme, as "hdfs://host/x" has? Such a path is never relative to a folder. */
bool file_is_remote(const char *path);
/* `dir/path`, or path where it is absolute or remote, or dir is "." or NULL; mem_alloc'ed, NULL: no memory.
 */
char *file_join(const char *dir, const char *path);
/* A new folder in $TMPDIR or /tmp, its name in the arena; NULL: it cannot be made. */
char *folder_temporary(Arena *a, Err *e);
void folder_remove(const char *dir); /* with the files in it */

#endif
