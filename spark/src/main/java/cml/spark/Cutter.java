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
  private ColumnarBatch batch;
  private int row, rows;

  Cutter(Iterator<ColumnarBatch> batches, Column.Place[] place, Positions positions, Keys keys) {
    this.batches = batches;
    this.positions = positions;
    this.keys = keys;
    encoder = new Encoder(place);
  }

  @Override
  public boolean hasNext() {
    while (row == rows) {
      if (!batches.hasNext()) return false;
      batch = batches.next();
      encoder.batch();
      row = 0;
      rows = batch.numRows();
    }
    return true;
  }

  @Override
  public Tuple2<Long, byte[]> next() {
    if (!hasNext()) throw new NoSuchElementException();
    int n = positions.run(batch, row, Math.min(MOST, rows - row));
    n = (int) Math.min(n, keys.block - positions.at % keys.block);
    byte[] record = encoder.record(batch, row, n, positions.file, positions.at);
    Long key = keys.key(positions.file, positions.at);
    row += n;
    positions.taken(n);
    return new Tuple2<>(key, record);
  }
}
