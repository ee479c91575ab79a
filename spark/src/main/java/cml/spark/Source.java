// SPDX-License-Identifier: Apache-2.0
// Driver: the source of a stage. Its rows are counted, and its blocks divided among partitions. Row groups of
// Parquet files are read by the tasks that need them (Direct); else the records of all inputs are exchanged, by
// the first job that needs them, and stay on the executors' disks: what an executor loses is made again from
// there.
package cml.spark;

import java.io.IOException;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.Path;
import org.apache.spark.SparkConf;
import org.apache.spark.api.java.JavaPairRDD;
import org.apache.spark.api.java.JavaSparkContext;
import org.apache.spark.rdd.RDD;
import org.apache.spark.rdd.ShuffledRDD;
import org.apache.spark.serializer.KryoSerializer;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.util.SerializableConfiguration;
import scala.Tuple2;
import scala.math.Ordering;
import scala.reflect.ClassTag;
import scala.reflect.ClassTag$;

final class Source {
  static final int TEXT = 1, SORTED = 2; // how; 0: Spark's reader

  final int stage;
  final Blocks blocks;
  final long[] rows; // of each file
  private final int shuffle; // -1: there is none

  private Source(int stage, Blocks blocks, long[] rows, int shuffle) {
    this.stage = stage;
    this.blocks = blocks;
    this.rows = rows;
    this.shuffle = shuffle;
  }

  static Source of(int stage, Runs runs) {
    return new Source(stage, new Blocks(runs, runs.blocks()), new long[0], -1);
  }

  int partitions() {
    return blocks.getNumPartitions();
  }

  /** What the exchange left on the disks is removed. */
  void drop() {
    if (shuffle < 0) return;
    if (blocks.context().cleaner().isDefined()) blocks.context().cleaner().get().doCleanupShuffle(shuffle, false);
  }

  /** Makes sources. */
  static final class Maker {
    private final SparkSession spark;
    private final JavaSparkContext sc;
    private final SerializableConfiguration conf;
    private final int block, partitions;

    /** partitions: as many as that, at most. */
    Maker(SparkSession spark, int block, int partitions) {
      this.spark = spark;
      sc = JavaSparkContext.fromSparkContext(spark.sparkContext());
      conf = new SerializableConfiguration(sc.hadoopConfiguration());
      this.block = block;
      this.partitions = partitions;
    }

    Source make(int stage, int how, Input[] input, Column[] column, App app) throws IOException {
      return how == TEXT ? text(stage, input, app) : columns(stage, how, input, column);
    }

    private Source text(int stage, Input[] input, App app) throws IOException {
      List<String> path = new ArrayList<>();
      for (Input in : input) path.addAll(in.files);
      var files = Text.files(sc.sc(), conf.value(), path);
      long[] rows = Text.rows(files, app, stage, conf);
      Keys keys = new Keys(block, rows);
      return exchange(stage, Text.records(files, app, stage, conf, keys), keys, rows);
    }

    private Source columns(int stage, int how, Input[] input, Column[] column) throws IOException {
      List<Reading> reading = new ArrayList<>();
      List<Long> rows = new ArrayList<>();
      List<Positions.Plan> plan = new ArrayList<>();
      List<Footers.One> parquet = new ArrayList<>();
      for (Input in : input) {
        boolean files = how != SORTED && !in.files.isEmpty();
        Map<String, Integer> ordinal = files ? ordinals(in, rows.size()) : null;
        Footers footers = files && in.isParquet() ? Footers.read(sc, conf, in, column) : null;
        Reading r = Reading.of(spark, in, column, ordinal, footers == null ? Set.of() : footers.nanos);
        reading.add(r);
        if (footers != null) {
          plan.add(r.positions);
          for (Footers.One f : footers.files) rows.add(f.rows);
          parquet.addAll(footers.files);
        } else {
          Map<Positions.Unit, Long> before = count(r);
          Positions.Plan p = prefix(r.positions, before, rows.size(), files ? in.files.size() : 1, rows);
          plan.add(p);
        }
      }
      long[] all = rows.stream().mapToLong(Long::longValue).toArray();
      Keys keys = new Keys(block, all);
      if (parquet.size() == all.length && keys.blocks() > 0) {
        Direct direct = Direct.of(sc.sc(), reading, parquet, keys, parts(keys));
        if (direct != null) return new Source(stage, new Blocks(direct, direct.rows()), all, -1);
      }
      JavaPairRDD<Long, byte[]> records = null;
      for (int i = 0; i < reading.size(); i++) {
        JavaPairRDD<Long, byte[]> one = records(reading.get(i), plan.get(i), keys);
        records = records == null ? one : records.union(one);
      }
      return exchange(stage, records, keys, all);
    }

