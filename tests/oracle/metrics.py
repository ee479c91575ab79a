# SPDX-License-Identifier: Apache-2.0
"""Writes metrics.txt: what scikit-learn says of generated rows; tests/unit/test_metric.c makes the same rows.

Run by hand when a case is added: python3 tests/oracle/metrics.py > tests/oracle/metrics.txt

A line: case key n levels weighted threshold, then name value pairs; "slice" lines: some metrics of each level of the slice.
What scikit-learn does not have (lift, gain, calibration errors) is computed here, from the definition in the doc pages.
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
    base = 100 if key == 7 else 5  # above -1, for msle
    target = base + 40 * (score - 0.5) + 7 * (uniform(key * 10 + 4, n) - 0.5)
    predicted = base + 38 * (score - 0.5)
    part = np.floor(uniform(key * 10 + 5, n) * 4).astype(int)
    return score, y, w, target, predicted, part


def share_of_top(score, y, w, top):
    """The expected weight of positives in the top, over all orders of equal scores."""
    left, found = top * w.sum(), 0.0
    for s in np.unique(score)[::-1]:
        m = score == s
        take = min(1.0, left / w[m].sum()) if left > 0 and w[m].sum() > 0 else 0.0
        found += take * (w * y)[m].sum()
        left -= w[m].sum()
    return found / (w * y).sum()


def gaps(score, y, w, bins=10):
    b = np.minimum((score * bins).astype(int), bins - 1)
    weight = np.bincount(b, w, bins)
    d = np.abs(np.bincount(b, w * y, bins) - np.bincount(b, w * score, bins))[weight > 0]
    return d / weight[weight > 0], weight[weight > 0] / w.sum()


def best(score, y, w, value):
    """The highest of the thresholds at which value(truth, hard) is greatest."""
    s = np.unique(score)[::-1]
    values = [value(y, (score >= t).astype(float)) for t in s]
    return s[int(np.argmax(values))]


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
        "pr_auc": sk.average_precision_score(y, score, sample_weight=w),
        "specificity": sk.recall_score(y, hard, sample_weight=w, pos_label=0),
        "npv": sk.precision_score(y, hard, sample_weight=w, pos_label=0),
        "balanced_accuracy": sk.balanced_accuracy_score(y, hard, sample_weight=w),
        "mcc": sk.matthews_corrcoef(y, hard, sample_weight=w),
        "gain": share_of_top(score, y, w, 0.1),
        "lift": share_of_top(score, y, w, 0.1) / 0.1,
    }
    fpr, tpr, _ = sk.roc_curve(y, score, sample_weight=w, drop_intermediate=False)
    out["ks"] = np.max(np.abs(tpr - fpr))
    gap, share = gaps(score, y, w)
    out["expected_calibration_error"] = np.sum(gap * share)
    out["max_calibration_error"] = np.max(gap)
    if len(score) <= 1000:
        out["best_threshold"] = best(score, y, w, lambda a, b: sk.f1_score(a, b, sample_weight=w))
    cells = sk.confusion_matrix(y, hard, sample_weight=w)
    out.update(zip(["tn", "fp", "fn", "tp"], np.ravel(cells)))
    return out


def regression(target, predicted, w):
    out = {
        "rmse": sk.root_mean_squared_error(target, predicted, sample_weight=w),
        "mae": sk.mean_absolute_error(target, predicted, sample_weight=w),
        "r2": sk.r2_score(target, predicted, sample_weight=w),
        "explained_variance": sk.explained_variance_score(target, predicted, sample_weight=w),
        "mape": sk.mean_absolute_percentage_error(target, predicted, sample_weight=w),
        "quantile_loss": sk.mean_pinball_loss(target, predicted, sample_weight=w, alpha=0.5),
        "median_absolute_error": sk.median_absolute_error(target, predicted, sample_weight=w),
        "max_error": sk.max_error(target[w > 0], predicted[w > 0]),
        "bias": np.average(predicted - target, weights=w),
    }
    if min(target.min(), predicted.min()) > -1:
        out["msle"] = sk.mean_squared_log_error(target, predicted, sample_weight=w)
        out["rmsle"] = sk.root_mean_squared_log_error(target, predicted, sample_weight=w)
    return out


def classes(key, n, k, weighted, unseen):
    """Probabilities of k classes and the true one, which is sometimes -1: a class of no model."""
    p = np.stack([uniform(key * 100 + j, n) ** 2 for j in range(k)], axis=1)
    p = np.floor(p * 16) / 16 + 1 / 64  # exact in binary, with ties
    y = np.floor(uniform(key * 100 + 50, n) * k).astype(int)
    y = np.where(uniform(key * 100 + 51, n) < 0.5, np.argmax(p, axis=1), y)
    if unseen:
        y[np.arange(n) % 17 == 3] = -1
    w = 0.25 + 3 * uniform(key * 100 + 52, n) if weighted else np.ones(n)
    return p, y, w


def multiclass(p, y, w, k):
    hard, rows, known = np.argmax(p, axis=1), np.arange(len(y)), y >= 0
    given = np.where(known, p[rows, np.maximum(y, 0)], 0)
    outcome = (np.arange(k)[None, :] == y[:, None]).astype(float)
    before = np.sum(p > given[:, None], axis=1) + np.sum((p == given[:, None]) & (np.arange(k)[None, :] < y[:, None]), axis=1)
    out = {
        "accuracy": sk.accuracy_score(y, hard, sample_weight=w),
        "log_loss": np.average(-np.log(np.clip(given, 2**-52, 1 - 2**-52)), weights=w),
        "brier": np.average(np.sum((p - outcome) ** 2, axis=1) + ~known, weights=w),  # a class of no model: probability 0, outcome 1
        "mcc": sk.matthews_corrcoef(y, hard, sample_weight=w),
        "balanced_accuracy": sk.balanced_accuracy_score(y, hard, sample_weight=w),
        "top_k_accuracy": np.average(known & (before < 2), weights=w),
    }
    for name, f in [("precision", sk.precision_score), ("recall", sk.recall_score), ("f1", sk.f1_score)]:
        for average in ["macro", "weighted", "micro"]:
            out[name + "." + average] = f(y, hard, sample_weight=w, average=average, zero_division=0)
    auc = np.array([sk.roc_auc_score(y == j, p[:, j], sample_weight=w) for j in range(k)])
    size = np.array([w[y == j].sum() for j in range(k)])
    out["auc.macro"] = auc.mean()
    out["auc.weighted"] = np.sum(auc * size) / size.sum()
    return out


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
        (7, 900, 0, 1, 0.4),
    ]:
        score, y, w, target, predicted, part = rows(key, n, levels, weighted)
        print("case", key, n, levels, weighted, repr(threshold), show(binary(score, y, w, threshold)), show(regression(target, predicted, w)))
        for level in range(4):
            m = part == level
            values = {"auc": sk.roc_auc_score(y[m], score[m], sample_weight=w[m]),
                      "log_loss": sk.log_loss(y[m], score[m], sample_weight=w[m], labels=[0, 1]),
                      "r2": sk.r2_score(target[m], predicted[m], sample_weight=w[m])}
            values["median_absolute_error"] = sk.median_absolute_error(target[m], predicted[m], sample_weight=w[m])
            print("slice", key, level, int(m.sum()), repr(float(w[m].sum())), show(values))
    for key, n, k, weighted, unseen in [(11, 2000, 4, 0, 0), (12, 3000, 3, 1, 0), (13, 1500, 6, 1, 1), (14, 60, 5, 0, 1)]:
        p, y, w = classes(key, n, k, weighted, unseen)
        print("classes", key, n, k, weighted, unseen, show(multiclass(p, y, w, k)))
        report = sk.precision_recall_fscore_support(y, np.argmax(p, axis=1), sample_weight=w, labels=list(range(k)), zero_division=0)
        print("per_class", key, " ".join(repr(float(v)) for v in np.stack(report, axis=1).ravel()))
        cells = sk.confusion_matrix(np.where(y < 0, k, y), np.argmax(p, axis=1), sample_weight=w, labels=list(range(k + 1)))
        print("confusion", key, " ".join(repr(float(v)) for v in cells[: k + unseen, :k].ravel()))
