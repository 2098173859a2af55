import { dirname, join, normalize } from "node:path";
import ts from "typescript";

/**
 * Circles among files that import each other, imports of types too: whoever wants to understand or move one file of a circle needs
 * all of them. Returns a fault for each circle, with the shortest way around it.
 */
export function cycleFaults(files: ReadonlyMap<string, string>): string[] {
  const edges = new Map(
    [...files].map(([path, text]) => {
      const specs = ts.preProcessFile(text, true, true).importedFiles.map((f) => f.fileName);
      const targets = specs.filter((s) => s.startsWith(".")).map((s) => normalize(join(dirname(path), s)));
      return [path, targets.filter((t) => files.has(t))] as const;
    }),
  );
  const told = new Set<string>();
  const faults: string[] = [];
  for (const start of [...edges.keys()].sort()) {
    if (told.has(start)) continue;
    const way = shortestWay(edges, start);
    if (!way) continue;
    for (const path of way) told.add(path);
    faults.push(`${start}: imports itself in a circle: ${[...way, start].join(" → ")}`);
  }
  return faults;
}

/** The files of the shortest circle through `start`, from it on; null when there is none. */
function shortestWay(edges: ReadonlyMap<string, readonly string[]>, start: string): string[] | null {
  const from = new Map<string, string>();
  const queue = [start];
  for (let path = queue.shift(); path !== undefined; path = queue.shift()) {
    for (const next of edges.get(path) ?? []) {
      if (next === start) {
        const way = [path];
        while (way[0] !== start) way.unshift(from.get(way[0]!)!);
        return way;
      }
      if (from.has(next)) continue;
      from.set(next, path);
      queue.push(next);
    }
  }
  return null;
}
