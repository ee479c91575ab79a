# SPDX-License-Identifier: Apache-2.0
"""Peers of `text`. HashingVectorizer and TfidfTransformer make 2^18 columns, as cml does.
The solver is lbfgs, its default."""


def vectors(job):
    import pyarrow.parquet as pq
    from sklearn.feature_extraction.text import HashingVectorizer, TfidfTransformer
    from sklearn.linear_model import LogisticRegression  # noqa: F401  (imported before the clock starts)

    job.start()
    t = pq.read_table(f"{job.data}/data.parquet")
    counts = HashingVectorizer(n_features=2**18, norm=None, alternate_sign=False).transform(t.column("text").to_pylist())
    x = TfidfTransformer().fit_transform(counts)
    job.lap("tf-idf")
    return x, t.column("y").to_numpy()


def scikit_learn(job):
    vectors(job)
    job.stop()


def scikit_learn_logistic(job):
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import log_loss

    x, y = vectors(job)
    m = LogisticRegression(C=1, max_iter=1000, tol=1e-4).fit(x, y)
    p = m.predict_proba(x)[:, 1]
    job.stop()
    return {"log_loss": log_loss(y, p)}
