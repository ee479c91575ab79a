// SPDX-License-Identifier: Apache-2.0
// The batches of one task of Spark's -> records with their keys. A record has rows of one block that follow
// each other, at most MOST. The key is the block's number times the positions of a block, plus the position
// in it: its order is that of the exchange.
package cml.spark;

import java.util.Iterator;
import java.util.NoSuchElementException;
import org.apache.spark.sql.vectorized.ColumnarBatch;
import scala.Tuple2;

final class Cutter implements Iterator<Tuple2<Long, byte[]>> {
  static final int MOST = 8192;

  private final Iterator<ColumnarBatch> batches;
  private final Encoder encoder;
  private final Positions positions;
  private final Keys keys;
  private final long first, end; // keys
  private ColumnarBatch batch;
  private int row, rows;
  private int n; // rows that are next; 0: not looked for yet
  private Long key;

  Cutter(Iterator<ColumnarBatch> batches, Column.Place[] place, Positions positions, Keys keys) {
    this(batches, place, positions, keys, 0, keys.blocks());
  }

  /** Of the blocks [first, last) alone. */
  Cutter(Iterator<ColumnarBatch> batches, Column.Place[] place, Positions positions, Keys keys, long first,
      long last) {
    this.batches = batches;
    this.positions = positions;
    this.keys = keys;
    this.first = first * keys.block;
    end = last * keys.block;
    encoder = new Encoder(place);
  }

  private boolean more() {
    while (row == rows) {
      if (!batches.hasNext()) return false;
      batch = batches.next();
      encoder.batch();
      row = 0;
      rows = batch.numRows();
    }
    return true;
  }

  private void taken() {
    row += n;
    positions.taken(n);
    n = 0;
  }

  @Override
  public boolean hasNext() {
    while (n == 0 && more()) {
      n = positions.run(batch, row, Math.min(MOST, rows - row));
      n = (int) Math.min(n, keys.block - positions.at % keys.block);
      key = keys.key(positions.file, positions.at);
      if (key < first || key >= end) taken();
    }
    return n > 0;
  }

  @Override
  public Tuple2<Long, byte[]> next() {
    if (!hasNext()) throw new NoSuchElementException();
    Tuple2<Long, byte[]> t =
        new Tuple2<>(key, encoder.record(batch, row, n, positions.file, positions.at));
    taken();
    return t;
  }
}
