import { z } from "zod";
import type { Cast } from "./cast.ts";
import { characterOf, OUT_OF_OFFICE, planOf, replyText } from "./personas.ts";

/** The people behind e-mail addresses: personas.ts says who they are, this how their mail looks. */
export const mailboxes: Cast = {
  address: z.email(),
  characterOf,
  planOf,
  answer(message, to, automatic) {
    const header = (name: string) => message.headers.find(([n]) => n.toLowerCase() === name.toLowerCase())?.[1] ?? null;
    const id = crypto.randomUUID();
    const own = message.to.find((t) => t.address === to);
    const references = [header("References"), message.rfc_message_id].filter(Boolean).join(" ");
    const date = new Date();
    const text = automatic
      ? OUT_OF_OFFICE
      : `${replyText(to)}\n\nOn ${date.toUTCString()}, ${message.from.name || message.from.address} wrote:\n${(
          message.text || ""
        )
          .split("\n")
          .map((line) => `> ${line}`)
          .join("\n")}\n`;
    const rfc = `<${id}@${to.slice(to.lastIndexOf("@") + 1)}>`;
    return {
      id,
      from: { address: to, name: own?.name ?? "" },
      to: [message.reply_to ?? message.from.address],
      subject: automatic
        ? `Automatic reply: ${message.subject}`
        : /^re:/i.test(message.subject)
          ? message.subject
          : `Re: ${message.subject}`,
      text,
      html: null,
      headers: [
        ["Message-ID", rfc],
        ["In-Reply-To", message.rfc_message_id],
        ["References", references],
        ["Date", date.toUTCString()],
        ...(automatic
          ? ([
              ["Auto-Submitted", "auto-replied"],
              ["X-Auto-Response-Suppress", "All"],
              ["Precedence", "auto_reply"],
            ] as [string, string][])
          : []),
      ],
      rfc_message_id: rfc,
    };
  },
};
