# SPDX-License-Identifier: Apache-2.0
"""cml-spark.jar by itself, over the frames that cmlc speaks, on a Spark with two threads: native code is stood
in for by cml/spark/Native.java beside this file, whose results are the records that came to it. Truth is
pyarrow, which also made the files.

    python test_frames.py JAR [NAME ...]        (of a venv with pyspark and pyarrow; needs javac, jar, cc)
"""
import datetime
import decimal
import glob
import os
import random
import shutil
import struct
import subprocess
import sys
import tempfile
import threading
import time

import pyarrow as pa
import pyarrow.orc
import pyarrow.parquet as pq

import frames
from frames import Failed

BLOCK = 5000  # of the stand-in
WIDTH = {1: ("?", 1), 2: ("b", 1), 3: ("h", 2), 4: ("i", 4), 5: ("q", 8), 6: ("f", 4), 7: ("d", 8), 8: ("i", 4),
         9: ("q", 8), 10: ("q", 8)}
EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)
here = os.path.dirname(os.path.abspath(__file__))


# ---- Records ----

def decode(r, ncol):
    """(file, position, [column of Python values])"""
    kind, file, pos, n, flags = struct.unpack_from("<IIQII", r)
    assert kind == 1 and flags == 0 and n > 0
    at, cols = 24, []

    def take(size):
        nonlocal at
        begin = (at + 7) & ~7
        assert not any(r[at:begin]), "padding is zero"
        at = begin + size
        assert at <= len(r), "a record ends too early"
        return begin

    for _ in range(ncol):
        type, extra, nulls, pad = struct.unpack_from("<IIII", r, take(16))
        assert pad == 0 and nulls in (0, 1)
        valid = [True] * n
        if nulls:
            words = struct.unpack_from(f"<{(n + 63) // 64}Q", r, take((n + 63) // 64 * 8))
            valid = [bool(words[i >> 6] >> (i & 63) & 1) for i in range(n)]
            assert not all(valid)
        if type == 11:
            total, = struct.unpack_from("<Q", r, take(8))
            off = struct.unpack_from(f"<{n + 1}I", r, take(4 * (n + 1)))
            assert off[0] == 0 and off[-1] == total
            b = take(total)
            v = [r[b + off[i]:b + off[i + 1]].decode() for i in range(n)]
        else:
            code, width = WIDTH[type]
            v = list(struct.unpack_from(f"<{n}{code}", r, take(n * width)))
            if type == 10:
                v = [decimal.Decimal(x).scaleb(-extra) for x in v]
            elif type == 8:
                v = [x if not ok else (EPOCH + datetime.timedelta(days=x)).date() for x, ok in zip(v, valid)]
            elif type == 9:
                v = [x if not ok else EPOCH + datetime.timedelta(microseconds=x) for x, ok in zip(v, valid)]
        cols.append([x if ok else None for x, ok in zip(v, valid)])
    assert len(r) - at < 8
    return file, pos, cols


def unpack(result):
    n, at, out = struct.unpack_from("<I", result, 4)[0], 8, []
    for _ in range(n):
        size, = struct.unpack_from("<I", result, at)
        out.append(result[at + 4:at + 4 + size])
        at += 4 + size
    assert at == len(result)
    return out


def together(results, ncol, rows, parts):
    """Columns of each file, of results by partition, which are checked for what is promised of records; with `parts`, for what an
    exchange promises of partitions."""
    first = [0]
    for n in rows:
        first.append(first[-1] + -(-n // BLOCK))
    blocks, files, last = first[-1], [[[] for _ in range(ncol)] for _ in rows], (-1, -1)
    block = -1
    for p, result in enumerate(results):
        before = block
        for r in unpack(result):
            file, pos, cols = decode(r, ncol)
            n = struct.unpack_from("<I", r, 16)[0]
            assert (file, pos) > last, ("ascending", last, file, pos, n)
            last = (file, pos)
            assert pos // BLOCK == (pos + n - 1) // BLOCK and n <= 8192, "one block"
            block = first[file] + pos // BLOCK
            assert block > before, "a block is in one partition"
            if parts:
                assert p * blocks // parts <= block < (p + 1) * blocks // parts, "of the partition"
            for have, more in zip(files[file], cols):
                assert len(have) == pos
                have.extend(more)
    return files


# ---- Data ----

def table(n, seed):
    r = random.Random(seed)

    def some(make, nulls=0.1):
        return [None if r.random() < nulls else make() for _ in range(n)]

    day = datetime.date(1970, 1, 1)
    t = {
        "b": pa.array(some(lambda: r.random() < 0.5), pa.bool_()),
        "i8": pa.array(some(lambda: r.randrange(-128, 128)), pa.int8()),
        "i16": pa.array(some(lambda: r.randrange(-2**15, 2**15)), pa.int16()),
        "i32": pa.array(some(lambda: r.randrange(-2**31, 2**31)), pa.int32()),
        "i64": pa.array([r.randrange(-2**63, 2**63) for _ in range(n)], pa.int64()),
        "u32": pa.array(some(lambda: r.randrange(2**32)), pa.uint32()),
        "f32": pa.array(some(r.random), pa.float32()),
        "f64": pa.array([r.choice([r.gauss(0, 1), float("inf"), -0.0, 1e-310]) for _ in range(n)], pa.float64()),
        "date": pa.array(some(lambda: day + datetime.timedelta(r.randrange(-700000, 800000))), pa.date32()),
        "ts": pa.array(some(lambda: r.randrange(-6 * 10**16, 2 * 10**17)), pa.timestamp("us", tz="UTC")),
        "ntz": pa.array(some(lambda: r.randrange(-6 * 10**13, 2 * 10**14)), pa.timestamp("ms")),
        "d9": pa.array(some(lambda: decimal.Decimal(r.randrange(-10**9 + 1, 10**9)).scaleb(-2)),
                       pa.decimal128(9, 2)),
        "d18": pa.array(some(lambda: decimal.Decimal(r.randrange(-10**18 + 1, 10**18)).scaleb(-7)),
                        pa.decimal128(18, 7)),
        "s": pa.array(some(lambda: r.choice(["", "a", "Zürich", "東京", "x" * 40, "😀"])), pa.string()),
        "many": pa.array(some(lambda: "w%d" % r.randrange(10**9), 0.3), pa.string()),
        "none": pa.array([None] * n, pa.string()),
        "st": pa.array([None if r.random() < 0.2 else {"x": r.choice([None, 7]), "in": {"y.z": "t%d" % i}}
                        for i in range(n)],
                       pa.struct([("x", pa.int32()), ("in", pa.struct([("y.z", pa.string())]))])),
    }
    return pa.table(t)


COLS = [("b", "bool"), ("i8", "int"), ("i16", "int"), ("i32", "category"), ("i64", "duration"), ("u32", "float"),
        ("f32", "float"), ("f64", "float"), ("date", "date"), ("ts", "timestamp"), ("ntz", "timestamp"),
        ("d9", "float"), ("d18", "float"), ("s", "string"), ("many", "category"), ("none", "string"),
        ("st.x", "int"), ("st.in.y.z", "string")]
FLAT = [c for c in COLS if "." not in c[0]]


def truth(t, name):
    parts = name.split(".", 2)
    v = t.column(parts[0]).to_pylist()
    for p in parts[1:]:
        v = [None if x is None else x[p] for x in v]
    if v and name == "ntz":
        v = [x if x is None else x.replace(tzinfo=datetime.timezone.utc) for x in v]
    return v


def same(have, want):  # bits of floats too
    assert len(have) == len(want), (len(have), len(want))
    for i, (x, y) in enumerate(zip(have, want)):
        assert x == y and (not isinstance(x, float) or struct.pack("d", x) == struct.pack("d", y)), (i, x, y)


def check_files(d, stage, results, rows, parts, tables, cols=COLS):
    assert rows == [t.num_rows for t in tables], rows
    got = together(results, len(cols), rows, parts)
    for t, have in zip(tables, got):
        for (name, _), v in zip(cols, have):
            same(v, truth(t, name))


# ---- Tests ----

class Frames:
    def __init__(self, driver, work):
        self.d, self.work = driver, work
        self.tables = [table(n, i) for i, n in enumerate([12345, 0, 1, 5000, 30001])]
        self.files = []
        odd = os.path.join(work, "a b%20é [x]")
        os.mkdir(odd)
        for i, t in enumerate(self.tables):
            self.files.append(os.path.join(odd, f"p {i}%2F.parquet"))
            pq.write_table(t, self.files[-1], row_group_size=[4096, 1, 1, 700, 9999][i],
                           use_dictionary=i % 2 == 0 or ["s"], data_page_size=3000)

    def fails(self, status, id, words, call, *args):
        try:
            call(*args)
        except Failed as e:
            assert e.status == status and e.id == id, e
            for w in words:
                assert w in str(e), (w, str(e))
            return e
        raise AssertionError("it did not fail")

    def test_parquet(self):
        i = frames.source_input("parquet", self.files)
        rows, parts = self.d.source(1, 0, [i], COLS)
        assert parts == 4, parts
        check_files(self.d, 1, self.d.reduce(1, b"records"), rows, 0, self.tables)
        check_files(self.d, 1, self.d.reduce(1, b"records"), rows, 0, self.tables)
        assert self.d.progress == [] or self.d.progress[-1][1] >= 4

    def test_two_inputs(self):
        i = [frames.source_input("parquet", [f]) for f in reversed(self.files)]
        rows, parts = self.d.source(2, 0, i, COLS)
        check_files(self.d, 2, self.d.reduce(2, b"records"), rows, 0, self.tables[::-1])

    def test_exchanged(self):
        """Row groups so large that tasks would read most rows twice."""
        whole = os.path.join(self.work, "whole.parquet")
        pq.write_table(self.tables[4], whole, row_group_size=15001)
        rows, parts = self.d.source(22, 0, [frames.source_input("parquet", [whole])], COLS)
        assert parts == 4, parts
        check_files(self.d, 22, self.d.reduce(22, b"records"), rows, parts, self.tables[4:])

    def test_changed(self):
        """A file that is replaced between two scans, which both read it."""
        file = os.path.join(self.work, "changes.parquet")
        pq.write_table(self.tables[0], file, row_group_size=4096)
        self.d.source(23, 0, [frames.source_input("parquet", [file])], FLAT)
        self.d.reduce(23, b"records")
        pq.write_table(self.tables[0].slice(0, 12000), file, row_group_size=4096)
        self.fails(4, "CML0533", ["changes.parquet", "changed"], self.d.reduce, 23, b"records")

    def test_fold(self):
        self.d.source(3, 0, [frames.source_input("parquet", self.files)], [("i64", "int")])
        whole = self.d.reduce(3, b"records")
        for fold in 1, 0:
            out = self.d.reduce(3, b"records", fold)
            assert [r for p in out for r in unpack(p)] == [r for p in whole for r in unpack(p)]

    def test_no_columns(self):
        rows, parts = self.d.source(4, 0, [frames.source_input("parquet", self.files[:1])], [])
        out = [unpack(r) for r in self.d.reduce(4, b"records")]
        assert sum(struct.unpack_from("<I", r, 16)[0] for p in out for r in p) == rows[0] == 12345

    def test_empty(self):
        rows, parts = self.d.source(5, 0, [frames.source_input("parquet", self.files[1:2])], COLS)
        assert (rows, parts) == ([0], 1)
        assert [unpack(r) for r in self.d.reduce(5, b"records")] == [[]]

    def test_orc(self):
        files = []
        names = [n for n, _ in FLAT if n != "u32"]
        cols = [c for c in FLAT if c[0] != "u32"]
        tables = []
        for t in self.tables:  # Java's ORC reads times before 1970 in another way than C++ writes them
            t = t.select(names)
            for k in "ts", "ntz", "date":
                late = pa.array([x if x is None or x.year >= 1970 else None for x in t[k].to_pylist()], t[k].type)
                t = t.set_column(names.index(k), k, late)
            tables.append(t)
        for i, t in enumerate(tables):
            files.append(os.path.join(self.work, f"o{i}.orc"))
            pa.orc.write_table(t, files[-1], stripe_size=20000)
        rows, parts = self.d.source(6, 0, [frames.source_input("orc", files)], cols)
        check_files(self.d, 6, self.d.reduce(6, b"records"), rows, parts, tables, cols)

    def test_rows_reader(self):
        """A format that Spark reads by rows."""
        files = []
        for i, n in enumerate([12000, 7]):
            files.append(os.path.join(self.work, f"r{i}.csv"))
            with open(files[-1], "w") as f:
                f.writelines(f"{j},t{j % 13}\n" for j in range(n))
        o = {"inferSchema": "true"}
        rows, parts = self.d.source(7, 0, [frames.source_input("csv", files, options=o)],
                                    [("_c1", "string"), ("_c0", "int")])
        got = together(self.d.reduce(7, b"records"), 2, rows, parts)
        assert rows == [12000, 7]
        for n, (s, j) in zip(rows, got):
            assert j == list(range(n)) and s == [f"t{x % 13}" for x in j]

    def test_sorted(self):
        view = frames.source_input("sql", what="SELECT id % 7 AS a, CAST(id AS string) AS b, id AS c FROM "
                                   "range(20000) WHERE id % 3 > $low AND '$low' <> $s UNION ALL SELECT NULL, 'x', 1",
                                   options={"$low int": "0", "$s string": "it's"})
        for _ in range(2):
            rows, parts = self.d.source(8, 2, [view], [("a", "int"), ("b", "string")])
            (a, b), = together(self.d.reduce(8, b"records"), 2, rows, parts)
            want = sorted([(i % 7, str(i)) for i in range(20000) if i % 3 > 0])
            assert rows == [len(want) + 1] and list(zip(a, b)) == [(None, "x")] + want

    def test_text(self):
        import gzip
        files = [os.path.join(self.work, f"t ü{i}.txt") for i in range(3)]
        lines = [[f"{i}.{j}" for j in range(n)] for i, n in enumerate([11000, 0, 3])]
        for f, some in zip(files, lines):
            with open(f, "w") as out:
                out.write("\n".join(some))
        rows, parts = self.d.source(9, 1, [frames.source_input("csv", files)], [("x", "string")])
        assert rows == [11000, 0, 3] and parts == 4
        got = [[], [], []]
        for result in self.d.reduce(9, b"records"):
            for r in unpack(result):
                file, pos = struct.unpack_from("<IQ", r, 4)
                assert len(got[file]) == pos
                got[file] += r[24:].decode().split("\n")
        assert got == lines
        gz = os.path.join(self.work, "z.csv.gz")  # bytes as they are stored
        with gzip.open(gz, "wb") as f:
            f.write(b"a\nb\n")
        rows, parts = self.d.source(9, 1, [frames.source_input("csv", [gz])], [("x", "string")])
        raw = open(gz, "rb").read()
        assert rows == [len(raw.decode("utf-8", "replace").split("\n"))]

    def test_wrong_sources(self):
        p = frames.source_input("parquet", self.files[:1])
        self.fails(4, "CML0533", ["no column `zzz`", "`i64`"], self.d.source, 20, 0, [p], [("zzz", "int")])
        self.fails(4, "CML0533", ["`s` is declared as int", "string"], self.d.source, 20, 0, [p], [("s", "int")])
        self.fails(4, "CML0533", ["`st` is of Spark's type struct"], self.d.source, 20, 0, [p], [("st", "int")])
        u = os.path.join(self.work, "u64.parquet")
        pq.write_table(pa.table({"u": pa.array([1], pa.uint64()), "l": [[1]], "bin": [b"x"], "ok": [1]}), u)
        u = frames.source_input("parquet", [u])
        for name, t in ("u", "decimal(20,0)"), ("l", "array"), ("bin", "binary"):
            self.fails(4, "CML0533", [f"`{name}`", t], self.d.source, 20, 0, [u], [(name, "int")])
        assert self.d.source(20, 0, [u], [("ok", "int")])[0] == [1]
        none = frames.source_input("parquet", [os.path.join(self.work, "nope.parquet")])
        self.fails(4, "CML0533", ["nope.parquet"], self.d.source, 20, 0, [none], [("a", "int")])
        self.fails(4, "CML0533", ["twice"], self.d.source, 20, 0,
                   [frames.source_input("parquet", self.files[:1] * 2)], [("i64", "int")])
        t = frames.source_input("table", what="no_such_table")
        self.fails(4, "CML0533", ["no_such_table"], self.d.source, 20, 2, [t], [("a", "int")])
        for q in "DROP TABLE x", "WITH a AS (SELECT 1) INSERT INTO x SELECT * FROM a", "SELEC 1":
            self.fails(4, "CML0533", [], self.d.source, 20, 2, [frames.source_input("query", what=q)], [("a", "int")])
        hidden = os.path.join(self.work, "_h.parquet")
        shutil.copy(self.files[0], hidden)
        self.fails(4, "CML0533", ["begin with _"], self.d.source, 20, 0, [frames.source_input("parquet", [hidden])],
                   [("i64", "int")])
        junk = os.path.join(self.work, "junk.parquet")
        with open(junk, "wb") as f:
            f.write(b"PAR1" + bytes(100) + b"PAR1")
        self.fails(4, "CML0533", ["junk.parquet"], self.d.source, 20, 0, [frames.source_input("parquet", [junk])],
                   [("a", "int")])

    def test_nanoseconds(self):
        us = [None if i % 5 == 0 else (i - 2000) * 10**9 + i for i in range(7000)]
        late = pa.array([x if x is None else x * 1000 for x in us], pa.timestamp("ns"))
        f = [os.path.join(self.work, f"ns{i}.parquet") for i in range(2)]
        pq.write_table(pa.table({"t": late, "s": pa.array([{"t": x} for x in late.to_pylist()],
                                                          pa.struct([("t", pa.timestamp("ns"))]))}), f[0])
        pq.write_table(pa.table({"t": late.cast(pa.timestamp("us")), "u": late}), f[1])
        i = [frames.source_input("parquet", [x]) for x in f]
        rows, parts = self.d.source(22, 0, i[:1], [("t", "timestamp"), ("s.t", "timestamp")])
        want = [x if x is None else EPOCH + datetime.timedelta(microseconds=x) for x in us]
        for v in together(self.d.reduce(22, b"records"), 2, rows, parts)[0]:
            same(v, want)
        self.fails(4, "CML0533", ["nanoseconds"], self.d.source, 22, 0, i[:1], [("t", "int")])
        both = frames.source_input("parquet", f)
        self.fails(4, "CML0533", ["ns1.parquet"], self.d.source, 22, 0, [both], [("t", "timestamp")])
        pq.write_table(pa.table({"t": pa.array([1000, 1001], pa.timestamp("ns"))}), f[0])
        self.d.source(22, 0, i[:1], [("t", "timestamp")])
        self.fails(4, "CML0533", ["finer"], self.d.reduce, 22, b"records")

    def test_corrupt_page(self):
        bad = os.path.join(self.work, "bad.parquet")
        b = bytearray(open(self.files[0], "rb").read())
        b[1000:3000] = bytes(2000)
        open(bad, "wb").write(b)
        self.d.source(21, 0, [frames.source_input("parquet", [bad])], FLAT)
        self.fails(4, "CML0533", ["bad.parquet"], self.d.reduce, 21, b"records")

    def test_errors(self):
        self.d.source(10, 0, [frames.source_input("parquet", self.files)], [("i64", "int")])
        e = self.fails(4, "CML0401", ["f.csv, record 3", "it is bad", "Mend it."], self.d.reduce, 10, b"data")
        assert e.cause == "it is bad"
        self.fails(5, "CML0532", ["out of memory", "Give more."], self.d.reduce, 10, b"resource")
        self.fails(6, "CML0605", ["stage 99"], self.d.reduce, 99, b"records")
        assert len(self.d.reduce(10, b"records")) == 4

    def test_cancel(self):
        self.d.source(11, 0, [frames.source_input("parquet", self.files)], [("i64", "int")])
        self.d.send(frames.CANCEL)  # nothing is running
        t = threading.Timer(1.0, lambda: self.d.send(frames.CANCEL))
        begin = time.time()
        t.start()
        self.fails(7, "", [], self.d.reduce, 11, b"sleep")
        assert time.time() - begin < 15
        assert len(self.d.reduce(11, b"records")) == 4

    def test_put_drop(self):
        self.d.source(12, 0, [frames.source_input("parquet", self.files[:1])], [("i64", "int")])
        for v in b"one", b"two" * 100000:
            self.d.put(0, 7, v)
            self.d.put(1, 12, v)
            self.d.reduce(12, b"records")
        self.d.ask(frames.DROP, frames.u32(12)).end()
        self.fails(6, "CML0605", ["stage 12"], self.d.reduce, 12, b"records")

    def write_source(self, stage):
        t = pa.table({"k": pa.array([None if i % 11 == 0 else i for i in range(23000)], pa.int64()),
                      "b": pa.array([i % 3 == 0 for i in range(23000)]),
                      "f": pa.array([i / 7 if i % 5 else None for i in range(23000)], pa.float64()),
                      "s": pa.array([None if i % 4 == 0 else "ü%d" % i for i in range(23000)]),
                      "d": pa.array([i for i in range(23000)], pa.int32()).cast(pa.date32()),
                      "t": pa.array([i * 1000003 for i in range(23000)], pa.timestamp("us", tz="UTC"))})
        f = os.path.join(self.work, "w.parquet")
        pq.write_table(t, f, row_group_size=6000)
        cols = [("k", "int"), ("b", "bool"), ("f", "float"), ("s", "category"), ("d", "date"), ("t", "timestamp")]
        self.d.source(stage, 0, [frames.source_input("parquet", [f])], cols)
        return t, cols

    def test_write_parquet(self):
        t, cols = self.write_source(13)
        out = os.path.join(self.work, "out ü%41.parquet")
        for _ in range(2):
            rows, size, results = self.d.write(13, b"rows", out, "parquet", cols)
            files = sorted(glob.glob(glob.escape(out) + "/part-*"))
            assert rows == 23000 and len(results) == 4 and len(files) == 4
            assert size >= sum(map(os.path.getsize, files)) > 10000
            got = pa.concat_tables([pq.read_table(f) for f in files])
            assert got.equals(t.cast(got.schema)), got.schema
            assert [str(x) for x in got.schema.types][5].startswith("timestamp[us")
        before = sorted(os.listdir(out))
        rows, size, results = self.d.write(13, b"bad", out, "parquet", cols)
        assert rows == 0 and len(results) == 4 and all(r[0] == 1 for r in results)
        assert sorted(os.listdir(out)) == before
        self.fails(5, "CML0535", ["no folder"], self.d.write, 13, b"rows", "/nowhere/at/all", "parquet", cols)
        assert [f for f in os.listdir(self.work) if ".cml-" in f] == []

    def test_write_table(self):
        t, cols = self.write_source(14)
        for request, want in (b"rows", 23000), (b"rows", 23000), (b"bad", 0):
            assert self.d.write(14, request, "default.made", "table", cols)[0] == want
            rows, _ = self.d.source(15, 2, [frames.source_input("table", what="made")], cols)
            assert rows == [23000]
        b = self.d.ask(frames.SCHEMA, frames.source_input("table", what="made"))
        got = [(b.text(), b.text(), b.u8()) for _ in range(b.u32())]
        assert [x[:2] for x in got] == [("k", "BIGINT"), ("b", "BOOLEAN"), ("f", "DOUBLE"), ("s", "VARCHAR"),
                                        ("d", "DATE"), ("t", "TIMESTAMP WITH TIME ZONE")], got
        assert os.listdir(self.work + "/warehouse") == ["made"]

    def test_write_rows(self):
        t, cols = self.write_source(16)
        rows, size, results = self.d.write(16, b"rows", "out.csv", "rows", cols)
        assert rows == 23000 and len(results) == 4
        got, at = [[] for _ in cols], 0
        for r in self.d.rows:
            file, pos, v = decode(r, len(cols))
            assert (file, pos) == (0, at)
            at += len(v[0])
            for have, more in zip(got, v):
                have.extend(more)
        for (name, _), have in zip(cols, got):
            same(have, t.column(name).to_pylist())
        assert self.d.write(16, b"bad", "out.csv", "rows", cols)[0] == 0 and self.d.rows == []

    def test_files(self):
        folder = os.path.join(self.work, "glob")
        os.makedirs(folder + "/b")
        for n in "z.csv", "a b.csv", "ü%20.csv", "B.csv", "b/x.csv", "n.txt", "_s.csv":
            with open(os.path.join(folder, n), "w") as f:
                f.write(n)
        b = self.d.ask(frames.FILES, frames.text("file://" + folder + "/*.csv"))
        got = [(b.text(), b.u64()) for _ in range(b.u32())]
        assert [os.path.basename(g[0]) for g in got] == ["B.csv", "a b.csv", "z.csv", "ü%20.csv"], got
        assert got[1][1] == 7
        for path, n in got:
            assert len(self.d.ask(frames.RANGE, frames.text(path) + frames.u64(0) + frames.u64(n)).blob()) == n
        z = got[2][0]
        assert self.d.ask(frames.RANGE, frames.text(z) + frames.u64(2) + frames.u64(99)).blob() == b"csv"
        assert self.d.ask(frames.RANGE, frames.text(z) + frames.u64(50) + frames.u64(9)).blob() == b""
        self.fails(4, "CML0533", ["no such file"], self.d.ask, frames.RANGE,
                   frames.text(folder + "/q") + frames.u64(0) + frames.u64(9))

    def test_plain(self):
        """Blocks of files that native code reads: each record with its handle, and bytes of its own file."""
        size = [os.path.getsize(f) for f in self.files]
        record = lambda file, pos, blocks: struct.pack("<IIQIIQQ", 3, file, pos, blocks, 0, 0, size[file]) + b"type"
        runs = [record(0, 0, 2), record(0, 2 * BLOCK, 1), record(3, 0, 1), record(4, 0, 7)]
        parts = [[(0, 4, 2000, runs[0])], [(0, 2000, 4000, runs[1]), (3, 4, 90, runs[2])], [(4, 4, 9000, runs[3])]]
        self.d.plain(30, list(zip(self.files, size)), parts)
        for _ in range(2):
            got = [r for part in self.d.reduce(30, b"records") for r in unpack(part)]
            assert len(got) == 4
            for r, want in zip(got, runs):
                assert r[:24] == want[:24] and r[32:len(want)] == want[32:] and struct.unpack_from("<Q", r, 24)[0] > 0
                with open(self.files[struct.unpack_from("<I", want, 4)[0]], "rb") as f:
                    assert r[len(want):] == f.read()
        self.fails(4, "CML0533", ["changed"], self.d.plain, 31, [(self.files[0], size[0] + 1)], [])
        self.fails(4, "CML0533", ["none.parquet"], self.d.plain, 31, [(self.work + "/none.parquet", 1)], [])

    def test_plain_changed(self):
        file = os.path.join(self.work, "replaced.parquet")
        shutil.copy(self.files[0], file)
        n = os.path.getsize(file)
        run = struct.pack("<IIQIIQQ", 3, 0, 0, 3, 0, 0, n)
        self.d.plain(32, [(file, n)], [[(0, 4, n, run)]])
        self.d.reduce(32, b"records")
        with open(file, "ab") as f:
            f.write(b"more")
        self.fails(4, "CML0533", ["replaced.parquet", "changed"], self.d.reduce, 32, b"records")

    def test_tails(self):
        whole = [open(f, "rb").read() for f in self.files]
        for least in 8, 100, 1 << 20:
            for tail, all in zip(self.d.tails(least, self.files), whole):
                footer = struct.unpack("<I", all[-8:-4])[0] + 8
                assert tail == all[-min(len(all), max(least, footer)):]
        short = os.path.join(self.work, "short")
        with open(short, "wb") as f:
            f.write(b"PAR1")
        assert self.d.tails(64, [short]) == [b"PAR1"]
        self.fails(4, "CML0533", ["no such file"], self.d.tails, 8, [self.work + "/none"])

    def test_schema(self):
        b = self.d.ask(frames.SCHEMA, frames.source_input("parquet", self.files[:1]))
        got = {b.text(): (b.text(), b.u8()) for _ in range(b.u32())}
        assert got["st"] == ('STRUCT("x" INTEGER, "in" STRUCT("y.z" VARCHAR))', 1), got["st"]
        assert got["d18"][0] == "DECIMAL(18,7)" and got["ntz"][0] == "TIMESTAMP" and len(got) == 17


def prepare(jar, work):
    """The jar with the stand-in instead of Native, and a folder with an empty library."""
    shutil.copy(jar, work + "/cml-spark.jar")
    subprocess.run(["javac", "-d", work + "/classes", "-cp", jar, here + "/cml/spark/Native.java"], check=True)
    subprocess.run(["jar", "uf", work + "/cml-spark.jar", "-C", work + "/classes", "cml"], check=True)
    os.mkdir(work + "/lib")
    subprocess.run(["cc", "-shared", "-o", work + "/lib/libcml-spark.so", "-x", "c", "/dev/null"], check=True)


def main(jar, names):
    work = tempfile.mkdtemp(prefix="cml-frames-")
    failed = 0
    try:
        prepare(jar, work)
        conf = {"spark.sql.warehouse.dir": work + "/warehouse", "spark.ui.enabled": "false",
                "spark.sql.files.maxPartitionBytes": "300000", "spark.sql.shuffle.partitions": "3",
                "spark.driver.memory": "1g"}
        begin = time.time()
        d = frames.Driver(work + "/cml-spark.jar", work, conf=conf,
                          stderr=None if os.environ.get("CML_LOG") else subprocess.DEVNULL)
        assert d.ask(frames.RANGE, frames.text(__file__) + frames.u64(0) + frames.u64(6)).blob() == b"# SPDX"
        version, parallel, executors, ui = d.open(b"program", work + "/lib")
        assert version.startswith("4.") and (parallel, executors, ui) == (4, 1, ""), (version, parallel, executors)
        print(f"# Spark {version} after {time.time() - begin:.1f} s")
        f = Frames(d, work)
        tests = [n for n in dir(f) if n.startswith("test_") and (not names or n[5:] in names)]
        print(f"1..{len(tests) + 1}")
        for i, n in enumerate(tests):
            begin = time.time()
            try:
                getattr(f, n)()
                print(f"ok {i + 1} - {n[5:]} # {time.time() - begin:.1f} s", flush=True)
            except Exception as e:
                import traceback
                failed += 1
                print(f"not ok {i + 1} - {n[5:]}: {type(e).__name__} {str(e)[:600]}", flush=True)
                print("# " + traceback.format_exc().replace("\n", "\n# ")[-1500:])
        d.bye()
        print(f"ok {len(tests) + 1} - the driver ends" if d.process.returncode == 0 else f"not ok {len(tests) + 1}")
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
