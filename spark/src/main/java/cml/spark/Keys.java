// SPDX-License-Identifier: Apache-2.0
// Numbers the blocks of all files of a source: those of the first file, then those of the second, and so on.
package cml.spark;

import java.io.Serializable;

final class Keys implements Serializable {
  final int block; // positions of one
  private final long[] first; // block of each file; then how many there are
  private final transient long[] rows; // of each file

  Keys(int block, long[] rows) {
    this.block = block;
    this.rows = rows;
    first = new long[rows.length + 1];
    for (int i = 0; i < rows.length; i++) first[i + 1] = first[i] + (rows[i] + block - 1) / block;
  }

  long blocks() {
    return first[first.length - 1];
  }

  /** Its first block. */
  long first(int file) {
    return first[file];
  }

  Long key(int file, long pos) {
    long b = first[file] + pos / block;
    if (b >= first[file + 1]) {
      throw new CmlException(CmlException.DATA, "CML0533", "", "a file of the source grew while it was read",
          "Run it again.");
    }
    return b * block + pos % block;
  }

  /** The rows of each of `parts` partitions, which Ranges makes of the blocks. */
  long[] rows(int parts) {
    long[] all = new long[parts];
    Ranges ranges = new Ranges(Math.max(blocks(), 1), parts, 1);
    for (int f = 0; f < rows.length; f++) {
      for (long b = first[f]; b < first[f + 1]; b++) {
        all[ranges.getPartition(b)] += Math.min(block, rows[f] - (b - first[f]) * block);
      }
    }
    return all;
  }

  /** The rows of the blocks [from, to). */
  long rows(long from, long to) {
    long n = 0;
    for (int f = 0; f < rows.length; f++) {
      long a = Math.max(from, first[f]) - first[f], b = Math.min(to, first[f + 1]) - first[f];
      if (a < b) n += Math.min(b * block, rows[f]) - a * block;
    }
    return n;
  }

  Long key(byte[] record) {
    return key(Records.file(record), Records.position(record));
  }
}
