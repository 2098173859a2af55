import ipaddr from "ipaddr.js";
import { invalidField } from "../kernel/errors.ts";
import { type HttpClient, HttpError, isPublicAddress } from "../kernel/http/client.ts";
import type { AnyProvider } from "../kernel/provider.ts";

/**
 * A base URL is a tenant's choice of where secrets go. Literal private addresses are refused here; names are checked
 * at connect time by the outbound client, because what they resolve to may change.
 */
export function checkBaseUrl(raw: string | null | undefined, provider: AnyProvider, http: HttpClient): string | null {
  if (raw === null || raw === undefined || raw.trim() === "") return null;
  // Providers that run only in the worker speak a mail protocol; every other one speaks HTTP.
  const schemes = provider.runs_in === "worker" ? ["smtps", "smtp"] : ["https", "http"];
  const refuse = (detail: string, suggestion?: string) => invalidField("/base_url", detail, suggestion);
  let url: URL;
  try {
    url = new URL(raw.trim());
  } catch {
    throw refuse("is not a URL", `Write it like ${schemes[0]}://host.example.com.`);
  }
  const scheme = url.protocol.slice(0, -1);
  if (!schemes.includes(scheme))
    throw refuse(`must start with ${schemes.map((s) => `${s}://`).join(" or ")} for ${provider.label}`);
  if (url.hostname === "") throw refuse("names no host");
  if (url.username !== "" || url.password !== "")
    throw refuse("must not contain a user name or password", "Put them into the credentials.");
  if (url.search !== "" || url.hash !== "") throw refuse("must not have a query or fragment");
  const port = Number(url.port || ({ https: 443, http: 80, smtps: 465, smtp: 25 } as Record<string, number>)[scheme]);
  try {
    http.assertAllowed(url.hostname, port);
  } catch (error) {
    if (error instanceof HttpError) throw refuse(error.message);
    throw error;
  }
  if ((scheme === "http" || scheme === "smtp") && !mayBePlain(url.hostname)) {
    throw refuse("would send credentials unencrypted over the internet", `Use ${schemes[0]}://.`);
  }
  return url.href.replace(/\/+$/, "");
}

/** Plain text stays on this machine or network: private addresses, single-label and reserved names. */
function mayBePlain(hostname: string): boolean {
  const host = hostname.replace(/^\[|\]$/g, "").toLowerCase();
  if (ipaddr.isValid(host)) return !isPublicAddress(host);
  return !host.includes(".") || /\.(internal|local|localhost|lan|home\.arpa|test)$/.test(host);
}
