// SPDX-License-Identifier: Apache-2.0
// The records of a source after the exchange: partition p has those of its blocks, in order. Native code
// keeps the blocks that it made of them, so the parent (which fetches them) is asked only when native code
// asks, and a partition prefers the executor that had it last. Rows are counted once more on their way: what
// was read is what was counted before, or nothing is made of it.
package cml.spark;

import java.util.Iterator;
import org.apache.spark.Partition;
import org.apache.spark.TaskContext;
import org.apache.spark.rdd.RDD;
import scala.collection.immutable.Seq;
import scala.jdk.javaapi.CollectionConverters;
import scala.reflect.ClassTag$;

final class Blocks extends RDD<byte[]> {
  private final transient String[] place; // of each partition: of the executor that had it; null: none yet

  private final long[] rows; // of each partition

  Blocks(RDD<byte[]> parent, long[] rows) {
    super(parent, ClassTag$.MODULE$.apply(byte[].class));
    this.rows = rows;
    place = new String[parent.getNumPartitions()];
    spread(parent);
  }

  /* Where nothing says where a partition should be, neighbours are together, and each executor has as many: an
   * executor that is slow at first shall not be left with less work for all steps that follow. */
  private void spread(RDD<byte[]> parent) {
    java.util.List<String> all = Probe.places(context());
    all.sort(java.util.Comparator.comparingInt(String::length).thenComparing(s -> s));
    Partition[] part = parent.partitions();
    for (int p = 0; p < place.length && !all.isEmpty(); p++) {
      if (!parent.preferredLocations(part[p]).isEmpty()) continue;
      place[p] = all.get((int) ((long) p * all.size() / place.length));
    }
  }

  /** Driver: where partitions were worked on. */
  void held(Part part) {
    for (int i = 0; i < part.partition.length; i++) place[part.partition[i]] = part.place[i];
  }

  @Override
  public Partition[] getPartitions() {
    return parent().partitions();
  }

  private RDD<byte[]> parent() {
    return firstParent(elementClassTag());
  }

  @Override
  public Seq<String> getPreferredLocations(Partition p) {
    String at = place[p.index()];
    return at == null ? super.getPreferredLocations(p)
        : CollectionConverters.asScala(java.util.List.of(at)).toSeq();
  }

  @Override
  public scala.collection.Iterator<byte[]> compute(Partition p, TaskContext task) {
    RDD<byte[]> parent = parent();
    return CollectionConverters.asScala(new Iterator<byte[]>() {
      private Iterator<byte[]> all;
      private long left = rows[p.index()];

      private Iterator<byte[]> all() {
        if (all == null) all = CollectionConverters.asJava(parent.iterator(p, task));
        return all;
      }

      @Override
      public boolean hasNext() {
        if (all().hasNext()) return true;
        if (left != 0) throw Positions.changed();
        return false;
      }

      @Override
      public byte[] next() {
        byte[] record = all().next();
        left -= Records.rows(record);
        return record;
      }
    });
  }
}
