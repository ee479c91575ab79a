# SPDX-License-Identifier: Apache-2.0
"""Writes metrics.txt: what scikit-learn says of generated rows; tests/unit/test_metric.c makes the same rows.

Run by hand when a case is added: python3 tests/oracle/metrics.py > tests/oracle/metrics.txt

A line: case key n levels weighted, then name value pairs; "slices" lines: the auc, f1 and mae of each level of the slice.
"""
import numpy as np
import sklearn
from sklearn import metrics as sk

from linear import uniform


def rows(key, n, levels, weighted):
    u = uniform(key * 10 + 1, n)
    score = np.floor(u * levels) / levels if levels else u
    y = (uniform(key * 10 + 2, n) < 0.3 + 0.5 * (score - 0.25)).astype(float)
    w = 0.25 + 3 * uniform(key * 10 + 3, n) if weighted else np.ones(n)
    if weighted:
        w[np.arange(n) % 13 == 0] = 0
    target = 5 + 40 * (score - 0.5) + 7 * (uniform(key * 10 + 4, n) - 0.5)
    predicted = 5 + 38 * (score - 0.5)
    part = np.floor(uniform(key * 10 + 5, n) * 4).astype(int)
    return score, y, w, target, predicted, part


def binary(score, y, w, threshold):
    hard = (score >= threshold).astype(float)
    out = {
        "log_loss": sk.log_loss(y, score, sample_weight=w, labels=[0, 1]),
        "brier": sk.brier_score_loss(y, score, sample_weight=w),
        "accuracy": sk.accuracy_score(y, hard, sample_weight=w),
        "precision": sk.precision_score(y, hard, sample_weight=w),
        "recall": sk.recall_score(y, hard, sample_weight=w),
        "f1": sk.f1_score(y, hard, sample_weight=w),
        "auc": sk.roc_auc_score(y, score, sample_weight=w),
    }
    cells = sk.confusion_matrix(y, hard, sample_weight=w)
    out.update(zip(["tn", "fp", "fn", "tp"], np.ravel(cells)))
    return out


def regression(target, predicted, w):
    return {
        "rmse": sk.root_mean_squared_error(target, predicted, sample_weight=w),
        "mae": sk.mean_absolute_error(target, predicted, sample_weight=w),
        "r2": sk.r2_score(target, predicted, sample_weight=w),
    }


def show(values):
    return " ".join(f"{k} {float(v)!r}" for k, v in values.items())


if __name__ == "__main__":
    print("# scikit-learn " + sklearn.__version__ + ", by tests/oracle/metrics.py; columns are explained there")
    for key, n, levels, weighted, threshold in [
        (1, 1000, 0, 0, 0.5),
        (2, 1000, 0, 1, 0.5),
        (3, 5000, 8, 0, 0.5),
        (4, 5000, 8, 1, 0.25),
        (5, 30000, 0, 1, 0.7),
        (6, 40, 4, 0, 0.5),
    ]:
        score, y, w, target, predicted, part = rows(key, n, levels, weighted)
        print("case", key, n, levels, weighted, repr(threshold), show(binary(score, y, w, threshold)), show(regression(target, predicted, w)))
        for level in range(4):
            m = part == level
            values = {"auc": sk.roc_auc_score(y[m], score[m], sample_weight=w[m]),
                      "log_loss": sk.log_loss(y[m], score[m], sample_weight=w[m], labels=[0, 1]),
                      "r2": sk.r2_score(target[m], predicted[m], sample_weight=w[m])}
            print("slice", key, level, int(m.sum()), repr(float(w[m].sum())), show(values))
