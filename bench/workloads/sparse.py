# SPDX-License-Identifier: Apache-2.0
"""Peers of `sparse`: HashingVectorizer, whose loop is compiled, then the solvers of scikit-learn for sparse rows. liblinear penalises
the intercept as well, which changes the objective in the fifth digit."""


def fit(job, **options):
    import numpy as np
    import pyarrow.parquet as pq
    from sklearn.feature_extraction.text import HashingVectorizer
    from sklearn.linear_model import LogisticRegression

    job.start()
    t = pq.read_table(f"{job.data}/data.parquet")
    y = t.column("y").to_numpy()
    x = HashingVectorizer(n_features=2**20, analyzer=str.split, binary=True, norm=None, alternate_sign=False).transform(t.column("text").to_pylist())
    job.lap("prepare")
    m = LogisticRegression(C=1, **options).fit(x, y)
    job.lap("fit")
    job.stop()
    w = m.coef_[0]
    return {"objective": np.logaddexp(0, -(2.0 * y - 1) * (x @ w + m.intercept_[0])).mean() + w @ w / (2 * len(y)), "iterations": m.n_iter_[0]}


def liblinear(job):
    return fit(job, solver="liblinear", tol=1e-3, max_iter=1000)


def saga(job):
    return fit(job, solver="saga", tol=1e-3, max_iter=200)
