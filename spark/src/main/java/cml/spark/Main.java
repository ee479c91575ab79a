// SPDX-License-Identifier: Apache-2.0
// The Spark driver of cmlc: connects to the socket that cmlc gave, and answers one request after the other.
// A thread of its own reads, so that CANCEL and the end of cmlc are seen while a job runs.
package cml.spark;

import java.io.IOException;
import java.nio.file.Path;
import java.util.Map;
import java.util.Timer;
import java.util.TimerTask;
import java.util.TreeMap;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import org.apache.hadoop.conf.Configuration;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.types.StructField;

public final class Main {
  private static final long PATIENCE = 9000; // ms for Spark to stop
  private static final long WAIT = 20_000; // ms without an executor until that is said

  private final Channel channel;
  private final Path folder; // of cmlc, for its socket and our log
  private final BlockingQueue<Channel.Frame> requests = new LinkedBlockingQueue<>();
  private final Map<Integer, Source> sources = new TreeMap<>();
  private volatile SparkSession spark;
  private volatile Jobs jobs; // null: Spark did not start
  private CmlException broken; // why
  private Warm warm;
  private Values values;
  private Source.Maker maker;

  private Main(Channel channel, Path folder) {
    this.channel = channel;
    this.folder = folder;
  }

  public static void main(String[] args) throws Exception {
    if (args.length != 1) {
      System.err.println("cml-spark.jar is started by cmlc run --executor spark");
      System.exit(2);
    }
    Main main = new Main(new Channel(args[0]), Path.of(args[0]).getParent());
    Thread reader = new Thread(main::read, "cml-reader");
    reader.setDaemon(true);
    reader.start();
    main.start();
    main.answerAll();
    main.stop();
  }

  /* ---- The reader's thread ---- */

  private void read() {
    try {
      for (;;) {
        Channel.Frame f = channel.receive();
        if (f.kind() != Channel.CANCEL) requests.add(f);
        else if (jobs != null) jobs.cancel();
      }
    } catch (IOException e) { // cmlc has gone
      if (jobs != null) jobs.cancel();
      removeFolder();
      stop();
    }
  }

  /* Which cmlc does unless it was killed. */
  private void removeFolder() {
    try {
      for (String name : new String[] {"socket", "log", ""}) {
        java.nio.file.Files.deleteIfExists(folder.resolve(name));
      }
    } catch (IOException e) {
      // something else is in it, or cmlc is just removing it
    }
  }

  /* Ends the process, whether Spark stops or not. */
  private void stop() {
    if (jobs != null) jobs.stopping();
    Thread end = new Thread(() -> {
      try {
        Thread.sleep(PATIENCE);
      } catch (InterruptedException e) {
        // now, then
      }
      Runtime.getRuntime().halt(0);
    });
    end.setDaemon(true);
    end.start();
    if (spark != null) {
      Configuration conf = spark.sparkContext().hadoopConfiguration();
      spark.stop();
      Write.sweep(conf);
    }
    System.exit(0);
  }

  /* ---- The requests' thread ---- */

  /* While cmlc does other things. */
  private void start() {
    try {
      spark = Session.open();
      jobs = new Jobs(spark.sparkContext(), channel);
      warm = new Warm(spark);
    } catch (Throwable e) {
      String why = Reasons.brief(e);
      boolean alone = why.contains("stopped SparkContext"); // its scheduler gave up while the session was made
      broken = new CmlException(CmlException.RESOURCE, "CML0530", "",
          alone ? "Spark's master cannot be reached, or refused the application"
              : "Spark could not be started: " + why,
          alone ? "Look at the address in --master." : "");
    }
  }

  private void answerAll() throws IOException, InterruptedException {
    for (;;) {
      Channel.Frame f = requests.take();
      if (f.kind() == Channel.BYE) {
        channel.send(Channel.OK, new Out());
        return;
      }
      Out out;
      int kind = Channel.OK;
      try {
        out = answer(f.kind(), new In(f.body()));
        if (jobs != null) jobs.end();
      } catch (Throwable t) {
        CmlException e = jobs == null ? broken : jobs.error(t);
        if (jobs != null) jobs.end();
        out = new Out().u32(e.status).str(e.id).str(e.where).str(e.cause).str(e.remedy);
        kind = Channel.ERROR;
      }
      channel.send(kind, out);
    }
  }

  private Out answer(int kind, In in) throws Exception {
    if (jobs == null) throw broken;
    switch (kind) {
      case Channel.OPEN: return open(in);
      case Channel.SOURCE: return source(in);
      case Channel.PUT: return put(in);
      case Channel.REDUCE: return reduce(in);
      case Channel.WRITE: return write(in);
      case Channel.DROP: return drop(in);
      case Channel.FILES: return files(in);
      case Channel.RANGE: return range(in);
      case Channel.SCHEMA: return schema(in);
      case Channel.PLAIN: return plain(in);
      case Channel.TAILS: return tails(in);
      default: throw new CmlException(CmlException.FAULT, "CML0614", "", "a request of kind " + kind, "");
    }
  }

