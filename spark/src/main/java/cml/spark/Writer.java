// SPDX-License-Identifier: Apache-2.0
// In a task: a native writer, which gives the rows of one partition as records, and at the end its result.
package cml.spark;

import java.util.Iterator;
import java.util.NoSuchElementException;
import org.apache.spark.TaskContext;

final class Writer implements Iterator<byte[]> {
  private long handle; // 0: ended
  private byte[] ahead;
  private byte[] result;
  long rows;

  Writer(App app, byte[] request, int partition, Iterator<byte[]> records) {
    handle = Native.write(app.site(), request, partition, records);
    TaskContext.get().addTaskCompletionListener((TaskContext t) -> {
      end();
    });
  }

  private void end() {
    if (handle == 0) return;
    long h = handle;
    handle = 0;
    result = Native.writeEnd(h);
  }

  @Override
  public boolean hasNext() {
    if (ahead == null && handle != 0) {
      ahead = Native.writeNext(handle);
      if (ahead == null) end();
    }
    return ahead != null;
  }

  @Override
  public byte[] next() {
    if (!hasNext()) throw new NoSuchElementException();
    byte[] record = ahead;
    ahead = null;
    rows += Records.rows(record);
    return record;
  }

  /** After the last record. */
  byte[] result() {
    return result;
  }
}
