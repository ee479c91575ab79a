// SPDX-License-Identifier: Apache-2.0
// How Spark reads one input: the wanted columns checked, and an RDD of column batches with what says where
// their rows are. Where the plan is a plain scan of files that Spark reads in columns, the scan's own batches
// are taken as they are; else rows of the whole plan are turned into batches by Spark.
package cml.spark;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.apache.spark.rdd.RDD;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.catalyst.expressions.Attribute;
import org.apache.spark.sql.catalyst.expressions.AttributeReference;
import org.apache.spark.sql.execution.ColumnarToRowExec;
import org.apache.spark.sql.execution.FileSourceScanExec;
import org.apache.spark.sql.execution.InputAdapter;
import org.apache.spark.sql.execution.ProjectExec;
import org.apache.spark.sql.execution.RowToColumnarExec;
import org.apache.spark.sql.execution.SparkPlan;
import org.apache.spark.sql.execution.WholeStageCodegenExec;
import org.apache.spark.sql.execution.datasources.FileScanRDD;
import org.apache.spark.sql.functions;
import org.apache.spark.sql.types.DataType;
import org.apache.spark.sql.types.StructField;
import org.apache.spark.sql.types.StructType;
import org.apache.spark.sql.vectorized.ColumnarBatch;
import scala.jdk.javaapi.CollectionConverters;

final class Reading {
  private static final String PATH = "file_path", START = "file_block_start", INDEX = "row_index",
      SCAN_INDEX = "_tmp_metadata_row_index"; // what the scan calls it

  final RDD<ColumnarBatch> batches;
  final FileScanRDD files; // which they are read by, if by that alone
  final Column.Place[] place;
  final Positions.Plan positions;

  private Reading(RDD<ColumnarBatch> batches, FileScanRDD files, Column.Place[] place,
      Positions.Plan positions) {
    this.batches = batches;
    this.files = files;
    this.place = place;
    this.positions = positions;
  }

  /** The wanted columns of an input; `ordinal`: of its files, or null: sorted rows, without files. */
  static Reading of(SparkSession spark, Input input, Column[] column, Map<String, Integer> ordinal,
      Set<String> nanos) {
    try {
      Dataset<Row> all = input.load(spark);
      String[][] path = new String[column.length][];
      for (int k = 0; k < column.length; k++) path[k] = check(input, column[k], all.schema(), nanos);
      Reading r = ordinal == null ? sorted(all, path) : positioned(all, input.isParquet(), path, ordinal);
      for (int k = 0; k < column.length; k++) {
        if (nanos.contains(column[k].name)) r.place[k] = r.place[k].nanos();
      }
      return r;
    } catch (Exception | LinkageError e) { // Spark's own are not declared
      throw input.unreadable(e);
    }
  }

  /** All that is done for a Parquet source whose schema is known. */
  static void ofNothing(Dataset<Row> d) {
    String[][] path = Arrays.stream(d.columns()).map(c -> new String[] {c}).toArray(String[][]::new);
    positioned(d, true, path, Map.of());
  }

  /* ---- Columns ---- */

  private static String[] check(Input input, Column c, StructType schema, Set<String> nanos) {
    String[] path = Column.path(c.name, schema);
    if (path == null) {
      throw input.unreadable("there is no column `" + c.name + "`", "It has " + names(schema) + ".");
    }
    DataType t = type(schema, path);
    boolean nano = nanos.contains(c.name);
    int stored = nano ? Records.TIMESTAMP : Types.stored(t);
    if (stored == 0) {
      throw input.unreadable("the column `" + c.name + "` is of Spark's type " + t.sql().toLowerCase()
          + ", which cml does not read", "Leave it out of the schema, or convert it before.");
    }
    if (!Types.fits(stored, c.kind)) {
      throw input.unreadable("the column `" + c.name + "` is declared as " + Types.kind(c.kind)
          + ", but is of Spark's type " + (nano ? "timestamp in nanoseconds" : t.sql().toLowerCase()), "Declare it as what it is.");
    }
    return path;
  }

  private static String names(StructType schema) {
    String[] all = schema.fieldNames();
    String some = String.join("`, `", Arrays.copyOf(all, Math.min(all.length, 20)));
    return all.length == 0 ? "none" : "`" + some + "`" + (all.length > 20 ? " and more" : "");
  }

  private static DataType type(StructType s, String[] path) {
    StructField f = s.fields()[s.fieldIndex(path[0])];
    return path.length == 1 ? f.dataType()
        : type((StructType) f.dataType(), Arrays.copyOfRange(path, 1, path.length));
  }

