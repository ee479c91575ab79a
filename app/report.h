/* SPDX-License-Identifier: Apache-2.0 */
/* What a run tells: the summary on standard output, the object of --json, the metadata of bundles. */
#ifndef APP_REPORT_H
#define APP_REPORT_H

#include <stdio.h>

#include "base/buf.h"
#include "lang/diag.h"
#include "vm/run.h"

/* of a source stage: of its file, or of the digests of its files in order */
typedef struct DataDigest {
  uint32_t stage;
  char digest[DATA_DIGEST];
} DataDigest;

typedef struct Report {
  const Program *program;
  const Registry *registry;
  const RunResult *run;
  const char *path;          /* of the program, as given */
  char digest[DIGEST_HEX];   /* of its text */
  const DataDigest *data;
  uint32_t ndata;
} Report;

/* The threshold that was chosen for the model of a train stage, and the evaluation it comes from; NULL:
 * none was. */
const double *report_threshold(const Report *r, uint32_t train, const Stage **from);
/* What a train stage has learned; NULL: it is none, or has not. */
const Model *report_model(const Report *r, uint32_t stage);
enum { REPORT_FEATURES = 20 };   /* that many have a line each; of more features the larger half of that
                                  * many */
/* `features`: of how many the summary shows what was learned; UINT32_MAX: of all. */
void report_print(const Report *r, FILE *out, bool colour, uint32_t features);
void report_json(const Report *r, Buf *out);

/* ---- Between report.c and report_model.c ---- */
typedef struct Paint {
  FILE *out;
  const char *bold, *green, *red, *dim, *end;
} Paint;
int report_width(const char *s); /* places on a terminal: characters, not bytes */
void report_models(const Report *r, const Paint *p, uint32_t features);

/* ---- json.c: a writer whose numbers are the shortest that read back the same; what is not finite is null
 * ---- */
typedef struct Json {
  Buf *out;
  bool comma;   /* something stands before at this level */
  int depth;
} Json;
void json_open(Json *j, const char *key, char bracket); /* key NULL inside arrays and at the top */
void json_close(Json *j, char bracket);
void json_text(Json *j, const char *key, const char *value); /* NULL: null */
void json_number(Json *j, const char *key, double value);
void json_whole(Json *j, const char *key, uint64_t value);
void json_signed(Json *j, const char *key, int64_t value);
void json_truth(Json *j, const char *key, bool value);
void json_null(Json *j, const char *key);

/* ---- diagnostics.c: `check --format json | sarif` ---- */

enum { DIAGNOSTICS_CODES = 256 };
typedef struct Diagnostics {
  Json json;
  bool sarif;
  char code[DIAGNOSTICS_CODES][12]; /* that occurred: SARIF's rules */
  uint32_t ncode;
} Diagnostics;
void diagnostics_begin(Diagnostics *d, bool sarif, Buf *out);
/* of a program; a failure that is none of them in e */
void diagnostics_add(Diagnostics *d, const Diags *of, const char *path, const Err *e);
void diagnostics_end(Diagnostics *d);

void json_jit(Json *j, const JitStats *s);
void json_options(Json *j, const char *key, const IrOption *v, uint32_t n, const Option *spec);
/* with a threshold that was chosen */
void json_model_options(Json *j, const char *key, const Report *r, uint32_t train);
/* The metrics of evaluations; `train` >= 0: only of that model. */
void json_evaluations(Json *j, const char *key, const Report *r, int32_t train);

#endif
