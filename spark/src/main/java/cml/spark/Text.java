// SPDX-License-Identifier: Apache-2.0
// Text files (CSV, JSON lines, libsvm): one task a file, which native code takes apart into records of text.
// Hadoop's file systems give the bytes as they are stored: native code decompresses, so that a file means
// what it means on one machine.
package cml.spark;

import java.io.IOException;
import java.io.InputStream;
import java.io.Serializable;
import java.util.ArrayList;
import java.util.Iterator;
import java.util.List;
import java.util.NoSuchElementException;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.BlockLocation;
import org.apache.hadoop.fs.FileStatus;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.Path;
import org.apache.spark.SparkContext;
import org.apache.spark.TaskContext;
import org.apache.spark.api.java.JavaPairRDD;
import org.apache.spark.api.java.JavaRDD;
import org.apache.spark.util.SerializableConfiguration;
import scala.Tuple2;
import scala.collection.immutable.Seq;
import scala.jdk.javaapi.CollectionConverters;
import scala.reflect.ClassTag$;

final class Text {
  /** One file of a stage. */
  static final class File implements Serializable {
    final int ordinal;
    final String path;

    File(int ordinal, String path) {
      this.ordinal = ordinal;
      this.path = path;
    }
  }

  private Text() {}

  /** A partition for each file, where it is stored. */
  static JavaRDD<File> files(SparkContext sc, Configuration conf, List<String> path) throws IOException {
    List<Tuple2<File, Seq<String>>> all = new ArrayList<>();
    for (int i = 0; i < path.size(); i++) {
      all.add(new Tuple2<>(new File(i, path.get(i)),
          CollectionConverters.asScala(hosts(new Path(path.get(i)), conf)).toSeq()));
    }
    return sc.<File>makeRDD(CollectionConverters.asScala(all).toSeq(), ClassTag$.MODULE$.apply(File.class))
        .toJavaRDD();
  }

  private static List<String> hosts(Path path, Configuration conf) throws IOException {
    FileSystem fs = path.getFileSystem(conf);
    FileStatus s = fs.getFileStatus(path);
    BlockLocation[] all = fs.getFileBlockLocations(s, 0, 1);
    List<String> hosts = all == null || all.length == 0 ? List.of() : List.of(all[0].getHosts());
    return hosts.contains("localhost") ? List.of() : hosts; // of a file that is stored on every machine
  }

  /** Counts the rows of each file. */
  static long[] rows(JavaRDD<File> files, App app, int stage, SerializableConfiguration conf) {
    long[] rows = new long[files.getNumPartitions()];
    for (Tuple2<Integer, Long> t : files.map(f -> {
      try (Splitter s = new Splitter(app.site(), stage, f, conf.value())) {
        return new Tuple2<>(f.ordinal, Native.splitRows(s.handle));
      }
    }).collect()) {
      rows[t._1()] = t._2();
    }
    return rows;
  }

  static JavaPairRDD<Long, byte[]> records(JavaRDD<File> files, App app, int stage,
      SerializableConfiguration conf, Keys keys) {
    return files.mapPartitionsToPair(all -> {
      if (!all.hasNext()) return List.<Tuple2<Long, byte[]>>of().iterator();
      return new Splitter(app.site(), stage, all.next(), conf.value()).records(keys);
    });
  }

  /** A file that is being taken apart; ended with its task at the latest. */
  private static final class Splitter implements AutoCloseable {
    private final InputStream in;
    private long handle; // 0: ended

    Splitter(long site, int stage, File file, Configuration conf) throws IOException {
      Path path = new Path(file.path);
      in = path.getFileSystem(conf).open(path);
      try {
        handle = Native.split(site, stage, file.ordinal, file.path, in);
      } finally {
        if (handle == 0) in.close();
      }
      TaskContext.get().addTaskCompletionListener((TaskContext t) -> {
        close();
      });
    }

    @Override
    public void close() {
      if (handle == 0) return;
      Native.splitEnd(handle);
      handle = 0;
      try {
        in.close();
      } catch (IOException e) {
        // all was read
      }
    }

    Iterator<Tuple2<Long, byte[]>> records(Keys keys) {
      return new Iterator<>() {
        private byte[] ahead;

        @Override
        public boolean hasNext() {
          if (ahead == null && handle != 0) {
            ahead = Native.splitNext(handle);
            if (ahead == null) close();
          }
          return ahead != null;
        }

        @Override
        public Tuple2<Long, byte[]> next() {
          if (!hasNext()) throw new NoSuchElementException();
          byte[] record = ahead;
          ahead = null;
          return new Tuple2<>(keys.key(record), record);
        }
      };
    }
  }
}
