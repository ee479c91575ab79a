// SPDX-License-Identifier: Apache-2.0
// REDUCE: native code scans all partitions of a source, and the results come back one by one, or merged in
// Spark as a tree of neighbours (as treeReduce does) until MOST are left.
package cml.spark;

import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import org.apache.spark.SparkContext;
import org.apache.spark.TaskContext;
import org.apache.spark.api.java.JavaPairRDD;
import org.apache.spark.api.java.JavaRDD;
import scala.Tuple2;

final class Scan {
  private static final int MOST = 8;

  private Scan() {}

  static byte[][] run(SparkContext sc, Source source, App app, byte[] request, boolean fold) {
    try (Request asked = new Request(sc, request)) {
      JavaRDD<Part> parts = source.blocks.toJavaRDD().mapPartitionsWithIndex((p, records) ->
          List.of(Part.of(p, Native.scan(app.site(), asked.value(), p, records))).iterator(), true);
      if (fold) parts = merged(parts, app, asked);
      List<Part> all = new ArrayList<>(parts.collect());
      all.sort(Comparator.comparingInt(Part::first));
      for (Part p : all) source.blocks.held(p);
      return Part.results(all);
    }
  }

  private static JavaRDD<Part> merged(JavaRDD<Part> parts, App app, Request asked) {
    int n = parts.getNumPartitions(), scale = Math.max(2, (int) Math.ceil(Math.sqrt(n)));
    JavaPairRDD<Long, Part> keyed = parts.mapToPair(p -> new Tuple2<>((long) p.first(), p));
    while (n > MOST) {
      int groups = Math.max(MOST, (n + scale - 1) / scale);
      keyed = keyed.partitionBy(new Ranges(n, groups, 1)).mapPartitionsToPair(all -> {
        List<Tuple2<Long, Part>> group = new ArrayList<>();
        all.forEachRemaining(group::add);
        return merge(group, app, asked);
      });
      n = groups;
    }
    return keyed.values();
  }

  private static java.util.Iterator<Tuple2<Long, Part>> merge(List<Tuple2<Long, Part>> group, App app,
      Request asked) {
    if (group.isEmpty()) return java.util.Collections.emptyIterator();
    List<Part> parts = new ArrayList<>();
    group.sort(Comparator.comparing(Tuple2::_1));
    for (Tuple2<Long, Part> t : group) parts.add(t._2());
    byte[] one = parts.size() == 1 ? parts.get(0).result
        : Native.merge(app.site(), asked.value(), Part.results(parts));
    return List.of(new Tuple2<>((long) TaskContext.getPartitionId(), Part.merged(parts, one))).iterator();
  }
}
