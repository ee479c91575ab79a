/* SPDX-License-Identifier: Apache-2.0 */
/* The metrics of clusters: their Iter, what is made of the sums of measure.c, their pages. */
#include <math.h>
#include <string.h>

#include "stdlib/cluster/measure.h"
#include "vm/kernel/dot.h"

typedef enum { OF_SILHOUETTE, OF_INERTIA, OF_DAVIES_BOULDIN, OF_CALINSKI_HARABASZ } MeasureOf;

typedef struct MeasureIter {
  Iter it; /* first */
  MeasureOf of;
  MeasurePar par;     /* of the scan under way, or of the last one */
  const double *center;
  double *numbers;    /* k x d means, then k weights, k times scatter by weight */
  Measure *groups, *last;
  bool asked;
} MeasureIter;

static void iter_free(Iter *it) {
  MeasureIter *m = (MeasureIter *)it;
  measure_free(NULL, m->groups);
  measure_free(NULL, m->last);
  mem_free(m->numbers);
  mem_free(m);
}

static Status ask(MeasureIter *m, Jobs *jobs, Err *e) {
  Job *job = jobs_add(jobs, &cluster_measure);
  if (!job)
    return err_memory(e);
  m->asked = true;
  measure_par_put(&m->par, &job->par);
  return job->par.bad ? err_memory(e) : ST_OK;
}

/* Means and scatters from sums around the model's centres. */
static Status find_means(MeasureIter *m, Err *e) {
  size_t k = m->par.k, d = m->par.d;
  m->numbers = mem_alloc((k * d + 2 * k) * sizeof *m->numbers);
  if (!m->numbers)
    return err_memory(e);
  double *mean = m->numbers, *weight = mean + k * d, *around = weight + k;
  for (size_t i = 0; i < k; i++) {
    weight[i] = twofold(&m->groups->weight[i]);
    double gap = 0; /* squared distance of the mean from the centre */
    for (size_t j = 0; j < d; j++) {
      double c = m->center[i * d + j], sum = m->groups->moved[i * d + j];
      double t = weight[i] > 0 ? sum / weight[i] : 0;
      mean[i * d + j] = m->groups->from_zero ? t : c + t;
      t = m->groups->from_zero ? t - c : t;
      gap += t * t;
    }
    around[i] = weight[i] > 0 ? twofold(&m->groups->sum[i]) / weight[i] - gap : 0;
    around[i] = around[i] > 0 ? around[i] : 0;
  }
  m->par.center = mean;
  m->par.weight = weight;
  m->par.around = around;
  return ST_OK;
}

static Status iter_next(Iter *it, const Buf *out, uint32_t nout, Jobs *jobs, Err *e) {
  MeasureIter *m = (MeasureIter *)it;
  if (!m->asked)
    return ask(m, jobs, e);
  if (m->last)
    return ST_OK;
  if (nout != 1)
    return err_set(e, ST_FAULT, "CML0601", NULL, "a metric got %u results for one job", nout);
  Measure *result = measure_read(&m->par, buf_bytes(&out[0]), e);
  if (!result)
    return e->code;
  if (m->par.kind != MEASURE_GROUPS) {
    m->last = result;
    return ST_OK;
  }
  m->groups = result;
  Status st = find_means(m, e);
  if (st || m->of == OF_CALINSKI_HARABASZ) {
    m->last = m->groups;
    m->groups = NULL;
    return st;
  }
  m->par.kind = m->of == OF_SILHOUETTE ? MEASURE_SILHOUETTE : MEASURE_SPREAD;
  return ask(m, jobs, e);
}

static Status begin(MeasureOf of, const MetricInfo *i, Iter **out, Err *e) {
  const Tensor *c = model_tensor(i->model, "centers"), *cosine = model_tensor(i->model, "cosine");
  if (!c || !cosine)
    return err_set(e, ST_FAULT, "CML0601", NULL, "a metric of clusters was asked of a model without centres");
  MeasureIter *m = mem_alloc(sizeof *m);
  if (!m)
    return err_memory(e);
  m->it.next = iter_next;
  m->it.free = iter_free;
  m->of = of;
  m->center = c->v;
  m->par = (MeasurePar){.kind = of == OF_INERTIA ? MEASURE_INERTIA : MEASURE_GROUPS,
                        .cosine = cosine->v[0] != 0,
                        .k = c->rows,
                        .d = c->cols,
                        .center = c->v,
                        .metric = {.score = i->score, .slice = i->slice, .groups = i->groups}};
  *out = &m->it;
  return ST_OK;
}

