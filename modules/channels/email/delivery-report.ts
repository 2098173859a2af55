import { normaliseEmail } from "../../contacts/normalize.ts";
import type { DeliveryReport } from "../../kernel/channel.ts";
import { plain } from "../../kernel/text.ts";
import { isDeadAddress } from "./status-code.ts";

/**
 * Reads what mail servers report about our messages: the fields of RFC 3464 (as a part of their own, or in the text where a provider
 * hands on no parts), and the plain-text forms of Exchange, Gmail and qmail. Pure, in time that grows with the text's length.
 */

/** UTF-16 units that are read of each part; the recipients stand at its beginning. */
const READ = 50_000;
/** Most recipients of one report; our messages have one. */
const MOST = 50;

export type ReportSource = {
  text: string;
  /** Texts of the parts `message/delivery-status` and of the returned message. */
  parts: readonly string[];
  /** The header X-Failed-Recipients, empty without it. */
  failedRecipients: string;
};

type Finding = { recipients: string[]; action: string; status: string | null; detail: string };

const addressIn = (text: string): string | null => {
  const bare = text
    .replace(/^[^;]{0,40};/, "")
    .trim()
    .replace(/^<|>$/g, "");
  const read = normaliseEmail(bare);
  return "value" in read ? read.value : null;
};

/** `2.0.0`, `5.1.10`; null without one. The first after an SMTP code is the server's own. */
const statusIn = (text: string): string | null =>
  /(?:^|[^\d.])[245]\d\d[ -]#?([245]\.\d{1,3}\.\d{1,3})(?![\d.])/.exec(text)?.[1] ??
  /(?:^|[^\d.])#?([245]\.\d{1,3}\.\d{1,3})(?![\d.]*\d)/.exec(text)?.[1] ??
  null;

/** Field groups of RFC 3464: one for each recipient, folded lines joined. Text around them is passed over. */
function fieldGroups(text: string): Finding[] {
  const groups: Map<string, string>[] = [];
  let group: Map<string, string> | null = null;
  let last: string | null = null;
  for (const line of text.slice(0, READ).split(/\r?\n/)) {
    if (line.trim() === "") {
      group = last = null;
      continue;
    }
    if (/^\s/.test(line) && group && last) {
      group.set(last, `${group.get(last)} ${line.trim()}`.slice(0, 2000));
      continue;
    }
    const field =
      /^(original-recipient|final-recipient|action|status|diagnostic-code)\s{0,5}:\s{0,20}(.{0,1500})/i.exec(line);
    last = null;
    if (!field) continue;
    const name = field[1]!.toLowerCase();
    // A second recipient without a blank line between.
    if (!group || (name === "final-recipient" && group.has(name))) {
      if (groups.length === MOST) break;
      groups.push((group = new Map()));
    }
    group.set(name, field[2]!.trim());
    last = name;
  }
  return groups.flatMap((g) => {
    if (!g.has("action") && !g.has("status")) return [];
    const recipients = ["original-recipient", "final-recipient"].flatMap((n) => addressIn(g.get(n) ?? "") ?? []);
    const detail = g.get("diagnostic-code") ?? `Status ${g.get("status") ?? "unknown"}`;
    const stated = /^[245]\.\d{1,3}\.\d{1,3}/.exec(g.get("status") ?? "")?.[0] ?? null;
    // Servers that know no more write 5.0.0 and keep the reply in the diagnostic.
    const status = stated === null || /^[45]\.0\.0$/.test(stated) ? (statusIn(detail) ?? stated) : stated;
    return [{ recipients, action: (g.get("action") ?? "").toLowerCase(), status, detail }];
  });
}

const ADDRESS_LINE = /^[<(]?([^\s<>()@]{1,64}@[^\s<>()@]{1,255}?)[>)]?[:.]?$/;

/** qmail's paragraphs (`<address>:` and why), and Exchange's (the address on a line, then what the server answered). */
function paragraphs(text: string): Finding[] {
  const found = new Map<string, Finding>();
  let open: Finding | null = null;
  for (const raw of text.slice(0, READ).split(/\r?\n/)) {
    const line = raw.trim();
    if (
      /^-{3,} ?(?:Below this line|Original message|Forwarded)|^(?:Original message headers|Diagnostic information for administrators):?$/i.test(
        line,
      )
    ) {
      if (/^-|^Original/i.test(line)) break;
      continue;
    }
    const address = line.length < 330 ? ADDRESS_LINE.exec(line)?.[1] : undefined;
    const known = address ? addressIn(address) : null;
    if (known) {
      open = found.get(known) ?? { recipients: [known], action: "failed", status: null, detail: "" };
      found.set(known, open);
      if (found.size > MOST) break;
    } else if (open && line !== "") {
      open.status ??= statusIn(line.slice(0, 1000));
      if (open.status && open.detail === "") open.detail = line;
    }
  }
  return [...found.values()].filter((f) => f.status !== null);
}

/** A text that names the failed address in its header or once in itself, with the server's reply somewhere: Gmail's form. */
function single({ text, failedRecipients }: ReportSource): Finding[] {
  const named = failedRecipients
    .slice(0, 2000)
    .split(/[,\s]+/)
    .flatMap((a) => addressIn(a) ?? []);
  const lines = text.slice(0, READ).split(/\r?\n/);
  const reply = lines.find((line) => line.length < 1000 && /(?:^|\s)[245]\d\d[ -]#?[245]\.\d/.test(line));
  const status = reply ? statusIn(reply) : null;
  if (new Set(named).size !== 1 || !status) return [];
  return [{ recipients: [named[0]!], action: "failed", status, detail: reply!.trim() }];
}

/** What became of the message at each recipient; empty when the report does not say it clearly. */
export function readReports(source: ReportSource): DeliveryReport[] {
  const byFields = [...source.parts, source.text].map(fieldGroups).find((groups) => groups.length > 0);
  const findings =
    byFields ??
    [() => paragraphs(source.text), () => single(source)].map((read) => read()).find((f) => f.length > 0) ??
    [];
  const failed = source.failedRecipients.split(/[,\s]+/).flatMap((a) => addressIn(a) ?? []);
  return findings.flatMap(({ recipients, action, status, detail }) => {
    const outcome = outcomeOf(action, status);
    if (!outcome) return [];
    const names = recipients.length > 0 || findings.length > 1 ? recipients : failed;
    return [{ recipients: [...new Set(names)], outcome, detail: plain(detail, 1000) }];
  });
}

/** Only a failure for good is a bounce. One that a server may still repair, or gave up after trying, is noted. */
function outcomeOf(action: string, status: string | null): DeliveryReport["outcome"] | null {
  if (/^(?:delivered|relayed|expanded)/.test(action)) return null;
  if (action.startsWith("delayed") || status?.startsWith("4.")) return "deferred";
  if (status?.startsWith("2.")) return null;
  if (!action.startsWith("failed") && status === null) return null;
  return status && isDeadAddress(status) ? "permanent" : "block";
}

/** Message-IDs of the returned message, which the report is about. */
export const returnedIds = (source: Pick<ReportSource, "text" | "parts">): string[] => [
  ...new Set(
    [...source.parts, source.text].flatMap((part) =>
      [...part.slice(0, READ).matchAll(/^(?:X-|Original-)?Message-ID:\s{0,20}(<[^<>\s]{1,900}>)/gim)]
        .map((m) => m[1]!)
        .slice(0, 10),
    ),
  ),
];