  private Out open(In in) throws Exception {
    byte[] program = in.blob();
    long memory = in.u64();
    String folder = in.str();
    int wanted = in.u32();
    boolean reads = in.u32() != 0; // Spark's reader of Parquet will be needed in tasks
    in.end();
    var sc = spark.sparkContext();
    jobs.begin("check the workers");
    values = new Values(sc, program, memory, folder);
    Probe probe = new Probe(sc, reads ? warm.file() : new byte[0]);
    Timer patience = new Timer(true);
    patience.schedule(new TimerTask() {
      @Override
      public void run() {
        jobs.note("Spark has given no executor yet: the cluster may be busy, or have none of the size asked for");
      }
    }, WAIT);
    probe.run(values.app(), patience::cancel);
    int partitions = wanted > 0 ? wanted : sc.getConf().getInt("spark.cml.partitions", 0);
    partitions = partitions > 0 ? partitions : 2 * sc.defaultParallelism();
    maker = new Source.Maker(spark, probe.block(), partitions);
    return new Out().str(spark.version()).u32(partitions).u32(probe.executor.size())
        .str(sc.uiWebUrl().isDefined() ? sc.uiWebUrl().get() : "");
  }

  private Out source(In in) throws Exception {
    int stage = in.u32(), how = in.u32();
    Input[] input = Input.read(in);
    Column[] column = Column.read(in);
    in.end();
    if (maker == null) throw new CmlException(CmlException.FAULT, "CML0606", "", "SOURCE before OPEN", "");
    jobs.begin("count the rows of " + (input.length > 0 ? input[0].name() : "a source"));
    Source s = maker.make(stage, how, input, column, values.app(stage));
    take(stage, s);
    Out out = new Out().u32(s.rows.length);
    for (long n : s.rows) out.u64(n);
    return out.u32(s.partitions());
  }

  private void take(int stage, Source s) {
    Source old = sources.put(stage, s);
    if (old != null) old.drop();
  }

  private Out plain(In in) throws Exception {
    int stage = in.u32();
    take(stage, Source.of(stage, Runs.of(spark.sparkContext(), in)));
    return new Out();
  }

  private Out tails(In in) {
    long least = in.u64();
    String[] path = new String[in.count(4)];
    for (int i = 0; i < path.length; i++) path[i] = in.str();
    in.end();
    return Files.tails(path, least, spark.sparkContext().hadoopConfiguration());
  }

  private Source stage(int stage) {
    Source s = sources.get(stage);
    if (s == null) {
      throw new CmlException(CmlException.FAULT, "CML0605", "", "stage " + stage + " has no source", "");
    }
    return s;
  }

  private Out put(In in) {
    int kind = in.u32(), id = in.u32();
    byte[] bytes = in.blob();
    in.end();
    if (values == null) throw new CmlException(CmlException.FAULT, "CML0606", "", "PUT before OPEN", "");
    values.put(kind, id, bytes);
    return new Out();
  }

  private Out reduce(In in) {
    Source s = stage(in.u32());
    String name = in.str();
    boolean fold = in.u32() != 0;
    byte[] request = in.blob();
    in.end();
    jobs.begin(name);
    return new Out().blobs(Scan.run(spark.sparkContext(), s, values.app(), request, fold));
  }

  private Out write(In in) throws Exception {
    Source s = stage(in.u32());
    String name = in.str();
    byte[] request = in.blob();
    String path = in.str(), format = in.str();
    Column[] column = Column.read(in);
    in.end();
    jobs.begin(name);
    if (format.equals("rows")) {
      return Rows.run(spark.sparkContext(), s, values.app(), request, channel).answer();
    }
    Write w = new Write(spark, s, values.app(), column, jobs);
    try {
      return (format.equals("table") ? w.table(request, path) : w.parquet(request, path)).answer();
    } catch (org.apache.spark.sql.AnalysisException e) {
      throw Write.unwritable(path, "Spark cannot write it: " + Reasons.brief(e), "");
    }
  }

  private Out drop(In in) {
    int stage = in.u32();
    in.end();
    Source s = sources.remove(stage);
    if (s != null) s.drop();
    if (values != null) values.drop(stage);
    return new Out();
  }

  private Out files(In in) {
    String pattern = in.str();
    in.end();
    jobs.begin("list " + pattern);
    return Files.list(pattern, spark.sparkContext().hadoopConfiguration());
  }

  private Out range(In in) {
    String file = in.str();
    long from = in.u64(), n = in.u64();
    in.end();
    return Files.range(file, from, n, spark.sparkContext().hadoopConfiguration());
  }

  private Out schema(In in) {
    Input input = new Input(in);
    in.end();
    jobs.begin("look at " + input.name());
    Dataset<?> d = input.load(spark);
    StructField[] field = d.schema().fields();
    Out out = new Out().u32(field.length);
    for (StructField f : field) out.str(f.name()).str(Types.duck(f.dataType())).u8(f.nullable() ? 1 : 0);
    return out;
  }
}