/* ---- values ---- */

static const char one_cluster[] = "only one cluster has rows";

static uint32_t clusters_with_rows(const MeasureIter *m) {
  uint32_t n = 0;
  for (uint32_t i = 0; m->numbers && i < m->par.k; i++)
    n += m->par.weight[i] > 0;
  return n;
}

/* D. Davies and D. Bouldin, "A cluster separation measure", 1979 */
static void davies_bouldin(const MeasureIter *m, MetricValue *v) {
  double sum = 0;
  uint32_t k = m->par.k, d = m->par.d, n = clusters_with_rows(m);
  for (uint32_t i = 0; i < k; i++) {
    double worst = 0;
    for (uint32_t j = 0; j < k && m->par.weight[i] > 0; j++) {
      if (i == j || !(m->par.weight[j] > 0))
        continue;
      NearRows row = {.n = 1, .d = d, .a = m->par.center + (size_t)i * d, .direct = true};
      double apart = sqrt(near_distance(&row, 0, 0, m->par.center + (size_t)j * d, 0));
      double wide =
          twofold(&m->last->sum[i]) / m->par.weight[i] + twofold(&m->last->sum[j]) / m->par.weight[j];
      double ratio = apart > 0 ? wide / apart : 0; /* as scikit-learn has it */
      worst = ratio > worst ? ratio : worst;
    }
    sum += worst;
  }
  v->defined = true;
  v->value = sum / n;
}

/* T. Calinski and J. Harabasz, "A dendrite method for cluster analysis", 1974 */
static void calinski_harabasz(const MeasureIter *m, MetricValue *v) {
  uint32_t k = m->par.k, d = m->par.d, n = clusters_with_rows(m);
  double total = 0, within = 0, between = 0;
  for (uint32_t i = 0; i < k; i++) {
    total += m->par.weight[i];
    within += m->par.around[i] * m->par.weight[i];
  }
  for (uint32_t j = 0; j < d; j++) { /* around the first mean, so that nothing cancels */
    double mean = 0, origin = m->par.center[j];
    for (uint32_t i = 0; i < k; i++)
      mean += m->par.weight[i] * (m->par.center[(size_t)i * d + j] - origin);
    mean /= total;
    for (uint32_t i = 0; i < k; i++) {
      double t = m->par.center[(size_t)i * d + j] - origin - mean;
      between += m->par.weight[i] * (t * t);
    }
  }
  v->defined = within > 0 && total > n;
  v->why = v->defined ? NULL : "all rows lie on the means of their clusters";
  v->value = v->defined ? between / within * ((total - n) / (n - 1)) : 0;
}

static void value_of(const MeasureIter *m, const Slice *s, MetricValue *v) {
  v->rows = s->rows;
  v->weight = twofold(&s->w);
  v->why = metric_why_empty(v);
  bool whole = m->of == OF_DAVIES_BOULDIN || m->of == OF_CALINSKI_HARABASZ;
  if (!v->why && m->of != OF_INERTIA && clusters_with_rows(m) < 2)
    v->why = one_cluster;
  if (!v->why && whole && (m->par.metric.slice >= 0 || m->par.metric.groups))
    v->why = "it is of whole clusters, not of some of their rows";
  if (v->why)
    return;
  if (m->of == OF_DAVIES_BOULDIN) {
    davies_bouldin(m, v);
  } else if (m->of == OF_CALINSKI_HARABASZ) {
    calinski_harabasz(m, v);
  } else {
    v->defined = true;
    v->value = slice_sum(s, 0) / (m->of == OF_SILHOUETTE ? v->weight : 1);
  }
}

/* The whole, or with groups the whole without each in turn (without = groups: nothing is left out). */
static void value_without(const MeasureIter *m, uint32_t without, MetricValue *v, Slice *space) {
  memset(space, 0, sizeof *space + sizeof(Twofold));
  for (uint32_t g = 0; g < m->par.metric.groups; g++) {
    const Slice *s = m->last->slices.entry[g].val;
    if (g == without)
      continue;
    space->rows += s->rows;
    twofold_join(&space->w, &s->w);
    twofold_join(&space->v[0], &s->v[0]);
  }
  value_of(m, space, v);
}

