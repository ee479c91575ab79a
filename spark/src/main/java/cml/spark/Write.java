// SPDX-License-Identifier: Apache-2.0
// WRITE: the rows of a stage as Parquet files in a folder, or as a table of Spark's catalog. They are written
// beside the place where they belong, and put there by renaming when all is well: nothing is ever half there,
// and what was there before stays until then. Where rows are bad nothing is put there; all partitions were
// looked at, and their results say which rows.
package cml.spark;

import java.io.IOException;
import java.util.Iterator;
import java.util.List;
import java.util.NoSuchElementException;
import java.util.Set;
import java.util.UUID;
import java.util.concurrent.ConcurrentHashMap;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.FileStatus;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.Path;
import org.apache.spark.api.java.JavaRDD;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.catalyst.InternalRow;
import org.apache.spark.sql.types.StructField;
import org.apache.spark.sql.types.StructType;
import org.apache.spark.sql.types.Metadata;
import org.apache.spark.util.CollectionAccumulator;

final class Write {
  /* Folders that were begun and not finished. A task that was still running when its folder was removed makes
     the folders above its file once more. */
  private static final Set<Path> begun = ConcurrentHashMap.newKeySet();
  private static final long QUIET = 1000, MOST = 4000, TICK = 100; // ms

  private final SparkSession spark;
  private final Source source;
  private final App app;
  private final Column[] column;
  private final Jobs jobs;

  Write(SparkSession spark, Source source, App app, Column[] column, Jobs jobs) {
    this.spark = spark;
    this.source = source;
    this.app = app;
    this.column = column;
    this.jobs = jobs;
  }

  private interface To {
    void write(Dataset<Row> rows) throws Exception;
  }

  private Written run(byte[] request, To to) throws Exception {
    CollectionAccumulator<Written.One> done = new CollectionAccumulator<>();
    spark.sparkContext().register(done);
    App a = app;
    int columns = column.length;
    try (Request asked = new Request(spark.sparkContext(), request)) {
      JavaRDD<InternalRow> rows = source.blocks.toJavaRDD().mapPartitionsWithIndex((p, records) ->
          rows(new Writer(a, asked.value(), p, records), p, columns, done), true);
      to.write(((org.apache.spark.sql.classic.SparkSession) spark).internalCreateDataFrame(rows.rdd(), schema(),
          false));
      Written all = new Written();
      for (Written.One one : done.value()) all.add(source, one);
      all.bytes = jobs.written();
      return all.whole(source);
    }
  }

  private static Iterator<InternalRow> rows(Writer writer, int partition, int columns,
      CollectionAccumulator<Written.One> done) {
    return new Iterator<>() {
      private Iterator<InternalRow> some = List.<InternalRow>of().iterator();
      private boolean ended;

      @Override
      public boolean hasNext() {
        while (!some.hasNext()) {
          if (ended) return false;
          if (writer.hasNext()) {
            some = new RecordRows(writer.next(), columns);
          } else {
            ended = true;
            done.add(new Written.One(Part.of(partition, writer.result()), writer.rows));
          }
        }
        return true;
      }

      @Override
      public InternalRow next() {
        if (!hasNext()) throw new NoSuchElementException();
        return some.next();
      }
    };
  }

  private StructType schema() {
    StructField[] f = new StructField[column.length];
    for (int k = 0; k < f.length; k++) {
      f[k] = new StructField(column[k].name, Types.written(column[k].kind), column[k].nullable,
          Metadata.empty());
    }
    return new StructType(f);
  }

  /* ---- Parquet ---- */

  Written parquet(byte[] request, String to) throws Exception {
    Path path = new Path(to);
    String tag = UUID.randomUUID().toString();
    Path part = new Path(path.getParent(), "." + path.getName() + ".cml-part-" + tag);
    Path old = new Path(path.getParent(), "." + path.getName() + ".cml-old-" + tag);
    FileSystem fs;
    try {
      fs = path.getFileSystem(spark.sparkContext().hadoopConfiguration());
      if (!fs.exists(path.getParent())) {
        throw unwritable(to, "there is no folder " + path.getParent(), "Make it first.");
      }
    } catch (IOException e) {
      throw unwritable(to, "it cannot be written: " + Reasons.brief(e), "");
    }
    fs.deleteOnExit(part);
    begun.add(part);
    try {
      Written w = run(request, rows -> rows.write().parquet(part.toString()));
      if (!w.troubled()) {
        w.bytes = size(fs, part, w.rows());
        replace(fs, path, part, old);
      }
      begun.remove(part);
      return w;
    } catch (IOException e) {
      throw unwritable(to, "it cannot be written: " + Reasons.brief(e), "");
    } finally {
      remove(fs, part);
      fs.cancelDeleteOnExit(part);
    }
  }

