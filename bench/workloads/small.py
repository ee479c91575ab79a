# SPDX-License-Identifier: Apache-2.0
"""Peers of `small`: the script that one would write. The penalty is cml's: C = 1 / (l2 n), and regParam = l2 without standardisation."""
NUMBERS = ["age", "fnlwgt", "education_num", "capital_gain", "capital_loss", "hours"]
CATEGORIES = ["workclass", "education", "marital_status", "occupation", "relationship", "race", "sex", "country"]
COLUMNS = ["age", "workclass", "fnlwgt", "education", "education_num", "marital_status", "occupation", "relationship", "race", "sex",
           "capital_gain", "capital_loss", "hours", "country", "income"]


def scikit_learn(job):
    import pandas as pd
    from sklearn.compose import ColumnTransformer
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import log_loss, roc_auc_score
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    job.start()
    train, test = (pd.read_csv(f"{job.data}/adult-{part}.csv", names=COLUMNS, skipinitialspace=True, na_values="?") for part in ("train", "test"))
    rich = [d.income.str.startswith(">50K") for d in (train, test)]
    model = make_pipeline(
        ColumnTransformer([("number", make_pipeline(SimpleImputer(strategy="median"), StandardScaler()), NUMBERS),
                           ("category", make_pipeline(SimpleImputer(strategy="constant", fill_value="missing"),
                                                      OneHotEncoder(handle_unknown="ignore")), CATEGORIES)]),
        LogisticRegression(C=1 / (1e-4 * len(train)), max_iter=1000, tol=1e-4))
    model.fit(train, rich[0])
    p = model.predict_proba(test)[:, 1]
    results = {"auc": roc_auc_score(rich[1], p), "log_loss": log_loss(rich[1], p)}
    job.stop()
    return results


def spark(job):
    import numpy as np
    from peer import spark as session
    from pyspark.ml import Pipeline
    from pyspark.ml.classification import LogisticRegression
    from pyspark.ml.evaluation import BinaryClassificationEvaluator
    from pyspark.ml.feature import Imputer, OneHotEncoder, StandardScaler, StringIndexer, VectorAssembler
    from pyspark.ml.functions import vector_to_array
    from pyspark.sql import functions as F

    job.start()
    s = session()
    schema = ", ".join(f"{c} {'double' if c in NUMBERS else 'string'}" for c in COLUMNS)

    def read(part):
        d = s.read.csv(f"{job.data}/adult-{part}.csv", schema=schema, nullValue="?", ignoreLeadingWhiteSpace=True)
        return d.fillna("missing", CATEGORIES).withColumn("label", F.col("income").startswith(">50K").cast("double")).cache()

    train, test = read("train"), read("test")
    filled, codes, hot = ([f"{c}_{x}" for c in y] for x, y in (("f", NUMBERS), ("i", CATEGORIES), ("h", CATEGORIES)))
    model = Pipeline(stages=[
        Imputer(inputCols=NUMBERS, outputCols=filled, strategy="median"), VectorAssembler(inputCols=filled, outputCol="numbers"),
        StandardScaler(inputCol="numbers", outputCol="scaled", withMean=True), StringIndexer(inputCols=CATEGORIES, outputCols=codes, handleInvalid="keep"),
        OneHotEncoder(inputCols=codes, outputCols=hot, dropLast=False), VectorAssembler(inputCols=["scaled", *hot], outputCol="features"),
        LogisticRegression(regParam=1e-4, standardization=False, maxIter=200, tol=1e-7)]).fit(train)
    scored = model.transform(test).cache()
    auc = BinaryClassificationEvaluator().evaluate(scored)
    p = F.least(F.greatest(vector_to_array("probability")[1], F.lit(1e-15)), F.lit(1 - 1e-15))
    loss = scored.select(F.avg(-F.log(F.when(F.col("label") == 1, p).otherwise(1 - p)))).first()[0]
    job.stop()
    s.stop()
    return {"auc": auc, "log_loss": np.float64(loss)}
