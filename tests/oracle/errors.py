# SPDX-License-Identifier: Apache-2.0
"""Writes errors.txt: coefficients, standard errors and p-values of R's lm and glm for generated rows (rows() of linear.py), weighted and
with an offset (the last column); and tail probabilities of scipy.

Run by hand, with R installed: python3 tests/oracle/errors.py > tests/oracle/errors.txt
"""
import os
import subprocess
import tempfile

import numpy as np
import scipy
from scipy import special, stats

from linear import rows

CASES = [
    # kind, name, key, n, d, spread, collinear, weighted, intercept, offset
    ("linear", "plain", 51, 500, 5, 0, 0, 0, 1, 0),
    ("linear", "weighted", 52, 500, 5, 1, 0, 1, 1, 0),
    ("linear", "no_intercept", 53, 300, 4, 0, 0, 1, 0, 0),
    ("linear", "offset", 54, 300, 5, 0, 0, 1, 1, 1),
    ("linear", "condition", 55, 2000, 6, 1, 1, 1, 1, 0),
    ("linear", "few_rows", 56, 7, 4, 0, 0, 0, 1, 0),
    ("linear", "offset_alone", 57, 60, 1, 0, 0, 0, 1, 1),
    ("logistic", "plain", 61, 800, 5, 0, 0, 0, 1, 0),
    ("logistic", "weighted", 62, 800, 5, 1, 0, 1, 1, 0),
    ("logistic", "no_intercept", 63, 800, 4, 0, 0, 1, 0, 0),
    ("logistic", "offset", 64, 800, 5, 0, 0, 1, 1, 1),
    ("logistic", "condition", 65, 4000, 6, 1, 1, 1, 1, 0),
    ("logistic", "offset_alone", 66, 200, 1, 0, 0, 0, 1, 1),
    ("logistic", "offset_no_intercept", 67, 800, 3, 0, 0, 0, 0, 1),
]

R = """
x <- as.matrix(read.csv("x.csv", header = FALSE)); y <- scan("y.csv", quiet = TRUE); w <- scan("w.csv", quiet = TRUE)
p <- scan("p.csv", quiet = TRUE); o <- rep(0, length(y))
if (p[3] == 1) { o <- x[, ncol(x)]; x <- x[, -ncol(x), drop = FALSE] }
d <- data.frame(x); d$y <- y
terms <- c(if (p[2] == 1) "1" else "0", names(data.frame(x)))
if (ncol(x) == 0) terms <- terms[1]
f <- as.formula(paste("y ~", paste(terms, collapse = " + ")))
environment(f) <- environment()
m <- if (p[1] == 1) suppressWarnings(glm(f, binomial, d, weights = w, offset = o, control = glm.control(epsilon = 1e-15, maxit = 100))) else
  lm(f, d, weights = w, offset = o)
s <- coef(summary(m))
write(sprintf("%.17g", s[, c(1, 2, 4)]), "s.csv", ncolumns = 1)
"""


def tail(t, freedom):
    """stats.t.sf has about ten digits near t = 0; the incomplete beta function has all."""
    q = freedom + t * t
    return 1 - special.betainc(0.5, freedom / 2, t * t / q) if t < 1 else special.betainc(freedom / 2, 0.5, freedom / q)


def fit(kind, key, n, d, spread, collinear, weighted, intercept, offset):
    x, y, w = rows(key, n, d, spread, collinear, weighted, kind == "logistic")
    with tempfile.TemporaryDirectory() as folder:
        np.savetxt(os.path.join(folder, "x.csv"), x, delimiter=",", fmt="%.17g")
        np.savetxt(os.path.join(folder, "y.csv"), y, fmt="%.17g")
        np.savetxt(os.path.join(folder, "w.csv"), w, fmt="%.17g")
        np.savetxt(os.path.join(folder, "p.csv"), [kind == "logistic", intercept, offset], fmt="%g")
        subprocess.run(["Rscript", "-e", R], cwd=folder, check=True, stdout=subprocess.DEVNULL)
        s = np.loadtxt(os.path.join(folder, "s.csv")).reshape(3, -1)
    if not intercept:
        s = np.concatenate([np.full((3, 1), np.nan), s], axis=1)
    return s


if __name__ == "__main__":
    version = subprocess.run(["Rscript", "-e", "cat(as.character(getRversion()))"], capture_output=True, text=True, check=True).stdout
    print(f"# R {version} and scipy {scipy.__version__}, by tests/oracle/errors.py; columns: tests/unit/test_inference.c")
    for case in CASES:
        s = fit(case[0], *case[2:])
        print(*case, "|", *[repr(float(v)) for v in s.ravel()])
    for freedom in (1, 2, 3, 7, 30, 250, 1e4, 1e7):
        for t in (1e-6, 0.1, 0.9, 1.5, 2, 4, 12, 40):
            print("t t", repr(float(t)), repr(float(freedom)), repr(float(tail(t, freedom))), repr(float(stats.t.isf(0.025, freedom))))
    for z in (1e-6, 0.1, 0.9, 1.5, 2, 2.4, 2.5, 4, 12, 30):
        print("t normal", repr(float(z)), "0", repr(float(2 * stats.norm.sf(z))), repr(float(stats.norm.isf(0.025))))
