# SPDX-License-Identifier: Apache-2.0
"""Peers of `flights`: the same columns, the same penalty (on standardised columns), a table of means cross-fitted in 5 folds.

scikit-learn gets the 237 columns as sparse rows (CSR), made directly from codes: six numbers a row, and lbfgs on them. As a dense float32
matrix the same takes several times as long, and 5.6 GB."""
SMOOTHING, FOLDS, RARE, RIDGE = 20.0, 5, 50, 1e-4


def sparse(sin, cos, day, code, origins, route, distance):
    """Rows of six numbers: sin, cos, the weekday, the origin (0 where it is rare), the route's mean, the distance."""
    import numpy as np
    from scipy.sparse import csr_matrix

    n, d = len(sin), 2 + 7 + origins + 2
    at, value = np.empty((n, 6), np.int32), np.ones((n, 6))
    at[:, 0], at[:, 1], at[:, 2], at[:, 3], at[:, 4], at[:, 5] = 0, 1, 2 + day, 9 + np.maximum(code, 0), d - 2, d - 1
    value[:, 0], value[:, 1], value[:, 3], value[:, 4], value[:, 5] = sin, cos, code >= 0, route, distance
    return csr_matrix((value.ravel(), at.ravel(), np.arange(0, 6 * n + 1, 6, dtype=np.int32)), shape=(n, d))


def fit_and_score(job, x, xt, y, yt, write):
    """Standardised by dividing, since the intercept takes the means; trained, measured and written."""
    import numpy as np
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import accuracy_score, log_loss, roc_auc_score
    from sklearn.utils.sparsefuncs import mean_variance_axis

    scale = np.sqrt(mean_variance_axis(x, 0)[1])
    scale[scale == 0] = 1
    x.data /= scale[x.indices]
    xt.data /= scale[xt.indices]
    job.lap("features")
    m = LogisticRegression(C=1 / (RIDGE * x.shape[0]), max_iter=300, tol=1e-4).fit(x, y)
    job.lap("fit")
    p = m.predict_proba(xt)[:, 1]
    results = {"auc": roc_auc_score(yt, p), "log_loss": log_loss(yt, p), "accuracy": accuracy_score(yt, p > 0.5), "iterations": m.n_iter_[0]}
    write(p)
    job.lap("score")
    job.stop()
    return results


def scikit_learn(job):
    import numpy as np
    import pandas as pd
    from sklearn.model_selection import KFold, train_test_split

    job.start()
    d = pd.read_parquet(f"{job.data}/flights-3m.parquet", columns=["date", "delay", "distance", "origin", "destination"])
    d = d[d.delay > -120].reset_index(drop=True)
    d["late"] = (d.delay > 15).astype(np.float32)
    train, test = train_test_split(d, test_size=0.2, random_state=0)
    mean = train.late.mean()

    def table(rows):
        g = rows.groupby("destination", observed=True).late.agg(["count", "sum"])
        return (g["sum"] + SMOOTHING * mean) / (g["count"] + SMOOTHING)

    route = np.empty(len(train), np.float32)
    for fit, apply in KFold(FOLDS, shuffle=True, random_state=0).split(train):
        route[apply] = train.destination.iloc[apply].map(table(train.iloc[fit])).astype(float).fillna(mean)
    routes = [route, test.destination.map(table(train)).astype(float).fillna(mean).to_numpy(np.float32)]
    count = train.origin.value_counts()
    origins = sorted(count[count >= RARE].index)
    center = np.log1p(train.distance.to_numpy(float)).mean()

    def matrix(part, route):
        hour, day = part.date.dt.hour.to_numpy() * (2 * np.pi / 24), part.date.dt.weekday.to_numpy()
        code = pd.Categorical(part.origin, categories=origins).codes
        return sparse(np.sin(hour), np.cos(hour), day, code, len(origins), route, np.log1p(part.distance.to_numpy(float)) - center)

    x, xt = matrix(train, routes[0]), matrix(test, routes[1])
    return fit_and_score(job, x, xt, train.late.to_numpy(), test.late.to_numpy(),
                         lambda p: test.assign(probability=p, prediction=p > 0.5).to_parquet(job.out))


