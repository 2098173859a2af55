import { expect, test } from "vitest";
import type { z } from "zod";
import type { SendSpec } from "./send.ts";
import type { Stage } from "./stage.ts";

/** The search that settles unknown outcomes: a wrong "not there" is a second message. */
export function findConformance<C extends z.ZodObject, Content>(
  stage: Stage<C, Content>,
  spec: SendSpec<Content>,
): void {
  const find = stage.provider.send!.find!;

  test("find: a message is found under our own id, another id is not, and another account does not see it", async () => {
    const { connection } = stage.fresh();
    const message = spec.example();
    const [sent] = await stage.provider.send!.send([message], connection, stage.http());
    expect(sent).toMatchObject({ outcome: "sent" });
    const id = sent!.outcome === "sent" ? sent!.provider_message_id : "";
    expect(await find(message.id, connection, stage.http())).toEqual({ provider_message_id: id });
    expect(await find(crypto.randomUUID(), connection, stage.http())).toBeNull();
    expect(await find(message.id, stage.fresh().connection, stage.http())).toBeNull();
  });

  test("find: who cannot be asked has not said no", async () => {
    await expect(find(crypto.randomUUID(), stage.gone(), stage.http())).rejects.toThrow();
  });
}
