// SPDX-License-Identifier: Apache-2.0
// The records of a source without an exchange: a task reads the row groups that hold the blocks of its
// partition (Groups), by Spark's own reader, and leaves out the rows of its neighbours. So nothing but
// results goes over the network; what an executor loses is read from the files again, which must not have
// changed.
package cml.spark;

import java.io.IOException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.apache.hadoop.fs.FileStatus;
import org.apache.spark.Dependency;
import org.apache.spark.Partition;
import org.apache.spark.SparkContext;
import org.apache.spark.TaskContext;
import org.apache.spark.broadcast.Broadcast;
import org.apache.spark.rdd.RDD;
import org.apache.spark.sql.execution.datasources.FilePartition;
import org.apache.spark.sql.execution.datasources.FileScanRDD;
import org.apache.spark.sql.execution.datasources.PartitionedFile;
import org.apache.spark.sql.vectorized.ColumnarBatch;
import org.apache.spark.util.SerializableConfiguration;
import scala.Tuple2;
import scala.collection.immutable.Seq;
import scala.jdk.javaapi.CollectionConverters;
import scala.reflect.ClassTag$;

final class Direct extends RDD<byte[]> {
  /* What one reader reads for a task. */
  private record Piece(int reading, PartitionedFile[] file) implements java.io.Serializable {}

  private static final class Task implements Partition {
    final int index;
    final long first, last;
    final List<Piece> piece = new ArrayList<>();
    final Set<String> host = new HashSet<>();

    Task(int index, Groups.Share share) {
      this.index = index;
      first = share.first();
      last = share.last();
    }

    @Override
    public int index() {
      return index;
    }
  }

  private final FileScanRDD[] scan; // of each input
  private final Column.Place[][] place;
  private final Positions.Plan[] plan;
  private final Keys keys;
  private final Broadcast<SerializableConfiguration> conf;
  private final transient Task[] tasks;

  private Direct(SparkContext sc, List<Reading> reading, Keys keys, Task[] tasks) {
    super(sc, CollectionConverters.asScala(List.<Dependency<?>>of()).toSeq(), ClassTag$.MODULE$.apply(byte[].class));
    scan = reading.stream().map(r -> r.files).toArray(FileScanRDD[]::new);
    place = reading.stream().map(r -> r.place).toArray(Column.Place[][]::new);
    plan = reading.stream().map(r -> r.positions).toArray(Positions.Plan[]::new);
    this.keys = keys;
    conf = Values.configuration(sc);
    this.tasks = tasks;
  }

  /** Null: the exchange is needed, or costs less. */
  static Direct of(SparkContext sc, List<Reading> reading, List<Footers.One> footers, Keys keys, int parts) {
    Groups groups = Groups.of(footers, keys);
    List<Groups.Share> shares = groups == null ? null : groups.shares(parts);
    if (shares == null) return null;
    Map<Integer, List<PartitionedFile>> splits = new HashMap<>();
    Map<Integer, Integer> reader = new HashMap<>(); // of each file
    for (int i = 0; i < reading.size(); i++) {
      if (!listed(reading.get(i), i, splits, reader)) return null;
    }
    Task[] task = new Task[shares.size()];
    for (int p = 0; p < task.length; p++) {
      task[p] = new Task(p, shares.get(p));
      for (Groups.Run run : shares.get(p).runs()) {
        if (!splits.containsKey(run.file())) return null;
        add(task[p], run, reader.get(run.file()), splits.get(run.file()));
      }
    }
    return new Direct(sc, reading, keys, task);
  }

  /* The files of one reader, as Spark divided them. */
  private static boolean listed(Reading r, int which, Map<Integer, List<PartitionedFile>> splits,
      Map<Integer, Integer> reader) {
    if (r.files == null) return false;
    for (FilePartition p : CollectionConverters.asJava(r.files.filePartitions())) {
      for (PartitionedFile f : p.files()) {
        Integer ordinal = r.positions.ordinal.get(Positions.plain(f.urlEncodedPath()));
        if (ordinal == null) return false;
        splits.computeIfAbsent(ordinal, k -> new ArrayList<>()).add(f);
        reader.put(ordinal, which);
      }
    }
    return true;
  }

  private static void add(Task t, Groups.Run run, int reading, List<PartitionedFile> splits) {
    PartitionedFile f = splits.get(0);
    long to = run.to() < 0 ? f.fileSize() : run.to();
    for (PartitionedFile s : splits) { // who has these bytes
      if (s.start() < to && s.start() + s.length() > run.from()) t.host.addAll(Arrays.asList(s.locations()));
    }
    t.host.remove("localhost"); // which is every executor's own
    PartitionedFile mine = f.copy(f.partitionValues(), f.filePath(), run.from(), to - run.from(), f.locations(),
        f.modificationTime(), f.fileSize(), f.otherConstantMetadataColumnValues());
    int n = t.piece.size();
    Piece last = n > 0 ? t.piece.get(n - 1) : null;
    if (last == null || last.reading != reading) {
      t.piece.add(new Piece(reading, new PartitionedFile[] {mine}));
    } else {
      PartitionedFile[] more = Arrays.copyOf(last.file, last.file.length + 1);
      more[last.file.length] = mine;
      t.piece.set(n - 1, new Piece(reading, more));
    }
  }

  /** Of each partition. */
  long[] rows() {
    return Arrays.stream(tasks).mapToLong(t -> keys.rows(t.first, t.last)).toArray();
  }

  @Override
  public Partition[] getPartitions() {
    return tasks.clone();
  }

  @Override
  public Seq<String> getPreferredLocations(Partition p) {
    return CollectionConverters.asScala(List.copyOf(((Task) p).host)).toSeq();
  }

  @Override
  public scala.collection.Iterator<byte[]> compute(Partition p, TaskContext context) {
    Task t = (Task) p;
    return CollectionConverters.asScala(new java.util.Iterator<byte[]>() {
      private int next; // piece
      private Cutter now;

      @Override
      public boolean hasNext() {
        while (now == null || !now.hasNext()) {
          if (next == t.piece.size()) return false;
          now = open(t, t.piece.get(next++), context);
        }
        return true;
      }

      @Override
      public byte[] next() {
        if (!hasNext()) throw new java.util.NoSuchElementException();
        return now.next()._2();
      }
    });
  }

  @SuppressWarnings("unchecked") // a scan in columns gives batches, whatever its type says
  private Cutter open(Task t, Piece piece, TaskContext context) {
    for (PartitionedFile f : piece.file) unchanged(f);
    int i = piece.reading;
    var batches = (scala.collection.Iterator<ColumnarBatch>) (scala.collection.Iterator<?>)
        scan[i].compute(new FilePartition(t.index, piece.file), context);
    return new Cutter(CollectionConverters.asJava(batches), place[i], new Positions(plan[i], t.index), keys,
        t.first, t.last);
  }

  private void unchanged(PartitionedFile f) {
    try {
      FileStatus now = f.toPath().getFileSystem(conf.value().value()).getFileStatus(f.toPath());
      if (now.getLen() == f.fileSize() && now.getModificationTime() == f.modificationTime()) return;
    } catch (IOException e) {
      throw new CmlException(CmlException.DATA, "CML0533", f.toPath().toString(), "Spark cannot read it: "
          + Reasons.brief(e), "");
    }
    throw new CmlException(CmlException.DATA, "CML0533", f.toPath().toString(), "the file changed while it was "
        + "read", "Run it again.");
  }
}