    /* Of the files of an input, by their path as Spark writes it in _metadata. */
    private Map<String, Integer> ordinals(Input in, int first) throws IOException {
      Configuration c = conf.value();
      Map<String, Integer> ordinal = new HashMap<>();
      for (String file : in.files) {
        Path p = new Path(file);
        String name = p.getName();
        if (name.startsWith("_") && !name.contains("=") || name.startsWith(".")) {
          throw in.unreadable("Spark does not read files whose names begin with _ or a dot: " + file,
              "Rename it, or leave it out.");
        }
        String spark = Positions.plain(p.getFileSystem(c).makeQualified(p).toUri().toString());
        if (ordinal.putIfAbsent(spark, first + ordinal.size()) != null) {
          throw in.unreadable("the file is named twice: " + file, "Name it once.");
        }
      }
      return ordinal;
    }

    private int parts(Keys keys) {
      return (int) Math.max(1, Math.min(keys.blocks(), partitions));
    }

    /* The same plan is read again by the exchange. */
    private static Map<Positions.Unit, Long> count(Reading r) {
      Positions.Plan plan = r.positions;
      Map<Positions.Unit, Long> all = new TreeMap<>();
      var counts = r.batches.toJavaRDD().mapPartitionsWithIndex((partition, batches) -> {
        Positions p = new Positions(plan, partition);
        while (batches.hasNext()) {
          var b = batches.next();
          for (int row = 0, n; row < b.numRows(); row += n) {
            n = p.run(b, row, b.numRows() - row);
            p.taken(n);
          }
        }
        return List.of(p.counts()).iterator();
      }, true);
      for (var m : counts.collect()) m.forEach((unit, n) -> all.merge(unit, n, Long::sum));
      return all;
    }

    /* Rows before each unit of its file; the totals of the files are added to `rows`. */
    private static Positions.Plan prefix(Positions.Plan plan, Map<Positions.Unit, Long> count, int first,
        int files, List<Long> rows) {
      Map<Positions.Unit, Long> before = new HashMap<>();
      long[] total = new long[files];
      count.forEach((unit, n) -> {
        int f = unit.file < 0 ? 0 : unit.file - first;
        before.put(unit, total[f]);
        total[f] += n;
      });
      for (long n : total) rows.add(n);
      return plan.with(before);
    }

    private static JavaPairRDD<Long, byte[]> records(Reading r, Positions.Plan plan, Keys keys) {
      Column.Place[] place = r.place;
      return r.batches.toJavaRDD().mapPartitionsWithIndex((partition, batches) ->
          (java.util.Iterator<Tuple2<Long, byte[]>>) new Cutter(batches, place, new Positions(plan, partition),
              keys), true).mapToPair(t -> t);
    }

    private Source exchange(int stage, JavaPairRDD<Long, byte[]> records, Keys keys, long[] rows) {
      long n = keys.blocks();
      int parts = parts(keys);
      ClassTag<Long> key = ClassTag$.MODULE$.apply(Long.class);
      ClassTag<byte[]> bytes = ClassTag$.MODULE$.apply(byte[].class);
      SparkConf kryo = sc.getConf().set("spark.kryoserializer.buffer.max", "2047m");
      ShuffledRDD<Long, byte[], byte[]> shuffled = new ShuffledRDD<Long, byte[], byte[]>(records.rdd(),
          new Ranges(Math.max(n, 1), parts, block), key, bytes, bytes)
          .setKeyOrdering(Ordering.comparatorToOrdering(java.util.Comparator.<Long>naturalOrder()))
          .setSerializer(new KryoSerializer(kryo));
      RDD<byte[]> values = JavaPairRDD.fromRDD(shuffled, key, bytes).values().rdd();
      int id = ((org.apache.spark.ShuffleDependency<?, ?, ?>) shuffled.dependencies().head()).shuffleId();
      return new Source(stage, new Blocks(values, keys.rows(parts)), rows, id);
    }
  }
}
