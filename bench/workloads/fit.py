# SPDX-License-Identifier: Apache-2.0
"""Peers of `fit` and `in_memory`. scikit-learn: a ColumnTransformer over pandas, whose texts are Arrow's, in float64, one-hot sparse.
polars: expressions in two lazy queries, since means and deviations are of filled columns; categories become codes, as a model that
knows codes would want them (a column for each level would cost it many times more)."""
NUMBERS = [f"n{j:02d}" for j in range(20)]
CATEGORIES = [f"c{j}" for j in range(6)]


def transformer():
    from sklearn.compose import ColumnTransformer
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    return ColumnTransformer([("number", make_pipeline(SimpleImputer(strategy="median"), StandardScaler()), NUMBERS),
                              ("category", OneHotEncoder(handle_unknown="ignore"), CATEGORIES)])


def scikit_learn(job):
    import pandas as pd

    t = transformer()
    job.start()
    d = pd.read_parquet(f"{job.data}/data.parquet", columns=NUMBERS + CATEGORIES)
    job.lap("read")
    t.fit(d)
    job.lap("fit")
    job.stop()


def scikit_learn_transform(job):
    import numpy as np
    import pandas as pd

    d = pd.read_parquet(f"{job.data}/data.parquet", columns=NUMBERS + CATEGORIES)
    t = transformer().fit(d.iloc[:200_000])
    w = np.ones(len(t.get_feature_names_out()))
    job.start()
    t.transform(d) @ w
    job.stop()


def fitted(source):
    import polars as pl

    medians = source.select(pl.col(NUMBERS).median()).collect(engine="streaming")
    filled = [pl.col(c).fill_null(medians[c][0]) for c in NUMBERS]
    numbers, *levels = pl.collect_all([source.select([e.mean().name.suffix("_mean") for e in filled] + [e.std().name.suffix("_std") for e in filled])]
                                      + [source.select(pl.col(c).unique().sort()) for c in CATEGORIES])
    return medians, numbers, levels


def polars(job):
    import polars as pl

    job.start()
    fitted(pl.scan_parquet(f"{job.data}/data.parquet"))
    job.stop()


def polars_transform(job):
    import polars as pl

    d = pl.read_parquet(f"{job.data}/data.parquet", columns=NUMBERS + CATEGORIES)
    medians, numbers, levels = fitted(d.lazy())
    w = [0.01 * j for j in range(20)]
    job.start()
    scaled = [(pl.col(c).fill_null(medians[c][0]) - numbers[f"{c}_mean"][0]) / numbers[f"{c}_std"][0] for c in NUMBERS]
    codes = [pl.col(c).cast(pl.Enum(v[c])).to_physical() for c, v in zip(CATEGORIES, levels)]
    out = d.lazy().select(scaled + codes).collect()
    out.select(pl.sum_horizontal([pl.col(c) * k for c, k in zip(NUMBERS, w)]))
    job.stop()


def spark(job):
    from peer import spark as session
    from pyspark.ml import Pipeline
    from pyspark.ml.feature import Imputer, OneHotEncoder, StandardScaler, StringIndexer, VectorAssembler

    s = session()
    s.range(10).count()  # the session is up before the clock starts
    job.start()
    d = s.read.parquet(f"{job.data}/data.parquet")
    filled, codes, hot = ([f"{c}_{x}" for c in y] for x, y in (("f", NUMBERS), ("i", CATEGORIES), ("h", CATEGORIES)))
    Pipeline(stages=[Imputer(inputCols=NUMBERS, outputCols=filled, strategy="median"), VectorAssembler(inputCols=filled, outputCol="numbers"),
                     StandardScaler(inputCol="numbers", outputCol="scaled", withMean=True), StringIndexer(inputCols=CATEGORIES, outputCols=codes),
                     OneHotEncoder(inputCols=codes, outputCols=hot, dropLast=False)]).fit(d)
    job.stop()
    s.stop()
