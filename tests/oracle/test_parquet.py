# SPDX-License-Identifier: Apache-2.0
"""Parquet files as pyarrow writes them: codecs, versions of pages, dictionaries that overflow, small pages and row groups, nulls.
What cml has read is what it writes as predictions: by its own writer, whose files pyarrow and pandas read (tests/unit/test_parquet_write.c: DuckDB, too), also without pages where
bounds and counts of nulls say enough."""
import datetime
import itertools

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

import kit

rng = np.random.default_rng(11)
N = 150_000


def nulls(values, share, type):
    return pa.array(values, type, mask=rng.random(len(values)) < share if share else None)


def table(share, strange):
    """strange: with types that make DuckDB read the whole file, instead of cml's own reader."""
    word = np.array(["", "a", "twelve bytes", "thirteen byte", "Zürich", "\U0001f600 " * 5, "x" * 300])
    return pa.table({
        "y": pa.array(rng.normal(size=N)),
        "part": pa.array(np.where(np.arange(N) // 20_000 % 2 == 0, rng.normal(size=N), 1.5)),
        "ids": pa.array(rng.integers(-2 ** 63, 2 ** 63 - 1, N)),
        "last": pa.array([*rng.normal(size=N - 1), None]),
        "d": nulls(rng.normal(size=N) * 10.0 ** rng.integers(-300, 300, N), share, pa.float64()),
        "few": nulls(rng.integers(0, 9, N) / 4, share, pa.float64()),
        "f": nulls(rng.normal(size=N).astype(np.float32), share, pa.float32()),
        "i": nulls(rng.integers(-2 ** 62, 2 ** 62, N), share, pa.int64()),
        "i32": nulls(rng.integers(-2 ** 31, 2 ** 31, N).astype(np.int32), share, pa.int32()),
        "u32": nulls(rng.integers(0, 2 ** 32, N).astype(np.uint32), share, pa.uint32()),
        "b": nulls(rng.random(N) < 0.3, share, pa.bool_()),
        "run": nulls(np.arange(N) // 1000 % 2 == 0, share, pa.bool_()),
        "s": nulls(word[rng.integers(0, len(word), N)], share, pa.string()),
        "many": nulls([f"text {k}" for k in rng.integers(0, 60_000, N)], share, pa.string()),
        "day": nulls(rng.integers(-20_000, 40_000, N).astype(np.int32), share, pa.int32()).cast(pa.date32()),
        "at": nulls(rng.integers(-10 ** 15, 10 ** 15, N), share, pa.int64()).cast(pa.timestamp("us")),
        "utc": nulls(rng.integers(-10 ** 15, 10 ** 15, N), share, pa.int64()).cast(pa.timestamp("us", "UTC")),
        "none": pa.array([None] * N, pa.float64()),
        "level": nulls(rng.integers(0, 40, N), share, pa.int64()),
        **({"i16": nulls(rng.integers(-2 ** 15, 2 ** 15, N).astype(np.int16), share, pa.int16()),
            "ms": nulls(rng.integers(-10 ** 12, 10 ** 12, N), share, pa.int64()).cast(pa.timestamp("ms"))} if strange else {})
    })


def rows(t, threads):
    """What cml reads, as exported beside predictions."""
    kit.write("p.cml", f"""data d {{
    from parquet("p.parquet")
    derive one = 1.0
}}
features f of d {{
    k = coalesce(y, 0.0) * 0 + 1
}}
model m = linear_regression(one ~ f, l2 = 1)
export m {{ predictions of d keep [{", ".join(f"`{k}`" for k in t.column_names)}] to "got.parquet" }}
""")
    kit.run("p.cml", "--threads", str(threads))
    return pq.read_table("got.parquet")


def bits(c, like):
    """Values, and where they are, of a column that cml wrote."""
    c = c.combine_chunks() if isinstance(c, pa.ChunkedArray) else c
    want = {pa.float32(): pa.float64(), pa.int16(): pa.int64(), pa.int32(): pa.int64(), pa.uint32(): pa.int64()}.get(like, like)
    if pa.types.is_timestamp(like):
        c, want = c.cast(pa.timestamp("us", c.type.tz)).cast(pa.int64()), pa.int64()
    return c.cast(want)


ways = list(itertools.product(["none", "snappy", "gzip", "zstd"], ["1.0", "2.0"], [True, False]))
for k, (codec, page, dictionary) in enumerate(ways):
    t = table([0, 0.2][k % 2] if page == "1.0" else 0.2, k == 5)
    pq.write_table(t, "p.parquet", compression=codec, data_page_version=page, use_dictionary=dictionary,
                   row_group_size=[N, 40_000, 70_000][k % 3], data_page_size=[1 << 20, 5000, 60_000][k // 2 % 3],
                   dictionary_pagesize_limit=[1 << 20, 20_000][k // 4 % 2], write_statistics=k % 2 == 0)
    got = rows(t, 1 + k % 2)
    bad = [c for c in t.column_names if not bits(got[c], t[c].type).equals(bits(t[c], t[c].type))]
    kit.check(got.num_rows == N and not bad, f"{codec}, pages of version {page}, {'with' if dictionary else 'without'} dictionaries", bad)

# ---- The last of those files, as others see it ----

f = pq.ParquetFile("got.parquet")
want = {c: pa.int64() if t[c].type in (pa.int32(), pa.uint32()) and c != "day" else pa.float64() if t[c].type == pa.float32()
        else pa.timestamp("us") if c == "utc" else t[c].type for c in t.column_names}
bad = [c for c in want if f.schema_arrow.field(c).type != want[c] or not f.schema_arrow.field(c).nullable]
kit.check(not bad and f.metadata.created_by.startswith("cml "), "the types of what is written", bad)

bad, told = [], 0
for g in range(f.num_row_groups):
    rows_of_group = f.read_row_group(g)
    for k, c in enumerate(f.schema_arrow.names):
        s, v = f.metadata.row_group(g).column(k).statistics, [x for x in rows_of_group[c].to_pylist() if x is not None]
        if s.null_count != len(rows_of_group) - len(v):
            bad.append((g, c, "nulls"))
        if s.has_min_max and v:
            told += 1
            if s.min != min(v) or s.max != max(v):  # texts too: the order of UTF-8 is that of code points
                bad.append((g, c, s.min, min(v), s.max, max(v)))
kit.check(not bad and told > f.num_row_groups * 12, "bounds and counts of nulls", bad[:5])

coded = {c for k, c in enumerate(f.schema_arrow.names) if "RLE_DICTIONARY" in f.metadata.row_group(0).column(k).encodings}
kit.check({"few", "s", "level"} <= coded and not {"d", "i", "many", "b"} & coded, "few different values become a dictionary", sorted(coded))

d = pd.read_parquet("got.parquet")
like = t.select(list(want)).cast(pa.schema([(c, want[c]) for c in want])).to_pandas()
bad = [c for c in want if d[c].dtype != like[c].dtype or not d[c].equals(like[c])]
kit.check(not bad, "pandas reads it as what pyarrow has", bad)

fewer = pq.read_table("got.parquet", filters=[("few", "==", 1.25), ("day", ">", datetime.date(2000, 1, 1)), ("s", "<", "b")]).num_rows
kit.check(fewer == int(((like.few == 1.25) & (pd.to_datetime(like.day) > "2000-01-01") & (like.s < "b")).sum()), "pyarrow leaves out by bounds", fewer)
kit.done()
