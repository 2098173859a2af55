import CircleStop from "@lucide/svelte/icons/circle-stop";
import Clock from "@lucide/svelte/icons/clock-3";
import GitFork from "@lucide/svelte/icons/git-fork";
import ListChecks from "@lucide/svelte/icons/list-checks";
import Mail from "@lucide/svelte/icons/mail";
import MessageSquare from "@lucide/svelte/icons/message-square";
import Square from "@lucide/svelte/icons/square";
import type { Icon } from "../shell/nav.ts";

const icons: Record<string, Icon> = {
  email: Mail,
  sms: MessageSquare,
  wait: Clock,
  condition: GitFork,
  task: ListChecks,
  end: CircleStop,
};
/** The icon of a kind of step; one the console does not know gets that of its type. */
export const kindIcon = (kind: string, type: string | undefined): Icon =>
  icons[kind] ?? (type === "message" ? MessageSquare : Square);
