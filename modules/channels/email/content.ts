/** What providers of the e-mail channel send and receive. */

/** An e-mail's content. The parties stand in OutboundMessage. */
export type EmailContent = {
  reply_to: string | null;
  subject: string;
  html: string;
  text: string;
  /** RFC 5322 Message-ID with angle brackets, chosen by us so that follow-ups can thread. */
  message_id: string;
  /** List-Unsubscribe, List-Unsubscribe-Post, In-Reply-To, References…; never Message-ID. */
  headers: Record<string, string>;
};

/** What a received e-mail has besides text and parties. */
export type EmailInbound = {
  subject: string;
  html: string | null;
  /** Lower-cased header names; repeated headers joined by newline. */
  headers: Record<string, string>;
  rfc_message_id: string | null;
  /** Texts of the parts of a delivery report: `message/delivery-status`, and the returned message or its headers. */
  parts?: readonly string[];
};
