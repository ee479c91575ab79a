# SPDX-License-Identifier: Apache-2.0
# base: arena, strings, maps, errors, digests; knows no machine learning.

noinst_LIBRARIES += libbase.a
libbase_a_SOURCES = \
  base/arena.c base/arena.h base/blake3.c base/blake3.h base/buf.c base/buf.h base/digest.c base/digest.h \
  base/err.c base/err.h base/file.c base/file.h base/hash.c base/hash.h base/map.c base/map.h base/mem.c \
  base/num.c base/num.h base/option.c base/option.h base/slab.c base/slab.h base/task.c base/task.h \
  base/unicode.c base/unicode.h base/unicode_table.h
base_extra = \
  base/README.md
EXTRA_DIST += $(base_extra)
