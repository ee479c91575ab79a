/* SPDX-License-Identifier: Apache-2.0 */
/* logistic_regression: two classes, or several (multinomial.c), with penalties and class weights. Read
 * linear.h for the problem and the coordinates; this file is what is particular to it. */
#include <math.h>

#include "stdlib/linear/multinomial.h"
#include "stdlib/registry.h"
#include "vm/kernel/math.h"

static const Option options[] = {
    {"l1", OPT_FLOAT, 0, 0, 1e12, NULL,
     "Strength of the L1 penalty, which makes coefficients exactly 0; 0: none."},
    {"l2", OPT_FLOAT, 0, 0, 1e12, NULL, "Strength of the L2 penalty; 0: none. With l1: the elastic net."},
    {"intercept", OPT_BOOL, 1, 0, 1, NULL,
     "Whether the log odds have a constant term; it is never penalised."},
    {"standardize", OPT_BOOL, 1, 0, 1, NULL,
     "Whether the penalty is on coefficients times the deviation of their feature (true), or on the coefficients "
     "themselves."},
    {"class_weight", OPT_ENUM, 0, 0, 0, "none|balanced",
     "balanced: the weights of each class are multiplied so that both classes weigh the same."},
    {"positive_weight", OPT_FLOAT, 1, 1e-9, 1e9, NULL,
     "What the weights of rows of the positive class are multiplied with."},
    {"threshold", OPT_FLOAT, 0.5, 0, 1, NULL,
     "From this probability on a prediction counts as positive; training does not use it. `best(f1, on = d.valid)`\n"
     "      chooses it on a part: `cmlc doc best_threshold`."},
    {"lower", OPT_EACH, -INFINITY, -INFINITY, INFINITY, "upper",
     "The least value of coefficients (of features as they are)."},
    {"upper", OPT_EACH, INFINITY, -INFINITY, INFINITY, NULL,
     "The greatest value of coefficients (of features as they are)."},
    {"offset", OPT_EXPR, 0, 0, 0, NULL,
     "A number of each row that is added to the log odds, in training and when predicting: offset = log(exposure)."},
    {"from", OPT_STRING, 0, 0, 0, NULL,
     "A bundle to start from, by names of features: the same model as without, sooner. Relative to the program's folder."},
    {"solver", OPT_ENUM, 0, 0, 0, "auto|newton|lbfgs", "auto: newton up to 4096 columns, lbfgs above."},
    {"max_iterations", OPT_INT, 1000, 1, 1e6, NULL,
     "Most iterations; newton needs 4 to 20, lbfgs may need hundreds."},
    {"tolerance", OPT_FLOAT, 1e-8, 0, 1, NULL,
     "Converged when the next step changes no standardised coefficient by more than this times the largest (at least 1);\n"
     "      where auto chose lbfgs, also when it would lower the objective by less than a tenth of this, relatively; with\n"
     "      second derivatives of a sample, also when it does and at most 50 times this is left to change in a coefficient."},
    {0},
};