  private static org.apache.spark.sql.Column quoted(String... path) {
    StringBuilder b = new StringBuilder();
    for (String s : path) b.append(b.length() == 0 ? "`" : ".`").append(s.replace("`", "``")).append('`');
    return functions.col(b.toString());
  }

  /* Under names that are unlike each other: k0, k1, ... */
  private static List<org.apache.spark.sql.Column> selected(String[][] path) {
    List<org.apache.spark.sql.Column> all = new ArrayList<>();
    for (String[] p : path) all.add(quoted(p).as("k" + all.size()));
    return all;
  }

  private static Dataset<Row> select(Dataset<Row> d, List<org.apache.spark.sql.Column> column) {
    return d.select(column.toArray(new org.apache.spark.sql.Column[0]));
  }

  /* ---- Plans ---- */

  private static SparkPlan plan(Dataset<Row> d) {
    return ((org.apache.spark.sql.classic.Dataset<Row>) d).queryExecution().executedPlan();
  }

  private static Reading sorted(Dataset<Row> all, String[][] path) {
    Dataset<Row> d = select(all, selected(path));
    if (path.length > 0) {
      d = d.orderBy(Arrays.stream(d.columns()).map(c -> functions.col(c).asc_nulls_first())
          .toArray(org.apache.spark.sql.Column[]::new));
    }
    return rows(plan(d), path.length, new Positions.Plan(-1, -1, -1, Map.of(), null));
  }

  private static Reading positioned(Dataset<Row> all, boolean index, String[][] path,
      Map<String, Integer> ordinal) {
    List<org.apache.spark.sql.Column> wanted = selected(path);
    wanted.add(all.metadataColumn("_metadata").getField(PATH));
    wanted.add(all.metadataColumn("_metadata").getField(index ? INDEX : START));
    SparkPlan plan = plan(select(all, wanted));
    FileSourceScanExec scan = scan(plan);
    if (scan != null) return columnar(scan, index, path, ordinal);
    int n = path.length;
    return rows(plan, n, new Positions.Plan(n, index ? -1 : n + 1, index ? n + 1 : -1, ordinal, null));
  }

  /* Turned into batches by Spark; the first n columns are the wanted ones. */
  private static Reading rows(SparkPlan plan, int n, Positions.Plan positions) {
    List<Attribute> out = CollectionConverters.asJava(plan.output());
    Column.Place[] place = new Column.Place[n];
    for (int k = 0; k < n; k++) place[k] = new Column.Place(k, out.get(k).dataType(), new String[1]);
    return new Reading(new RowToColumnarExec(plan).executeColumnar(), null, place, positions);
  }

  /* The scan below projections, if it reads in columns. */
  private static FileSourceScanExec scan(SparkPlan plan) {
    while (plan instanceof ProjectExec || plan instanceof ColumnarToRowExec
        || plan instanceof WholeStageCodegenExec || plan instanceof InputAdapter) {
      plan = plan.children().head();
    }
    return plan instanceof FileSourceScanExec s && s.supportsColumnar() ? s : null;
  }

  /* Columns of the data come first, then what the reader makes, then constants of each file. */
  private static Reading columnar(FileSourceScanExec scan, boolean index, String[][] path,
      Map<String, Integer> ordinal) {
    List<Attribute> out = CollectionConverters.asJava(scan.output());
    List<AttributeReference> constant = CollectionConverters.asJava(scan.fileConstantMetadataColumns());
    int data = out.size() - constant.size();
    Column.Place[] place = new Column.Place[path.length];
    for (int k = 0; k < place.length; k++) {
      int at = find(out, 0, data, path[k][0]);
      place[k] = new Column.Place(at, out.get(at).dataType(), path[k]);
    }
    int file = find(out, data, out.size(), PATH);
    int by = index ? find(out, 0, data, SCAN_INDEX) : find(out, data, out.size(), START);
    FileScanRDD files = scan.inputRDD() instanceof FileScanRDD f ? f : null;
    return new Reading(scan.executeColumnar(), files, place,
        new Positions.Plan(file, index ? -1 : by, index ? by : -1, ordinal, null));
  }

  private static int find(List<Attribute> out, int from, int to, String name) {
    for (int i = from; i < to; i++) {
      if (out.get(i).name().equals(name)) return i;
    }
    throw new CmlException(CmlException.FAULT, "CML0602", "", "Spark's scan has no column `" + name + "`", "");
  }
}
