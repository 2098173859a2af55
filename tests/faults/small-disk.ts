import { spawn, spawnSync } from "node:child_process";
import { closeSync, existsSync, mkdirSync, mkdtempSync, openSync, rmSync, statfsSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { until } from "../support/until.ts";

/** A file system of its own that is really full when it is full. */
export type SmallDisk = {
  folder: string;
  /** Takes every byte that is left; again and again, since others give some back. */
  fill(): void;
  /** Gives back what fill() took. */
  empty(): void;
  freeBytes(): number;
  remove(): void;
};

/** Mounts a disk of so many megabytes, or says in a sentence why this machine cannot. */
export async function smallDisk(megabytes: number): Promise<SmallDisk | string> {
  const point = mkdtempSync(join(tmpdir(), "overture-disk-"));
  const options = ["-t", "tmpfs", "-o", `size=${megabytes}m,mode=0755`, "tmpfs"];
  const asRoot = spawnSync("mount", [...options, point], { encoding: "utf8" });
  if (asRoot.status === 0) {
    return disk(point, () => {
      spawnSync("umount", ["-l", point]);
      rmSync(point, { recursive: true, force: true });
    });
  }
  // Without root: a namespace of one's own may mount, and its files are seen through /proc.
  const holder = spawn(
    "unshare",
    ["-rm", "sh", "-c", `mount ${options.join(" ")} "$1" && echo ready && exec sleep 3600`, "sh", point],
    { stdio: ["ignore", "pipe", "ignore"] },
  );
  let said = "";
  let ended = false;
  holder.stdout.on("data", (chunk) => (said += chunk));
  holder.once("error", () => (ended = true));
  holder.once("exit", () => (ended = true));
  await until(() => ended || said.includes("ready"), { what: "a mount of one's own" });
  if (!ended && existsSync(`/proc/${holder.pid}/root${point}`)) {
    return disk(`/proc/${holder.pid}/root${point}`, () => {
      holder.kill("SIGKILL");
      rmSync(point, { recursive: true, force: true });
    });
  }
  holder.kill("SIGKILL");
  rmSync(point, { recursive: true, force: true });
  return `no file system can be mounted here (${asRoot.stderr?.trim() || asRoot.error?.message}), nor in a user namespace`;
}

function disk(mount: string, remove: () => void): SmallDisk {
  const folder = join(mount, "home");
  mkdirSync(folder);
  const ballast = join(mount, "ballast");
  const freeBytes = () => {
    const { bavail, bsize } = statfsSync(mount);
    return Number(bavail) * Number(bsize);
  };
  return {
    folder,
    freeBytes,
    fill() {
      const file = openSync(ballast, "a");
      try {
        for (const size of [1 << 20, 1 << 12]) {
          const block = Buffer.alloc(size, 1);
          try {
            for (;;) writeSync(file, block);
          } catch (error) {
            if ((error as NodeJS.ErrnoException).code !== "ENOSPC") throw error;
          }
        }
      } finally {
        closeSync(file);
      }
    },
    empty: () => rmSync(ballast, { force: true }),
    remove,
  };
}
