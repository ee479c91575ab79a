# SPDX-License-Identifier: Apache-2.0
"""Writes linear.txt: coefficients that scikit-learn finds for generated rows; tests/unit/linear_oracle.h makes the same rows.

Run by hand when a case is added: python3 tests/oracle/linear.py > tests/oracle/linear.txt

scikit-learn minimises sum w loss + (1/(2C)) |b|^2 (logistic) and |y - Xb|^2 + alpha |b|^2 (ridge); ours is
(1/W) sum w loss + (l2/2) sum (s_j b_j)^2, so C = 1/(l2 W) and alpha = l2 W, on columns divided by s_j where standardised.
"""
import sys

import numpy as np
import sklearn
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge


def mix(x):
    x = x ^ (x >> np.uint64(30))
    x = x * np.uint64(0xBF58476D1CE4E5B9)
    x = x ^ (x >> np.uint64(27))
    x = x * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def uniform(key, n):
    with np.errstate(over="ignore"):
        counter = np.arange(n, dtype=np.uint64)
        word = mix(np.uint64(key) + mix(counter + np.uint64(0x9E3779B97F4A7C15)))
    return (word >> np.uint64(11)).astype(np.float64) * 2.0**-53


def rows(key, n, d, spread, collinear, weighted, binary):
    x = np.empty((n, d))
    score = np.full(n, 0.25)
    for j in range(d):
        z = uniform(key * 100 + j, n) - 0.5
        score = score + z * (float(j % 3) - 0.5)
        if j == d - 1 and collinear:
            z = (uniform(key * 100, n) - 0.5) + z / 256
        x[:, j] = (z + (8 if j == 1 else 0)) * 2.0 ** (j * spread)
    noise = uniform(key * 100 + 98, n) - 0.5
    y = (score + 1.5 * noise > 0).astype(float) if binary else score + 0.5 * noise
    w = 0.25 + 3 * uniform(key * 100 + 99, n) if weighted else np.ones(n)
    return x, y, w


def polish(x, y, w, penalty, b):
    """scikit-learn's solvers stop at a tolerance; from its answer, Newton steps in extended precision of the residuals."""
    a = np.column_stack([np.ones(len(y)), x]).astype(np.longdouble)
    b = b.astype(np.longdouble)
    w = w.astype(np.longdouble) / w.sum()
    for _ in range(3):
        p = 1 / (1 + np.exp(-(a @ b)))
        g = a.T @ (w * (p - y)) + penalty * b
        h = (a.T * (w * p * (1 - p))) @ a + np.diag(penalty)
        scale = 1 / np.sqrt(np.diag(h))
        step = np.linalg.solve((h * scale[:, None] * scale).astype(float), (g * scale).astype(float)) * scale
        b = b - step
    return b.astype(float)


def fit(kind, key, n, d, spread, collinear, weighted, l2, intercept, standardize, balanced, positive):
    x, y, w = rows(key, n, d, spread, collinear, weighted, kind == "logistic")
    if balanced:
        w0 = w
        w = np.where(y == 1, w0 * w0.sum() / (2 * w0[y == 1].sum()), w0 * w0.sum() / (2 * w0[y == 0].sum()))
    if kind == "logistic":
        w = np.where(y == 1, w * positive, w)
    mean = np.average(x, axis=0, weights=w)
    s = np.sqrt(np.average((x - mean) ** 2, axis=0, weights=w)) if standardize else np.ones(d)
    fitted = x / s
    # centred columns where there is an intercept: the same problem, kinder to scikit-learn's solvers
    middle = np.average(fitted, axis=0, weights=w) if intercept else np.zeros(d)
    if kind == "linear":
        model = Ridge(alpha=l2 * w.sum(), fit_intercept=bool(intercept), solver="svd") if l2 else LinearRegression(fit_intercept=bool(intercept))
        model.fit(fitted - middle, y, sample_weight=w)
        beta, b0 = model.coef_, model.intercept_
    else:
        # unpenalised problems on unit columns, so that the solver's tolerance means something
        unit = np.ones(d) if l2 else fitted.std(axis=0)
        model = LogisticRegression(C=1 / (l2 * w.sum()) if l2 else np.inf, solver="newton-cholesky", tol=1e-10, max_iter=200,
                                   fit_intercept=bool(intercept))
        model.fit((fitted - middle) / unit, y, sample_weight=w)
        beta, b0 = model.coef_[0] / unit, np.ravel(model.intercept_)[0] if intercept else 0.0
        if intercept:
            start = np.concatenate([[b0], beta])
            done = polish(fitted - middle, y, w, np.concatenate([[0.0], np.full(d, l2)]), start)
            assert np.max(np.abs(done - start) * np.concatenate([[1], unit])) < 1e-5, "scikit-learn had not converged"
            b0, beta = done[0], done[1:]
    b0 = b0 - beta @ middle
    return b0, beta / s


CASES = [
    # kind, name, key, n, d, spread, collinear, weighted, l2, intercept, standardize, balanced, positive_weight
    ("linear", "plain", 1, 500, 5, 0, 0, 0, 0, 1, 1, 0, 1),
    ("linear", "weighted", 2, 500, 5, 0, 0, 1, 0, 1, 1, 0, 1),
    ("linear", "ridge", 3, 500, 5, 2, 0, 0, 0.01, 1, 1, 0, 1),
    ("linear", "ridge_weighted", 4, 3000, 8, 1, 0, 1, 0.3, 1, 1, 0, 1),
    ("linear", "ridge_raw", 5, 500, 5, 1, 0, 1, 0.05, 1, 0, 0, 1),
    ("linear", "no_intercept", 6, 500, 5, 0, 0, 1, 0, 0, 1, 0, 1),
    ("linear", "condition", 7, 2000, 6, 3, 1, 1, 0, 1, 1, 0, 1),
    ("linear", "ridge_no_intercept", 8, 500, 5, 0, 0, 0, 0.02, 0, 0, 0, 1),
    ("logistic", "plain", 11, 800, 5, 0, 0, 0, 0, 1, 1, 0, 1),
    ("logistic", "weighted", 12, 800, 5, 0, 0, 1, 0, 1, 1, 0, 1),
    ("logistic", "penalised", 13, 800, 5, 2, 0, 0, 0.01, 1, 1, 0, 1),
    ("logistic", "penalised_weighted", 14, 3000, 8, 1, 0, 1, 0.3, 1, 1, 0, 1),
    ("logistic", "penalised_raw", 15, 800, 5, 1, 0, 1, 0.05, 1, 0, 0, 1),
    ("logistic", "balanced", 16, 800, 5, 0, 0, 1, 0.001, 1, 1, 1, 1),
    ("logistic", "positive", 17, 800, 5, 0, 0, 0, 0, 1, 1, 0, 2.5),
    ("logistic", "condition", 18, 4000, 6, 3, 1, 1, 0, 1, 1, 0, 1),
    ("logistic", "balanced_positive", 19, 800, 5, 0, 0, 1, 0.1, 1, 1, 1, 0.5),
]

if __name__ == "__main__":
    print("# scikit-learn " + sklearn.__version__ + ", by tests/oracle/linear.py; columns: tests/unit/linear_oracle.h")
    for case in CASES:
        kind, name = case[:2]
        b0, b = fit(kind, *case[2:])
        print(kind, name, *case[2:], "|", repr(float(b0)), *[repr(float(v)) for v in b])
    sys.stdout.flush()
