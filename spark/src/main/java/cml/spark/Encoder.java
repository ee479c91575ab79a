// SPDX-License-Identifier: Apache-2.0
// Rows of Spark's column vectors -> a record of kind 1 (vm/engine.h). Values are copied in bulk where the
// vector has them in one piece off the heap, else one by one: dictionaries are decoded here, each word once.
// An encoder belongs to one task.
package cml.spark;

import java.util.Arrays;
import org.apache.spark.sql.execution.vectorized.ConstantColumnVector;
import org.apache.spark.sql.execution.vectorized.OffHeapColumnVector;
import org.apache.spark.sql.execution.vectorized.WritableColumnVector;
import org.apache.spark.sql.types.Decimal;
import org.apache.spark.sql.vectorized.ColumnVector;
import org.apache.spark.sql.vectorized.ColumnarBatch;
import org.apache.spark.unsafe.Platform;
import org.apache.spark.unsafe.types.UTF8String;

final class Encoder {
  private final Column.Place[] place;
  private final Words[] words; // of each string column
  private byte[] out = new byte[1 << 16];
  private int at;

  Encoder(Column.Place[] place) {
    this.place = place;
    words = new Words[place.length];
    for (int k = 0; k < place.length; k++) words[k] = new Words();
  }

  /** To be called before the first record of a batch. */
  void batch() {
    for (Words w : words) w.forget();
  }

  /** The rows [from, from + n) of the batch, which are at `pos`... of the file. */
  byte[] record(ColumnarBatch batch, int from, int n, int file, long pos) {
    at = 0;
    room(Records.HEAD);
    Records.head(out, file, pos, n);
    for (int k = 0; k < place.length; k++) column(batch, k, from, n);
    return Arrays.copyOf(out, at);
  }

  /* n zero bytes at the next multiple of 8; where they begin. */
  private int room(long n) {
    int begin = Records.align(at);
    if (n > Integer.MAX_VALUE - 64 - begin) {
      throw new CmlException(CmlException.RESOURCE, "CML0532", "", "the texts of some rows that Spark read "
          + "together have more than 2 GB", "Set --conf spark.sql.parquet.columnarReaderBatchSize=256, or "
          + "another small number.");
    }
    int end = begin + (int) n;
    if (end > out.length) out = Arrays.copyOf(out, (int) Math.min(Integer.MAX_VALUE - 16, end * 2L));
    Arrays.fill(out, at, end, (byte) 0);
    at = end;
    return begin;
  }

  private void column(ColumnarBatch batch, int k, int from, int n) {
    Column.Place p = place[k];
    ColumnVector[] way = new ColumnVector[p.inner.length + 1]; // structs, then the column
    way[0] = batch.column(p.vector);
    boolean nulls = way[0].hasNull();
    for (int i = 0; i < p.inner.length; i++) {
      way[i + 1] = way[i].getChild(p.inner[i]);
      nulls |= way[i + 1].hasNull();
    }
    ColumnVector v = way[p.inner.length];
    int head = room(16);
    Records.INT.set(out, head, p.type);
    Records.INT.set(out, head + 4, p.extra);
    long[] valid = nulls ? valid(way, from, n) : null;
    if (valid != null) {
      Records.INT.set(out, head + 8, 1);
      int words = room(valid.length * 8L);
      for (int i = 0; i < valid.length; i++) Records.LONG.set(out, words + i * 8, valid[i]);
    }
    if (p.type == Records.STRING) {
      texts(v, words[k], from, n, valid);
    } else if (p.nanos || !bulk(v, p.type, from, n)) {
      each(v, p, from, n, valid);
    }
  }

  /* A bit for each row that has a value; null: all have. */
  private static long[] valid(ColumnVector[] way, int from, int n) {
    long[] bit = new long[(n + 63) / 64];
    int missing = 0;
    for (int i = 0; i < n; i++) {
      boolean there = true;
      for (ColumnVector v : way) there = there && !v.isNullAt(from + i);
      if (there) bit[i >> 6] |= 1L << i;
      else missing++;
    }
    return missing > 0 ? bit : null;
  }

