// SPDX-License-Identifier: Apache-2.0
// The jobs of the request that is being answered: named in Spark's UI, cancelled together, their progress and
// lost executors told to cmlc. A final error of native code in one task ends them at once: another attempt
// would end in the same way.
package cml.spark;

import java.io.IOException;
import java.util.HashMap;
import java.util.HashSet;
import java.util.Map;
import java.util.Properties;
import java.util.Set;
import org.apache.spark.ExceptionFailure;
import org.apache.spark.SparkContext;
import org.apache.spark.Success$;
import org.apache.spark.scheduler.SparkListener;
import org.apache.spark.scheduler.SparkListenerExecutorAdded;
import org.apache.spark.scheduler.SparkListenerExecutorRemoved;
import org.apache.spark.scheduler.SparkListenerJobStart;
import org.apache.spark.scheduler.SparkListenerStageSubmitted;
import org.apache.spark.scheduler.SparkListenerTaskEnd;
import org.apache.spark.scheduler.SparkListenerTaskStart;
import org.apache.spark.scheduler.StageInfo;
import scala.jdk.javaapi.CollectionConverters;

final class Jobs extends SparkListener {
  private static final String GROUP = "spark.jobGroup.id";
  private static final long EVERY = 100_000_000; // ns between two frames of progress

  /** Tasks of one stage of a job. */
  private static final class Stage {
    final int tasks;
    final Set<Integer> parents = new HashSet<>();
    boolean submitted, skipped;
    int done;

    Stage(StageInfo s) {
      tasks = s.numTasks();
      for (Object p : CollectionConverters.asJava(s.parentIds())) parents.add((Integer) p);
    }
  }

  private final SparkContext sc;
  private final Channel channel;
  private final Map<Integer, Stage> stage = new HashMap<>(); // of this request
  private final Map<String, String> host = new HashMap<>(); // of executors
  private String group = "";
  private long requests, told, written;
  private boolean cancelled, stopping;
  private CmlException last; // final error of a task

  Jobs(SparkContext sc, Channel channel) {
    this.sc = sc;
    this.channel = channel;
    sc.addSparkListener(this);
  }

  /* ---- The request's thread ---- */

  /** A request begins: all jobs of this thread are its own until end(). */
  void begin(String name) {
    synchronized (this) {
      group = "cml-" + ++requests;
      stage.clear();
      last = null;
      cancelled = false;
      told = written = 0;
    }
    sc.setJobGroup(group, name, false);
  }

  /** No frame of this request may follow. */
  synchronized void end() {
    group = "";
    stage.clear();
  }

  /** What is to be reported of a failure. */
  synchronized CmlException error(Throwable t) {
    if (cancelled) return new CmlException(CmlException.CANCEL, "", "", "the run was interrupted", "");
    return last != null ? last : Reasons.failed(t);
  }

  /** Bytes that the tasks of this request wrote. */
  long written() {
    try {
      sc.listenerBus().waitUntilEmpty(10_000);
    } catch (java.util.concurrent.TimeoutException e) {
      // the figure is for the report alone
    }
    synchronized (this) {
      return written;
    }
  }

  /* ---- The reader's thread ---- */

  /** Cancels what is running, if anything is. */
  void cancel() {
    String now;
    synchronized (this) {
      if (group.isEmpty()) return;
      cancelled = true;
      now = group;
    }
    sc.cancelJobGroupAndFutureJobs(now, "interrupted");
  }

  synchronized void stopping() {
    stopping = true;
  }

  /* ---- Spark's listener thread ---- */

  /** A word to the user. */
  void note(String text) {
    try {
      channel.send(Channel.NOTE, new Out().str(text));
    } catch (IOException e) {
      // cmlc has gone: its reader sees that
    }
  }

  private boolean ours(Properties p) {
    return p != null && !group.isEmpty() && group.equals(p.getProperty(GROUP));
  }

  @Override
  public synchronized void onJobStart(SparkListenerJobStart job) {
    if (!ours(job.properties())) return;
    for (StageInfo s : CollectionConverters.asJava(job.stageInfos())) {
      stage.putIfAbsent(s.stageId(), new Stage(s));
    }
    progress(false);
  }

  /* Parents come first: what was not submitted before a child is not run. */
  @Override
  public synchronized void onStageSubmitted(SparkListenerStageSubmitted event) {
    Stage s = stage.get(event.stageInfo().stageId());
    if (s == null) return;
    s.submitted = true;
    skip(s);
    progress(false);
  }

  private void skip(Stage child) {
    for (Integer p : child.parents) {
      Stage s = stage.get(p);
      if (s == null || s.submitted || s.skipped) continue;
      s.skipped = true;
      skip(s);
    }
  }

  @Override
  public synchronized void onTaskStart(SparkListenerTaskStart task) {
    host.put(task.taskInfo().executorId(), task.taskInfo().host());
  }

  @Override
  public void onTaskEnd(SparkListenerTaskEnd task) {
    String doomed = null;
    synchronized (this) {
      Stage s = stage.get(task.stageId());
      if (s == null) return;
      if (task.reason() == Success$.MODULE$) {
        s.done++;
        if (task.taskMetrics() != null) written += task.taskMetrics().outputMetrics().bytesWritten();
        progress(false);
      } else if (task.reason() instanceof ExceptionFailure f && f.exception().isDefined()) {
        CmlException e = CmlException.in(f.exception().get());
        if (e != null && e.isFinal() && last == null) {
          last = e;
          doomed = group;
        }
      }
    }
    if (doomed != null) sc.cancelJobGroup(doomed, "a task ended with a final error");
  }

  private void progress(boolean now) {
    long t = System.nanoTime();
    if (group.isEmpty() || !now && t - told < EVERY) return;
    told = t;
    long done = 0, total = 0;
    for (Stage s : stage.values()) {
      if (s.skipped) continue;
      total += s.tasks;
      done += Math.min(s.done, s.tasks);
    }
    try {
      channel.send(Channel.PROGRESS, new Out().u64(done).u64(total));
    } catch (IOException e) {
      // as in note
    }
  }

  @Override
  public synchronized void onExecutorAdded(SparkListenerExecutorAdded event) {
    host.put(event.executorId(), event.executorInfo().executorHost());
  }

  @Override
  public void onExecutorRemoved(SparkListenerExecutorRemoved event) {
    String at, reason = Reasons.brief(String.valueOf(event.reason()));
    synchronized (this) {
      at = host.get(event.executorId());
      if (stopping) return;
    }
    if (reason.contains("idle") || reason.contains("killed by driver")) return; // Spark gives it back
    note("executor " + event.executorId() + (at == null ? "" : " on " + at) + " was lost: " + reason
        + "; its blocks are made again on others");
  }
}
