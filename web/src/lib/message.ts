import type { Message } from "./api/types.ts";

type Told = Pick<Message, "status" | "replied_at" | "bounced_at" | "clicked_at" | "opened_at" | "delivered_at">;

/** The furthest a message has come: what became of it says more than that it was sent. */
export function stateOf(message: Told): string {
  if (message.status !== "sent") return message.status;
  if (message.replied_at) return "replied";
  if (message.bounced_at) return "bounced";
  if (message.clicked_at) return "clicked";
  if (message.opened_at) return "opened";
  return message.delivered_at ? "delivered" : "sent";
}

/** What a message is called in lists: its subject, or where a channel has none, its first words. */
export const titleOf = (message: Pick<Message, "subject" | "snippet">): string =>
  message.subject || message.snippet.split("\n", 1)[0]?.slice(0, 80) || "(no text)";

/** When it happened, or will: ISO 8601. */
export const timeOf = (message: Pick<Message, "sent_at" | "due_at" | "created_at">): string =>
  message.sent_at ?? message.due_at ?? message.created_at;
