/**
 * The sandbox's only way out. Its recipients are inventions, so it talks to this machine alone (plus hosts the
 * installation names): a link in a rehearsal mail must never make it call a stranger.
 */

export type Reach = (
  url: string,
  init: { method: "GET" | "HEAD" | "POST"; headers?: Record<string, string>; body?: string | Uint8Array },
) => Promise<{ status: number; location: string | null }>;

const isLoopback = (host: string) => /^(127(\.\d{1,3}){3}|localhost|\[::1\]|::1)$/i.test(host);

export function createReach(allowed: readonly string[], timeoutMs = 15_000): Reach {
  const hosts = new Set(allowed.map((h) => h.toLowerCase()));
  return async (raw, { method, headers, body }) => {
    const url = new URL(raw);
    if (url.protocol !== "http:" && url.protocol !== "https:") throw new Error(`not a web address: ${raw}`);
    if (!isLoopback(url.hostname) && !hosts.has(url.hostname) && !hosts.has(url.host)) {
      throw new Error(`${url.host} is not this machine; list it in SANDBOX_HOSTS to let the sandbox call it`);
    }
    const auth: Record<string, string> = url.username
      ? { authorization: `Basic ${btoa(`${decodeURIComponent(url.username)}:${decodeURIComponent(url.password)}`)}` }
      : {};
    url.username = "";
    url.password = "";
    const response = await fetch(url, {
      method,
      headers: { ...auth, ...headers },
      ...(body === undefined ? {} : { body: typeof body === "string" ? body : new Uint8Array(body) }),
      redirect: "manual",
      signal: AbortSignal.timeout(timeoutMs),
    });
    await response.arrayBuffer();
    return { status: response.status, location: response.headers.get("location") };
  };
}
