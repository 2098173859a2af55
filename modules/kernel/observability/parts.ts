import type { Kernel } from "../kernel.ts";

/** One line of the readiness answer. `down` takes the process out of service; the others only say that a person should look. */
export type Check = { name: string; ok: boolean; detail: string; down?: boolean };

/** How long a part of Supabase may take to answer. */
const PART_MS = 3_000;
/** How long an answer is used again: anybody may ask, and each question costs three requests. */
const KEEP_MS = 1_000;

/** By which Supabase says whether a part works. The root of REST describes its whole schema, hence HEAD. */
const PARTS = [
  { name: "auth", method: "GET", path: "/auth/v1/health" },
  { name: "rest", method: "HEAD", path: "/rest/v1/" },
  { name: "realtime", method: "GET", path: "/realtime/v1/api/ping" },
] as const;

/**
 * Asks Supabase's parts that the API stands for: sign-in, REST and realtime. A part fails when there is no answer in time or the
 * answer is a fault of the server (5xx); any other answer is one. The reason goes to the log, the check only names the part.
 */
export function supabaseParts(kernel: Kernel): () => Promise<Check[]> {
  let last: { checks: Promise<Check[]>; until: number } | undefined;
  const ask = async ({ name, method, path }: (typeof PARTS)[number]): Promise<Check> => {
    const { supabaseUrl, secretKey } = kernel.config;
    try {
      const { status } = await kernel.http.request({
        method,
        own: true,
        url: supabaseUrl + path,
        // The root of REST is open to the secret key alone.
        headers: { apikey: secretKey },
        timeoutMs: PART_MS,
      });
      if (status < 500) return { name, ok: true, detail: "answers" };
      throw new Error(`${path} answered ${status}`);
    } catch (error) {
      kernel.log.error("a part of Supabase is not ready", { part: name, error });
      return { name, ok: false, detail: "does not respond", down: true };
    }
  };
  return () => {
    const now = performance.now();
    if (!last || now > last.until) last = { checks: Promise.all(PARTS.map(ask)), until: now + KEEP_MS };
    return last.checks;
  };
}

/** Rejects when `work` takes longer; what it still does then is nobody's. */
export async function inTime<T>(ms: number, work: Promise<T>): Promise<T> {
  let timer: ReturnType<typeof setTimeout>;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`No answer in ${ms} ms.`)), ms);
  });
  return await Promise.race([work, late]).finally(() => clearTimeout(timer));
}
