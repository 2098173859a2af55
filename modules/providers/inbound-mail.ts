import { z } from "zod";
import { defineManualConsumer, done } from "../kernel/queues/consumer.ts";
import type { Ctx } from "../kernel/context.ts";
import { AppError } from "../kernel/errors.ts";
import type { InboundEmail } from "../kernel/provider.ts";
import { openConnection } from "./connections.ts";
import { readInbound } from "./inbound.ts";

/** Stores received mail on its thread. A person's answer stops the sequence; a machine's does not. Once per mail. */
export async function receive(ctx: Ctx, connectionId: string, email: InboundEmail): Promise<void> {
  const { mail, kind } = readInbound(email);
  if (!mail.from_email.includes("@") || mail.provider_inbound_id === "") {
    ctx.log.warn("a received mail names no sender", { connection: connectionId, inbound_id: mail.provider_inbound_id });
    return;
  }
  await ctx.db`select private.receive_email(${connectionId}, ${ctx.db.json(mail)}, ${kind !== "reply"})`;
}

/** For providers whose webhook only announces a mail: fetches it without a transaction open, then stores it. */
export const fetchInboundMail = defineManualConsumer({
  queue: "providers_inbound",
  payload: z.object({ tenant_id: z.uuid(), connection_id: z.uuid(), ref: z.string().min(1).max(500) }),
  visibilitySeconds: 60, // four times the outbound client's deadline
  maxAttempts: 10, // with backoff about a quarter of an hour: the provider keeps the mail longer than that
  concurrency: 2, // a call each; more would only meet the provider's rate
  async handle(ctx, { connection_id, ref }) {
    const opened = await ctx
      .tx((tx) => openConnection(tx, connection_id))
      .catch((error) => {
        // The connection was removed meanwhile: nobody is left to receive the mail.
        if (error instanceof AppError && error.code === "not_found") return null;
        throw error;
      });
    if (!opened?.provider.fetchInbound) return done();
    const email = await opened.provider.fetchInbound(ref, opened.connection, ctx.http);
    await ctx.tx((tx) => receive(tx, connection_id, email));
    return done();
  },
});
