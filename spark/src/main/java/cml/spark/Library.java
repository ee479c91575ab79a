// SPDX-License-Identifier: Apache-2.0
// The native library in an executor's process: checked, loaded once, and its one Site, which gets each value
// when the first task comes that needs it. Everything that a worker may lack is reported here, with its name.
package cml.spark;

import java.io.File;
import java.io.IOException;
import java.net.InetAddress;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Set;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.apache.spark.SparkEnv;
import org.apache.spark.SparkFiles;

final class Library {
  private static final String NAME = "libcml-spark.so";
  private static final String[] FLAGS = {"avx2", "fma", "bmi1", "bmi2"};
  private static final Pattern GLIBC = Pattern.compile("GLIBC(?:XX)?_[0-9.]+");
  private static final Pattern MISSING = Pattern.compile("(\\S+): cannot open shared object file");

  private static boolean loaded;
  private static long site; // 0: not open
  private static int dropped; // of App.dropped: how many are done

  private Library() {}

  /** Loads what came with the job, once in a process. */
  static synchronized void load(String[] libraries) {
    if (loaded) return;
    checkProcessor();
    for (String name : libraries) {
      if (name.equals(NAME)) open(SparkFiles.get(name));
    }
    if (!loaded) throw lacking("the job came without " + NAME, "");
  }

  private static void checkProcessor() {
    String arch = System.getProperty("os.arch"), system = System.getProperty("os.name");
    if (!arch.equals("amd64") || !system.equals("Linux")) {
      throw lacking("it is " + system + " on " + arch, "Workers run Linux on x86-64.");
    }
    try {
      List<String> cpu = Files.readAllLines(Path.of("/proc/cpuinfo"));
      String flags = cpu.stream().filter(s -> s.startsWith("flags")).findFirst().orElse("");
      Set<String> has = Set.copyOf(new ArrayList<>(List.of(flags.split("\\s+"))).stream().distinct().toList());
      String[] lacks = Arrays.stream(FLAGS).filter(f -> !has.contains(f)).toArray(String[]::new);
      if (lacks.length > 0) {
        throw lacking("its processor lacks " + String.join(", ", lacks),
            "Workers have processors with AVX2, FMA, BMI1 and BMI2 (2013 and later).");
      }
    } catch (IOException e) {
      throw lacking("/proc/cpuinfo cannot be read: " + e.getMessage(), "");
    }
  }

  private static void open(String path) {
    try {
      System.load(path);
      loaded = true;
    } catch (UnsatisfiedLinkError e) {
      String s = String.valueOf(e.getMessage());
      Matcher glibc = GLIBC.matcher(s), missing = MISSING.matcher(s);
      if (s.contains("not found") && glibc.find()) {
        throw lacking("its C library is older than " + glibc.group() + ", which " + NAME + " needs",
            "Build cml on a system as old as the oldest worker.");
      }
      if (missing.find()) throw lacking("the library " + missing.group(1) + " was not found", "");
      throw lacking(new File(path).getName() + " cannot be loaded: " + s, "");
    }
  }

  private static CmlException lacking(String cause, String remedy) {
    return new CmlException(CmlException.RESOURCE, "CML0531", host(),
        "this worker cannot run the native library: " + cause, remedy);
  }

  static String host() {
    SparkEnv env = SparkEnv.get();
    if (env != null) return env.blockManager().blockManagerId().host();
    try {
      return InetAddress.getLocalHost().getHostName();
    } catch (IOException e) {
      return "localhost";
    }
  }

  static synchronized long site(App app) {
    load(app.libraries);
    if (site == 0) site = Native.open(app.program.value(), app.memory, spill());
    for (; dropped < app.dropped.length; dropped++) Native.drop(site, app.dropped[dropped]);
    for (App.Value v : app.values) {
      if (Native.version(site, v.kind, v.id) < v.version) {
        Native.put(site, v.kind, v.id, v.version, v.bytes.value());
      }
    }
    return site;
  }

  /* A folder that Spark removes with its own. */
  private static String spill() {
    try {
      File[] local = SparkEnv.get().blockManager().diskBlockManager().localDirs();
      return Files.createTempDirectory(local[0].toPath(), "cml-").toString();
    } catch (IOException e) {
      throw new CmlException(CmlException.RESOURCE, "CML0532", host(),
          "no folder can be made on this worker's disk: " + e.getMessage(), "");
    }
  }
}