  /* Bytes of the files. Workers on other machines write a local path there: then some are missing here. */
  private long size(FileSystem fs, Path folder, long rows) throws IOException {
    boolean check = fs.getScheme().equals("file") && !spark.sparkContext().isLocal();
    long bytes = 0, found = 0;
    for (FileStatus s : fs.listStatus(folder)) {
      if (!s.isFile()) continue;
      bytes += s.getLen();
      if (check && s.getPath().getName().startsWith("part-")) found += Footers.rows(s.getPath(), fs.getConf());
    }
    if (check && found != rows) {
      throw unwritable(folder.getParent().toString(), "the workers wrote " + (rows - found) + " of " + rows
          + " rows to disks of their own", "Name a place that all machines share, such as hdfs:// or s3a://.");
    }
    return bytes;
  }

  private static void replace(FileSystem fs, Path path, Path part, Path old) throws IOException {
    boolean was = fs.exists(path);
    if (was && !fs.rename(path, old)) throw new IOException("what is there cannot be renamed");
    boolean done = false;
    try {
      done = fs.rename(part, path);
      if (!done) throw new IOException(part + " cannot be renamed");
    } finally {
      if (!done && was) fs.rename(old, path);
    }
    if (was) remove(fs, old);
  }

  /** Spark has stopped, and its executors are stopping: what they leave of unfinished folders is removed, until
      nothing comes again. */
  static void sweep(Configuration conf) {
    long now = System.currentTimeMillis(), end = now + MOST;
    for (long last = now; !begun.isEmpty() && now - last < QUIET && now < end; now = System.currentTimeMillis()) {
      for (Path p : begun) {
        try {
          FileSystem fs = p.getFileSystem(conf);
          if (fs.exists(p) && fs.delete(p, true)) last = now;
        } catch (IOException e) {
          // it stays, with a name that says what it is
        }
      }
      try {
        Thread.sleep(TICK);
      } catch (InterruptedException e) {
        return;
      }
    }
  }

  private static void remove(FileSystem fs, Path p) {
    try {
      fs.delete(p, true);
    } catch (IOException e) {
      // it stays, with a name that says what it is
    }
  }

  static CmlException unwritable(String where, String cause, String remedy) {
    return new CmlException(CmlException.RESOURCE, "CML0535", where, cause, remedy);
  }

  /* ---- A table ---- */

  Written table(byte[] request, String name) throws Exception {
    String tag = UUID.randomUUID().toString().replace("-", "");
    String part = beside(name, "__cml_part_" + tag), old = beside(name, "__cml_old_" + tag);
    if (spark.catalog().tableExists(name) && spark.catalog().getTable(name).tableType().equals("VIEW")) {
      throw unwritable(name, "it is a view", "Name a table.");
    }
    try {
      Written w = run(request, rows -> rows.write().saveAsTable(part));
      if (!w.troubled()) replace(name, part, old);
      return w;
    } finally {
      spark.sql("DROP TABLE IF EXISTS " + part);
    }
  }

  /* The name of another table of the same schema: the last name with an ending. */
  private static String beside(String name, String ending) {
    return name.endsWith("`") ? name.substring(0, name.length() - 1) + ending + "`" : name + ending;
  }

  private void replace(String name, String part, String old) {
    boolean was = spark.catalog().tableExists(name);
    if (was) rename(name, old);
    try {
      rename(part, name);
    } catch (RuntimeException e) {
      if (was) rename(old, name);
      throw e;
    }
    if (was) spark.sql("DROP TABLE IF EXISTS " + old);
  }

  private void rename(String from, String to) {
    spark.sql("ALTER TABLE " + from + " RENAME TO " + to);
  }
}
