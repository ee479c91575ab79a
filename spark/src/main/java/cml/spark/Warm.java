// SPDX-License-Identifier: Apache-2.0
// Spark's planner loads thousands of classes when it plans for the first time. While executors start, and the
// driver has nothing to do, it plans a scan of no files at all. What comes of it is thrown away.
package cml.spark;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.types.DataTypes;
import org.apache.spark.sql.types.StructType;

final class Warm {
  private Warm() {}

  static void begin(SparkSession spark) {
    Thread t = new Thread(() -> plan(spark), "cml-warm");
    t.setDaemon(true);
    t.start();
  }

  private static void plan(SparkSession spark) {
    Path folder = null;
    try {
      folder = Files.createTempDirectory("cml-spark-");
      StructType schema = new StructType().add("k", DataTypes.DoubleType).add("s", DataTypes.StringType);
      Reading.ofNothing(spark.read().schema(schema).parquet(folder.toUri().toString()));
    } catch (Exception | LinkageError e) {
      // the first request meets it, too, and reports it
    } finally {
      try {
        if (folder != null) Files.delete(folder);
      } catch (IOException e) {
        // an empty folder of /tmp
      }
    }
  }
}
