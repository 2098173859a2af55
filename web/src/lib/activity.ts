import Ban from "@lucide/svelte/icons/ban";
import CircleAlert from "@lucide/svelte/icons/circle-alert";
import CornerUpLeft from "@lucide/svelte/icons/corner-up-left";
import Dot from "@lucide/svelte/icons/circle-dot";
import Eye from "@lucide/svelte/icons/eye";
import MailCheck from "@lucide/svelte/icons/mail-check";
import MousePointerClick from "@lucide/svelte/icons/mouse-pointer-click";
import Reply from "@lucide/svelte/icons/reply";
import Send from "@lucide/svelte/icons/send";
import UserPlus from "@lucide/svelte/icons/user-plus";
import { humanise } from "./format.ts";

type Look = { icon: typeof Send; tone: string; verb: string };
const looks: Record<string, Look> = {
  sent: { icon: Send, tone: "text-info", verb: "was sent to" },
  delivered: { icon: MailCheck, tone: "text-ink-3", verb: "reached" },
  opened: { icon: Eye, tone: "text-accent-text", verb: "was opened by" },
  clicked: { icon: MousePointerClick, tone: "text-accent-text", verb: "was clicked by" },
  replied: { icon: Reply, tone: "text-good", verb: "was answered by" },
  bounced: { icon: CornerUpLeft, tone: "text-bad", verb: "bounced off" },
  complained: { icon: CircleAlert, tone: "text-bad", verb: "was marked as spam by" },
  unsubscribed: { icon: Ban, tone: "text-warn", verb: "was unsubscribed by" },
  failed: { icon: CircleAlert, tone: "text-bad", verb: "failed for" },
  created: { icon: UserPlus, tone: "text-ink-3", verb: "created" },
};
const aliases: Record<string, string> = {
  open: "opened",
  click: "clicked",
  reply: "replied",
  bounce: "bounced",
  complaint: "complained",
  unsubscribe: "unsubscribed",
  delivery: "delivered",
  send: "sent",
};

/** How one kind of event looks and reads; kinds come bare (`opened`) or qualified (`message.opened`). */
export function lookOf(kind: string): Look & { label: string } {
  const bare = (kind.split(/[.:]/).at(-1) ?? kind).replace(/^(email|message)_/, "");
  const name = aliases[bare] ?? bare;
  return {
    ...(looks[name] ?? { icon: Dot, tone: "text-ink-3", verb: humanise(name).toLowerCase() }),
    label: humanise(name),
  };
}
