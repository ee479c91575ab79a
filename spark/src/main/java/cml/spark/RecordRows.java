// SPDX-License-Identifier: Apache-2.0
// The rows of a record of columns that native code made to be written, for Spark's writers. One row object
// is used for all: Spark copies what it keeps.
package cml.spark;

import java.util.Iterator;
import java.util.NoSuchElementException;
import org.apache.spark.sql.catalyst.InternalRow;
import org.apache.spark.sql.catalyst.expressions.GenericInternalRow;
import org.apache.spark.unsafe.types.UTF8String;

final class RecordRows implements Iterator<InternalRow> {
  private final byte[] r;
  private final int n, columns;
  private final int[] type, valid, value; // of each column: type, where the bits and values are; 0: no nulls
  private final Object[] cell;
  private final InternalRow row;
  private int at;

  RecordRows(byte[] record, int columns) {
    r = record;
    n = Records.rows(r);
    this.columns = columns;
    type = new int[columns];
    valid = new int[columns];
    value = new int[columns];
    cell = new Object[columns];
    row = new GenericInternalRow(cell);
    int p = Records.HEAD + ((Records.flags(r) & Records.GAPS) != 0 ? 4 * n : 0);
    for (int k = 0; k < columns; k++) p = column(k, Records.align(p));
  }

  /* Where it ends. */
  private int column(int k, int p) {
    type[k] = u32(p);
    boolean nulls = u32(p + 8) != 0;
    p += 16;
    if (nulls) {
      valid[k] = p;
      p += (n + 63) / 64 * 8;
    }
    value[k] = p;
    if (type[k] != Records.STRING) return p + n * Records.width(type[k]);
    return texts(k) + (int) u64(p);
  }

  private int texts(int k) {
    return Records.align(value[k] + 8 + 4 * (n + 1));
  }

  private int u32(int p) {
    return (int) Records.INT.get(r, p);
  }

  private long u64(int p) {
    return (long) Records.LONG.get(r, p);
  }

  private Object value(int k) {
    if (valid[k] != 0 && (u64(valid[k] + (at >> 6) * 8) >>> at & 1) == 0) return null;
    int v = value[k];
    return switch (type[k]) {
      case Records.BOOL -> r[v + at] != 0;
      case Records.I64, Records.TIMESTAMP -> u64(v + at * 8);
      case Records.F64 -> Double.longBitsToDouble(u64(v + at * 8));
      case Records.DATE -> u32(v + at * 4);
      case Records.STRING -> {
        int from = u32(v + 8 + 4 * at), to = u32(v + 12 + 4 * at);
        yield UTF8String.fromBytes(r, texts(k) + from, to - from);
      }
      default -> throw new CmlException(CmlException.FAULT, "CML0614", "", "a record has a column of type "
          + type[k], "");
    };
  }

  @Override
  public boolean hasNext() {
    return at < n;
  }

  @Override
  public InternalRow next() {
    if (at >= n) throw new NoSuchElementException();
    for (int k = 0; k < columns; k++) cell[k] = value(k);
    at++;
    return row;
  }
}
