/**
 * The sandbox's only way out. Its recipients are inventions, so a link in a rehearsal mail must never make it call a stranger, nor, as the
 * sandbox of an installation with many tenants, another service of its machine: there it calls the installation's own links and webhooks.
 */

export type Reach = (
  url: string,
  init: { method: "GET" | "HEAD" | "POST"; headers?: Record<string, string>; body?: string | Uint8Array },
) => Promise<{ status: number; location: string | null }>;

const isLoopback = (host: string) => /^(127(\.\d{1,3}){3}|localhost|\[::1\]|::1)$/i.test(host);

/** What an installation serves to recipients and providers, below each of its base URLs. */
const PUBLIC_PATHS = ["/links/", "/webhooks/"];

type Allowed = {
  /** Hosts besides loopback. */
  hosts?: readonly string[] | undefined;
  /** Base URLs of the installation it belongs to; then nothing else may be called. */
  installation?: readonly string[] | undefined;
};

export function createReach({ hosts = [], installation }: Allowed, timeoutMs = 15_000): Reach {
  const others = new Set(hosts.map((h) => h.toLowerCase()));
  const own = installation?.flatMap((base) => PUBLIC_PATHS.map((path) => new URL(base).href.replace(/\/$/, "") + path));
  /** On the URL as it will be called: dots in the path are resolved by now. */
  const allows = (url: URL) =>
    own
      ? own.some((start) => (url.origin + url.pathname).startsWith(start))
      : isLoopback(url.hostname) || others.has(url.hostname) || others.has(url.host);
  return async (raw, { method, headers, body }) => {
    const url = new URL(raw);
    if (url.protocol !== "http:" && url.protocol !== "https:") throw new Error(`not a web address: ${raw}`);
    if (!allows(url)) {
      throw new Error(
        own
          ? `${url.host}${url.pathname} is no link and no webhook of this installation; the sandbox calls nothing else`
          : `${url.host} is not this machine; list it in SANDBOX_HOSTS to let the sandbox call it`,
      );
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
