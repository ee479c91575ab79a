// SPDX-License-Identifier: Apache-2.0
// Spark's exceptions as one readable sentence, and as the error that cmlc reports.
package cml.spark;

import org.apache.spark.SparkThrowable;

final class Reasons {
  private static final int MOST = 500; // characters

  private Reasons() {}

  /** The innermost message that says something, without stack traces. */
  static String brief(Throwable t) {
    String first = text(t), last = first;
    for (int depth = 0; t.getCause() != null && depth < 32; depth++) {
      t = t.getCause();
      String s = text(t);
      if (!s.isEmpty()) last = s;
    }
    boolean within = last.isEmpty() || first.contains(last) || last.contains(first);
    return brief(first.isEmpty() ? last : within ? first : first + ": " + last);
  }

  /** What a task was ended by: from what Spark says of a job that failed. */
  static String brief(String s) {
    int lost = s.indexOf("Lost task "), reason = lost < 0 ? -1 : s.indexOf("): ", lost);
    if (reason >= 0) s = s.substring(reason + 3);
    s = s.replace("Job aborted due to stage failure: ", "");
    int trace = s.indexOf("\n\tat "), driver = s.indexOf("\nDriver stacktrace");
    if (trace >= 0) s = s.substring(0, trace);
    if (driver >= 0 && driver < s.length()) s = s.substring(0, driver);
    s = s.replaceAll(" SQLSTATE: \\w+", "").replaceAll("\\s+", " ").strip();
    while (s.endsWith(".")) s = s.substring(0, s.length() - 1);
    return s.length() > MOST ? s.substring(0, MOST) + "..." : s;
  }

  /* Of a message of Spark's with a code, "[CODE] Words. Advice.", the words. */
  private static String text(Throwable t) {
    String s = t.getMessage();
    if (s == null || s.isBlank()) return t.getClass().getSimpleName();
    s = s.strip();
    if (t instanceof SparkThrowable && s.startsWith("[")) {
      s = s.substring(s.indexOf(']') + 1).split("\\.\\s+(?=[A-Z])|\\n== SQL", 2)[0].strip();
    }
    return t instanceof OutOfMemoryError ? "out of memory: " + s : s;
  }

  /** A job of Spark's that ended by itself. */
  static CmlException failed(Throwable t) {
    CmlException own = CmlException.in(t);
    if (own != null && (own.isFinal() || !own.id.equals("CML0532") && !isSparks(t))) return own;
    if (own != null && own.id.equals("CML0531")) return own;
    if (own != null) {
      return error("CML0532", own.where, "a task failed again and again; last: " + own.cause, own.remedy);
    }
    String all = String.valueOf(t.getMessage());
    if (all.contains("maxResultSize")) {
      return error("CML0532", "", "the results are more than Spark lets its driver take: " + brief(all),
          "Set --conf spark.driver.maxResultSize=8g, or 0 for no limit.");
    }
    for (Throwable c = t; c != null; c = c.getCause()) {
      if (c instanceof SparkThrowable s && isReading(s.getCondition())) {
        return new CmlException(CmlException.DATA, "CML0533", "", "Spark cannot read the source: "
            + brief(c), "");
      }
    }
    return error("CML0532", "", "a job of Spark's failed: " + brief(isSparks(t) ? all : brief(t)), "");
  }

  private static boolean isSparks(Throwable t) {
    return t instanceof org.apache.spark.SparkException;
  }

  private static boolean isReading(String condition) {
    return condition != null && (condition.startsWith("FAILED_READ_FILE")
        || condition.startsWith("CANNOT_READ_FILE") || condition.startsWith("PARQUET"));
  }

  private static CmlException error(String id, String where, String cause, String remedy) {
    return new CmlException(CmlException.RESOURCE, id, where, cause, remedy);
  }
}
