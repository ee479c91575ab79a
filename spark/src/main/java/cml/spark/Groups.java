// SPDX-License-Identifier: Apache-2.0
// The row groups of the Parquet files of a source, from their footers; where to cut the blocks of the source
// so that tasks can read their rows from the files themselves, and which groups each has to read then. Cuts
// lie where a block and a row group begin together, if there is such a place nearby; a group that is cut is
// read by both neighbours.
package cml.spark;

import java.util.ArrayList;
import java.util.List;
import java.util.TreeSet;

final class Groups {
  private static final double MOST = 1.5; // rows that are read, for each row of the source

  /** Neighbouring groups of a file: bytes [from, to); to < 0: up to its end. */
  record Run(int file, long from, long to) {}

  /** What a partition reads: the blocks [first, last). */
  record Share(long first, long last, List<Run> runs) {}

  private record Group(int file, long from, long to, long first, long last) {} // blocks [first, last]

  private final List<Group> group = new ArrayList<>();
  private final TreeSet<Long> good = new TreeSet<>(); // blocks that begin with a row group
  private long rows, blocks;

  /** Null: the files cannot be read in this way. */
  static Groups of(List<Footers.One> footers, Keys keys) {
    Groups g = new Groups();
    for (int f = 0; f < footers.size(); f++) { // Spark chooses groups by where they lie
      if (!footers.get(f).ascends()) return null;
      g.add(f, footers.get(f), keys.first(f), keys.block);
    }
    g.blocks = keys.blocks();
    return g;
  }

  private void add(int file, Footers.One foot, long first, int block) {
    long row = 0;
    for (int i = 0; i < foot.group.length; i++) {
      long n = foot.group[i];
      if (n == 0) continue;
      long to = i + 1 < foot.start.length ? foot.start[i + 1] : -1;
      group.add(new Group(file, foot.start[i], to, first + row / block, first + (row + n - 1) / block));
      if (row % block == 0) good.add(first + row / block);
      row += n;
    }
    rows += row;
  }

  /** At most `parts` shares, none of them empty. Null: too much would be read twice. */
  List<Share> shares(int parts) {
    List<Share> all = new ArrayList<>();
    long before = 0;
    for (int p = 1; p <= parts; p++) {
      long cut = p == parts ? blocks : cut(p * blocks / parts, Math.max(1, blocks / parts / 2), before);
      if (cut <= before) continue;
      all.add(new Share(before, cut, new ArrayList<>()));
      before = cut;
    }
    int read = 0, next = 0;
    for (Share s : all) {
      while (next < group.size() && group.get(next).last < s.first) next++;
      for (int i = next; i < group.size() && group.get(i).first < s.last; i++, read++) join(s.runs, group.get(i));
    }
    return read <= MOST * group.size() || read <= group.size() + 1 ? all : null;
  }

  /* The block nearest to `ideal`, at most `room` away, that begins with a row group; else that itself. */
  private long cut(long ideal, long room, long before) {
    Long low = good.floor(ideal), high = good.ceiling(ideal);
    boolean down = low != null && ideal - low <= room && low > before;
    boolean up = high != null && high - ideal <= room && high < blocks;
    if (down && (!up || ideal - low <= high - ideal)) return low;
    return up ? high : ideal;
  }

  private static void join(List<Run> runs, Group g) {
    Run last = runs.isEmpty() ? null : runs.get(runs.size() - 1);
    if (last != null && last.file == g.file && last.to == g.from) {
      runs.set(runs.size() - 1, new Run(g.file, last.from, g.to));
    } else {
      runs.add(new Run(g.file, g.from, g.to));
    }
  }
}
