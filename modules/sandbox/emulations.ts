import { readdirSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import type { Emulation } from "./emulation.ts";

/**
 * Every `emulation.ts` below modules/, each with an export `emulation`. Found and not listed, so that a provider is one folder and one
 * line, and so that the product, which loads the adapters, never loads the fakes.
 */
export async function loadEmulations(modules = join(import.meta.dirname, "..")): Promise<Emulation[]> {
  const files = readdirSync(modules, { recursive: true, encoding: "utf8" })
    .filter((path) => /[\\/]emulation\.ts$/.test(path) && !/^sandbox[\\/]/.test(path))
    .sort();
  return await Promise.all(
    files.map(async (path) => {
      const { emulation } = (await import(pathToFileURL(join(modules, path)).href)) as { emulation?: Emulation };
      if (emulation) return emulation;
      throw new Error(`modules/${path} has no export named emulation.`);
    }),
  );
}
