# SPDX-License-Identifier: Apache-2.0
"""Peers of `kmeans`, on float32: scikit-learn's lloyd (elkan is slower at this k and d) and faiss on all rows (it samples by default)."""


def read(job):
    import numpy as np
    from peer import matrix

    x, _ = matrix(job, np.float32)
    job.lap("read")
    return x


def scikit_learn(job):
    from sklearn.cluster import KMeans
    import pyarrow.parquet  # noqa: F401  (imported before the clock starts)

    job.start()
    x = read(job)
    init = "random" if job.first == "random" else "k-means++"
    m = KMeans(job.k, init=init, n_init=1, max_iter=20, tol=0, algorithm="lloyd", random_state=1).fit(x)
    job.lap("fit")
    job.stop()
    return {"inertia": m.inertia_, "iterations": m.n_iter_}


def faiss(job):
    import faiss
    import pyarrow.parquet  # noqa: F401

    faiss.omp_set_num_threads(2)
    job.start()
    x = read(job)
    m = faiss.Kmeans(job.columns, job.k, niter=20, seed=1, max_points_per_centroid=len(x) // job.k + 1)
    m.train(x)
    job.lap("fit")
    job.stop()
    return {"inertia": m.obj[-1], "iterations": len(m.obj)}
