import { isbot } from "isbot";

/**
 * Whether a machine fetched a pixel or a link, not a person: one table for our own links and for what providers report. Acts of machines
 * are kept, labelled, and counted nowhere.
 */

/** Proxies of mail providers that fetch when the person opens the mail: their acts are the person's. */
const PERSON_PROXIES = /GoogleImageProxy|YahooMailProxy|YahooCacheSystem/;

/** Scanners of mail and chat that no list of web crawlers has, or that call themselves browsers. */
const SCANNERS =
  /barracuda|bitdefender|mimecast|proofpoint|symantec|forcepoint|fireeye|trendmicro|trend micro|sophos|ironport|cloudmark|zscaler|avanan|vade ?secure|hornetsecurity|spamhaus|urlscan|virustotal|safelinks|google-safety|microsoft office existence discovery|microsoft office protocol discovery|skypeuripreview|link ?preview|url ?preview|link ?check|headlesschrome|phantomjs|python|go-http-client|java\/|libwww|httpclient|node-fetch|axios|curl\/|wget\//i;

/** Headers by which browsers and mail programs announce a fetch that nobody asked for yet. */
const ANNOUNCING = ["sec-purpose", "purpose", "x-purpose", "x-moz"] as const;

/** No browser's is longer; what is read is bounded. */
const AGENT_MAX = 1000;

export function isMachineAgent(given: string): boolean {
  const agent = given.slice(0, AGENT_MAX).trim();
  // Apple's mail proxy, which fetches every mail when it arrives, sends no more than this.
  if (agent === "" || agent === "Mozilla/5.0") return true;
  if (PERSON_PROXIES.test(agent)) return false;
  return SCANNERS.test(agent) || isbot(agent);
}

/** Of a GET; other methods are no act at all. */
export function isMachine(headers: Headers): boolean {
  if (ANNOUNCING.some((name) => /prefetch|prerender|preview/i.test(headers.get(name) ?? ""))) return true;
  return isMachineAgent(headers.get("user-agent") ?? "");
}
