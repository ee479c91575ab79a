// SPDX-License-Identifier: Apache-2.0
// Spark's planner and its reader of Parquet load thousands of classes when they are first used. While executors
// start, the driver, which has nothing to do, plans a scan of no files at all; an executor that has come reads
// a file of a hundred rows, while the driver waits for others. What comes of it is thrown away, and so are
// errors: the first request meets them, too, and reports them.
package cml.spark;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import org.apache.parquet.example.data.Group;
import org.apache.parquet.example.data.simple.SimpleGroupFactory;
import org.apache.parquet.hadoop.ParquetWriter;
import org.apache.parquet.hadoop.example.ExampleParquetWriter;
import org.apache.parquet.hadoop.metadata.CompressionCodecName;
import org.apache.parquet.io.LocalOutputFile;
import org.apache.parquet.schema.MessageType;
import org.apache.parquet.schema.MessageTypeParser;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.execution.datasources.parquet.VectorizedParquetRecordReader;
import org.apache.spark.sql.types.DataTypes;
import org.apache.spark.sql.types.StructType;

final class Warm {
  private static final int ROWS = 100;
  private static final long PATIENCE = 2000; // ms for the file: executors take longer to come
  private static final StructType TYPE = new StructType().add("k", DataTypes.DoubleType)
      .add("i", DataTypes.LongType).add("s", DataTypes.StringType);

  private static boolean begun; // in an executor

  private final CompletableFuture<byte[]> file = new CompletableFuture<>();

  private interface Work {
    void run() throws Exception;
  }

  private static void aside(Work work) {
    Thread t = new Thread(() -> {
      try {
        work.run();
      } catch (Exception | LinkageError e) {
        // said above
      }
    }, "cml-warm");
    t.setDaemon(true);
    t.start();
  }

  /* ---- The driver ---- */

  Warm(SparkSession spark) {
    aside(() -> {
      try {
        file.complete(written());
      } finally {
        file.complete(new byte[0]);
      }
      plan(spark);
    });
  }

  /** What executors read; empty: nothing. */
  byte[] file() {
    try {
      return file.get(PATIENCE, TimeUnit.MILLISECONDS);
    } catch (Exception e) {
      return new byte[0];
    }
  }

  private static byte[] written() throws IOException {
    Path path = Files.createTempFile("cml-spark-", ".parquet");
    try {
      Files.delete(path);
      MessageType type = MessageTypeParser.parseMessageType(
          "message m { optional double k; optional int64 i; optional binary s (STRING); }");
      SimpleGroupFactory row = new SimpleGroupFactory(type);
      try (ParquetWriter<Group> out = ExampleParquetWriter.builder(new LocalOutputFile(path)).withType(type)
          .withCompressionCodec(CompressionCodecName.SNAPPY).build()) {
        for (long i = 0; i < ROWS; i++) {
          out.write(row.newGroup().append("k", i / 7.0).append("i", i).append("s", "s" + i % 5));
        }
      }
      return Files.readAllBytes(path);
    } finally {
      Files.deleteIfExists(path);
    }
  }

  private static void plan(SparkSession spark) throws IOException {
    Path folder = Files.createTempDirectory("cml-spark-");
    try {
      Reading.ofNothing(spark.read().schema(TYPE).parquet(folder.toUri().toString()));
    } finally {
      Files.delete(folder);
    }
  }

  /* ---- An executor ---- */

  static synchronized void executor(byte[] file) {
    if (begun || file.length == 0) return;
    begun = true;
    aside(() -> read(file));
  }

  private static void read(byte[] file) throws Exception {
    Path path = Files.createTempFile("cml-spark-", ".parquet");
    try (var reader = new VectorizedParquetRecordReader(true, ROWS)) {
      Files.write(path, file);
      Column.Place[] place = new Column.Place[TYPE.size()];
      for (int k = 0; k < place.length; k++) {
        place[k] = new Column.Place(k, TYPE.fields()[k].dataType(), new String[1]);
      }
      Encoder encoder = new Encoder(place);
      reader.initialize(path.toString(), List.of(TYPE.fieldNames()));
      reader.initBatch(null, null);
      while (reader.nextBatch()) {
        encoder.batch();
        encoder.record(reader.resultBatch(), 0, reader.resultBatch().numRows(), 0, 0);
      }
    } finally {
      Files.deleteIfExists(path);
    }
  }
}