  private static boolean has(long[] valid, int i) {
    return valid == null || (valid[i >> 6] >>> i & 1) != 0;
  }

  /* What stands under a null does not matter. */
  private boolean bulk(ColumnVector v, int type, int from, int n) {
    if (!(v instanceof OffHeapColumnVector w) || w.hasDictionary() || w.isAllNull()
        || type == Records.DECIMAL) {
      return false;
    }
    long bytes = (long) n * Records.width(type);
    int to = room(bytes);
    Platform.copyMemory(null, w.valuesNativeAddress() + (long) from * Records.width(type), out,
        Platform.BYTE_ARRAY_OFFSET + to, bytes);
    return true;
  }

  private void each(ColumnVector v, Column.Place p, int from, int n, long[] valid) {
    long to = room((long) n * Records.width(p.type)) + (long) Platform.BYTE_ARRAY_OFFSET;
    for (int i = 0; i < n; i++) {
      if (!has(valid, i)) continue;
      int r = from + i;
      switch (p.type) {
        case Records.BOOL -> Platform.putByte(out, to + i, (byte) (v.getBoolean(r) ? 1 : 0));
        case Records.I8 -> Platform.putByte(out, to + i, v.getByte(r));
        case Records.I16 -> Platform.putShort(out, to + i * 2L, v.getShort(r));
        case Records.I32, Records.DATE -> Platform.putInt(out, to + i * 4L, v.getInt(r));
        case Records.F32 -> Platform.putFloat(out, to + i * 4L, v.getFloat(r));
        case Records.F64 -> Platform.putDouble(out, to + i * 8L, v.getDouble(r));
        case Records.DECIMAL -> Platform.putLong(out, to + i * 8L, unscaled(v, p, r));
        default -> Platform.putLong(out, to + i * 8L, p.nanos ? micros(v.getLong(r)) : v.getLong(r));
      }
    }
  }

  private static long micros(long nanos) {
    if (nanos % 1000 == 0) return nanos / 1000;
    throw new CmlException(CmlException.DATA, "CML0533", "", "a timestamp is finer than a microsecond",
        "Round it before.");
  }

  private static long unscaled(ColumnVector v, Column.Place p, int row) {
    if (!(v instanceof WritableColumnVector)) return v.getDecimal(row, p.precision, p.extra).toUnscaledLong();
    return p.precision <= Decimal.MAX_INT_DIGITS() ? v.getInt(row) : v.getLong(row);
  }

  private void texts(ColumnVector v, Words words, int from, int n, long[] valid) {
    UTF8String[] text = new UTF8String[n];
    int total = room(8), off = room(4L * (n + 1));
    long bytes = 0;
    for (int i = 0; i < n; i++) {
      if (has(valid, i)) {
        text[i] = words.at(v, from + i);
        bytes += text[i].numBytes();
      }
      Records.INT.set(out, off + 4 * (i + 1), (int) bytes);
    }
    int to = room(bytes);
    Records.LONG.set(out, total, bytes);
    for (UTF8String s : text) {
      if (s == null) continue;
      s.writeToMemory(out, (long) Platform.BYTE_ARRAY_OFFSET + to);
      to += s.numBytes();
    }
  }

  /** The texts of one column of a batch: of a dictionary each is decoded once. */
  private static final class Words {
    private UTF8String[] seen = new UTF8String[0];
    private UTF8String constant;
    private int most = -1; // of the ids that were seen

    void forget() {
      Arrays.fill(seen, 0, most + 1, null);
      most = -1;
      constant = null;
    }

    UTF8String at(ColumnVector v, int row) {
      if (v instanceof ConstantColumnVector) {
        if (constant == null) constant = v.getUTF8String(row);
        return constant;
      }
      if (!(v instanceof WritableColumnVector w) || !w.hasDictionary()) return v.getUTF8String(row);
      int id = w.getDictionaryIds().getDictId(row);
      if (id >= seen.length) seen = Arrays.copyOf(seen, Math.max(id + 1, 2 * seen.length));
      if (seen[id] == null) seen[id] = v.getUTF8String(row);
      most = Math.max(most, id);
      return seen[id];
    }
  }
}
