/* SPDX-License-Identifier: Apache-2.0 */
/* linear_regression: least squares with an optional L2 penalty. Read linear.h for the problem and the
 * coordinates; this file is what is particular to it. To make an estimator of your own, copy it: options,
 * doc, begin, finish, predict, verify, descriptor. */
#include "stdlib/linear/linear.h"
#include "stdlib/registry.h"

static const Option options[] = {
    {"l2", OPT_FLOAT, 0, 0, 1e12, NULL, "Strength of the L2 penalty; 0: none."},
    {"intercept", OPT_BOOL, 1, 0, 1, NULL, "Whether the prediction has a constant term; it is never penalised."},
    {"standardize", OPT_BOOL, 1, 0, 1, NULL,
     "Whether the penalty is on coefficients times the deviation of their feature (true), or on the coefficients "
     "themselves."},
    {"solver", OPT_ENUM, 0, 0, 0, "auto|newton|lbfgs", "auto: newton up to 4096 columns, lbfgs above."},
    {"max_iterations", OPT_INT, 1000, 1, 1e6, NULL, "Most iterations; newton needs 2 or 3 here."},
    {"tolerance", OPT_FLOAT, 1e-8, 0, 1, NULL,
     "Converged when the next step changes no standardised coefficient by more than this times the largest."},
    {0},
};

static const char doc[] =
    "Linear regression: least squares, with an optional ridge penalty.\n"
    "\n"
    "Problem.  min over b, b0 of (1/W) sum_i w_i (y_i - b0 - sum_j b_j x_ij)^2 / 2 + (l2/2) sum_j (s_j b_j)^2\n"
    "with W the sum of the weights and s_j the weighted standard deviation of feature j (denominator W).\n"
    "The target is not rescaled; features need no scaling.\n"
    "\n"
    "Method.  Up to 4096 columns the normal equations of centred, scaled columns, refined with exact\n"
    "residuals; above, L-BFGS. Features that are combinations of others are allowed: without l2 the solution\n"
    "of least norm on the standardised scale is taken and a warning names them. Constant features get the\n"
    "coefficient 0.\n"
    "\n"
    "Conversions.  scikit-learn Ridge(alpha): l2 = alpha / n, with standardize = false (or on standardised\n"
    "columns).\n"
    "Spark LinearRegression(regParam, elasticNetParam = 0): l2 = regParam / (deviation of the target) * n / (n - 1).\n"
    "glmnet(lambda, alpha = 0): l2 = lambda / (deviation of the target, denominator n).\n"
    "\n"
    "Reported.  Coefficients, intercept, iterations, the objective after each, whether it converged and if\n"
    "not why.\n";

static Status begin(const TrainInfo *t, Iter **out, Err *e) {
  return linear_begin(t, LOSS_SQUARED, out, e);
}

const Estimator linear_regression = {
    .name = "linear_regression",
    .tasks = TASK_BIT(TASK_REGRESSION),
    .option = options,
    .doc = doc,
    .begin = begin,
    .finish = linear_finish,
    .predict = linear_predict,
    .verify = linear_verify,
};
