import type { InboundKind, ReadMessage } from "../../kernel/channel.ts";
import type { InboundMessage } from "../../kernel/provider.ts";
import { readText } from "../plain-text.ts";
import { normaliseNumber, normaliseSender } from "./address.ts";
import type { SmsInbound } from "./content.ts";

const BY_PROVIDER: Record<"stop" | "start" | "help", InboundKind> = { stop: "opt_out", start: "opt_in", help: "help" };

/** Reads a received text message. Short codes and names write too, and may be written to. */
export function readInbound(message: InboundMessage<SmsInbound>): ReadMessage {
  const { opt_out, segments } = message.details;
  return readText(message, {
    person: normaliseNumber,
    sender: normaliseSender,
    // The provider has acted on its own list already: to say otherwise would leave the two apart.
    kind: opt_out ? BY_PROVIDER[opt_out] : null,
    content: Number.isInteger(segments) && segments! > 0 ? { segments } : {},
  });
}
