import { spawnSync } from "node:child_process";
import { chmodSync, chownSync, existsSync, lstatSync, mkdirSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { StartError } from "./home.ts";

/** How to start a Postgres binary: a command prefix, or user ids for spawn, or neither for an ordinary user. */
export interface Launch {
  prefix: string[];
  uid?: number;
  gid?: number;
}

/**
 * Postgres refuses to run as root. For an ordinary user this is a no-op. As root, takes the first way that proves to
 * work with these very paths (a clone may lie under a folder of mode 0700, a container may lack capabilities):
 * an unprivileged user that keeps the right to pass closed folders; a plain unprivileged user; a user namespace.
 */
export function chooseLaunch(dataDir: string, native: string): Launch {
  mkdirSync(dataDir, { recursive: true, mode: 0o700 });
  if (process.getuid?.() !== 0) return { prefix: [] };
  const { uid, gid } = unprivilegedUser();
  const setpriv = [
    ...["setpriv", `--reuid=${uid}`, `--regid=${gid}`, "--clear-groups"],
    ...["--inh-caps=+dac_override", "--ambient-caps=+dac_override"],
  ];
  const candidates: (Launch & { owner: number; group: number; home?: number })[] = [
    // Without the bit, access(2) forgets the capability and Postgres does not find its own files below a closed folder.
    { prefix: [...setpriv, "--securebits=+no_setuid_fixup"], owner: uid, group: gid },
    { prefix: setpriv, owner: uid, group: gid },
    // The home must then be passable; its secrets keep mode 0600.
    { prefix: [], uid, gid, owner: uid, group: gid, home: 0o711 },
    { prefix: ["unshare", "--user", `--map-user=${uid}`, `--map-group=${gid}`], owner: 0, group: 0, home: 0o700 },
  ];
  for (const { owner, group, home, ...launch } of candidates) {
    if (home) chmodSync(join(dataDir, ".."), home);
    chownTree(dataDir, owner, group);
    if (works(launch, dataDir, native)) return launch;
  }
  throw new StartError(
    "Postgres must not run as root, and neither setpriv, an unprivileged user nor a user namespace can reach " +
      `${dataDir} here. Run as an ordinary user, or put the clone and OVERTURE_HOME where user "nobody" can read.`,
  );
}

function works(launch: Launch, dataDir: string, native: string): boolean {
  // "--show" makes initdb look for its neighbours, which is what fails below closed folders, and write nothing.
  const check = 'test "$(id -u)" != 0 && "$1/initdb" --show -D "$2" && touch "$2/.probe" && rm "$2/.probe"';
  const [command, ...args] = [...launch.prefix, "sh", "-c", check, "sh", join(native, "bin"), dataDir];
  const { uid, gid } = launch;
  // The working folder must be one that anybody may enter.
  return spawnSync(command!, args, { uid, gid, cwd: "/", stdio: "ignore", timeout: 10_000 }).status === 0;
}

function unprivilegedUser(): { uid: number; gid: number } {
  const number = (flag: string) => Number(spawnSync("id", [flag, "nobody"], { encoding: "utf8" }).stdout?.trim());
  const [uid, gid] = [number("-u"), number("-g")];
  return Number.isInteger(uid) && uid > 0 ? { uid, gid: gid || uid } : { uid: 65534, gid: 65534 };
}

function chownTree(path: string, uid: number, gid: number): void {
  if (!existsSync(path) || lstatSync(path).uid === uid) return;
  const walk = (entry: string) => {
    const stat = lstatSync(entry);
    if (stat.isDirectory()) for (const name of readdirSync(entry)) walk(join(entry, name));
    if (!stat.isSymbolicLink()) chownSync(entry, uid, gid);
  };
  // The folder itself last: it marks that everything below is done.
  walk(path);
}
