/* SPDX-License-Identifier: Apache-2.0 */
/* logistic_regression: two classes, with an optional L2 penalty and class weights. Read linear.h for the
 * problem and the coordinates; this file is what is particular to it. */
#include "stdlib/linear/linear.h"
#include "stdlib/registry.h"
#include "vm/kernel/math.h"

static const Option options[] = {
    {"l2", OPT_FLOAT, 0, 0, 1e12, NULL, "Strength of the L2 penalty; 0: none."},
    {"intercept", OPT_BOOL, 1, 0, 1, NULL, "Whether the log odds have a constant term; it is never penalised."},
    {"standardize", OPT_BOOL, 1, 0, 1, NULL,
     "Whether the penalty is on coefficients times the deviation of their feature (true), or on the coefficients "
     "themselves."},
    {"class_weight", OPT_ENUM, 0, 0, 0, "none|balanced",
     "balanced: the weights of each class are multiplied so that both classes weigh the same."},
    {"positive_weight", OPT_FLOAT, 1, 1e-9, 1e9, NULL,
     "What the weights of rows of the positive class are multiplied with."},
    {"threshold", OPT_FLOAT, 0.5, 0, 1, NULL,
     "From this probability on a prediction counts as positive; training does not use it."},
    {"solver", OPT_ENUM, 0, 0, 0, "auto|newton|lbfgs", "auto: newton up to 4096 columns, lbfgs above."},
    {"max_iterations", OPT_INT, 1000, 1, 1e6, NULL, "Most iterations; newton needs 4 to 10, lbfgs may need hundreds."},
    {"tolerance", OPT_FLOAT, 1e-8, 0, 1, NULL,
     "Converged when the next step changes no standardised coefficient by more than this times the largest (at least 1)."},
    {0},
};

static const char doc[] =
    "Logistic regression: the probability of the positive class, with an optional L2 penalty.\n"
    "\n"
    "Problem.  min over b, b0 of (1/W) sum_i w_i log(1 + exp(-z_i f_i)) + (l2/2) sum_j (s_j b_j)^2\n"
    "with f_i = b0 + sum_j b_j x_ij, z_i = 1 for the positive class and -1 otherwise, W the sum of the\n"
    "weights (class weights included) and s_j the weighted standard deviation of feature j (denominator W).\n"
    "Features need no scaling.\n"
    "The prediction is the probability 1 / (1 + exp(-f)).\n"
    "\n"
    "Method.  Newton's method from the constant model up to 4096 columns; above, L-BFGS. Features that are\n"
    "combinations of others are allowed: without l2 the solution of least norm on the standardised scale\n"
    "is taken and a warning names them. Classes that can be separated have no finite solution without l2:\n"
    "the model is kept, reported as not converged, with the reason.\n"
    "\n"
    "Conversions.  scikit-learn LogisticRegression(C): l2 = 1 / (C W), with standardize = false (or on\n"
    "standardised columns); class_weight = balanced is scikit-learn's.\n"
    "Spark LogisticRegression(regParam, elasticNetParam = 0): l2 = regParam * n / (n - 1).\n"
    "glmnet(family = \"binomial\", lambda, alpha = 0): l2 = lambda.\n"
    "\n"
    "Reported.  Coefficients (log odds per unit of a feature), intercept, iterations, the objective after\n"
    "each, whether it converged and if not why.\n";

static Status begin(const TrainInfo *t, Iter **out, Err *e) {
  return linear_begin(t, LOSS_LOGISTIC, out, e);
}

static void predict(const Model *m, const Matrix *x, double *out) {
  linear_predict(m, x, out);
  k_sigmoid(out, out, x->n);
}

const Estimator logistic_regression = {
    .name = "logistic_regression",
    .tasks = TASK_BIT(TASK_BINARY),
    .option = options,
    .doc = doc,
    .begin = begin,
    .finish = linear_finish,
    .predict = predict,
    .verify = linear_verify,
};
