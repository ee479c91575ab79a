// SPDX-License-Identifier: Apache-2.0
// The first job: a task on every executor, which loads the native library there. So a worker that cannot run
// it is reported before any data are read.
package cml.spark;

import java.io.Serializable;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.apache.spark.SparkContext;
import org.apache.spark.SparkEnv;
import org.apache.spark.storage.BlockManagerId;
import scala.Tuple2;
import scala.collection.immutable.Seq;
import scala.jdk.javaapi.CollectionConverters;
import scala.reflect.ClassTag$;

final class Probe {
  private static final long STABLE = 1000, MOST = 30_000; // ms: no new executor for so long; at most
  private static final int ROUNDS = 3;

  /** What one executor says. */
  static final class Answer implements Serializable {
    final String executor, host;
    final int block;

    Answer(String executor, String host, int block) {
      this.executor = executor;
      this.host = host;
      this.block = block;
    }
  }

  private final SparkContext sc;
  private final byte[] warm; // for executors
  final Map<String, Answer> executor = new TreeMap<>();

  Probe(SparkContext sc, byte[] warm) {
    this.sc = sc;
    this.warm = warm;
  }

  /** Positions of a block. */
  int block() {
    return executor.values().iterator().next().block;
  }

  /** Asks all executors; `first` is told when there is one. */
  void run(App app, Runnable first) throws InterruptedException {
    try {
      ask(app, List.of("")); // waits until there is one
    } finally {
      first.run();
    }
    if (!sc.isLocal()) await();
    for (int round = 0; round < ROUNDS; round++) {
      List<String> left = new ArrayList<>(places());
      left.removeIf(p -> executor.containsKey(p.substring(p.lastIndexOf('_') + 1)));
      if (left.isEmpty() || sc.isLocal()) return;
      ask(app, left);
    }
  }

  private void await() throws InterruptedException {
    int n = 0, wanted = sc.getConf().getInt("spark.executor.instances", Integer.MAX_VALUE);
    long begin = System.nanoTime(), changed = begin;
    for (long now = begin; now - changed < STABLE * 1_000_000 && now - begin < MOST * 1_000_000;
        now = System.nanoTime()) {
      int m = places().size();
      if (m != n) changed = now;
      n = m;
      if (n >= wanted) return;
      Thread.sleep(50);
    }
  }

  private List<String> places() {
    return places(sc);
  }

  /** Of all executors, as task locations are written. */
  static List<String> places(SparkContext sc) {
    List<String> all = new ArrayList<>();
    for (BlockManagerId b : CollectionConverters.asJava(sc.env().blockManager().master().getMemoryStatus()
        .keySet())) {
      if (!b.isDriver()) all.add("executor_" + b.host() + "_" + b.executorId());
    }
    return all;
  }

  private void ask(App app, List<String> place) {
    List<Tuple2<Integer, Seq<String>>> task = new ArrayList<>();
    for (int i = 0; i < place.size(); i++) {
      List<String> at = place.get(i).isEmpty() ? List.of() : List.of(place.get(i));
      task.add(new Tuple2<>(i, CollectionConverters.asScala(at).toSeq()));
    }
    byte[] file = warm;
    List<Answer> answers = sc.<Integer>makeRDD(CollectionConverters.asScala(task).toSeq(),
        ClassTag$.MODULE$.apply(Integer.class)).toJavaRDD().map(i -> answer(app, file)).collect();
    for (Answer a : answers) executor.put(a.executor, a);
  }

  private static Answer answer(App app, byte[] warm) {
    Library.load(app.libraries);
    Warm.executor(warm);
    return new Answer(SparkEnv.get().executorId(), Library.host(), Native.block());
  }
}
