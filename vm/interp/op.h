/* SPDX-License-Identifier: Apache-2.0 */
/* Inside the interpreter: steps, registers, and what the op_*.c files share. Nobody else includes this.
 *
 * A Step is one IrVal made ready. step_CODE(s) computes its register s->out from the registers of its
 * arguments, for rows 0 .. s->n - 1. Around it the interpreter does what is common:
 *
 *   STRICT  before: out->null = union of the arguments' masks (NULL when there are none); after: values
 *           under a null become 0 (ragged registers: the step itself leaves such rows without entries)
 *   NEVER   before: out->null = NULL
 *   OWN     nothing: the step sets out->null (with step_mask) and leaves 0 under nulls
 *
 * Registers never overlap their step's arguments, so that a step may look at its arguments again after
 * writing. A register of a constant (Col.constant) nevertheless holds its value PANEL_ROWS times: a step
 * may read it like any column, or element 0 only. */
#ifndef VM_INTERP_OP_H
#define VM_INTERP_OP_H

#include "base/map.h"
#include "vm/interp.h"
#include "vm/ops.h"

/* Loops over panels are worth vectorising at any -O; no flag or trap of the floating-point unit is ever
 * looked at. */
#if defined(__GNUC__) && !defined(__clang__)
#define VECTOR_LOOPS _Pragma("GCC optimize(\"O3\", \"no-trapping-math\", \"no-math-errno\")")
#else
#define VECTOR_LOOPS
#endif

typedef struct Step Step;
typedef void (*StepFn)(Step *s);

/* Storage of a register whose rows differ in length (Col.ptr): it grows, and is kept from panel to panel. */
typedef struct Entries {
  uint32_t *ptr; /* PANEL_ROWS + 1 */
  uint32_t *el;  /* elements or codes */
  double *f;     /* sparse vectors */
  uint32_t cap;
} Entries;

struct Step {
  StepFn run;
  const IrVal *v;
  const OpInfo *info;
  uint32_t number;       /* of the value */
  uint32_t n;            /* rows now; 1 while constants are computed */
  const Col **arg;
  Col *out;
  void *data;            /* storage of the register, or NULL (aliases) */
  uint8_t *mask;         /* storage of its null mask, or NULL: never null */
  Entries entries;       /* storage of ragged rows */
  const Fitted *fitted;  /* $i, where the op names one */
  void *state;           /* made by the step's prepare function */
  void (*drop)(void *state);
  Given given;           /* what it would compute is there already; ptr NULL: it is not */
  bool skip;             /* only steps read it that are given */
  const Step *counts;    /* tokenize: the step that counts the words by key, if nothing else reads them */
  struct Interp *t;
};

struct Interp {
  const RowProg *p;
  const Env *env;
  uint32_t nval;
  Step *step;
  Col *reg;              /* by value number */
  const Col **args;      /* storage of Step.arg */
  uint32_t *list;        /* the steps that run on each panel, in order */
  uint32_t nlist;
  bool *split;           /* by value: a slot that is not put together (interp_new_parts) */
  const Col **part;      /* what they are made of, slot after slot */
  uint32_t *part_at;     /* nout + 1: where those of output k begin */
  uint32_t *result;      /* values that are read behind the last step: outputs, and parts of them */
  uint32_t nresult;
  int32_t *input;        /* col: number of the input */
  uint32_t ninput;
  Dict **own;            /* const.str, fitted.str: their dictionaries */
  Dict *none;            /* the empty one, for columns of nulls that came without */
  double **copy;         /* outputs whose NaNs had to be made canonical in a copy */
  uint8_t *memory;       /* all registers */
  size_t bytes;
  struct JitUse *jit;    /* NULL: it is interpreted only */
  bool trial;            /* a bad row is not reported: */
  bool failed;           /* it was met */
  const RowsIn *in;      /* now; NULL while constants are computed */
  RowErrors *errors;
  Err *err;
  uint8_t live[PANEL_ROWS];    /* rows that neither failed nor were removed */
  uint8_t kept[PANEL_ROWS];    /* rows that no keep removed */
  int32_t scratch[PANEL_ROWS];
};

/* ---- For steps ---- */

#define OP(code, ...) void step_##code(Step *s);
#include "vm/ops.def"
#undef OP

