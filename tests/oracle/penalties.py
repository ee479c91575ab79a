# SPDX-License-Identifier: Apache-2.0
"""Writes penalties.txt: what R's glmnet and scikit-learn find with L1, L2 and bounds for generated rows (rows() of linear.py).

Run by hand, with R and its package glmnet installed: python3 tests/oracle/penalties.py > tests/oracle/penalties.txt

Ours is  (1/W) sum w loss + l1 sum |s_j b_j| + (l2/2) sum (s_j b_j)^2. On columns divided by s_j, with lambda = l1 + l2 and alpha = l1 / lambda:
scikit-learn's ElasticNet(alpha = lambda, l1_ratio = alpha) and LogisticRegression(C = 1 / (W lambda), l1_ratio = alpha), and
glmnet(lambda, alpha); for squared loss see glmnet() below. Where both have the problem they are held against each other here. Every
answer is also held against the optimality conditions, worked out here.
"""
import os
import subprocess
import sys
import tempfile

import numpy as np
import sklearn
from sklearn.linear_model import ElasticNet, LogisticRegression

from linear import rows

CASES = [
    # kind, name, key, n, d, spread, collinear, weighted, l1, l2, intercept, standardize, lower, upper (of the standardised coefficients)
    ("linear", "lasso", 31, 500, 8, 0, 0, 0, 0.2, 0, 1, 1, None, None),
    ("linear", "lasso_weighted", 32, 500, 8, 1, 0, 1, 0.15, 0, 1, 1, None, None),
    ("linear", "net", 33, 500, 8, 1, 0, 0, 0.1, 0.02, 1, 1, None, None),
    ("linear", "net_weighted", 34, 3000, 12, 1, 0, 1, 0.01, 0.05, 1, 1, None, None),
    ("linear", "net_raw", 35, 500, 8, 1, 0, 1, 0.01, 0.02, 1, 0, None, None),
    ("linear", "net_no_intercept", 36, 500, 8, 0, 0, 1, 0.02, 0.02, 0, 0, None, None),
    ("linear", "lasso_collinear", 37, 2000, 6, 1, 1, 1, 0.002, 0.001, 1, 1, None, None),
    ("linear", "ridge_bounds", 38, 500, 8, 0, 0, 1, 0, 0.02, 1, 1, 0, None),
    ("linear", "net_bounds", 39, 500, 8, 0, 0, 0, 0.01, 0.02, 1, 1, -0.05, 0.1),
    ("logistic", "lasso", 41, 800, 8, 0, 0, 0, 0.05, 0, 1, 1, None, None),
    ("logistic", "lasso_weighted", 42, 800, 8, 1, 0, 1, 0.01, 0, 1, 1, None, None),
    ("logistic", "net", 43, 800, 8, 1, 0, 0, 0.05, 0.02, 1, 1, None, None),
    ("logistic", "net_weighted", 44, 3000, 12, 1, 0, 1, 0.01, 0.05, 1, 1, None, None),
    ("logistic", "net_raw", 45, 800, 8, 1, 0, 1, 0.01, 0.02, 1, 0, None, None),
    ("logistic", "lasso_collinear", 47, 4000, 6, 1, 1, 1, 0.002, 0.001, 1, 1, None, None),
    ("logistic", "ridge_bounds", 48, 800, 8, 0, 0, 1, 0, 0.02, 1, 1, 0, None),
    ("logistic", "net_bounds", 49, 800, 8, 0, 0, 0, 0.01, 0.02, 1, 1, -0.05, 0.1),
]

GLMNET = """
library(glmnet)
glmnet.control(fdev = 0, devmax = 1, mnlam = 1, epsnr = 1e-14, mxitnr = 200)
x <- as.matrix(read.csv("x.csv", header = FALSE)); y <- scan("y.csv", quiet = TRUE); w <- scan("w.csv", quiet = TRUE)
p <- scan("p.csv", quiet = TRUE)
top <- p[1]; path <- exp(seq(log(max(top * 100, 1)), log(top), length.out = 60)); path[60] <- top
m <- glmnet(x, y, family = if (p[3] == 1) "binomial" else "gaussian", weights = w, alpha = p[2], lambda = path, thresh = 1e-14, maxit = 1e7,
            standardize = FALSE, intercept = p[4] == 1, lower.limits = p[5], upper.limits = p[6])
b <- coef(m)[, 60]
write(sprintf("%.17g", b), "b.csv", ncolumns = 1)
"""


