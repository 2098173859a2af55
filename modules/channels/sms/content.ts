/** What providers of the SMS channel send and receive. */

/** A text message's content. The parties stand in OutboundMessage; a sender may also be a messaging service of the provider. */
export type SmsContent = {
  text: string;
};

/** What a received text message has besides text and parties. */
export type SmsInbound = {
  /** The provider handled an opt-out word itself and says which: Twilio's Advanced Opt-Out. */
  opt_out: "stop" | "start" | "help" | null;
  segments: number | null;
};
