/* SPDX-License-Identifier: Apache-2.0 */
/* The linear family: what linear_regression.c and logistic_regression.c share. Types in the order the data
 * flow.
 *
 *   rows --moments.c, gram.c--> Moments --space.c--> Space
 *   Space, a point --gradient.c, wide.c--> Sums --newton.c, lbfgs.c--> the next point, ...
 *   --model.c, inference.c--> Model
 *
 * The problem, with W = sum of the weights w_i (class weights included):
 *
 *   minimise over b, b0   (1/W) sum_i w_i loss(y_i, f_i)  +  l1 sum_j |s_j b_j|  +  (l2 / 2) sum_j (s_j
 *   b_j)^2
 *   with  f_i = b0 + sum_j b_j x_ij  and  lower_j <= b_j <= upper_j
 *
 * s_j is the weighted standard deviation of column j with denominator W; the intercept b0 is never penalised.
 *
 * Coordinates. Solvers see columns of about unit size: u_ij = (x_ij - shift_j) inv_j and coefficients beta_j
 * = b_j / inv_j, with f_i = a + sum_j beta_j u_ij. inv_j = 1 / s_j (without an intercept 1 / root mean
 * square). shift_j is the mean where all rows of the column are stored, and 0 in a sparse column, which must
 * not fill up; there the mean in u is `center_j`, and the solver takes it out on its side. The stored data
 * are never changed; scale and shift go back into b and b0 at the end.
 *
 * An offset (a term whose coefficient is 1) is a column like others, the last one, that no solver moves. */
#ifndef STDLIB_LINEAR_LINEAR_H
#define STDLIB_LINEAR_LINEAR_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "vm/blas.h"
#include "vm/estimator.h"

typedef enum {
  LOSS_SQUARED,  /* (y - f)^2 / 2 */
  LOSS_LOGISTIC, /* log(1 + exp(-f)) for y = 1, log(1 + exp(f)) for y = 0 */
} LinLoss;

typedef enum { SOLVER_AUTO, SOLVER_NEWTON, SOLVER_LBFGS } LinSolver; /* order of the option's values */

enum {
  NEWTON_WIDTH = 4096,      /* auto: Newton up to this many columns, L-BFGS above */
  NEWTON_WIDTH_MAX = 16384, /* solver = newton: beyond, the matrix alone takes gigabytes */
};

typedef struct LinOptions {
  double l1, l2;
  bool intercept, standardize;
  LinSolver solver;
  uint32_t max_iterations;
  double tolerance;
  bool balanced;          /* class_weight = balanced */
  double positive_weight;
} LinOptions;

/* ---- moments.c: the first pass ---- */

enum { MOMENT_CLASSES = 2 }; /* logistic loss keeps its classes apart: their weights are known after the
                              * pass only */

typedef struct Moments {
  uint32_t d;
  bool classes;                      /* rows with y = 1 go to group 1; else all to group 0 */
  uint64_t rows[MOMENT_CLASSES];     /* rows with a positive weight */
  double weight[MOMENT_CLASSES];
  double y_mean, y_m2;               /* squared loss: mean of y and sum of w (y - mean)^2 */
  double *w[MOMENT_CLASSES];         /* d: weight of the rows where column j is stored (dense: all) */
  double *mean[MOMENT_CLASSES];      /* d: mean over those */
  double *m2[MOMENT_CLASSES];        /* d: sum of w (x - mean)^2 over those */
  double *low, *high;                /* d: range of the stored values */
  double *stored;                    /* d: number of rows with a positive weight where column j is stored */
} Moments;                           /* the arrays are one allocation that starts behind the struct */

extern const Pass linear_moments;
void linear_moments_par(uint32_t d, bool classes, bool sparse, Buf *par);
size_t linear_moments_doubles(uint32_t d);

/* The weights of a panel's rows, and groups; false where a row has an error. */
bool linear_check_rows(bool classes, const Panel *p, double *w, uint8_t *cls, Ctx *ctx);

/* ---- gradient.c: all further passes ---- */

typedef struct LinPoint { /* where to evaluate */
  double a;
  double *beta; /* d */
} LinPoint;

typedef struct Space { /* the coordinates, made from Moments; d entries each */
  uint32_t d;
  LinLoss loss;
  bool sparse, intercept;
  double weight[MOMENT_CLASSES]; /* what a row's weight is multiplied with, by class (squared loss: 1) */
  double total;            /* W */
  double given;            /* the same without class weights */
  double rows;
  double unit;             /* size of f that matters: 1 for logistic, the deviation of y for squared loss */
  double *shift, *inv;     /* inv = 0: the column is constant and takes no part */
  double *center;          /* mean of u_j */
  double *penalty;         /* l2 times (s_j inv_j)^2 or, not standardised, times inv_j^2 */
  double *l1;              /* l1 times s_j inv_j or, not standardised, times inv_j */
  double *lo, *hi;         /* bounds of beta_j */
  bool kinks;              /* there is an l1 or a bound: the objective is not smooth */
  bool offset;             /* the last column's coefficient stays as it starts */
  uint32_t sample;         /* LOOK_SAMPLE takes one row of 2^sample; 0: it does not pay */
} Space;

