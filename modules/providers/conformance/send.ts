import { expect, test } from "vitest";
import type { z } from "zod";
import { createHttpClient } from "../../kernel/http/client.ts";
import type { OutboundMessage, SendOutcome } from "../../kernel/provider.ts";
import type { Message } from "../../sandbox/store.ts";
import type { Stage } from "./stage.ts";

export type SendSpec<Content> = {
  /** A complete message to somebody new, as the ledger hands it over. */
  example(): OutboundMessage<Content>;
  /** One that the provider refuses for itself: a bad address. */
  refused?(): OutboundMessage<Content>;
  /** Expects that the accepted message is the one that was sent; the channel's own part. */
  arrived(message: OutboundMessage<Content>, accepted: Message): void;
  /** Messages with something in them that must not become structure, such as a line break in a name. */
  injections?: { name: string; message: OutboundMessage<Content>; harmless(accepted: Message): void }[];
  /** Our own id as the provider keeps it. Absent: the message's id. */
  ownId?(message: OutboundMessage<Content>): string;
  /** Whether the outcome's id is the one under which the provider keeps the message. */
  givesItsId: boolean;
  /** Whether a rate limit says how long to wait. */
  saysHowLong: boolean;
  /** What an answered server error proves, and whether the emulation has taken the message before it answers so. */
  serverError: { outcome: SendOutcome["outcome"]; accepted: boolean };
};

/** What a send promises, whatever the provider: an outcome for each message, and never a guess about what left. */
export function sendConformance<C extends z.ZodObject, Content>(
  stage: Stage<C, Content>,
  spec: SendSpec<Content>,
): void {
  const { provider, fresh, accepted, control } = stage;
  const { batch, reconcile, send: act, find } = provider.send!;
  const ownId = spec.ownId ?? ((message) => message.id);

  /** In calls no larger than the adapter allows, as the ledger makes them. */
  const send = async (messages: OutboundMessage<Content>[], connection = fresh().connection, http = stage.http()) => {
    const outcomes: SendOutcome[] = [];
    for (let at = 0; at < messages.length; at += batch)
      outcomes.push(...(await act(messages.slice(at, at + batch), connection, http)));
    return outcomes;
  };

  test("send: N messages give N outcomes in order, each accepted once under our own id", async () => {
    const { connection, key } = fresh();
    const messages = Array.from({ length: 7 }, () => spec.example());
    const outcomes = await send(messages, connection);
    expect(outcomes.map((o) => o.outcome)).toEqual(messages.map(() => "sent"));
    const ids = outcomes.map((o) => (o.outcome === "sent" ? o.provider_message_id : ""));
    expect(new Set(ids).size).toBe(messages.length);
    const seen = await accepted(key);
    expect(seen).toHaveLength(messages.length);
    for (const [i, message] of messages.entries()) {
      const found = seen.find((m) => m.our_id === ownId(message))!;
      expect(found.to[0]!.address).toBe(message.to.address);
      if (spec.givesItsId) expect(found.id).toBe(ids[i]);
    }
  });

  test("send: the content arrives unchanged", async () => {
    const { connection, key } = fresh();
    const message = spec.example();
    await send([message], connection);
    spec.arrived(message, (await accepted(key))[0]!);
  });

  for (const { name, message, harmless } of spec.injections ?? []) {
    test(`send: ${name}`, async () => {
      const { connection, key } = fresh();
      await send([message], connection);
      const [only, ...others] = await accepted(key);
      expect(others).toEqual([]);
      expect(only!.to).toHaveLength(1);
      harmless(only!);
    });
  }

  if (spec.refused) {
    test("send: one refused message does not touch the others", async () => {
      const { connection, key } = fresh();
      const outcomes = await send([spec.example(), spec.refused!(), spec.example()], connection);
      expect(outcomes.map((o) => o.outcome)).toEqual(["sent", "rejected", "sent"]);
      expect(await accepted(key)).toHaveLength(2);
    });
  }

  test("send: a rate limit is a retry, with the provider's own waiting time, and nothing was accepted", async () => {
    const { connection, key } = fresh();
    await control("/faults", { kind: "rate_limit", account: key, retry_after: 7 });
    const [outcome] = await send([spec.example()], connection);
    expect(outcome).toMatchObject({ outcome: "retry", ...(spec.saysHowLong ? { after_seconds: 7 } : {}) });
    expect(await accepted(key)).toHaveLength(0);
  });

  test("send: an answered server error is never taken for a refusal", async () => {
    const { connection, key } = fresh();
    await control("/faults", { kind: "server_error", account: key, accepted: spec.serverError.accepted });
    const [outcome] = await send([spec.example()], connection);
    expect(outcome!.outcome).toBe(spec.serverError.outcome);
  });

  for (const kind of ["timeout_after_accept", "reset"] as const) {
    test(`send: ${kind}: the outcome is unknown, and settling it leaves exactly one message at the provider`, async () => {
      const { connection, key } = fresh();
      const message = spec.example();
      await control("/faults", { kind, account: key, ...(kind === "reset" ? { accepted: true } : {}) });
      const [outcome] = await send([message], connection);
      expect(outcome!.outcome).toBe("unknown");
      if (reconcile.by === "key") {
        const [again] = await send([message], connection);
        expect(again!.outcome).toBe("sent");
      } else if (reconcile.by === "search") {
        const found = await find!(message.id, connection, stage.http());
        expect(found).toEqual({ provider_message_id: (await accepted(key))[0]!.id });
      }
      expect((await accepted(key)).filter((m) => m.our_id === ownId(message))).toHaveLength(1);
    });
  }

  test("send: a peer that is not there is a retry; a private address that is not listed is broken", async () => {
    const [refusedByUs] = await send([spec.example()], stage.gone());
    expect(refusedByUs).toMatchObject({ outcome: "broken", code: "blocked" });
    const listed = createHttpClient({ allowPrivateHosts: ["127.0.0.1"], userAgent: "conformance/1.0" });
    const [unreachable] = await send([spec.example()], stage.gone(), listed);
    expect(unreachable!.outcome).toBe("retry");
  });

  if (stage.emulation.http) {
    test("send: a programming error is no outcome: it throws", async () => {
      const bug = () => Promise.reject(new RangeError("bug"));
      const http = { ...stage.http(), request: bug, json: bug };
      await expect(send([spec.example()], fresh().connection, http)).rejects.toThrow(RangeError);
    });
  }

  if (provider.close) {
    test("close: gives back what was open, twice if asked, and the next message opens anew", async () => {
      const { connection } = fresh();
      await send([spec.example()], connection);
      await provider.close!();
      await provider.close!();
      expect(await send([spec.example()], connection)).toMatchObject([{ outcome: "sent" }]);
    });
  }
}
