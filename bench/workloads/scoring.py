# SPDX-License-Identifier: Apache-2.0
"""Peers of `scoring`. scikit-learn: a stored pipeline, in slices of a million rows
(the whole at once takes more memory). DuckDB: the same linear score written as SQL, categories by hash joins with tables
of their coefficients, in the order of the input as `predict` writes it."""
NUMBERS = [f"n{j:02d}" for j in range(20)]
CATEGORIES = [f"c{j}" for j in range(6)]


def check(job):
    import glob

    import numpy as np
    import pyarrow.parquet as pq

    files = [job.out] if not glob.glob(job.out + "/*") else glob.glob(job.out + "/*")
    p = np.concatenate([pq.read_table(f, columns=["probability"]).column(0).to_numpy() for f in files])
    assert len(p) == job.rows, len(p)
    return {"mean": p.mean(), "deviation": p.std()}


def scikit_learn_prepare(job):
    import joblib
    import pandas as pd
    from sklearn.compose import ColumnTransformer
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    d = pd.read_parquet(f"{job.data}/data.parquet").sample(frac=0.04, random_state=1)
    model = make_pipeline(ColumnTransformer([("number", make_pipeline(SimpleImputer(strategy="median"), StandardScaler()), NUMBERS),
                                             ("category", OneHotEncoder(handle_unknown="ignore"), CATEGORIES)]),
                          LogisticRegression(C=1 / (1e-4 * len(d)), max_iter=60))
    joblib.dump(model.fit(d[NUMBERS + CATEGORIES], d.y == 1), f"{job.work}/model.joblib")


def scikit_learn(job):
    import joblib
    import numpy as np
    import pandas as pd
    import sklearn.linear_model  # noqa: F401  (imported before the clock starts)
    from sklearn.compose import ColumnTransformer  # noqa: F401

    job.start()
    model = joblib.load(f"{job.work}/model.joblib")
    d = pd.read_parquet(f"{job.data}/data.parquet", columns=NUMBERS + CATEGORIES)
    job.lap("read")
    p = np.concatenate([model.predict_proba(d.iloc[i:i + 1_000_000])[:, 1] for i in range(0, len(d), 1_000_000)])
    job.lap("score")
    pd.DataFrame({"probability": p, "prediction": p >= 0.5}).to_parquet(job.out)
    job.lap("write")
    job.stop()


def duckdb_sql_prepare(job):
    """The coefficients of the pipeline above, as one SELECT and tables of levels."""
    import os
    import pickle

    import joblib

    if not os.path.exists(f"{job.work}/model.joblib"):
        scikit_learn_prepare(job)
    features, model = joblib.load(f"{job.work}/model.joblib")
    (fill, scale), hot = features.named_transformers_["number"], features.named_transformers_["category"]
    w, at, terms, tables = model.coef_[0], 20, [repr(float(model.intercept_[0]))], []
    for j, c in enumerate(NUMBERS):
        terms.append(f"(coalesce({c}, {float(fill.statistics_[j])!r}) - {float(scale.mean_[j])!r}) * {float(w[j] / scale.scale_[j])!r}")
    for c, levels in zip(CATEGORIES, hot.categories_):
        tables.append((c, list(levels), w[at:at + len(levels)].tolist()))
        terms.append(f"coalesce({c}_t.w, 0)")
        at += len(levels)
    joins = " ".join(f"left join {c}_t on {c} = {c}_t.level" for c in CATEGORIES)
    select = f"select 1 / (1 + exp(-({' + '.join(terms)}))) as probability from read_parquet('{job.data}/data.parquet') {joins}"
    with open(f"{job.work}/score.pickle", "wb") as f:
        pickle.dump((select, tables), f)


def duckdb_sql(job):
    import pickle

    import duckdb
    import pandas as pd

    with open(f"{job.work}/score.pickle", "rb") as f:
        select, tables = pickle.load(f)
    job.start()
    db = duckdb.connect(config={"threads": 2})
    for c, levels, weights in tables:
        frame = pd.DataFrame({"level": levels, "w": weights})  # noqa: F841  (DuckDB reads it by name)
        db.execute(f"create table {c}_t as select * from frame")
    db.execute(f"copy (select probability, probability >= 0.5 as prediction from ({select})) to '{job.out}' (format parquet)")
    job.stop()