def glmnet(x, y, w, l1, l2, logistic, intercept, lower, upper):
    """glmnet divides the target of a regression by its deviation, and takes lambda and the answer as of the undivided one: so its
    lambda is l1 + l2 only for a target that is divided already, where our l1 is l1 / deviation, and l2 is l2."""
    deviation = 1.0
    if not logistic:
        middle = np.average(y, weights=w) if intercept else 0.0
        deviation = np.sqrt(np.average((y - middle) ** 2, weights=w))
        y, l1, lower, upper = y / deviation, l1 / deviation, lower / deviation, upper / deviation
    with tempfile.TemporaryDirectory() as folder:
        np.savetxt(os.path.join(folder, "x.csv"), x, delimiter=",", fmt="%.17g")
        np.savetxt(os.path.join(folder, "y.csv"), y, fmt="%.17g")
        np.savetxt(os.path.join(folder, "w.csv"), w, fmt="%.17g")
        np.savetxt(os.path.join(folder, "p.csv"), [l1 + l2, l1 / (l1 + l2), logistic, intercept, lower, upper], fmt="%.17g")
        subprocess.run(["Rscript", "-e", GLMNET], cwd=folder, check=True, capture_output=True)
        return np.loadtxt(os.path.join(folder, "b.csv")) * deviation


def kkt(x, y, w, b, l1, l2, scale, logistic, intercept, lower, upper):
    """How far the answer is from optimal: the greatest distance of a coefficient from its own minimum, times its deviation."""
    w = w / w.sum()
    f = b[0] + x @ b[1:]
    r = (1 / (1 + np.exp(-f)) if logistic else f) - y
    far = abs((w * r).sum()) if intercept else 0.0
    for j in range(x.shape[1]):
        g = (w * r) @ x[:, j] + l2 * scale[j] ** 2 * b[1 + j]
        h = (w * (r * 0 + (0.25 if logistic else 1))) @ x[:, j] ** 2 + l2 * scale[j] ** 2
        t = h * b[1 + j] - g
        t = np.sign(t) * max(abs(t) - l1 * scale[j], 0) / h
        far = max(far, abs(min(max(t, lower[j]), upper[j]) - b[1 + j]) * x[:, j].std())
    return far


def fit(kind, key, n, d, spread, collinear, weighted, l1, l2, intercept, standardize, lower, upper):
    logistic = kind == "logistic"
    x, y, w = rows(key, n, d, spread, collinear, weighted, logistic)
    mean = np.average(x, axis=0, weights=w)
    s = np.sqrt(np.average((x - mean) ** 2, axis=0, weights=w)) if standardize else np.ones(d)
    u = x / s
    middle = np.average(u, axis=0, weights=w) if intercept else np.zeros(d)
    lo = -np.inf if lower is None else lower
    hi = np.inf if upper is None else upper
    lam, alpha = l1 + l2, l1 / (l1 + l2)
    first = glmnet(u - middle, y, w, l1, l2, logistic, intercept, lo, hi)
    if lower is None and upper is None:
        if logistic:
            m = LogisticRegression(C=1 / (lam * w.sum()), l1_ratio=alpha, solver="saga", tol=1e-12, max_iter=100000,
                                   fit_intercept=bool(intercept))
            m.fit(u - middle, y, sample_weight=w)
            second = np.concatenate([np.ravel(m.intercept_) if intercept else [0.0], m.coef_[0]])
        else:
            m = ElasticNet(alpha=lam, l1_ratio=alpha, tol=1e-15, max_iter=10**6, fit_intercept=bool(intercept))
            m.fit(u - middle, y, sample_weight=w)
            second = np.concatenate([[m.intercept_], m.coef_])
        gap = np.max(np.abs(first - second))
        print(f"{kind} {key}: glmnet and scikit-learn differ by {gap:.1e}", file=sys.stderr)
        assert gap < 2e-6, (first, second)
    b = np.concatenate([[first[0] - first[1:] @ middle], first[1:] / s])
    far = kkt(x, y, w, b, l1, l2, s, logistic, intercept, np.full(d, lo) / s, np.full(d, hi) / s)
    print(f"{kind} {key}: {far:.1e} from optimal; {np.sum(b[1:] == 0)} of {d} are 0", file=sys.stderr)
    return b, np.full(d, lo) / s, np.full(d, hi) / s


if __name__ == "__main__":
    version = subprocess.run(["Rscript", "-e", "cat(as.character(packageVersion('glmnet')))"], capture_output=True, text=True, check=True).stdout
    print("# glmnet " + version + " and scikit-learn " + sklearn.__version__ + ", by tests/oracle/penalties.py; columns: tests/unit/linear_oracle.h")
    for case in CASES:
        kind, name = case[:2]
        b, lo, hi = fit(kind, *case[2:])
        print(kind, name, *case[2:12], 0 if case[12] is None and case[13] is None else 1, "|", *[repr(float(v)) for v in b], "|",
              *[f"{float(v)!r}" for v in lo], *[f"{float(v)!r}" for v in hi])
    sys.stdout.flush()