static Status finish(Iter *it, MetricValue **v, uint32_t *n, Err *e) {
  MeasureIter *m = (MeasureIter *)it;
  if (!m->last)
    return err_set(e, ST_FAULT, "CML0601", NULL, "a metric was finished before its scan");
  uint32_t groups = m->par.metric.groups;
  if (groups) {
    MetricValue *out = mem_alloc((groups + (size_t)1) * sizeof *out);
    Slice *space = mem_alloc(sizeof *space + sizeof(Twofold));
    Status st = out && space ? ST_OK : err_memory(e);
    for (uint32_t g = 0; g <= groups && !st; g++)
      value_without(m, g ? g - 1 : groups, &out[g], space);
    mem_free(space);
    *v = out;
    *n = groups + 1;
    return st;
  }
  Status st = metric_values(&m->last->slices, &m->par.metric, v, n, e);
  if (st)
    return st;
  for (uint32_t i = 0; i < *n; i++)
    value_of(m, m->last->slices.entry[i].val, &(*v)[i]);
  metric_values_sort(*v, *n, &m->last->slices);
  return ST_OK;
}

/* ---- the metrics ---- */

static const Option no_options[] = {{0}};

#define BEGIN(name, of) \
  static Status begin_##name(const Metric *m, const MetricInfo *i, Iter **out, Err *e) { \
    (void)m; \
    return begin(of, i, out, e); \
  }
BEGIN(silhouette, OF_SILHOUETTE)
BEGIN(inertia, OF_INERTIA)
BEGIN(davies_bouldin, OF_DAVIES_BOULDIN)
BEGIN(calinski_harabasz, OF_CALINSKI_HARABASZ)

const Metric metric_silhouette = {
    .name = "silhouette",
    .tasks = TASK_BIT(TASK_CLUSTER),
    .scalar = true,
    .maximize = true,
    .option = no_options,
    .doc = "Weighted mean over rows of (b - a) / max(a, b): a is the mean squared distance to the other rows of the own\n"
           "cluster, b the least mean squared distance to the rows of another one. From -1 to 1; 1 is best. A row alone in\n"
           "its cluster counts 0. For a model with metric = cosine distances are 1 - cos; rows of zeros do not count.\n"
           "Undefined where only one cluster has rows. Two scans, however many rows there are. `by` averages over the\n"
           "rows of a slice, against the clusters of all rows.\n"
           "Spark: ClusteringEvaluator. scikit-learn: silhouette_score with metric = \"sqeuclidean\", or \"cosine\".\n"
           "Source: P. Rousseeuw, Journal of Computational and Applied Mathematics 20 (1987).\n"
           "\n"
           "    silhouette, silhouette by zone\n",
    .begin = begin_silhouette,
    .finish = finish,
};

const Metric metric_inertia = {
    .name = "inertia",
    .tasks = TASK_BIT(TASK_CLUSTER),
    .scalar = true,
    .option = no_options,
    .doc = "Weighted sum of squared distances of rows to the centre of their cluster; with metric = cosine of 1 - cos.\n"
           "0 is best; it grows with the rows.\n"
           "scikit-learn: KMeans.inertia_. Spark: trainingCost.\n"
           "\n"
           "    inertia\n",
    .begin = begin_inertia,
    .finish = finish,
};

const Metric metric_davies_bouldin = {
    .name = "davies_bouldin",
    .tasks = TASK_BIT(TASK_CLUSTER),
    .scalar = true,
    .option = no_options,
    .doc = "Mean over clusters of the worst ratio (s_i + s_j) / d_ij: s is the mean distance of a cluster's rows to their\n"
           "mean, d the distance of two such means. 0 is best. Clusters without rows do not count. With metric = cosine\n"
           "of rows divided by their lengths. Undefined where only one cluster has rows, and by slices.\n"
           "scikit-learn: davies_bouldin_score.\n"
           "Source: D. Davies, D. Bouldin, IEEE Transactions on Pattern Analysis and Machine Intelligence 1 (1979).\n"
           "\n"
           "    expect davies_bouldin < 1\n",
    .begin = begin_davies_bouldin,
    .finish = finish,
};

const Metric metric_calinski_harabasz = {
    .name = "calinski_harabasz",
    .tasks = TASK_BIT(TASK_CLUSTER),
    .scalar = true,
    .maximize = true,
    .option = no_options,
    .doc = "Squared deviations of the clusters' means from the mean of all, over those of rows from their cluster's mean,\n"
           "times (W - k) / (k - 1); W is the weight of all rows, k the number of clusters with rows. Larger is better.\n"
           "Undefined where only one cluster has rows, where all rows lie on their means, and by slices.\n"
           "scikit-learn: calinski_harabasz_score.\n"
           "Source: T. Calinski, J. Harabasz, Communications in Statistics 3 (1974).\n"
           "\n"
           "    calinski_harabasz\n",
    .begin = begin_calinski_harabasz,
    .finish = finish,
};