def polars(job):
    import numpy as np
    import polars as pl

    job.start()
    d = (pl.scan_parquet(f"{job.data}/flights-3m.parquet").filter(pl.col("delay") > -120)
         .with_columns(late=(pl.col("delay") > 15).cast(pl.Float32), hour=pl.col("date").dt.hour() * (2 * np.pi / 24),
                       fold=pl.struct("date", "origin", "destination").hash(1) % FOLDS,
                       held=pl.struct("date", "origin", "destination").hash(2) % 5 == 0).collect())
    train, test = d.filter(~pl.col("held")), d.filter(pl.col("held"))
    mean = train["late"].mean()
    by_fold = train.group_by("destination", "fold").agg(n=pl.len(), s=pl.col("late").sum())
    whole = by_fold.group_by("destination").agg(pl.col("n").sum(), pl.col("s").sum())
    rate = (pl.col("s") + SMOOTHING * mean) / (pl.col("n") + SMOOTHING)
    others = by_fold.join(whole, on="destination", suffix="_all").with_columns(n=pl.col("n_all") - pl.col("n"), s=pl.col("s_all") - pl.col("s"))
    train = train.join(others.select("destination", "fold", route=rate), on=["destination", "fold"], how="left", maintain_order="left")
    test = test.join(whole.select("destination", route=rate), on="destination", how="left", maintain_order="left")
    origins = train.group_by("origin").len().filter(pl.col("len") >= RARE)["origin"].sort()
    center = train.select(pl.col("distance").log1p().mean()).item()

    def matrix(part):
        c = part.select(sin=pl.col("hour").sin(), cos=pl.col("hour").cos(), day=pl.col("date").dt.weekday() - 1,
                        code=pl.col("origin").replace_strict(origins, np.arange(len(origins)), default=-1),
                        route=pl.col("route").fill_null(mean), distance=pl.col("distance").log1p() - center)
        sin, cos, day, code, route, distance = (c[k].to_numpy() for k in ("sin", "cos", "day", "code", "route", "distance"))
        return sparse(sin, cos, day, code, len(origins), route, distance)

    return fit_and_score(job, matrix(train), matrix(test), train["late"].to_numpy(), test["late"].to_numpy(),
                         lambda p: test.drop("held", "fold", "route", "hour").with_columns(probability=p, prediction=p > 0.5).write_parquet(job.out))


def spark(job):
    from peer import spark as session
    from pyspark.ml import Pipeline
    from pyspark.ml.classification import LogisticRegression
    from pyspark.ml.evaluation import BinaryClassificationEvaluator
    from pyspark.ml.feature import OneHotEncoder, StringIndexer, VectorAssembler
    from pyspark.ml.functions import vector_to_array
    from pyspark.sql import functions as F

    job.start()
    s = session(job)
    job.lap("start-up")
    hour = F.hour("date") * (2 * 3.141592653589793 / 24)
    d = (s.read.parquet(f"{job.data}/flights-3m.parquet").where("delay > -120")
         .withColumns({"label": (F.col("delay") > 15).cast("double"), "hour_sin": F.sin(hour), "hour_cos": F.cos(hour),
                       "weekday": F.dayofweek("date").cast("string"), "distance_log": F.log1p("distance"),
                       "h": F.abs(F.xxhash64("date", "origin", "destination"))})
         .withColumns({"fold": F.col("h") % FOLDS, "held": F.expr("h div 5 % 5 = 0")}).cache())
    train, test = d.where("not held"), d.where("held")
    mean = train.agg(F.avg("label")).first()[0]
    by_fold = train.groupBy("destination", "fold").agg(F.count("*").alias("n"), F.sum("label").alias("s")).cache()
    whole = by_fold.groupBy("destination").agg(F.sum("n").alias("n_all"), F.sum("s").alias("s_all"))
    others = by_fold.join(whole, "destination").select(
        "destination", "fold", ((F.col("s_all") - F.col("s") + SMOOTHING * mean) / (F.col("n_all") - F.col("n") + SMOOTHING)).alias("route"))
    train = train.join(F.broadcast(others), ["destination", "fold"], "left").fillna(mean, ["route"])
    test = test.join(F.broadcast(whole.select("destination", ((F.col("s_all") + SMOOTHING * mean) / (F.col("n_all") + SMOOTHING)).alias("route"))),
                     "destination", "left").fillna(mean, ["route"])
    frequent = [r.origin for r in train.groupBy("origin").count().where(f"count >= {RARE}").collect()]
    origin = F.when(F.col("origin").isin(frequent), F.col("origin")).otherwise("rare").alias("origin_kept")
    train, test = (t.withColumn("origin_kept", origin) for t in (train, test))
    model = Pipeline(stages=[
        StringIndexer(inputCols=["weekday", "origin_kept"], outputCols=["wi", "oi"], handleInvalid="keep"),
        OneHotEncoder(inputCols=["wi", "oi"], outputCols=["wh", "oh"], dropLast=False),
        VectorAssembler(inputCols=["hour_sin", "hour_cos", "wh", "oh", "route", "distance_log"], outputCol="features"),
        LogisticRegression(regParam=RIDGE, maxIter=200, tol=1e-6)]).fit(train)
    scored = model.transform(test).withColumn("p", vector_to_array("probability")[1])
    auc = BinaryClassificationEvaluator().evaluate(scored)
    loss = scored.select(F.avg(-F.log(F.when(F.col("label") == 1, F.col("p")).otherwise(1 - F.col("p"))))).first()[0]
    scored.select("date", "delay", "distance", "origin", "destination", "p", "prediction").write.mode("overwrite").parquet(job.out)
    job.stop()
    s.stop()
    return {"auc": auc, "log_loss": loss}
