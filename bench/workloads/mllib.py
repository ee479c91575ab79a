# SPDX-License-Identifier: Apache-2.0
"""MLlib beside cml on one cluster (bench/spark). The clock of each starts when the context and all executors are there; reading and
preparing count. `check` measures what both found in the same way, with numpy.

Not tried yet: the input cached before the fit (estimators keep what they make of it themselves); aggregationDepth 1."""


def read(job, label):
    """The columns as one vector each row."""
    from peer import spark as session
    from pyspark.ml.feature import VectorAssembler
    from pyspark.sql import functions as F

    s = session(job)
    job.start()
    d = s.read.parquet(f"{job.data}/*.parquet")
    names = [n for n in d.columns if n != "y"]
    d = VectorAssembler(inputCols=names, outputCol="features").transform(d)
    return d.select("features", *([F.col("y").cast("double").alias("label")] if label else []))


def keep(job, values):
    import numpy as np

    job.stop()
    np.save(f"{job.work}/mllib.npy", np.array(values))


# The conversions of `cmlc doc logistic_regression` and `linear_regression`, from cml's penalty to theirs.


def logistic(job):
    from pyspark.ml.classification import LogisticRegression

    d = read(job, True)
    m = LogisticRegression(regParam=job.l2 * (job.rows - 1) / job.rows, elasticNetParam=0.0, tol=job.tol, maxIter=1000).fit(d)
    keep(job, [*m.coefficients, m.intercept])
    return {"iterations": m.summary.totalIterations}


def linear(job):
    from pyspark.ml.regression import LinearRegression

    d = read(job, True)
    m = LinearRegression(regParam=job.l2 * job.deviation * (job.rows - 1) / job.rows, elasticNetParam=0.0, solver="normal").fit(d)
    keep(job, [*m.coefficients, m.intercept])


def kmeans(job):
    from pyspark.ml.clustering import KMeans

    d = read(job, False)
    m = KMeans(k=job.k, maxIter=job.iterations, tol=0.0, initMode="k-means||", seed=1).fit(d)
    keep(job, [list(c) for c in m.clusterCenters()])
    return {"iterations": m.summary.numIter, "inertia": m.summary.trainingCost}


def batches(job):
    """The rows, some at a time, and y where there is one."""
    import glob

    import numpy as np
    import pyarrow.parquet as pq

    for path in sorted(glob.glob(f"{job.data}/*.parquet")):
        for b in pq.ParquetFile(path).iter_batches(131072):
            x = np.column_stack([b.column(n).to_numpy() for n in b.schema.names if n != "y"]).astype(float)
            yield x, b.column("y").to_numpy(zero_copy_only=False).astype(float) if "y" in b.schema.names else None


def moments(job):
    """Rows, deviations of the columns and of y (denominator n)."""
    import numpy as np

    n, s1, s2 = 0, 0.0, 0.0
    for x, y in batches(job):
        v = np.column_stack([x, y])
        n, s1, s2 = n + len(v), s1 + v.sum(0), s2 + (v * v).sum(0)
    return n, np.sqrt(s2 / n - (s1 / n) ** 2)


def found(job):
    """What the side found: coefficients and intercept."""
    import json

    import numpy as np

    if job.side == "mllib":
        return np.load(f"{job.work}/mllib.npy")
    with open(f"{job.work}/{job.side}.json") as f:
        m = json.load(f)["models"]["m"]
    return np.array([*m["coefficients"].values(), m["intercept"]])


def prepare(job):
    """What MLlib's penalty needs to know: the target's deviation, denominator n - 1."""
    n, s = moments(job)
    return {"deviation": s[-1] * (n / (n - 1)) ** 0.5}


def objective(job, loss):
    w = found(job)
    n, s = moments(job)
    total = sum(loss(x @ w[:-1] + w[-1], y).sum() for x, y in batches(job))
    return {"objective": total / n + job.l2 / 2 * ((w[:-1] * s[:-1]) ** 2).sum()}


def check_logistic(job):
    import numpy as np

    return objective(job, lambda f, y: np.logaddexp(0, (1 - 2 * y) * f))


def check_linear(job):
    return objective(job, lambda f, y: (f - y) ** 2 / 2)


def check_kmeans(job):
    """Only of MLlib: cml's report has it."""
    import numpy as np

    c = np.load(f"{job.work}/mllib.npy")
    return {"inertia": sum(np.maximum(0, (x * x).sum(1) + ((c * c).sum(1) - 2 * x @ c.T).min(1)).sum() for x, _ in batches(job))}