static inline bool linear_moves(const Space *s, uint32_t j) { /* has column j a coefficient to find? */
  return s->inv[j] != 0 && !(s->offset && j == s->d - 1);
}

/* Is there no best point, since f could be multiplied by any number? `beta` separates the classes. */
bool linear_unbounded(const Space *s, const LinOptions *o, const double *beta, double margin);

/* What a pass finds at a point: loss and gradient; the Hessian too; or the Hessian of a sample of the rows,
 * with its diagonal and the intercept's row over all of them. */
typedef enum { LOOK_GRADIENT, LOOK_HESSIAN, LOOK_SAMPLE } LinLook;

/* totals over rows, without penalty; one array, in this order; from h on with a Hessian only */
typedef struct Sums {
  double *v;
  double *loss;   /* sum of w loss */
  double *margin; /* logistic: the least of (2y - 1) f: above 0 the point separates the classes. Merged by
                   * minimum */
  double *g0;     /* d loss / d a */
  double *h00;    /* d2 loss / d a2 */
  double *g;      /* d loss / d beta */
  double *h;      /* d2 loss / d a d beta */
  double *diag;   /* LOOK_SAMPLE: d2 loss / d beta_j2; then s00 and sh, of the sample as hess is */
  double *s00, *sh;
  double *hess;   /* upper triangle by rows: (j, k >= j) at linear_tri(d, j) + k */
} Sums;

/* j * d - j * (j - 1) / 2 - j, so that + k lands on (j, k) */
static inline size_t linear_tri(size_t d, size_t j) {
  return j * (2 * d - j - 1) / 2;
}
size_t linear_sums_doubles(uint32_t d, LinLook look);
void linear_sums_at(double *v, uint32_t d, LinLook look, Sums *out);

extern const Pass linear_gradient;
void linear_gradient_par(const Space *s, const LinPoint *p, LinLook look, Buf *par);

/* Bytes of the sums over some rows: gradient and half of the Gram matrix up to NEWTON_WIDTH columns, beyond
 * that the gradient. Estimator.typical_partial. */
double typical_gram(double d, const IrOption *option, uint32_t noption);

/* ---- gram.c: the first pass of squared loss over dense rows, of which it may be the last ---- */

enum { GRAM_WIDTH = 512 }; /* columns; of more its partial is larger than what another look costs */

typedef struct GramSums {  /* of x and y, which is column d */
  uint64_t rows;
  double weight;
  double *low, *high;      /* d */
  double *mean;            /* d + 1 */
  double *m;               /* sums of w (x_j - mean_j) (x_k - mean_k), k >= j: at linear_tri(d + 1, j) + k */
} GramSums;

extern const Pass linear_gram;
void linear_gram_par(uint32_t d, uint32_t sample, Buf *par); /* sample: one row of 2^sample; 0: all */
size_t linear_gram_doubles(uint32_t d);
void linear_gram_at(double *v, uint32_t d, GramSums *out);
/* From a saved partial of that pass, which *s points into. False: sums of very large values are not
 * finite. */
bool linear_gram_of(Bytes saved, uint32_t d, GramSums *s);
/* The same, and the moments. m: with room for d columns. False: sums of very
 * large values are not finite, and another look is needed. */
bool linear_gram_moments(Bytes saved, uint32_t d, Moments *m, GramSums *s);
void linear_gram_sums(const GramSums *g, const Space *s, const LinPoint *p, Sums *out); /* LOOK_HESSIAN */

/* ---- start.c: logistic loss where all coefficients are 0 ---- */

/* How large a sample of the rows of d dense columns linear.gram takes beside linear.moments; 0: it is not
 * worth it. */
uint32_t linear_start_sample(uint32_t d);
/* From both, what LOOK_SAMPLE would find at p, which has no coefficient other than 0. */
void linear_start_sums(const GramSums *g, const Moments *m, const Space *s, const LinPoint *p, Sums *out);

/* ---- wide.c: the pass of L-BFGS over sparse rows ---- */

enum { HEAVY_MOST = 2048, HEAVY_LEAST = 16 }; /* columns; rows that have one */

typedef struct Heavy { /* the columns that most rows have; their products are of one row of 2^sample */
  uint32_t n;
  uint32_t *column;    /* rising */
  uint32_t sample;
} Heavy;

