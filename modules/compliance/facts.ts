import { z } from "zod";
import { defineFact } from "../kernel/queues/fact.ts";

/** What compliance tells the other modules. */

/** An address is not written to any more. Told again each time it is reported. */
export const addressSuppressed = defineFact({
  name: "address.suppressed",
  payload: z.object({
    channel: z.string(),
    address: z.string(),
    reason: z.enum(["unsubscribe", "bounce", "complaint", "manual"]),
    note: z.string(),
  }),
});

const consent = z.object({ channel: z.string(), contact_id: z.uuid(), source: z.string() });
/** A person is not written to on a channel any more. */
export const contactOptedOut = defineFact({ name: "contact.opted_out", payload: consent });
/** A person agreed to be written to on a channel. */
export const contactOptedIn = defineFact({ name: "contact.opted_in", payload: consent });

export const complianceFacts = [addressSuppressed, contactOptedOut, contactOptedIn] as const;
