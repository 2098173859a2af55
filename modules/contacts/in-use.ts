import { AppError } from "../kernel/errors.ts";

/** Deletes a list or segment; 409 that says why when something is still made of it: campaigns keep their audience, archived ones as well. */
export async function deleteUnused<T>(what: "list" | "segment", deleting: PromiseLike<T>): Promise<T> {
  try {
    return await deleting;
  } catch (error) {
    if ((error as { code?: unknown }).code !== "23503") throw error;
    throw new AppError(
      "conflict",
      `The ${what} is in use: it is the audience of a campaign, perhaps an archived one.`,
      {
        suggestion: "Give the campaign another audience, or delete the campaign first.",
        cause: error,
      },
    );
  }
}
