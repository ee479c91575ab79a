// SPDX-License-Identifier: Apache-2.0
// What a task gives of one partition, or several neighbours merged: a result, and on which executor each
// partition was.
package cml.spark;

import java.io.Serializable;
import java.util.Arrays;
import java.util.List;
import org.apache.spark.SparkEnv;
import org.apache.spark.storage.BlockManagerId;

final class Part implements Serializable {
  final int[] partition;
  final String[] place;
  final byte[] result;

  private Part(int[] partition, String[] place, byte[] result) {
    this.partition = partition;
    this.place = place;
    this.result = result;
  }

  /** In a task. */
  static Part of(int partition, byte[] result) {
    BlockManagerId here = SparkEnv.get().blockManager().blockManagerId();
    String place = "executor_" + here.host() + "_" + here.executorId(); // as Spark's task locations are written
    return new Part(new int[] {partition}, new String[] {place}, result);
  }

  static Part merged(List<Part> parts, byte[] result) {
    return new Part(parts.stream().flatMapToInt(p -> Arrays.stream(p.partition)).toArray(),
        parts.stream().flatMap(p -> Arrays.stream(p.place)).toArray(String[]::new), result);
  }

  int first() {
    return partition[0];
  }

  static byte[][] results(List<Part> parts) {
    return parts.stream().map(p -> p.result).toArray(byte[][]::new);
  }
}
