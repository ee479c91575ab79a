// SPDX-License-Identifier: Apache-2.0
// Driver: the libraries, the program and the values as they are now, from which every job gets its App.
package cml.spark;

import java.io.File;
import java.util.Arrays;
import java.util.Map;
import java.util.TreeMap;
import org.apache.spark.SparkContext;
import org.apache.spark.broadcast.Broadcast;
import org.apache.spark.util.SerializableConfiguration;
import scala.reflect.ClassTag$;

final class Values {
  private final SparkContext sc;
  private final String[] libraries;
  private final Broadcast<byte[]> program;
  private final long memory;
  private final Map<Long, App.Value> value = new TreeMap<>();
  private int[] dropped = {};
  private long version;

  /** The libraries in the folder go to each executor. */
  Values(SparkContext sc, byte[] program, long memory, String folder) {
    this.sc = sc;
    this.memory = memory;
    File[] file = new File(folder).listFiles(f -> f.getName().matches("lib.+\\.so(\\.[0-9.]+)?"));
    if (file == null) {
      throw new CmlException(CmlException.RESOURCE, "CML0531", folder,
          "the folder with the native library cannot be read", "");
    }
    Arrays.sort(file);
    for (File f : file) sc.addFile(f.toURI().toString());
    libraries = Arrays.stream(file).map(File::getName).toArray(String[]::new);
    this.program = broadcast(sc, program);
  }

  static Broadcast<byte[]> broadcast(SparkContext sc, byte[] bytes) {
    return sc.broadcast(bytes, ClassTag$.MODULE$.apply(byte[].class));
  }

  /** Hadoop's, which is large: it is not to go with each job. */
  static Broadcast<SerializableConfiguration> configuration(SparkContext sc) {
    return sc.broadcast(new SerializableConfiguration(sc.hadoopConfiguration()),
        ClassTag$.MODULE$.apply(SerializableConfiguration.class));
  }

  void put(int kind, int id, byte[] bytes) {
    App.Value now = new App.Value(kind, id, ++version, broadcast(sc, bytes));
    App.Value old = value.put(key(kind, id), now);
    if (old != null) old.bytes.unpersist(); // not destroyed: an older job's tasks may be run again
  }

  void drop(int stage) {
    App.Value old = value.remove(key(1, stage));
    if (old != null) old.bytes.unpersist();
    dropped = Arrays.copyOf(dropped, dropped.length + 1);
    dropped[dropped.length - 1] = stage;
  }

  private static long key(int kind, int id) {
    return (long) kind << 32 | Integer.toUnsignedLong(id);
  }

  App app() {
    return app(value.values().toArray(new App.Value[0]));
  }

  /** For tasks that take the files of a stage apart. */
  App app(int stage) {
    App.Value v = value.get(key(1, stage));
    return app(v == null ? new App.Value[0] : new App.Value[] {v});
  }

  private App app(App.Value[] values) {
    return new App(libraries, program, memory, dropped, values);
  }
}
