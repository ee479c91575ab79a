/* SPDX-License-Identifier: Apache-2.0 */
/* linear_regression: least squares with an optional L2 penalty. Read linear.h for the problem and the
 * coordinates; this file is what is particular to it. To make an estimator of your own, copy it: options,
 * doc, begin, finish, predict, verify, descriptor. */
#include <math.h>

#include "stdlib/linear/linear.h"
#include "stdlib/registry.h"

static const Option options[] = {
    {"l1", OPT_FLOAT, 0, 0, 1e12, NULL,
     "Strength of the L1 penalty, which makes coefficients exactly 0; 0: none."},
    {"l2", OPT_FLOAT, 0, 0, 1e12, NULL, "Strength of the L2 penalty; 0: none. With l1: the elastic net."},
    {"intercept", OPT_BOOL, 1, 0, 1, NULL,
     "Whether the prediction has a constant term; it is never penalised."},
    {"standardize", OPT_BOOL, 1, 0, 1, NULL,
     "Whether the penalty is on coefficients times the deviation of their feature (true), or on the coefficients "
     "themselves."},
    {"lower", OPT_EACH, -INFINITY, -INFINITY, INFINITY, "upper",
     "The least value of coefficients (of features as they are)."},
    {"upper", OPT_EACH, INFINITY, -INFINITY, INFINITY, NULL,
     "The greatest value of coefficients (of features as they are)."},
    {"offset", OPT_EXPR, 0, 0, 0, NULL,
     "A number of each row that is added to the prediction, in training and when predicting: offset = log(exposure)."},
    {"from", OPT_STRING, 0, 0, 0, NULL,
     "A bundle to start from, by names of features: the same model as without, sooner. Relative to the program's folder."},
    {"solver", OPT_ENUM, 0, 0, 0, "auto|newton|lbfgs", "auto: newton up to 4096 columns, lbfgs above."},
    {"max_iterations", OPT_INT, 1000, 1, 1e6, NULL, "Most iterations; newton needs 1 to 3 here."},
    {"tolerance", OPT_FLOAT, 1e-8, 0, 1, NULL,
     "Converged when the next step changes no standardised coefficient by more than this times the largest;\n"
     "      where auto chose lbfgs, also when it would lower the objective by less than a tenth of this, relatively."},
    {0},
};

static const char doc[] =
    "Linear regression: least squares, with optional penalties (ridge, lasso, elastic net), bounds and an offset.\n"
    "\n"
    "Problem.  min over b, b0 of  (1/W) sum_i w_i (y_i - o_i - b0 - sum_j b_j x_ij)^2 / 2\n"
    "                             + l1 sum_j |s_j b_j| + (l2/2) sum_j (s_j b_j)^2,   lower_j <= b_j <= upper_j\n"
    "with W the sum of the weights, s_j the weighted standard deviation of feature j (denominator W) and o_i the offset.\n"
    "The target is not rescaled; features need no scaling.\n"
    "\n"
    "Bounds.  lower = 0 holds for all coefficients; lower = [distance = 0, `origin=ATL` = -1] for those of these slots and\n"
    "elements, the others being free. They are of the coefficients of features as they are, standardised or not.\n"
    "\n"
    "Method.  Up to 4096 columns the normal equations of centred, scaled columns, refined with exact\n"
    "residuals (with l1 or bounds by coordinate descent and active sets, to the conditions of optimality); above,\n"
    "L-BFGS (OWL-QN). Features that are combinations of others are allowed: without l2 the solution\n"
    "of least norm on the standardised scale is taken and a warning names them. Constant features get the\n"
    "coefficient 0.\n"
    "\n"
    "Conversions.  l1 = lambda alpha and l2 = lambda (1 - alpha) of an elastic net on standardised columns.\n"
    "scikit-learn ElasticNet(alpha, l1_ratio): l1 = alpha l1_ratio, l2 = alpha (1 - l1_ratio), Lasso(alpha): l1 = alpha,\n"
    "both with standardize = false (or on standardised columns); LinearRegression(positive = True): lower = 0.\n"
    "scikit-learn Ridge(alpha): l2 = alpha / n, with standardize = false (or on standardised\n"
    "columns).\n"
    "Spark LinearRegression(regParam, elasticNetParam): l1 = regParam elasticNetParam sqrt(n / (n - 1)),\n"
    "l2 = regParam (1 - elasticNetParam) / (deviation of the target, denominator n - 1) * n / (n - 1).\n"
    "glmnet(lambda, alpha): l1 = lambda alpha, l2 = lambda (1 - alpha) / (deviation of the target, denominator n);\n"
    "lower.limits, upper.limits: lower, upper. R's lm(weights, offset): the data's weight, offset.\n"
    "\n"
    "Inference.  Without penalty, bounds and reweighted classes, for up to 2048 features that are no combinations of others: std_error,\n"
    "p_value and the 95 % interval (low_95, high_95) of each coefficient, as R's lm(weights): dispersion RSS / (n - p), Student's t\n"
    "with n - p degrees of freedom, n the rows with a weight above 0. They are in the report of --json; `inference` there says on what they\n"
    "rest, or why there are none. Constant features have none.\n"
    "\n"
    "Example.  model m = linear_regression(price ~ f, l1 = 0.01, lower = [distance = 0], offset = log(exposure))\n"
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
    .linear = linear_form,
    .typical_partial = typical_gram,
    .typical_scans = 1,
};
