// SPDX-License-Identifier: Apache-2.0
// Numbers the blocks of all files of a source: those of the first file, then those of the second, and so on.
package cml.spark;

import java.io.Serializable;

final class Keys implements Serializable {
  final int block; // positions of one
  private final long[] first; // block of each file; then how many there are

  Keys(int block, long[] rows) {
    this.block = block;
    first = new long[rows.length + 1];
    for (int i = 0; i < rows.length; i++) first[i + 1] = first[i] + (rows[i] + block - 1) / block;
  }

  long blocks() {
    return first[first.length - 1];
  }

  Long key(int file, long pos) {
    long b = first[file] + pos / block;
    if (b >= first[file + 1]) {
      throw new CmlException(CmlException.DATA, "CML0533", "", "a file of the source grew while it was read",
          "Run it again.");
    }
    return b * block + pos % block;
  }

  Long key(byte[] record) {
    return key(Records.file(record), Records.position(record));
  }
}
