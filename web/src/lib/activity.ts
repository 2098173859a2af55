import Ban from "@lucide/svelte/icons/ban";
import CircleAlert from "@lucide/svelte/icons/circle-alert";
import CornerUpLeft from "@lucide/svelte/icons/corner-up-left";
import Dot from "@lucide/svelte/icons/circle-dot";
import Eye from "@lucide/svelte/icons/eye";
import MailCheck from "@lucide/svelte/icons/mail-check";
import MousePointerClick from "@lucide/svelte/icons/mouse-pointer-click";
import Reply from "@lucide/svelte/icons/reply";
import Send from "@lucide/svelte/icons/send";
import type { CatalogueEntry } from "./api/types.ts";
import type { Catalogue } from "./catalogue.ts";

const icons: Record<string, typeof Send> = {
  sent: Send,
  delivered: MailCheck,
  opened: Eye,
  clicked: MousePointerClick,
  replied: Reply,
  bounced: CornerUpLeft,
  complained: CircleAlert,
  unsubscribed: Ban,
  failed: CircleAlert,
};
const colours: Record<NonNullable<CatalogueEntry["tone"]>, string> = {
  neutral: "text-ink-3",
  good: "text-good",
  warn: "text-warn",
  bad: "text-bad",
  info: "text-info",
  accent: "text-accent-text",
};

/** How one kind of event looks and reads. In a contact's history kinds carry their channel: `email_opened`. */
export function lookOf(catalogue: Catalogue, kind: string): { icon: typeof Send; tone: string; label: string } {
  const events = catalogue.list("message.event");
  const event = events.find((e) => e.value === kind) ?? events.find((e) => kind.endsWith(`_${e.value}`));
  const { value, label, tone } = event ?? catalogue.entry("message.event", kind);
  return { icon: icons[value] ?? Dot, tone: colours[tone ?? "neutral"], label };
}
