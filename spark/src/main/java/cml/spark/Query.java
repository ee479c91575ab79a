// SPDX-License-Identifier: Apache-2.0
// A query as a source: one SELECT in Spark's SQL. Params stand in it as on one machine ($name), and are
// values, never text; they come as options "$name type". A statement that does more than read is not run:
// Spark would run it while it is looked at.
package cml.spark;

import java.time.Instant;
import java.time.LocalDate;
import java.time.LocalDateTime;
import java.time.ZoneOffset;
import java.util.HashMap;
import java.util.Map;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.catalyst.plans.logical.Command;
import org.apache.spark.sql.catalyst.plans.logical.LogicalPlan;
import org.apache.spark.sql.catalyst.plans.logical.ParsedStatement;
import scala.jdk.javaapi.CollectionConverters;

final class Query {
  private Query() {}

  static Dataset<Row> rows(SparkSession spark, Input in) throws Exception {
    Map<String, Object> value = new HashMap<>();
    for (Map.Entry<String, String> o : in.options.entrySet()) {
      String[] name = o.getKey().split(" ", 2); // "$name type"
      if (!o.getKey().startsWith("$") || name.length < 2) continue;
      value.put(name[0].substring(1), value(name[1], o.getValue()));
    }
    String sql = named(in.what, value);
    var session = (org.apache.spark.sql.classic.SparkSession) spark;
    if (!reads(session.sessionState().sqlParser().parsePlan(sql))) {
      throw in.unreadable("the query of a source is a SELECT, and this is none",
          "Write one SELECT; a source only reads.");
    }
    return spark.sql(sql, value);
  }

  private static boolean reads(LogicalPlan plan) {
    if (plan instanceof Command || plan instanceof ParsedStatement) return false;
    for (LogicalPlan child : CollectionConverters.asJava(plan.children())) {
      if (!reads(child)) return false;
    }
    return true;
  }

  private static Object value(String type, String text) {
    return switch (type) {
      case "int" -> Long.valueOf(text);
      case "float" -> Double.valueOf(text);
      case "bool" -> Boolean.valueOf(text);
      case "date" -> LocalDate.parse(text);
      case "timestamp" -> instant(text);
      default -> text;
    };
  }

  private static Instant instant(String text) {
    return LocalDateTime.parse(text.replace(' ', 'T')).toInstant(ZoneOffset.UTC);
  }

  /* $name of a param, outside of quotes and comments, as Spark writes it: :name. */
  static String named(String sql, Map<String, Object> value) {
    StringBuilder out = new StringBuilder();
    int n = sql.length();
    for (int i = 0; i < n; ) {
      int end = quoted(sql, i);
      if (end == i && sql.charAt(i) == '$') {
        end = i + 1;
        while (end < n && Character.isJavaIdentifierPart(sql.charAt(end)) && sql.charAt(end) != '$') end++;
        boolean param = value.containsKey(sql.substring(i + 1, end));
        out.append(param ? ":" : "$").append(sql, i + 1, end);
      } else {
        end = Math.max(end, i + 1);
        out.append(sql, i, end);
      }
      i = end;
    }
    return out.toString();
  }

  /* Where the quote or comment ends that begins at i; i: none does. */
  private static int quoted(String sql, int i) {
    char c = sql.charAt(i);
    if (sql.startsWith("--", i)) return after(sql, "\n", i);
    if (sql.startsWith("/*", i)) return after(sql, "*/", i + 2);
    if (c != '\'' && c != '"' && c != '`') return i;
    int end = i + 1;
    while (end < sql.length() && sql.charAt(end) != c) end += sql.charAt(end) == '\\' && c != '`' ? 2 : 1;
    return Math.min(end + 1, sql.length());
  }

  private static int after(String sql, String what, int from) {
    int at = sql.indexOf(what, from);
    return at < 0 ? sql.length() : at + what.length();
  }
}
