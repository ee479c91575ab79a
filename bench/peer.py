# SPDX-License-Identifier: Apache-2.0
"""One run of a peer in a process of its own: peer.py SPEC.json, where SPEC says which function of which workload.

A peer is a function `name(job)` of workloads/NAME.py. It imports what it needs, calls job.start(), works, calls job.stop() and returns
its results (numbers to compare with cml's). What it does after stop() is not counted: measuring the objective, for example. With
clock = "process" the whole process is counted instead, imports and all, as a user who runs a script waits for it.
"""
import importlib.util
import json
import os
import sys
import time


class Job:
    def __init__(self, spec):
        self.__dict__.update(spec)  # data, out, work, and the numbers of the case
        self.laps = {}
        self.begun = self.ended = self.last = time.perf_counter()
        self.cpu_begun = self.cpu_ended = time.process_time()

    def start(self):
        """Everything is imported: what follows is counted."""
        self.begun = self.last = time.perf_counter()
        self.cpu_begun = time.process_time()
        self.laps = {}

    def lap(self, name):
        """What was done since the last lap gets a name."""
        now = time.perf_counter()
        self.laps[name], self.last = now - self.last, now

    def stop(self):
        self.ended, self.cpu_ended = time.perf_counter(), time.process_time()


def load(path):
    spec = importlib.util.spec_from_file_location("workload", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def matrix(job, dtype):
    """The columns of the input (without y) as one matrix whose rows lie behind each other, and y where there is one. By batches of a size
    that stays in the cache: assigning column by column to the whole takes four to ten times as long."""
    import numpy as np
    import pyarrow.parquet as pq

    file = pq.ParquetFile(f"{job.data}/data.parquet")
    names = [n for n in file.schema_arrow.names if n != "y"]
    x, at, y = np.empty((file.metadata.num_rows, len(names)), dtype), 0, []
    for batch in file.iter_batches(16384):
        x[at:at + batch.num_rows] = batch.select(names).to_tensor(row_major=True).to_numpy()
        y += [batch.column("y").to_numpy(zero_copy_only=False)] if "y" in batch.schema.names else []
        at += batch.num_rows
    return x, np.concatenate(y) if y else None


def spark(job=None):
    """A session of pyspark with what it prints kept down: on two threads here, or on the cluster `job.master`, all of whose executors
    are there when this returns."""
    from pyspark.sql import SparkSession

    master, conf = getattr(job, "master", "local[2]"), getattr(job, "conf", {})
    conf = {"spark.driver.memory": "8g", "spark.ui.enabled": "false", "spark.sql.shuffle.partitions": "2", "spark.driver.host": "127.0.0.1",
            "spark.ui.showConsoleProgress": "false", **conf}
    session = SparkSession.builder.master(master).config(map=conf).getOrCreate()
    session.sparkContext.setLogLevel("ERROR")
    if conf.get("spark.scheduler.minRegisteredResourcesRatio"):
        session.sparkContext.parallelize(range(8), 8).count()  # waits for executors
    return session


def main(path):
    with open(path) as f:
        spec = json.load(f)
    module, job = load(spec["module"]), Job(spec["job"])
    results = getattr(module, spec["function"])(job) or {}
    with open(spec["answer"], "w") as f:
        json.dump({"seconds": job.ended - job.begun, "cpu": job.cpu_ended - job.cpu_begun, "laps": job.laps, "results": {k: float(v) for k, v in results.items()}}, f)


if __name__ == "__main__":
    sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
    sys.modules["peer"] = sys.modules["__main__"]
    main(sys.argv[1])
