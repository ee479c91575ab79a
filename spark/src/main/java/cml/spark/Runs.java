// SPDX-License-Identifier: Apache-2.0
// A source of Parquet files that native code reads itself, in tasks: cmlc has read their footers, and says
// which blocks each partition has. Its records are those that cmlc made (kind 3), with a handle by which
// native code asks for bytes of the file (Fetch). So nothing but results goes over the network; what an
// executor loses is read from the files again.
package cml.spark;

import java.io.IOException;
import java.util.Arrays;
import java.util.HashSet;
import java.util.Iterator;
import java.util.Set;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.BlockLocation;
import org.apache.hadoop.fs.FileStatus;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.Path;
import org.apache.spark.Dependency;
import org.apache.spark.Partition;
import org.apache.spark.SparkContext;
import org.apache.spark.TaskContext;
import org.apache.spark.broadcast.Broadcast;
import org.apache.spark.rdd.RDD;
import org.apache.spark.util.SerializableConfiguration;
import org.apache.spark.util.TaskCompletionListener;
import scala.collection.immutable.Seq;
import scala.jdk.javaapi.CollectionConverters;
import scala.reflect.ClassTag$;

final class Runs extends RDD<byte[]> {
  private static final class Task implements Partition {
    final int index;
    final Fetch.File[] file; // of each record
    final byte[][] record;
    final Set<String> host = new HashSet<>();

    Task(int index, int n) {
      this.index = index;
      file = new Fetch.File[n];
      record = new byte[n][];
    }

    @Override
    public int index() {
      return index;
    }
  }

  private final Broadcast<SerializableConfiguration> conf;
  private final transient Task[] task;
  private final transient long[] blocks; // of each partition

  private Runs(SparkContext sc, Broadcast<SerializableConfiguration> conf, Task[] task, long[] blocks) {
    super(sc, CollectionConverters.asScala(java.util.List.<Dependency<?>>of()).toSeq(),
        ClassTag$.MODULE$.apply(byte[].class));
    this.conf = conf;
    this.task = task;
    this.blocks = blocks;
  }

  /** The body of a PLAIN frame, behind its stage. */
  static Runs of(SparkContext sc, In in) throws IOException {
    Configuration conf = sc.hadoopConfiguration();
    FileStatus[] status = statuses(in, conf);
    Task[] task = new Task[in.count(4)];
    long[] blocks = new long[task.length];
    for (int p = 0; p < task.length; p++) {
      task[p] = new Task(p, in.count(28));
      for (int i = 0; i < task[p].record.length; i++) {
        FileStatus s = status[in.u32()];
        long from = in.u64(), to = in.u64();
        task[p].file[i] = Fetch.File.of(s.getPath().toString(), s);
        task[p].record[i] = in.blob();
        blocks[p] += Records.rows(task[p].record[i]);
        for (BlockLocation b : s.getPath().getFileSystem(conf).getFileBlockLocations(s, from, to - from)) {
          task[p].host.addAll(Arrays.asList(b.getHosts()));
        }
      }
      task[p].host.remove("localhost"); // which is every executor's own
    }
    in.end();
    return new Runs(sc, Values.configuration(sc), task, blocks);
  }

  private static FileStatus[] statuses(In in, Configuration conf) {
    String[] path = new String[in.count(12)];
    long[] bytes = new long[path.length];
    for (int i = 0; i < path.length; i++) {
      path[i] = in.str();
      bytes[i] = in.u64();
    }
    return Files.each(path.length, FileStatus[]::new, i -> {
      Path p = new Path(path[i]);
      FileSystem fs = p.getFileSystem(conf);
      FileStatus s = fs.getFileStatus(p);
      if (s.getLen() == bytes[i]) return s;
      throw new CmlException(CmlException.DATA, "CML0533", path[i], "the file changed while it was read",
          "Run it again.");
    });
  }

  /** Of each partition; what Blocks counts again. */
  long[] blocks() {
    return blocks;
  }

  @Override
  public Partition[] getPartitions() {
    return task.clone();
  }

  @Override
  public Seq<String> getPreferredLocations(Partition p) {
    return CollectionConverters.asScala(java.util.List.copyOf(((Task) p).host)).toSeq();
  }

  @Override
  public scala.collection.Iterator<byte[]> compute(Partition p, TaskContext context) {
    Task t = (Task) p;
    return CollectionConverters.asScala(new Iterator<byte[]>() {
      private int next;
      private Fetch.File last;
      private long handle;

      @Override
      public boolean hasNext() {
        return next < t.record.length;
      }

      @Override
      public byte[] next() {
        if (!t.file[next].equals(last)) open(t.file[next]);
        byte[] record = t.record[next++].clone();
        Records.LONG.set(record, Records.HEAD, handle);
        return record;
      }

      private void open(Fetch.File file) {
        if (handle != 0) Fetch.close(handle); // what was read of it has been worked on
        long opened = Fetch.open(file, conf.value().value());
        context.addTaskCompletionListener((TaskCompletionListener) c -> Fetch.close(opened));
        last = file;
        handle = opened;
      }
    });
  }
}