/* h: with curvature, or NULL. Sums: with it diag, s00, sh and hess, the last two of the heavy columns. */
extern const Pass linear_wide;
void linear_wide_par(const Space *s, const LinPoint *p, const Heavy *h, Buf *par);
size_t linear_wide_doubles(uint32_t d, const Heavy *h);
void linear_wide_at(double *v, uint32_t d, const Heavy *h, Sums *out);
void linear_wide_scale(const Space *s, const Heavy *h, Sums *at); /* what the pass sums is by x: now by u */

/* ---- loss.c ---- */

typedef struct LossRows { /* what one panel (or piece) of n rows needs; each n */
  double *w, *f, *t, *r, *curve;
} LossRows;
bool loss_rows_new(Arena *a, uint32_t n, LossRows *out);
void loss_weigh(LinLoss loss, const double *mult, const Panel *panel, uint32_t from, uint32_t n, double *w);
/* From w, f and y: r and curve (= D), both weighted; adds to loss and margin. t is scratch. */
void loss_rows(LinLoss loss, const double *y, uint32_t n, LossRows *v, Sums *s);

/* ---- products.c: squares of the data along some directions ---- */

enum { PRODUCTS_MAX = 64 };
extern const Pass linear_products; /* its result: k x k doubles, upper triangle by rows */
/* v: k directions of d entries, in u */
void linear_products_par(const Space *s, const double *v, uint32_t k, Buf *par);

/* ---- rank.c ---- */

typedef struct Rank {
  uint32_t m;
  uint32_t candidates; /* directions that may be flat */
  bool ask;            /* the data decide: rank_decide with the products along the candidates */
  uint32_t lost;       /* directions that are */
  double *vector;      /* m x m, column-major: unit directions, the lost ones first, then the other
                        * candidates */
  double *value;
} Rank;
Status rank_look(Rank *r, const double *a, uint32_t m, double rows, Err *e); /* a: m x m, unit diagonal */
/* column: mean square of a unit column */
Status rank_decide(Rank *r, const double *products, double total, double column, Err *e);
void rank_tell(const Rank *r, double rows, char *const *names, const uint32_t *active, char *out,
               size_t size);
void rank_free(Rank *r);

/* ---- descent.c: minimise  x'Hx / 2 + g'x + sum_j l1_j |x_j|  subject to  lo_j <= x_j <= hi_j ---- */

typedef struct Quadratic {
  uint32_t m;
  const double *h;        /* m x m, symmetric (both triangles), positive semidefinite; it may be singular */
  const double *g;        /* m */
  const double *l1;       /* m values >= 0, or NULL: none */
  const double *lo, *hi;  /* m each, infinite where free; NULL: all free. lo_j <= hi_j */
  double tolerance;       /* for each coordinate: its distance from its own minimum, times sqrt(h_jj) */
} Quadratic;

typedef struct QuadraticEnd {
  bool converged;
  double kkt;             /* the greatest such distance that is left */
  uint32_t sweeps;
} QuadraticEnd;

/* x: the point to start from, and the solution. Not converged: still the best point found, no worse than
 * the start. */
Status descent_solve(const Quadratic *q, double *x, QuadraticEnd *end, Err *e);

/* ---- pairs.c: steps and what the gradient changed along them ---- */

enum { PAIRS_MOST = 10 };

typedef struct Pairs {
  size_t n;
  double *block;
  double rho[PAIRS_MOST], alpha[PAIRS_MOST];
  double gamma;            /* the scale of the first guess that suits the last pair */
  uint32_t count, newest;
} Pairs;

Status pairs_new(Pairs *p, size_t n, Err *e);
void pairs_free(Pairs *p);
void pairs_forget(Pairs *p);
/* From (x0, g0) to (x1, g1). What the gradient changed, until the next call; NULL: no curvature, no pair. */
const double *pairs_add(Pairs *p, const double *x0, const double *x1, const double *g0, const double *g1);
/* yhy: of that change, by the first guess of the inverse, whose scale becomes gamma; with too little
 * curvature the pair is dropped. */
void pairs_weigh(Pairs *p, double yhy);
/* v = -g, pairs_before(v), v = (first guess of the inverse) v, pairs_after(v): the direction. */
void pairs_before(Pairs *p, double *v);
void pairs_after(const Pairs *p, double *v);

/* Lower Cholesky of an order x order matrix in place; adds a little to the diagonal when rounding made it
 * indefinite. `copy` is scratch of the same size. False: not positive at all. */
bool linear_cholesky(const Blas *blas, double *a, double *copy, uint32_t order);

/* ---- solvers: given the sums at the point they asked for, they say where to look next ---- */

typedef enum { SOLVE_MORE, SOLVE_DONE } SolveState;

