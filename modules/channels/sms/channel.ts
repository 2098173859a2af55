import { z } from "zod";
import { defineChannel } from "../../kernel/channel.ts";
import { normaliseNumber, normaliseSender } from "./address.ts";
import { measureText } from "./encoding.ts";
import { readInbound } from "./inbound.ts";
import { smsText } from "./template.ts";

/** Text messages: plain text to people who agreed to get it. Opting out is by answering STOP. */
export const sms = defineChannel({
  id: "sms",
  label: "SMS",
  contact_field: "phone",
  address: { label: "mobile number", example: "+4915112345678", normalise: normaliseNumber, spaced: true },
  sender: {
    label: "number, short code or sender name",
    example: "+4915112345678",
    normalise: normaliseSender,
    profile: z.object({}),
  },
  actions: {
    // Below what one long number may send before networks filter it.
    "sms.send": {
      label: "Send a text message",
      limits: [
        { per: "day", cap: 200 },
        { per: "hour", cap: 60 },
      ],
    },
  },
  // Marketing by text message needs prior consent nearly everywhere: ePrivacy directive art. 13, TCPA, CASL.
  requires_consent: true,
  options: z.object({}),
  ...smsText,
  measure({ text }) {
    const { encoding, segments, characters } = measureText(text);
    return { encoding, segments, characters };
  },
  readInbound,
});
