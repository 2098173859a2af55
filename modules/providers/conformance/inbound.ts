import { expect, test } from "vitest";
import type { z } from "zod";
import type { InboundMessage } from "../../kernel/provider.ts";
import type { Stage } from "./stage.ts";

export type InboundSpec = {
  /** A received message as `POST /_sandbox/deliver` takes it, without the account. */
  delivered: { from: string; to: string; text: string } & Record<string, unknown>;
  /** What the adapter must make of it, besides parties and text. */
  details: unknown;
};

/** Fetching what a webhook only announced. */
export function inboundConformance<C extends z.ZodObject, Content>(stage: Stage<C, Content>, spec: InboundSpec): void {
  const { fetch } = stage.provider.inbound!;

  test("inbound: an announced message is fetched whole; one that is not there is an error, not an empty message", async () => {
    const { connection, key } = stage.fresh();
    await stage.provider.check(connection, stage.http());
    const { id } = await stage.control<{ id: string }>("/deliver", { account: key, ...spec.delivered });
    const received: InboundMessage = await fetch(id, connection, stage.http());
    expect(received).toMatchObject({
      provider_inbound_id: id,
      from: { address: spec.delivered.from },
      to: [spec.delivered.to],
      text: spec.delivered.text,
      details: spec.details,
    });
    await expect(fetch(crypto.randomUUID(), connection, stage.http())).rejects.toMatchObject({ code: "upstream" });
    await expect(fetch(id, stage.fresh().connection, stage.http())).rejects.toMatchObject({ code: "upstream" });
  });
}
