// SPDX-License-Identifier: Apache-2.0
// The range partitioner of the exchange: of n units (blocks; results to be merged) part p of `parts` gets
// [p * n / parts, (p + 1) * n / parts). A key is a number; `unit` keys follow each other in a unit.
package cml.spark;

import org.apache.spark.Partitioner;

final class Ranges extends Partitioner {
  private final long n, unit;
  private final int parts;

  Ranges(long n, int parts, long unit) {
    this.n = n;
    this.parts = parts;
    this.unit = unit;
  }

  @Override
  public int numPartitions() {
    return parts;
  }

  @Override
  public int getPartition(Object key) {
    return (int) ((((Long) key / unit + 1) * parts - 1) / n);
  }

  @Override
  public boolean equals(Object o) {
    return o instanceof Ranges r && r.n == n && r.parts == parts && r.unit == unit;
  }

  @Override
  public int hashCode() {
    return Long.hashCode(n * 31 + parts);
  }
}
