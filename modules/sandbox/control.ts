import { Hono } from "hono";
import { z } from "zod";
import { equalSecrets } from "../kernel/secrets/signatures.ts";
import type { Sandbox } from "./context.ts";
import type { Emulation } from "./emulation.ts";
import { Fault } from "./faults.ts";
import { matches } from "./store.ts";
import type { Account, Message } from "./store.ts";

/** The director's desk: what was accepted, what happened to it, and which faults to play. */

const Deliver = z.strictObject({
  account: z.string(),
  from: z.string().min(1).max(320),
  from_name: z.string().default(""),
  to: z.string().min(1).max(320),
  subject: z.string().default(""),
  text: z.string().default(""),
  html: z.string().nullable().default(null),
  headers: z.record(z.string(), z.string()).default({}),
});
const Reset = z.strictObject({ account: z.string().optional() });

const invalid = (error: z.ZodError) => Response.json({ error: z.prettifyError(error) }, { status: 422 });

export function controlApi(
  sandbox: Sandbox,
  emulations: ReadonlyMap<string, Emulation>,
  options: { token: string | null },
): Hono {
  const { store, faults, hooks, world, clock } = sandbox;
  const app = new Hono();

  app.use("*", async (c, next) => {
    const given = c.req.header("authorization") ?? "";
    if (options.token && !(await equalSecrets(given, `Bearer ${options.token}`))) {
      return c.json(
        { error: "The control token is missing or wrong: send Authorization: Bearer <SANDBOX_TOKEN>." },
        401,
      );
    }
    return next();
  });

  const find = (wanted: string): Account | undefined => [...store.accounts.values()].find((a) => matches(a.id, wanted));

  app.get("/health", (c) => c.json({ ok: true, pending: clock.pending(), webhooks: hooks.stats() }));

  app.get("/messages", (c) => {
    const { account, to, our_id } = c.req.query();
    const limit = Math.min(1000, Math.max(1, Number(c.req.query("limit") ?? 100) || 100));
    const found: Message[] = [];
    for (const m of store.messages.values()) {
      if (account && !matches(m.account, account)) continue;
      if (to && !m.to.some((t) => t.address.toLowerCase() === to.toLowerCase())) continue;
      if (our_id && m.our_id !== our_id) continue;
      found.push(m);
    }
    return c.json({ total: found.length, messages: found.toReversed().slice(0, limit) });
  });

  app.get("/inbound", (c) => {
    const account = c.req.query("account");
    return c.json({
      mails: [...store.inbound.values()].filter((m) => !account || matches(m.account, account)).toReversed(),
    });
  });

  app.get("/charges", (c) => {
    const charges = store.charged(c.req.query("account"));
    return c.json({ total: charges.length, units: charges.reduce((sum, { units }) => sum + units, 0), charges });
  });

  app.get("/stats", (c) => {
    const stats = store.stats(c.req.query("account"), c.req.query("detail") === "true");
    return c.json({ ...stats, pending: clock.pending(), webhooks: hooks.stats() });
  });

  app.get("/personas", (c) => {
    const address = c.req.query("address");
    const cast = [...emulations.values()].find(({ people }) => people?.address.safeParse(address).success)?.people;
    if (cast) return c.json(cast.characterOf(address!));
    return c.json({ error: "Give ?address=somebody@example.com or ?address=%2B447700900010." }, 422);
  });

  app.get("/faults", (c) => c.json({ faults: faults.list() }));
  app.post("/faults", async (c) => {
    const fault = Fault.safeParse(await c.req.json().catch(() => null));
    if (!fault.success) return invalid(fault.error);
    faults.add(fault.data);
    return c.json({ faults: faults.list() }, 201);
  });
  app.delete("/faults", (c) => {
    faults.clear();
    return c.json({ faults: [] });
  });

  app.post("/reset", async (c) => {
    const input = Reset.safeParse(await c.req.json().catch(() => ({})));
    if (!input.success) return invalid(input.error);
    if (!input.data.account) {
      clock.cancel();
      hooks.clear();
      faults.clear();
    }
    store.reset(input.data.account);
    world.forget(input.data.account);
    return c.json({ ok: true });
  });

  app.post("/deliver", async (c) => {
    const input = Deliver.safeParse(await c.req.json().catch(() => null));
    if (!input.success) return invalid(input.error);
    const mail = input.data;
    const account = find(mail.account);
    if (!account)
      return c.json({ error: `No account ${mail.account} has been seen yet: make one call with its key first.` }, 404);
    const emulation = emulations.get(account.provider);
    if (!emulation?.inbound) return c.json({ error: `${account.provider} has no inbound webhooks.` }, 422);
    for (const field of ["from", "to"] as const) {
      if (!emulation.people) break;
      const address = emulation.people.address.safeParse(mail[field]);
      if (!address.success) return c.json({ error: `${field}: ${z.prettifyError(address.error)}` }, 422);
    }
    const id = crypto.randomUUID();
    const rfc = mail.headers["Message-ID"] ?? `<${id}@${mail.from.slice(mail.from.lastIndexOf("@") + 1)}>`;
    world.receive(account, {
      id,
      account: account.id,
      received_at: new Date().toISOString(),
      from: { address: mail.from, name: mail.from_name },
      to: [mail.to],
      subject: mail.subject,
      text: mail.text,
      html: mail.html,
      headers: [
        ["Message-ID", rfc],
        ["Date", new Date().toUTCString()],
        ...Object.entries(mail.headers).filter(([n]) => n !== "Message-ID"),
      ],
      rfc_message_id: rfc,
    });
    return c.json({ id }, 201);
  });

  app.notFound((c) =>
    c.json(
      {
        error: "Unknown path. There are /health /messages /inbound /charges /stats /personas /faults /reset /deliver.",
      },
      404,
    ),
  );
  return app;
}
