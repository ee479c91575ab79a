# SPDX-License-Identifier: Apache-2.0
"""Peers of `transform`. Everything is read and fitted before the clock starts. scikit-learn: one array, written by pandas through Arrow.
polars: a lazy query that streams into the file (faster than collect and write_parquet). All write snappy, as cml does where it helps: without
compression polars was as fast. Spark: cached rows, its two columns of vectors and codes as they are; taking vectors apart would cost it more."""
NUMBERS = [f"n{j:02d}" for j in range(20)]
CATEGORIES = [f"c{j}" for j in range(6)]
NAMES = [f"number.{n}" for n in NUMBERS] + [f"category.{c}" for c in CATEGORIES]


def check(job):
    import glob

    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    files = sorted(glob.glob(job.out + "/*.parquet")) or [job.out]
    t = pa.concat_tables([pq.read_table(f) for f in files])
    if "scaled" in t.column_names:
        number, code = t["scaled"].combine_chunks().field("values").flatten().to_numpy().reshape(-1, 20)[:, 1], t["c5_i"].to_numpy()
    else:
        number, code = t["number.n01"].to_numpy(), t["category.c5"].to_numpy()
    return {"rows": len(number), "quarter": float(np.quantile(number, 0.25)), "code": float(code.mean())}


def scikit_learn(job):
    import pandas as pd
    from sklearn.compose import ColumnTransformer
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OrdinalEncoder, StandardScaler

    d = pd.read_parquet(f"{job.data}/data.parquet", columns=NUMBERS + CATEGORIES)
    t = ColumnTransformer([("number", make_pipeline(SimpleImputer(strategy="median"), StandardScaler()), NUMBERS),
                           ("category", OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=float("nan")), CATEGORIES)])
    t.fit(d.iloc[:200_000])
    job.start()
    pd.DataFrame(t.transform(d), columns=NAMES, copy=False).to_parquet(job.out)
    job.stop()


def polars(job):
    import polars as pl

    d = pl.read_parquet(f"{job.data}/data.parquet", columns=NUMBERS + CATEGORIES)
    medians = d.select(pl.col(NUMBERS).median())
    filled = [pl.col(c).fill_null(medians[c][0]) for c in NUMBERS]
    means, deviations = d.select(e.mean() for e in filled), d.select(e.std() for e in filled)
    levels = [d[c].unique().sort() for c in CATEGORIES]
    job.start()
    columns = [((e - means[c][0]) / deviations[c][0]).alias(f"number.{c}") for e, c in zip(filled, NUMBERS)]
    columns += [pl.col(c).cast(pl.Enum(v)).to_physical().cast(pl.Float64).alias(f"category.{c}") for c, v in zip(CATEGORIES, levels)]
    d.lazy().select(columns).sink_parquet(job.out, compression="snappy")
    job.stop()


def spark(job):
    from peer import spark as session
    from pyspark.ml import Pipeline
    from pyspark.ml.feature import Imputer, StandardScaler, StringIndexer, VectorAssembler

    s = session()
    filled, codes = [f"{c}_f" for c in NUMBERS], [f"{c}_i" for c in CATEGORIES]
    d = s.read.parquet(f"{job.data}/data.parquet").select(NUMBERS + CATEGORIES).cache()
    model = Pipeline(stages=[Imputer(inputCols=NUMBERS, outputCols=filled, strategy="median"), VectorAssembler(inputCols=filled, outputCol="numbers"),
                             StandardScaler(inputCol="numbers", outputCol="scaled", withMean=True),
                             StringIndexer(inputCols=CATEGORIES, outputCols=codes, stringOrderType="alphabetAsc")]).fit(d)
    d.count()  # all rows are in the cache before the clock starts
    job.start()
    model.transform(d).select(["scaled"] + codes).write.mode("overwrite").parquet(job.out)
    job.stop()
    s.stop()