typedef struct SolveResult { /* what both report */
  LinPoint best;
  uint32_t iterations;
  bool converged;
  double *objective; /* after each iteration */
  uint32_t nobjective, cap;
  char why[640];     /* not converged, or a remark */
} SolveResult;

typedef struct Newton Newton;
typedef struct Lbfgs Lbfgs;

/* `names` for warnings; all pointers must outlive the solver. The first point to evaluate is `start`. */
Newton *newton_new(const Space *s, const LinOptions *o, char *const *names, const LinPoint *start, Err *e);
bool newton_asks_products(const Newton *n); /* else newton_look */
LinLook newton_look(const Newton *n);
Status newton_ask_products(Newton *n, Buf *par, Err *e);          /* parameters of linear.products */
/* its result; next is the first Hessian again */
Status newton_products(Newton *n, const double *products, Err *e);
uint32_t newton_directions(const Newton *n);
const LinPoint *newton_point(const Newton *n);
Status newton_step(Newton *n, const Sums *at, SolveState *state, Err *e);
SolveResult *newton_result(Newton *n);
void newton_free(Newton *n);

/* h: the heavy columns of sparse data, or NULL: its first guess of the inverse Hessian is a diagonal. */
Lbfgs *lbfgs_new(const Space *s, const LinOptions *o, const Heavy *h, const LinPoint *start, Err *e);
bool lbfgs_wants_curvature(const Lbfgs *l);
const LinPoint *lbfgs_point(const Lbfgs *l); /* in u, like Newton's */
Status lbfgs_step(Lbfgs *l, const Sums *at, SolveState *state, Err *e);
SolveResult *lbfgs_result(Lbfgs *l);
void lbfgs_free(Lbfgs *l);

/* ---- inference.c: standard errors of fits without penalty and bounds ---- */

enum { INFERENCE_WIDTH = 2048 }; /* up to this many columns: the inverse costs about as much as three
                                  * factorings */

typedef struct Curvature { /* at the solution, of the active columns; as newton.c has it */
  uint32_t m;
  const uint32_t *active;
  const double *factor;    /* m x m: lower Cholesky factor of A */
  const double *scale, *h; /* m */
  double h00;
} Curvature;
/* at: sums with a Hessian at the solution, or NULL: the one the solver has (squared loss). False: there is
 * none. */
bool newton_curvature(Newton *n, const Sums *at, Curvature *out);
bool linear_curvature_sound(const Curvature *c);
Status linear_errors(const Space *s, const Curvature *c, double dispersion, double *error, double *error0,
                     Err *e);
/* The tensors std_error, p_value, low_95, high_95, each also for the intercept; NaN where undefined.
 * freedom 0: normal. */
Status linear_add_errors(Model *m, const double *b, double b0, const double *error, double error0,
                         double freedom, Err *e);

/* ---- fit.c, space.c, model.c: the Iter of both estimators, and what others need of it ---- */

extern const char linear_separated[]; /* the warning for perfectly separated classes */
Status solve_record(SolveResult *r, double objective, Err *e);

/* " a, b, c and 4 more" behind the text in `out`: six names at most, none cut short but very long ones
 * ("..."). */
typedef struct NameList {
  char *out;
  size_t size, at;
  uint32_t named, more;
} NameList;
void names_begin(NameList *l, char *out, size_t size);
void names_add(NameList *l, const char *name);
void names_end(NameList *l);

/* b0 = a - sum of b_j shift_j, in twice the precision; the warning of constant columns (inv = 0) behind
 * what m has */
double linear_intercept(double a, const double *b, const double *shift, uint32_t d);
typedef struct ColumnSums { /* of a column, zeros that are not stored included */
  double mean, m2, low, high;
  bool full;               /* every row is stored: it may be shifted */
} ColumnSums;
/* Scale and shift of column j; inv is 0 where it is constant. */
Status linear_place(Space *s, uint32_t j, const ColumnSums *c, const char *feature, const char *model,
                    double *deviation, double *size, Err *e);
void linear_note_constant(const Space *s, char *const *feature, Model *m);
Status linear_begin(const TrainInfo *t, LinLoss loss, Iter **out, Err *e);
Status linear_finish(Iter *it, Model *m, Err *e);
void linear_predict(const Model *m, const Matrix *x, double *out); /* f */
bool linear_form(const Model *m, LinearForm *out);                 /* what compiled code has to know of it */
Status linear_verify(const Model *m, Err *e);

/* A data error of row r of a panel; counted by the executor, which ends the run with the first ten. */
void linear_row_error(Ctx *ctx, const Panel *p, uint32_t r, const char *column, const char *fmt, ...)
    __attribute__((format(printf, 5, 6)));

#endif
