import { readdirSync, readFileSync } from "node:fs";

/** What the processes below another one use, by kind (Linux). */

type Usage = { kind: string; pid: number; seconds: number; megabytes: number };

/** Clock ticks per second of /proc; 100 on every Linux that Node runs on. */
const TICKS = 100;

const kindOf = (command: string): string =>
  /postgres/.test(command)
    ? "postgres"
    : /gateway\.ts/.test(command)
      ? "gateway"
      : /functions\/worker/.test(command)
        ? "worker"
        : /sandbox/.test(command)
          ? "sandbox"
          : "other";

/** Each process below `root` and itself: seconds of the processor so far, and memory with shared pages counted once. */
function usage(root: number): Usage[] {
  const stats = new Map<number, string[]>();
  for (const name of readdirSync("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    try {
      const stat = readFileSync(`/proc/${name}/stat`, "utf8");
      stats.set(Number(name), stat.slice(stat.lastIndexOf(")") + 2).split(" "));
    } catch {
      // gone meanwhile
    }
  }
  const ours = (pid: number): boolean => {
    const parent = Number(stats.get(pid)?.[1] ?? 0);
    return pid === root || (parent > 1 && ours(parent));
  };
  return [...stats.keys()].filter(ours).flatMap((pid) => {
    try {
      const [, , , , , , , , , , , user, system, ofChildrenUser, ofChildrenSystem] = stats.get(pid)!.map(Number);
      const pss = Number(/^Pss:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, "utf8"))?.[1] ?? 0);
      // A backend that ended is counted with the process that started it.
      const ticks = user! + system! + ofChildrenUser! + ofChildrenSystem!;
      return [
        {
          kind: kindOf(readFileSync(`/proc/${pid}/cmdline`, "utf8")),
          pid,
          seconds: ticks / TICKS,
          megabytes: pss / 1024,
        },
      ];
    } catch {
      return [];
    }
  });
}

const sums = (of: "seconds" | "megabytes", root: number): Record<string, number> => {
  const kinds: Record<string, number> = {};
  for (const one of usage(root)) kinds[one.kind] = (kinds[one.kind] ?? 0) + one[of];
  return kinds;
};

/** Seconds of the processor by kind of process, of all that are and were below `root`. */
export const processorSeconds = (root: number): Record<string, number> => sums("seconds", root);

/** Megabytes by kind of process. */
export const memory = (root: number): Record<string, number> =>
  Object.fromEntries(Object.entries(sums("megabytes", root)).map(([kind, mb]) => [kind, Math.round(mb)]));
