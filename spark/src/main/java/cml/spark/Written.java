// SPDX-License-Identifier: Apache-2.0
// What was written: rows, bytes, and the results of the partitions in order. Each task adds its own, and
// Spark adds up those of tasks that ended well.
package cml.spark;

import java.io.Serializable;
import java.util.ArrayList;
import java.util.List;
import java.util.TreeMap;

final class Written {
  /** Of one partition. */
  static final class One implements Serializable {
    final Part part;
    final long rows;

    One(Part part, long rows) {
      this.part = part;
      this.rows = rows;
    }
  }

  private final TreeMap<Integer, One> all = new TreeMap<>();
  long bytes;

  void add(Source source, One one) {
    if (all.putIfAbsent(one.part.first(), one) == null) source.blocks.held(one.part);
  }

  /** All tasks have ended well: has each told of its partition? */
  Written whole(Source source) {
    if (all.size() == source.partitions()) return this;
    throw new CmlException(CmlException.FAULT, "CML0603", "", all.size() + " of " + source.partitions()
        + " partitions were written", "");
  }

  boolean troubled() {
    return all.values().stream().anyMatch(o -> Native.troubled(o.part.result));
  }

  long rows() {
    return all.values().stream().mapToLong(o -> o.rows).sum();
  }

  Out answer() {
    List<Part> parts = new ArrayList<>();
    for (One o : all.values()) parts.add(o.part);
    boolean bad = troubled();
    return new Out().u64(bad ? 0 : rows()).u64(bad ? 0 : bytes).blobs(Part.results(parts));
  }
}
