/* SPDX-License-Identifier: Apache-2.0 */
/* kmeans: options, page, prediction. Read cluster.h for the problem. */
#include <math.h>
#include <string.h>

#include "stdlib/cluster/cluster.h"
#include "stdlib/registry.h"

static const Option options[] = {
    {"k", OPT_INT, 8, 1, 1e6, NULL, "Clusters to find; fewer where the rows have fewer different points."},
    {"metric", OPT_ENUM, 0, 0, 0, "squared_euclidean|cosine",
     "What is small inside a cluster: squared distances of rows to their centre, or 1 - cos of the angle between."},
    {"start", OPT_ENUM, 0, 0, 0, "kmeans_parallel|random",
     "First centres: far apart in proportion to squared distance, or rows drawn at random."},
    {"restarts", OPT_INT, 5, 1, 1000, NULL,
     "Different starts that are followed to the end, in the same scans; the best is kept."},
    {"max_iterations", OPT_INT, 300, 1, 1e6, NULL, "Most iterations of a start."},
    {"tolerance", OPT_FLOAT, 1e-4, 0, 1, NULL,
     "A start is done when the squared movements of its centres sum to this times the mean variance of the features, "
     "or less; 0: when no row changes its cluster."},
    {0},
};

static const char doc[] =
    "k-means: k centres, so that rows are near to the nearest one. It has no target: kmeans(features, k = 8).\n"
    "\n"
    "Problem.  min over centres c_1 .. c_k of the inertia, sum_i w_i min_j |x_i - c_j|^2. With metric = cosine\n"
    "(spherical k-means) rows and centres have length 1, and the inertia is sum_i w_i (1 - max_j cos(x_i, c_j)).\n"
    "Features count as they are: a column of large numbers outweighs the others. Write standardize(..) or\n"
    "min_max(..) around columns of different units. Weights count as repeated rows.\n"
    "\n"
    "Method.  Lloyd's: each row to its nearest centre, each centre to the mean of its rows (of several equally\n"
    "near centres the first). The start is k-means|| (Bahmani et al. 2012): rows drawn in rounds, far from those\n"
    "drawn before; these, weighted, are clustered by many runs of k-means++ and the best runs start on the rows.\n"
    "Up to 4096 rows, all rows take their place. The random numbers depend on the program's seed and the\n"
    "model's name alone. A cluster that loses all rows starts anew at the row that is farthest from its centre.\n"
    "\n"
    "Predictions.  cluster: 0 for the cluster of greatest weight, and so on; distance: the Euclidean distance to\n"
    "its centre, or 1 - cos. With metric = cosine a row of zeros has no direction: it is left out of training\n"
    "(with a warning), and predicted as cluster 0 at distance 1.\n"
    "\n"
    "Reported.  Centres, rows of each cluster, inertia (also after each iteration), iterations, whether it converged.\n"
    "\n"
    "Names elsewhere.  scikit-learn KMeans(n_clusters = k, n_init = restarts, max_iter, tol = tolerance); Spark\n"
    "KMeans(k, initMode, maxIter, tol, distanceMeasure). Their tolerances: scikit-learn's is this one, Spark's is a\n"
    "distance of each centre.\n"
    "\n"
    "Example.  model regions = kmeans(f, k = 6)\n";

/* ---- prediction ---- */

/* Rows divided by their lengths; NULL where memory ran out. */
static const NearRows *predicted_rows(const Matrix *x, bool cosine, Arena *a, NearRows *rows) {
  Err ignored = {0};
  *rows = (NearRows){.n = x->n, .d = x->d, .a = x->a, .ptr = x->ptr, .col = x->col, .val = x->val};
  if (!cosine)
    return rows;
  ClusterSpace s = {.d = x->d, .sparse = !x->a, .cosine = true, .scale = 1};
  if (cluster_rows(&s, x, 0, x->n, a, rows, &ignored))
    return NULL;
  rows->direct = false;
  return rows;
}

static void kmeans_predict(const Model *m, const Matrix *x, double *out) {
  const Tensor *c = model_tensor(m, "centers");
  bool cosine = model_tensor(m, "cosine")->v[0] != 0;
  Arena a;
  NearRows space;
  NearCenters centers;
  Err ignored = {0};
  arena_init(&a, NULL);
  uint32_t *index = arena_alloc(&a, ((size_t)x->n + 1) * sizeof *index);
  double *distance2 = arena_alloc(&a, ((size_t)x->n + 1) * sizeof *distance2);
  const NearRows *rows = predicted_rows(x, cosine, &a, &space);
  bool good = index && distance2 && rows && !near_centers(&centers, c->v, c->rows, c->cols, !x->a, &ignored);
  if (good) {
    near_find(&centers, rows, &a, index, distance2);
    near_free(&centers);
  }
  for (uint32_t i = 0; i < x->n; i++) { /* not finite: the step that scores makes an error of it */
    bool zero = good && cosine && cluster_is_zero(rows, i);
    out[2 * (size_t)i] = !good ? NAN : zero ? 0 : index[i];
    out[2 * (size_t)i + 1] = !good ? NAN : zero ? 1 : cosine ? distance2[i] / 2 : sqrt(distance2[i]);
  }
  arena_free(&a);
}

static Status kmeans_verify(const Model *m, Err *e) {
  const Tensor *c = model_tensor(m, "centers"), *cosine = model_tensor(m, "cosine");
  bool good = c && c->rows > 0 && c->cols == m->d && cosine && cosine->rows == 1 && cosine->cols == 1;
  good = good && (cosine->v[0] == 0 || cosine->v[0] == 1);
  for (const char *const *name = (const char *const[]){"sizes", "weights", NULL}; *name && good; name++) {
    const Tensor *t = model_tensor(m, *name);
    good = t && t->rows == 1 && t->cols == c->rows;
    for (uint32_t i = 0; good && i < t->cols; i++)
      good = t->v[i] >= 0 && t->v[i] < INFINITY;
  }
  const Tensor *inertia = model_tensor(m, "inertia");
  good = good && inertia && inertia->rows == 1 && inertia->cols == 1;
  for (size_t i = 0; good && i < (size_t)c->rows * c->cols; i++)
    good = fabs(c->v[i]) < INFINITY;
  if (good)
    return ST_OK;
  return err_set(e, ST_DATA, "CML0455", "Write the bundle again.",
                 "the model's centres are missing, or not as they should be");
}

/* The sums and counts of the clusters. */
static double typical_partial(double d, const IrOption *option, uint32_t noption) {
  return 8 * option_num(option, noption, "k") * (d + 2);
}

const Estimator kmeans = {
    .name = "kmeans",
    .tasks = TASK_BIT(TASK_CLUSTER),
    .option = options,
    .doc = doc,
    .begin = cluster_begin,
    .finish = cluster_finish,
    .predict = kmeans_predict,
    .verify = kmeans_verify,
    .typical_partial = typical_partial,
};
