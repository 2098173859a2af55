/** Polls until `check` gives something truthy, and returns it. Tests wait for facts, never for time. */
export async function until<T>(
  check: () => Promise<T> | T,
  options: { what?: string; timeoutMs?: number; everyMs?: number } = {},
): Promise<NonNullable<T>> {
  const end = Date.now() + (options.timeoutMs ?? 15_000);
  let last: unknown;
  for (;;) {
    try {
      const value = await check();
      if (value) return value as NonNullable<T>;
      last = value;
    } catch (error) {
      last = error;
    }
    if (Date.now() > end)
      throw new Error(
        `Waited in vain for ${options.what ?? "a condition"}; last: ${last instanceof Error ? last.message : JSON.stringify(last)}`,
      );
    await new Promise((resolve) => setTimeout(resolve, options.everyMs ?? 25));
  }
}