static const char doc[] =
    "Logistic regression: the probability of the positive class, or of each of several classes, with optional penalties\n"
    "(L2, L1, elastic net), bounds and an offset.\n"
    "\n"
    "The target is bool (true is positive), or a category: with positive = \"yes\" that value is positive; without it each\n"
    "value that the training rows have is a class (at most 1,000; an int target is written string(x) ~ ..).\n"
    "\n"
    "Problem.  min over b, b0 of  (1/W) sum_i w_i log(1 + exp(-z_i f_i))\n"
    "                             + l1 sum_j |s_j b_j| + (l2/2) sum_j (s_j b_j)^2,   lower_j <= b_j <= upper_j\n"
    "with f_i = o_i + b0 + sum_j b_j x_ij, o_i the offset, z_i = 1 for the positive class and -1 otherwise, W the sum of\n"
    "the weights (class weights included) and s_j the weighted standard deviation of feature j (denominator W).\n"
    "Features need no scaling. The prediction is the probability 1 / (1 + exp(-f)).\n"
    "\n"
    "Several classes.  min over b, b0 of  (1/W) sum_i w_i [log sum_k exp(f_ik) - f_i,y_i]\n"
    "                                      + l1 sum_kj |s_j b_kj| + (l2/2) sum_kj (s_j b_kj)^2,   f_ik = b0_k + sum_j b_kj x_ij\n"
    "with coefficients for each class k, all classes alike: there is no reference class, and b0 (without l1 also each b_j)\n"
    "adds up to 0 over the classes. The predictions are exp(f_k) / sum exp(f); the predicted class is the most probable,\n"
    "the first of several. positive_weight, threshold, lower, upper, offset and from belong to two classes.\n"
    "\n"
    "Bounds.  lower = 0 holds for all coefficients; lower = [distance = 0, `origin=ATL` = -1] for those of these slots and\n"
    "elements, the others being free. They are of the coefficients of features as they are, standardised or not.\n"
    "\n"
    "Method.  Newton's method from the constant model up to 4096 columns (with several classes:\n"
    "coefficients; of many dense rows the second derivatives are taken of a sample, and the gradient of all of them,\n"
    "the first step being known from the scan in which means and deviations are found;\n"
    "with l1 or bounds proximal: each step by coordinate descent and active sets, to the conditions of\n"
    "optimality); above, L-BFGS (OWL-QN). Features that are\n"
    "combinations of others are allowed: without a penalty the solution of least norm on the standardised scale\n"
    "is taken and a warning names them. Classes that can be separated have no finite solution without a penalty:\n"
    "the model is kept, reported as not converged, with the reason.\n"
    "\n"
    "Conversions.  l1 = lambda alpha and l2 = lambda (1 - alpha) of an elastic net on standardised columns.\n"
    "scikit-learn LogisticRegression(C, l1_ratio): l1 = l1_ratio / (C W), l2 = (1 - l1_ratio) / (C W), with\n"
    "standardize = false (or on standardised columns); class_weight = balanced is scikit-learn's, and\n"
    "class_weight = {1: v} is positive_weight = v.\n"
    "Spark LogisticRegression(regParam, elasticNetParam): l1 = regParam elasticNetParam sqrt(n / (n - 1)),\n"
    "l2 = regParam (1 - elasticNetParam) n / (n - 1); lowerBoundsOnCoefficients, upperBoundsOnCoefficients: lower, upper.\n"
    "glmnet(family = \"binomial\", lambda, alpha): l1 = lambda alpha, l2 = lambda (1 - alpha); lower.limits, upper.limits: lower,\n"
    "upper. R's glm(weights, offset): the data's weight, offset.\n"
    "\n"
    "Several classes: scikit-learn's LogisticRegression of more than two classes, Spark's family = \"multinomial\",\n"
    "glmnet(family = \"multinomial\", type.multinomial = \"ungrouped\"), with the same conversions.\n"
    "\n"
    "Inference.  With two classes, without penalty, bounds and reweighted classes, for up to 2048 features that are no combinations of others: std_error,\n"
    "p_value and the 95 % interval (low_95, high_95) of each coefficient, as R's glm(binomial, weights): weights count as cases, and\n"
    "coefficients over errors are normal. They are in the report of --json; `inference` there says on what they rest, or why there\n"
    "are none. Constant features have none.\n"
    "\n"
    "Example.  model m = logistic_regression(late ~ f, l1 = 0.01, lower = [distance = 0], offset = log(exposure))\n"
    "\n"
    "Reported.  Coefficients (log odds per unit of a feature), intercept, iterations, the objective after\n"
    "each, whether it converged and if not why.\n";

static Status begin(const TrainInfo *t, Iter **out, Err *e) {
  return t->task == TASK_MULTICLASS ? multinomial_begin(t, out, e) : linear_begin(t, LOSS_LOGISTIC, out, e);
}

static Status finish(Iter *it, Model *m, Err *e) {
  return m->task == TASK_MULTICLASS ? multinomial_finish(it, m, e) : linear_finish(it, m, e);
}

static void predict(const Model *m, const Matrix *x, double *out) {
  if (m->task == TASK_MULTICLASS) {
    multinomial_predict(m, x, out);
    return;
  }
  linear_predict(m, x, out);
  k_sigmoid(out, out, x->n);
}

static Status verify(const Model *m, Err *e) {
  return m->task == TASK_MULTICLASS ? multinomial_verify(m, e) : linear_verify(m, e);
}

const Estimator logistic_regression = {
    .name = "logistic_regression",
    .tasks = TASK_BIT(TASK_BINARY) | TASK_BIT(TASK_MULTICLASS),
    .option = options,
    .two_class = "positive_weight|threshold|lower|upper|offset|from",
    .doc = doc,
    .begin = begin,
    .finish = finish,
    .predict = predict,
    .verify = verify,
    .linear = linear_form,
    .typical_partial = typical_gram,
    .typical_scans = 5,
};
