// SPDX-License-Identifier: Apache-2.0
// The request of a job on its way to the tasks. A small one goes with the task itself, which Spark sends once
// to an executor; a large one by broadcast, so that the tasks of an executor share it.
package cml.spark;

import java.io.Serializable;
import org.apache.spark.SparkContext;
import org.apache.spark.broadcast.Broadcast;

final class Request implements Serializable, AutoCloseable {
  private static final int SMALL = 1 << 18;

  private final byte[] small; // or null
  private final Broadcast<byte[]> large;

  Request(SparkContext sc, byte[] request) {
    boolean few = request.length <= SMALL;
    small = few ? request : null;
    large = few ? null : Values.broadcast(sc, request);
  }

  byte[] value() {
    return small != null ? small : large.value();
  }

  /** Driver: all jobs with it have ended. */
  @Override
  public void close() {
    if (large != null) large.destroy();
  }
}
