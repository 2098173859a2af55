import type { Fault, VariableUse } from "../../kernel/channel.ts";
import { plainText } from "../plain-text.ts";
import { measureText, ucs2Characters } from "./encoding.ts";

/** What a text message may hold: segments counted, characters outside the short alphabet named. */

/** Providers take no longer text (Twilio: 1600 characters), and nobody reads one. */
export const MAX_SEGMENTS = 10;
/** From here on the author is told, since each segment is billed. */
const MANY_SEGMENTS = 3;
/** Characters named in one warning. */
const MAX_NAMED = 5;

function lengthFaults(text: string, what: string): Fault[] {
  const { segments, encoding } = measureText(text);
  const has = `${what} has ${segments} segments (${encoding})`;
  if (segments > MAX_SEGMENTS) {
    const detail = `${has}; at most ${MAX_SEGMENTS} can be sent. Shorten it.`;
    return [{ field: "body", level: "error", id: "segments_limit", detail }];
  }
  if (segments > MANY_SEGMENTS) {
    const detail = `${has}; each is billed as a message.`;
    return [{ field: "body", level: "warning", id: "segments_many", detail }];
  }
  return [];
}

/** Names what makes the message more than twice as long, in the fixed text and in fallbacks. */
function alphabetFaults(fixed: string, uses: readonly VariableUse[]): Fault[] {
  const text = fixed + uses.map((u) => u.fallback ?? "").join("");
  const found = ucs2Characters(text);
  if (found.length === 0) return [];
  const name = ({ character, replacement }: (typeof found)[number]) => {
    const code = character.codePointAt(0)!;
    const shown = /[\p{Z}\p{C}]/u.test(character)
      ? `U+${code.toString(16).toUpperCase().padStart(4, "0")}`
      : `"${character}"`;
    if (replacement === null) return shown;
    return `${shown} (${replacement === "" ? "leave it out" : `use ${replacement === " " ? "a space" : replacement} instead`})`;
  };
  const more = found.length > MAX_NAMED ? ` and ${found.length - MAX_NAMED} more` : "";
  return [
    {
      field: "body",
      level: "warning",
      id: "ucs2",
      detail: `Characters outside the SMS alphabet (GSM-7), which reduce a segment from 160 to 70 characters: ${found.slice(0, MAX_NAMED).map(name).join(", ")}${more}.`,
    },
  ];
}

export const smsText = plainText({ length: lengthFaults, author: alphabetFaults });
