import { expect, test } from "vitest";
import type { z } from "zod";
import type { OutboundMessage } from "../../kernel/provider.ts";
import type { Stage } from "./stage.ts";

export type CheckSpec<C extends z.ZodObject> = {
  /** Credentials that look right and are not. */
  bad: z.infer<C>[];
};

export function checkConformance<C extends z.ZodObject, Content>(
  stage: Stage<C, Content>,
  spec: CheckSpec<C>,
  example?: () => OutboundMessage<Content>,
): void {
  const { provider } = stage;

  test("credentials: good ones pass the check, bad ones are refused with a reason, and nothing is sent with them", async () => {
    expect(await provider.check(stage.fresh().connection, stage.http())).toMatchObject({ ok: true });
    for (const bad of spec.bad) {
      const connection = stage.open(bad);
      expect(await provider.check(connection, stage.http())).toMatchObject({
        ok: false,
        code: expect.stringMatching(/\w/),
        detail: expect.stringMatching(/\w/),
      });
      if (provider.send && example) {
        const [outcome] = await provider.send.send([example()], connection, stage.http());
        expect(outcome!.outcome).toBe("broken");
      }
    }
  });

  test("empty credentials do not pass the schema, unless none are needed", () => {
    const fields = provider.credentials.shape as Record<string, z.ZodType>;
    const required = Object.values(fields).some((field) => !field.safeParse(undefined).success);
    expect(provider.credentials.safeParse({}).success).toBe(!required);
    for (const [name, field] of Object.entries(fields))
      expect(field.safeParse("").success, `${name} accepts ""`).toBe(false);
  });

  test("a server that is not there is an HttpError or a failed check, never a pass", async () => {
    const outcome = await provider.check(stage.gone(), stage.http()).catch((error: Error) => error);
    if (outcome instanceof Error) expect(outcome.name).toBe("HttpError");
    else expect(outcome.ok).toBe(false);
  });
}
