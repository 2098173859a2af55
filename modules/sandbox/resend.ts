import { createHash } from "node:crypto";
import { Hono } from "hono";
import { z } from "zod";
import { randomToken } from "../kernel/secrets/signatures.ts";
import { underFault } from "./context.ts";
import type { Sandbox } from "./context.ts";
import { fail, showEmail, showInbound, toMessage, validate } from "./resend-mail.ts";
import type { Account, Hook, Message } from "./store.ts";

/** Resend's API as its documentation and OpenAPI file describe it. Deliberately laxer: reserved domains are accepted. */

const HookInput = z.object({ endpoint: z.url(), events: z.array(z.string()).min(1) });
const HookPatch = HookInput.partial().extend({ status: z.enum(["enabled", "disabled"]).optional() });

const showHook = (hook: Hook) => ({
  object: "webhook",
  id: hook.id,
  created_at: hook.created_at,
  status: hook.enabled ? "enabled" : "disabled",
  endpoint: hook.url,
  events: hook.events,
});

const notFound = (what: string) => fail(404, "not_found", `${what} not found`);

export function resendApi(sandbox: Sandbox): Hono {
  const { store, world } = sandbox;
  const app = new Hono<{ Variables: { account: Account; key: string } }>();
  const running = new Set<string>();

  app.use("*", async (c, next) => {
    const key = /^Bearer (.+)$/.exec(c.req.header("authorization") ?? "")?.[1];
    if (!key) return fail(401, "missing_api_key", "Missing API Key");
    if (!/^re_[A-Za-z0-9_-]{3,}$/.test(key) || key.startsWith("re_invalid"))
      return fail(403, "invalid_api_key", "API key is invalid");
    const sends = c.req.method === "POST" && /\/emails(\/batch)?$/.test(c.req.path);
    if (key.startsWith("re_send_") && !sends)
      return fail(401, "restricted_api_key", "This API key is restricted to only send emails");
    c.set("account", store.account("resend", key));
    await next();
    c.header("ratelimit-limit", "100");
    c.header("ratelimit-remaining", "99");
    c.header("ratelimit-reset", "1");
  });

  /** Idempotency as documented: same key and body give the first answer, another body 409, a running one 409; 24 hours. */
  async function once(
    account: Account,
    key: string | undefined,
    raw: string,
    make: () => { response: Response; ids: string[]; errors?: unknown },
    again: (ids: string[], errors: unknown) => Response,
  ) {
    if (key === undefined) return make().response;
    if (key.length < 1 || key.length > 256)
      return fail(400, "invalid_idempotency_key", "The idempotency key must be between 1 and 256 characters.");
    const slot = `${account.id}|${key}`;
    const digest = createHash("sha256").update(raw).digest("hex");
    const known = store.keys.get(slot);
    if (known && Date.now() - Date.parse(known.at) < 24 * 3600_000) {
      if (known.digest === digest) return again(known.ids, known.errors);
      return fail(
        409,
        "invalid_idempotent_request",
        "This idempotency key has been used on a request with a different payload.",
      );
    }
    const { response, ids, errors } = make();
    if (response.ok) store.remember(slot, { digest, ids, at: new Date().toISOString(), errors });
    return response;
  }

  const refusals = {
    rateLimit: (after: number) =>
      fail(429, "rate_limit_exceeded", "Too many requests. You can only make 5 requests per second.", {
        "retry-after": String(after),
        "ratelimit-limit": "5",
        "ratelimit-remaining": "0",
        "ratelimit-reset": String(after),
      }),
    serverError: () => fail(500, "internal_server_error", "An unexpected error occurred."),
  };

  function send(path: "/emails" | "/emails/batch") {
    app.post(path, async (c) => {
      const account = c.get("account");
      const key = c.req.header("idempotency-key");
      const slot = `${account.id}|${key}`;
      if (key !== undefined && running.has(slot)) {
        return fail(
          409,
          "concurrent_idempotent_requests",
          "Another request with the same idempotency key is in progress.",
        );
      }
      const raw = await c.req.text();
      let input: unknown;
      try {
        input = JSON.parse(raw);
      } catch {
        return fail(422, "validation_error", "The request body is not valid JSON.");
      }
      running.add(slot);
      try {
        return await underFault(sandbox, account.id, refusals, () =>
          path === "/emails"
            ? once(
                account,
                key,
                raw,
                () => single(account, input, key ?? null),
                ([id]) => Response.json({ id }),
              )
            : once(
                account,
                key,
                raw,
                () => batch(account, input, key ?? null, c.req.header("x-batch-validation") === "permissive"),
                showBatch,
              ),
        );
      } finally {
        running.delete(slot);
      }
    });
  }

  function accept(message: Message): string {
    store.addMessage(message);
    world.play(message);
    return message.id;
  }

  function single(account: Account, input: unknown, key: string | null) {
    const valid = validate(input);
    if (valid instanceof Response) return { response: valid, ids: [] };
    const id = accept(toMessage(account, valid, key));
    return { response: Response.json({ id }), ids: [id] };
  }

  const showBatch = (ids: string[], errors?: unknown) =>
    Response.json({ data: ids.map((id) => ({ id })), ...(errors === undefined ? {} : { errors }) });

  function batch(account: Account, input: unknown, key: string | null, permissive: boolean) {
    if (!Array.isArray(input) || input.length === 0)
      return { response: fail(422, "validation_error", "The batch must be a list of at least one email."), ids: [] };
    if (input.length > 100)
      return { response: fail(422, "validation_error", "The batch can have at most 100 emails."), ids: [] };
    const valid = input.map(validate);
    const bad = valid.find((v) => v instanceof Response);
    if (bad instanceof Response && !permissive) return { response: bad, ids: [] };
    const errors = valid.flatMap((v, index) =>
      v instanceof Response ? [{ index, message: "The email is not valid." }] : [],
    );
    const ids = valid.flatMap((v) => (v instanceof Response ? [] : [accept(toMessage(account, v, key))]));
    return { response: showBatch(ids, permissive ? errors : undefined), ids, ...(permissive ? { errors } : {}) };
  }

  send("/emails/batch");
  send("/emails");

  const own = <T extends { account: string }>(account: Account, item: T | undefined) =>
    item?.account === account.id ? item : undefined;

  const page = <T extends { id: string }>(items: T[], query: (name: string) => string | undefined) => {
    const limit = Math.min(100, Math.max(1, Number(query("limit") ?? 20) || 20));
    const after = query("after");
    const start = after ? items.findIndex((i) => i.id === after) + 1 : 0;
    return { object: "list", has_more: items.length > start + limit, data: items.slice(start, start + limit) };
  };

  app.get("/emails", (c) => {
    const mine = [...store.messages.values()].filter((m) => m.account === c.get("account").id).toReversed();
    return c.json(page(mine.map(showEmail), (n) => c.req.query(n)));
  });
  app.get("/emails/receiving", (c) => {
    const mine = [...store.inbound.values()].filter((m) => m.account === c.get("account").id).toReversed();
    return c.json(page(mine.map(showInbound), (n) => c.req.query(n)));
  });
  app.get("/emails/receiving/:id", (c) => {
    const mail = own(c.get("account"), store.inbound.get(c.req.param("id")));
    return mail ? c.json(showInbound(mail)) : notFound("Email");
  });
  app.get("/emails/:id", (c) => {
    const mail = own(c.get("account"), store.messages.get(c.req.param("id")));
    return mail ? c.json(showEmail(mail)) : notFound("Email");
  });
  app.get("/domains", (c) => {
    const data = ["example.com", "sandbox.test"].map((name, i) => ({
      id: `d91cd9bd-1176-453e-8fc1-35364d380206`.slice(0, -1) + i,
      name,
      status: "verified",
      created_at: c.get("account").created_at,
      region: "eu-west-1",
      capabilities: { sending: "enabled", receiving: "enabled" },
    }));
    return c.json({ object: "list", has_more: false, data });
  });

  app.get("/webhooks", (c) => c.json(page(c.get("account").hooks.map(showHook), (n) => c.req.query(n))));
  app.post("/webhooks", async (c) => {
    const input = HookInput.safeParse(await c.req.json().catch(() => null));
    if (!input.success) return fail(422, "validation_error", z.prettifyError(input.error));
    const account = c.get("account");
    const secret = `whsec_${btoa(randomToken())}`;
    const hook: Hook = {
      id: crypto.randomUUID(),
      url: input.data.endpoint,
      events: input.data.events,
      secret,
      enabled: true,
      created_at: new Date().toISOString(),
      stream: null,
      auth: null,
      extra: {},
    };
    account.hooks.push(hook);
    store.saveAccount(account);
    return c.json({ object: "webhook", id: hook.id, signing_secret: secret }, 201);
  });
  const hookOf = (account: Account, id: string) => account.hooks.find((h) => h.id === id);
  app.get("/webhooks/:id", (c) => {
    const hook = hookOf(c.get("account"), c.req.param("id"));
    return hook ? c.json({ ...showHook(hook), signing_secret: hook.secret }) : notFound("Webhook");
  });
  app.patch("/webhooks/:id", async (c) => {
    const account = c.get("account");
    const hook = hookOf(account, c.req.param("id"));
    if (!hook) return notFound("Webhook");
    const input = HookPatch.safeParse(await c.req.json().catch(() => null));
    if (!input.success) return fail(422, "validation_error", z.prettifyError(input.error));
    if (input.data.endpoint) hook.url = input.data.endpoint;
    if (input.data.events) hook.events = input.data.events;
    if (input.data.status) hook.enabled = input.data.status === "enabled";
    store.saveAccount(account);
    return c.json({ object: "webhook", id: hook.id });
  });
  app.delete("/webhooks/:id", (c) => {
    const account = c.get("account");
    const hook = hookOf(account, c.req.param("id"));
    if (!hook) return notFound("Webhook");
    account.hooks = account.hooks.filter((h) => h !== hook);
    store.saveAccount(account);
    return c.json({ object: "webhook", id: hook.id, deleted: true });
  });
  app.notFound(() => fail(404, "not_found", "The requested endpoint does not exist."));
  return app as unknown as Hono;
}
