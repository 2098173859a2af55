import type { LookupFunction } from "node:net";
import { lookup as dnsLookup } from "node:dns";
import ipaddr from "ipaddr.js";
import { sha256Hex } from "../secrets/signatures.ts";
import { HttpError } from "./errors.ts";

/** Special-purpose ranges by IANA: everything that is not plain unicast is refused. */
export function isPublicAddress(address: string): boolean {
  if (!ipaddr.isValid(address)) return false;
  let parsed = ipaddr.parse(address);
  if (parsed.kind() === "ipv6") {
    const v6 = parsed as ipaddr.IPv6;
    if (v6.isIPv4MappedAddress()) parsed = v6.toIPv4Address();
    // Only 2000::/3 is handed out for the internet; the rest holds old ways to write an IPv4 address, such as ::127.0.0.1.
    else if ((v6.parts[0]! & 0xe000) !== 0x2000) return false;
  }
  return parsed.range() === "unicast";
}

/**
 * The network of a caller: an IPv4 address itself; of IPv6 the first half (/64), within which a device changes its address by itself.
 * Null when `address` is none.
 */
export function networkOf(address: string): string | null {
  if (!ipaddr.isValid(address)) return null;
  const parsed = ipaddr.process(address);
  return parsed.kind() === "ipv4" ? parsed.toString() : (parsed as ipaddr.IPv6).parts.slice(0, 4).join(":");
}

/** An account at the place it signs in from, as it is stored: a digest of the email address (lower case) and the network. */
export async function signInDigest(email: string, address: string): Promise<string | null> {
  const network = networkOf(address);
  return network === null ? null : await sha256Hex(`${email}\n${network}`);
}

/** Resolves a name to all its addresses, as node:dns does with `all`. */
export type Lookup = (
  host: string,
  options: { all: true; family?: number | "IPv4" | "IPv6"; hints?: number },
  callback: (error: Error | null, addresses: { address: string; family: number }[]) => void,
) => void;

export type AddressGuard = {
  /** Throws HttpError `blocked` when host:port may not be reached; for literal addresses, which have no lookup. */
  assertAllowed(host: string, port: number): void;
  /** A lookup for a socket to that port, which refuses names with a private address. */
  lookupFor(port: number): LookupFunction;
  /** The addresses to connect to, all of them allowed; for a literal address itself. Rejects with HttpError. */
  resolve(host: string, port: number, own: boolean): Promise<string[]>;
};

/** A host name or address without the brackets of an IPv6 literal in a URL. */
export const bareHost = (host: string) => host.replace(/^\[|\]$/g, "").toLowerCase();

/** `allowPrivateHosts` holds `host` or `host:port`; nothing else that resolves to a private address may be reached. */
export function createAddressGuard(allowPrivateHosts: readonly string[], lookup: Lookup = dnsLookup): AddressGuard {
  const allowed = new Set(allowPrivateHosts.map((h) => h.toLowerCase()));
  const mayBePrivate = (host: string, port: number) =>
    allowed.has(bareHost(host)) || allowed.has(`${bareHost(host)}:${port}`);

  const blocked = (host: string) =>
    new HttpError(
      "blocked",
      `${host} is a private or special address. List it in OVERTURE_ALLOW_PRIVATE_HOSTS if it is yours.`,
      false,
    );

  const assertAllowed = (host: string, port: number) => {
    const name = bareHost(host);
    if (ipaddr.isValid(name) && !isPublicAddress(name) && !mayBePrivate(name, port)) throw blocked(name);
  };

  const lookupFor =
    (port: number): LookupFunction =>
    (host, opts, callback) => {
      lookup(host, { ...opts, all: true }, (error, list) => {
        if (error) return callback(error, [] as never);
        if (!mayBePrivate(host, port) && list.some((a) => !isPublicAddress(a.address))) {
          return callback(Object.assign(blocked(host), { code: "EBLOCKED" }), [] as never);
        }
        if ((opts as { all?: boolean }).all) callback(null, list as never);
        else callback(null, list[0]!.address as never, list[0]!.family);
      });
    };

  const resolve = (host: string, port: number, own: boolean) =>
    new Promise<string[]>((done, fail) => {
      const name = bareHost(host);
      if (!own) assertAllowed(name, port);
      if (ipaddr.isValid(name)) return done([name]);
      const answer = (error: Error | null, list: { address: string }[]) => {
        if (error instanceof HttpError) return fail(error);
        if (error || list.length === 0)
          return fail(new HttpError("dns", error?.message ?? `${name} has no address.`, false, error ?? undefined));
        done(list.map((a) => a.address));
      };
      if (own) lookup(name, { all: true }, answer);
      else lookupFor(port)(name, { all: true }, answer as never);
    });

  return { assertAllowed, lookupFor, resolve };
}
