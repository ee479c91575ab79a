/* SPDX-License-Identifier: Apache-2.0 */
/* The bundle: one `.cmlm` file that holds a trained model and everything scoring needs, and nothing that runs
 * by itself.
 *
 * A safetensors container (https://github.com/huggingface/safetensors, "Format"): readable from Python with
 * `safetensors.numpy.load_file`.
 *
 *   +--------+----------------------------+------------------------------------------------+
 *   | u64 n  | n bytes of JSON, padded    | tensors, one behind the other, in order of name |
 *   +--------+----------------------------+------------------------------------------------+
 *
 *   __metadata__                 strings: format, versions, model, estimator, options, metrics, provenance
 *   program                U8    the score stage as IR text; its fitted values are numbered $0..
 *   fitted.K               F64, I64 or U8   a scalar (shape []), a string (U8), a list (F64 [n])
 *   fitted.K.bytes/.offsets      a vocabulary: level i is bytes[offsets[i]..offsets[i+1]], ascending
 *   fitted.K.keys/.offsets/.values/.nulls     a table: canonical keys ascending, a value and a null flag for
 *                                             each
 *   fitted.K.NAME          F64   tensors of a model: coefficients, intercept
 *   features.bytes/.offsets      names of the feature vector's elements
 *   classes.bytes/.offsets       names of a multiclass model's classes, ascending
 *
 * No time, host, thread count or absolute path is inside: equal models are equal files. Reading trusts
 * nothing: sizes, offsets, order, types and the IR itself are verified before anything is used. */
#ifndef VM_BUNDLE_H
#define VM_BUNDLE_H

#include "base/arena.h"
#include "base/err.h"
#include "vm/estimator.h"
#include "vm/fitted.h"
#include "vm/ir.h"

enum { BUNDLE_VERSION = 1 };

typedef struct BundleMeta { /* further entries of __metadata__ */
  const char *key, *value;
} BundleMeta;

typedef struct Bundle {
  Arena arena;
  Program *program;     /* one score stage */
  Fitted **fitted;
  uint32_t nfitted;
  char *meta;           /* __metadata__ as JSON text */
  uint32_t model;       /* number of the model among the fitted values */
} Bundle;

/* Writes `stage` (a score stage of p) with the fitted values it reads: whole or not at all (temporary
 * file, fsync, rename). */
Status bundle_write(const char *path, const Program *p, uint32_t stage, const Fitted *const *fitted,
                    const BundleMeta *meta, uint32_t nmeta, Err *e);
/* What bundle_write would write, in memory: for tests and digests. */
Status bundle_bytes(const Program *p, uint32_t stage, const Fitted *const *fitted, const BundleMeta *meta,
                    uint32_t nmeta, Buf *out, Err *e);

Status bundle_read(const char *path, const Registry *r, Bundle **out, Err *e);
Status bundle_parse(Bytes in, const Registry *r, Bundle **out, Err *e);
void bundle_free(Bundle *b);

#endif