uint8_t *step_mask(Step *s);  /* out->null, all 0 if there was none; for steps that may give nulls */
/* A data error in row r, unless that row is null, removed, or already bad. `column` may be NULL. */
void step_fail(Step *s, uint32_t r, const char *column, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
void step_memory(Step *s);    /* memory is used up: the run ends after this step */
/* Room for `entries` of a ragged register in all, what is there is kept; sets out->ptr and the arrays.
 * False: memory. */
bool step_entries(Step *s, uint64_t entries);
static inline bool step_is_null(const Col *c, uint32_t r) {
  return c->null && c->null[r];
}

/* Prepare: make s->state when the Interp is made. A step without one needs nothing. */
Status prepare_str(Step *s, Err *e);
Status prepare_both(Step *s, Err *e);    /* if, coalesce of strings */
Status prepare_levels(Step *s, Err *e);  /* indicator, level, part_of, check.in */
Status prepare_bucket(Step *s, Err *e);
Status prepare_lookup(Step *s, Err *e);
Status prepare_hash(Step *s, Err *e);
Status prepare_score(Step *s, Err *e);   /* score, scores */
Status prepare_element(Step *s, Err *e);
Status prepare_class(Step *s, Err *e);
Status prepare_vector(Step *s, Err *e);
Status prepare_spline(Step *s, Err *e);
Status prepare_words(Step *s, Err *e);   /* steps that make strings anew for each panel */
Status prepare_sparse(Step *s, Err *e);

/* A constant list or vocabulary argument: where it lies. */
typedef struct ListView {
  const double *v;
  uint32_t n;
} ListView;
/* The value of an argument that is a constant step, bool or int; 0 where it is none. */
int64_t step_const(const Step *s, uint32_t arg);
ListView step_list(const Step *s, uint32_t arg);
uint32_t step_vocab_size(const Step *s, uint32_t arg);
bool step_vocab_at(const Step *s, uint32_t arg, uint32_t i, const char **p, uint32_t *n);

/* ---- What compiled code looks at (vm/jit), once for each panel ---- */

/* op_str.c: the argument that is looked up by entry, or -1; after a run, 16 bytes by entry: the value, and
 * whether it is null. */
int step_varying(const Step *s, uint32_t *at);
const void *step_cells(const Step *s);
/* op_check.c: number + 1 by entry, 0: none. NULL: memory. */
const int32_t *step_levels(Step *s);
/* op_key.c: the same of a look-up by one string; the table's row by number, -1: none; row r's variant. */
const int32_t *step_keys(Step *s);
const int32_t *step_rows(const Step *s);
uint32_t step_variant(const Step *s, const Table *t, uint32_t r);
const double *step_cuts(const Step *s, uint32_t *n, Dict **label);      /* op_vec.c: of bucket */
int64_t check_from(double v);                                           /* op_check.c: least int >= v */
int64_t check_to(double v);                                             /* greatest <= v */
void mod_rows(const double *a, const double *b, double *out, size_t n); /* op_num.c: mod.f64 */

/* ---- Dictionaries: op_dict.c ---- */

typedef struct Str {
  const char *p;
  uint32_t n;
} Str;

static inline Str dict_at(const Dict *d, uint32_t code) {
  if (code >= d->n)
    return (Str){"", 0};
  return (Str){d->bytes + d->off[code], d->off[code + 1] - d->off[code]};
}

static inline Str col_str(const Col *c, uint32_t r) {
  return dict_at(c->dict, c->code[r]);
}

int str_cmp(Str a, Str b); /* memcmp, then length */
static inline bool str_eq(Str a, Str b) {
  return a.n == b.n && !__builtin_memcmp(a.p, b.p, a.n);
}

/* A dictionary under construction. After memory ran out everything is ignored and dict_done gives NULL. */
typedef struct DictBuild {
  Buf bytes;
  uint32_t *off;
  uint32_t n, cap;
  bool bad;
} DictBuild;
void dict_begin(DictBuild *b);
void dict_entry(DictBuild *b);              /* what was put into b->bytes since the last entry is one */
void dict_put(DictBuild *b, Str s);         /* one entry */
Dict *dict_done(DictBuild *b);              /* refs = 1; empties b */
void dict_abandon(DictBuild *b);
Dict *dict_of(const Str *s, uint32_t n);    /* NULL: memory */

/* What was computed once for each entry of a dictionary, kept while the same dictionary comes again (a
 * block has 32 panels). */
typedef struct DictMap {
  Dict *src;       /* held; NULL: nothing kept */
  Dict *dst;       /* result as a dictionary (refs >= 1), or NULL */
  void *table;     /* result as an array; at least one element, the rest of capacity zero */
  size_t cap;      /* bytes of table */
} DictMap;
/* False: the map is of this very dictionary. True: it has to be filled anew; src is set, dst dropped,
 * table has (d->n + 1) * size zeroed bytes. When memory runs out step_memory was called, table is NULL and
 * the result is false: test for that. */
bool dictmap_stale(Step *s, DictMap *m, Dict *d, size_t size);
void dictmap_forget(DictMap *m); /* filling failed */
void dictmap_free(DictMap *m);

/* Integers to small numbers; open addressing. */
typedef struct IntMap {
  uint64_t *key;
  uint32_t *val; /* number + 1, 0 = free */
  uint32_t n, nslot;
} IntMap;
int64_t intmap_find(const IntMap *m, uint64_t key);
int64_t intmap_add(IntMap *m, uint64_t key); /* finds or adds with the next number; -1: memory */
void intmap_clear(IntMap *m);
void intmap_free(IntMap *m);

/* ---- matrix.c ---- */

/* without names: feature is NULL */
Status slots_of_step(const Interp *t, const Step *s, bool names, Slots *out, Err *e);
bool slot_is_finite(const Col *c, uint32_t n);
/* First element of row r that is not finite, or -1. */
int64_t slot_bad_element(const Col *c, uint32_t r);
double slot_value(const Col *c, uint32_t r, uint32_t k); /* element k of row r; not one-hot */
/* As matrix_append, without the checks. */
Status matrix_put(MatrixBuilder *b, const Col *const *slot, uint32_t n, Err *e);

#endif
