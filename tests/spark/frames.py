# SPDX-License-Identifier: Apache-2.0
"""The side of cmlc of the frames to cml-spark.jar, for tests: starts spark-submit and speaks to it."""
import importlib.util
import os
import socket
import struct
import subprocess

OPEN, SOURCE, PUT, REDUCE, WRITE, DROP, FILES, RANGE, SCHEMA, CANCEL, BYE, PLAIN, TAILS = range(1, 14)
OK, ERROR, PROGRESS, NOTE, ROWS = range(5)
KINDS = ["bool", "int", "float", "string", "category", "timestamp", "date", "duration"]


def u32(n):
    return struct.pack("<I", n)


def u64(n):
    return struct.pack("<Q", n)


def text(s):
    b = s.encode()
    return u32(len(b)) + b


def blob(b):
    return u64(len(b)) + b


def columns(cols):
    """[(name, kind)]: all nullable"""
    return u32(len(cols)) + b"".join(text(n) + bytes([KINDS.index(k), 1]) for n, k in cols)


def source_input(format, files=(), what="", options=None):
    o = list((options or {}).items())
    return (text(format) + u32(len(o)) + b"".join(text(k) + text(v) for k, v in o) + u32(len(files))
            + b"".join(text(f) for f in files) + text(what))


class Body:
    def __init__(self, b):
        self.b, self.at = b, 0

    def take(self, n):
        assert self.at + n <= len(self.b), "a frame ends too early"
        self.at += n
        return self.b[self.at - n:self.at]

    def u8(self):
        return self.take(1)[0]

    def u32(self):
        return struct.unpack("<I", self.take(4))[0]

    def u64(self):
        return struct.unpack("<Q", self.take(8))[0]

    def text(self):
        return self.take(self.u32()).decode()

    def blob(self):
        return self.take(self.u64())

    def blobs(self):
        return [self.blob() for _ in range(self.u32())]

    def end(self):
        assert self.at == len(self.b), "a frame is longer than its body"


class Failed(Exception):
    def __init__(self, body):
        self.status = body.u32()
        self.id, self.where, self.cause, self.remedy = (body.text() for _ in range(4))
        body.end()
        super().__init__(f"{self.status} {self.id} {self.where}: {self.cause} | {self.remedy}")


def spark_home():
    return os.environ.get("SPARK_HOME") or os.path.dirname(importlib.util.find_spec("pyspark").origin)


class Driver:
    """A driver of Spark's; `jar` is cml-spark.jar."""

    def __init__(self, jar, folder, master="local[2]", conf=None, stderr=None):
        path = os.path.join(folder, "socket")
        listen = socket.socket(socket.AF_UNIX)
        listen.bind(path)
        listen.listen(1)
        listen.settimeout(60)
        home = spark_home()
        command = [home + "/bin/spark-submit", "--master", master, "--class", "cml.spark.Main"]
        for k, v in (conf or {}).items():
            command += ["--conf", f"{k}={v}"]
        self.process = subprocess.Popen(command + [jar, path], stderr=stderr, stdin=subprocess.DEVNULL,
                                        env={**os.environ, "SPARK_HOME": home})
        try:
            self.socket, _ = listen.accept()
        except socket.timeout:
            self.process.kill()
            raise
        finally:
            listen.close()
        self.notes, self.progress, self.rows = [], [], []

    def send(self, kind, body=b""):
        self.socket.sendall(u32(len(body) + 1) + bytes([kind]) + body)

    def read(self, n):
        b = b""
        while len(b) < n:
            some = self.socket.recv(n - len(b))
            if not some:
                raise EOFError("the driver ended")
            b += some
        return b

    def answer(self):
        self.progress, self.rows = [], []
        while True:
            n = struct.unpack("<I", self.read(4))[0]
            kind, body = self.read(1)[0], Body(self.read(n - 1))
            if kind == OK:
                return body
            if kind == ERROR:
                raise Failed(body)
            if kind == PROGRESS:
                self.progress.append((body.u64(), body.u64()))
            elif kind == NOTE:
                self.notes.append(body.text())
            elif kind == ROWS:
                self.rows.append(body.blob())

    def ask(self, kind, body=b""):
        self.send(kind, body)
        return self.answer()

    def open(self, program, libraries, partitions=0, memory=1 << 28):
        b = self.ask(OPEN, blob(program) + u64(memory) + text(libraries) + u32(partitions) + u32(1))
        out = b.text(), b.u32(), b.u32(), b.text()
        b.end()
        return out

    def source(self, stage, how, inputs, cols):
        b = self.ask(SOURCE, u32(stage) + u32(how) + u32(len(inputs)) + b"".join(inputs) + columns(cols))
        rows = [b.u64() for _ in range(b.u32())]
        parts = b.u32()
        b.end()
        return rows, parts

    def plain(self, stage, files, parts):
        """files: [(path, bytes)]; parts: [[(file, from, to, record)]]"""
        self.ask(PLAIN, u32(stage) + u32(len(files)) + b"".join(text(f) + u64(n) for f, n in files) + u32(len(parts))
                 + b"".join(u32(len(p)) + b"".join(u32(f) + u64(a) + u64(b) + blob(r) for f, a, b, r in p)
                            for p in parts)).end()

    def tails(self, least, files):
        b = self.ask(TAILS, u64(least) + u32(len(files)) + b"".join(text(f) for f in files))
        out = b.blobs()
        b.end()
        return out

    def put(self, kind, id, value):
        self.ask(PUT, u32(kind) + u32(id) + blob(value)).end()

    def reduce(self, stage, request, fold=0, name="a scan"):
        b = self.ask(REDUCE, u32(stage) + text(name) + u32(fold) + blob(request))
        out = b.blobs()
        b.end()
        return out

    def write(self, stage, request, path, format, cols):
        b = self.ask(WRITE, u32(stage) + text("write " + path) + blob(request) + text(path) + text(format)
                     + columns(cols))
        out = b.u64(), b.u64(), b.blobs()
        b.end()
        return out

    def bye(self):
        self.ask(BYE).end()
        self.process.wait(20)
