import type { Kernel } from "../kernel.ts";

/**
 * The newest migration marked `breaking: yes` that this code was written for; empty while there is none. Whoever adds such a
 * migration sets it here: older code then refuses to work on the new schema instead of writing wrong rows into it.
 */
export const KNOWN_BREAKING_MIGRATION: string = "";

/** Throws when the database has a breaking migration this code does not know. A database that does not answer is not judged. */
export async function refuseNewerSchema(
  kernel: Pick<Kernel, "database" | "log">,
  known = KNOWN_BREAKING_MIGRATION,
): Promise<void> {
  let applied: string;
  try {
    const [row] = await kernel.database.once(
      (sql) => sql<{ version: string }[]>`select kernel.breaking_version() as version`,
    );
    applied = row!.version;
  } catch (error) {
    // What needs the database next will say what is wrong with it.
    kernel.log.warn("the version of the schema could not be read", { error });
    return;
  }
  if (applied > known) {
    throw new Error(
      `The database has the breaking migration ${applied}, which this version of the program does not know${known ? ` (it knows ${known})` : ""}. Update the program before starting it.`,
    );
  }
}
