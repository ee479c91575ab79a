// SPDX-License-Identifier: Apache-2.0
// The SparkSession as cml needs it. What a user sets with --conf goes before, but for what the meaning of
// programs depends on: times are UTC, columns are told apart by case, plans are made once.
package cml.spark;

import java.util.Map;
import org.apache.spark.SparkConf;
import org.apache.spark.SparkContext;
import org.apache.spark.sql.SparkSession;
import scala.Tuple2;

final class Session {
  private static final Map<String, String> ALWAYS = Map.ofEntries(
      Map.entry("spark.sql.session.timeZone", "UTC"),
      Map.entry("spark.sql.caseSensitive", "true"),
      // else a new executor whose first task is of a query gets the session's files, and not ours
      Map.entry("spark.sql.artifact.isolation.enabled", "false"),
      Map.entry("spark.sql.adaptive.enabled", "false"), // a plan that is run twice gives the same partitions
      Map.entry("spark.sql.parquet.datetimeRebaseModeInRead", "CORRECTED"),
      Map.entry("spark.sql.parquet.datetimeRebaseModeInWrite", "CORRECTED"),
      Map.entry("spark.sql.parquet.int96RebaseModeInRead", "CORRECTED"),
      Map.entry("spark.sql.parquet.int96RebaseModeInWrite", "CORRECTED"),
      Map.entry("spark.sql.avro.datetimeRebaseModeInRead", "CORRECTED"),
      Map.entry("spark.sql.parquet.outputTimestampType", "TIMESTAMP_MICROS"),
      Map.entry("spark.sql.files.ignoreCorruptFiles", "false"),
      Map.entry("spark.sql.files.ignoreMissingFiles", "false"),
      Map.entry("spark.sql.codegen.wholeStage", "true"),
      Map.entry("spark.sql.codegen.maxFields", "1000000"), // wide scans are read in columns too
      Map.entry("spark.sql.columnVector.offheap.enabled", "true"));
  private static final Map<String, String> DEFAULTS = Map.of(
      "spark.ui.showConsoleProgress", "false",
      "spark.sql.parquet.columnarReaderBatchSize", String.valueOf(Cutter.MOST),
      "spark.sql.orc.columnarReaderBatchSize", String.valueOf(Cutter.MOST),
      "spark.sql.inMemoryColumnarStorage.batchSize", String.valueOf(Cutter.MOST),
      "spark.sql.legacy.parquet.nanosAsLong", "true"); // else one such column hides all others

  private Session() {}

  static SparkSession open() {
    SparkConf conf = new SparkConf();
    if (conf.get("spark.app.name", Main.class.getName()).equals(Main.class.getName())) conf.setAppName("cml");
    ALWAYS.forEach(conf::set);
    DEFAULTS.forEach(conf::setIfMissing);
    SparkSession spark = SparkSession.builder().config(conf).getOrCreate();
    SparkContext sc = spark.sparkContext();
    if (!conf.contains("spark.log.level")) sc.setLogLevel("WARN");
    for (Tuple2<String, String> t : sc.getConf().getAllWithPrefix("spark.sql.")) {
      sc.setLocalProperty("spark.sql." + t._1(), t._2()); // as Spark's own queries take them to executors
    }
    return spark;
  }
}
