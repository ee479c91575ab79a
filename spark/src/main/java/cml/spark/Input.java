// SPDX-License-Identifier: Apache-2.0
// One input of a source as cmlc names it: a format of Spark's with options, and either files or what else
// there is to read (a table, a query, a JDBC source).
package cml.spark;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.apache.spark.sql.DataFrameReader;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;

final class Input {
  final String format, what;
  final Map<String, String> options = new LinkedHashMap<>();
  final List<String> files = new ArrayList<>();

  Input(In in) {
    format = in.str();
    for (int n = in.count(8); n > 0; n--) options.put(in.str(), in.str());
    for (int n = in.count(4); n > 0; n--) files.add(in.str());
    what = in.str();
  }

  static Input[] read(In in) {
    Input[] all = new Input[in.count(16)];
    for (int i = 0; i < all.length; i++) all[i] = new Input(in);
    return all;
  }

  /** For messages. */
  String name() {
    return files.isEmpty() ? what.isEmpty() ? format : what : files.get(0);
  }

  boolean isParquet() {
    return format.equalsIgnoreCase("parquet");
  }

  /** The rows, as Spark plans to read them. */
  Dataset<Row> load(SparkSession spark) {
    try {
      if (format.equalsIgnoreCase("table")) return spark.table(what);
      if (format.equalsIgnoreCase("sql") || format.equalsIgnoreCase("query")) return Query.rows(spark, this);
      DataFrameReader r = spark.read().format(format).options(options);
      if (!files.isEmpty()) {
        return r.load(files.stream().map(Input::literal).toArray(String[]::new));
      }
      if (what.startsWith("jdbc:")) return r.option("url", what).load();
      boolean named = options.containsKey("dbtable") || options.containsKey("query");
      return what.isEmpty() || named ? r.load() : r.option("dbtable", what).load();
    } catch (Exception | LinkageError e) { // Spark's own are not declared
      throw unreadable(e);
    }
  }

  /* Spark takes paths for patterns. */
  private static String literal(String path) {
    return path.replaceAll("([\\\\{}\\[\\]*?])", "\\\\$1");
  }

  CmlException unreadable(Throwable e) {
    CmlException own = CmlException.in(e);
    return own != null ? own : unreadable("Spark cannot read it: " + Reasons.brief(e), "");
  }

  CmlException unreadable(String cause, String remedy) {
    return new CmlException(CmlException.DATA, "CML0533", name(), cause, remedy);
  }
}
