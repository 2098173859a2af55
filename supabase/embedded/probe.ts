/** What each part is asked for. */
interface Parts {
  lite: { ping(part: "rest" | "auth"): Promise<void> };
  realtime: { ping(): Promise<boolean> };
}

/** Shorter than whoever asks is willing to wait. */
const DEADLINE_MS = 2_500;

/** Answers 503 for a part that does not work; null where the part itself answers. */
export type Probe = (method: string, pathname: string) => Promise<Response | null>;

/**
 * The addresses by which Supabase's parts are asked whether they work: `/auth/v1/health`, the root of REST and Realtime's
 * `/api/ping`. Here each of them stands for the way to the database as well. However many ask, a part is asked once at a time.
 */
export function createProbe({ lite, realtime }: Parts): Probe {
  const works: Record<string, () => Promise<boolean>> = {
    "/auth/v1/health": shared(() => lite.ping("auth")),
    "/rest/v1/": shared(() => lite.ping("rest")),
    "/realtime/v1/api/ping": shared(() => realtime.ping()),
  };
  return async (method, pathname) => {
    const ask = method === "GET" || method === "HEAD" ? works[pathname] : undefined;
    if (!ask || (await ask())) return null;
    return Response.json({ message: "The database does not respond" }, { status: 503 });
  };
}

/** Whether `ask` succeeds in time. Callers meanwhile share one question, and one that is still open past its time counts as failed. */
function shared(ask: () => Promise<unknown>): () => Promise<boolean> {
  let open: Promise<boolean> | undefined;
  return async () => {
    open ??= ask()
      .then(
        (answer) => answer !== false,
        () => false,
      )
      .finally(() => (open = undefined));
    let timer: ReturnType<typeof setTimeout>;
    const late = new Promise<boolean>((done) => (timer = setTimeout(done, DEADLINE_MS, false)));
    return await Promise.race([open, late]).finally(() => clearTimeout(timer));
  };
}
