// SPDX-License-Identifier: Apache-2.0
// WRITE to cmlc itself: the records of rows go over the channel in the order of positions. As many partitions
// as there are processors are worked on at once; their records wait here for their turn, and count for
// spark.driver.maxResultSize.
package cml.spark;

import java.io.IOException;
import java.io.Serializable;
import java.util.ArrayList;
import java.util.List;
import org.apache.spark.SparkContext;
import scala.jdk.javaapi.CollectionConverters;
import scala.reflect.ClassTag$;
import scala.runtime.AbstractFunction2;

final class Rows {
  /** Of one partition. */
  static final class Some implements Serializable {
    final Written.One one;
    final byte[][] record;

    Some(Written.One one, byte[][] record) {
      this.one = one;
      this.record = record;
    }
  }

  /** The work of a task. */
  private static final class Task
      extends AbstractFunction2<org.apache.spark.TaskContext, scala.collection.Iterator<byte[]>, Some>
      implements Serializable {
    private final App app;
    private final Request asked;

    Task(App app, Request asked) {
      this.app = app;
      this.asked = asked;
    }

    @Override
    public Some apply(org.apache.spark.TaskContext task, scala.collection.Iterator<byte[]> records) {
      int p = task.partitionId();
      Writer writer = new Writer(app, asked.value(), p, CollectionConverters.asJava(records));
      List<byte[]> all = new ArrayList<>();
      while (writer.hasNext()) all.add(writer.next());
      byte[] result = writer.result();
      if (Native.troubled(result)) all.clear(); // nobody will want them
      return new Some(new Written.One(Part.of(p, result), writer.rows), all.toArray(new byte[0][]));
    }
  }

  private Rows() {}

  static Written run(SparkContext sc, Source source, App app, byte[] request, Channel channel)
      throws IOException {
    Written all = new Written();
    int wide = Math.max(1, sc.defaultParallelism());
    try (Request asked = new Request(sc, request)) {
      for (int from = 0; from < source.partitions(); from += wide) {
        List<Object> some = new ArrayList<>();
        for (int p = from; p < Math.min(from + wide, source.partitions()); p++) some.add(p);
        Some[] done = (Some[]) sc.runJob(source.blocks, new Task(app, asked),
            CollectionConverters.asScala(some).toSeq(), ClassTag$.MODULE$.<Some>apply(Some.class));
        for (Some s : done) {
          all.add(source, s.one);
          if (!all.troubled()) send(channel, s.record, all);
        }
      }
      return all.whole(source);
    }
  }

  private static void send(Channel channel, byte[][] record, Written all) throws IOException {
    for (byte[] r : record) {
      channel.send(Channel.ROWS, new Out().blob(r));
      all.bytes += r.length;
    }
  }
}
