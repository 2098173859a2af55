/** A name server of the tests' own: what attackers' names resolve to. */
const ADDRESSES: Record<string, string[]> = {
  localhost: ["127.0.0.1", "::1"],
  "loopback.evil.example": ["127.0.0.1"],
  "v6.evil.example": ["::1"],
  "mapped.evil.example": ["::ffff:127.0.0.1"],
  "metadata.google.internal": ["169.254.169.254"],
  "both.evil.example": ["8.8.8.8", "127.0.0.1"],
  "both-reversed.evil.example": ["10.0.0.1", "8.8.8.8"],
  "cgnat.evil.example": ["100.64.0.1"],
};

/** As getaddrinfo does: numbers in every spelling of inet_aton are addresses too. */
export function resolveName(host: string): string[] | null {
  const name = host.toLowerCase().replace(/\.$/, "");
  if (Object.hasOwn(ADDRESSES, name)) return ADDRESSES[name]!;
  try {
    const { hostname } = new URL(`http://${name}/`);
    return /^[\d.]+$/.test(hostname) ? [hostname] : null;
  } catch {
    return null;
  }
}
