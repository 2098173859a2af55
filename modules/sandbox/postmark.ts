import { Hono } from "hono";
import type { Context } from "hono";
import { z } from "zod";
import { underFault } from "./context.ts";
import type { Sandbox } from "./context.ts";
import { isRefusal, showTo, STREAMS, toMessage } from "./postmark-mail.ts";
import type { Account, Hook } from "./store.ts";

/** Postmark's server API as its documentation describes it. */

const fail = (status: number, ErrorCode: number, message: string, headers: Record<string, string> = {}) =>
  Response.json({ ErrorCode, Message: message }, { status, headers });

const Auth = z.object({ Username: z.string(), Password: z.string() });
const Trigger = z.looseObject({ Enabled: z.boolean() });
const TRIGGERS = ["Open", "Click", "Delivery", "Bounce", "SpamComplaint", "SubscriptionChange"] as const;
const HookInput = z.object({
  Url: z.url().optional(),
  MessageStream: z.string().optional(),
  HttpAuth: Auth.nullish(),
  HttpHeaders: z.array(z.object({ Name: z.string(), Value: z.string() })).nullish(),
  Triggers: z.partialRecord(z.enum(TRIGGERS), Trigger).nullish(),
});

const showHook = (hook: Hook) => ({
  ID: Number(hook.id),
  Url: hook.url,
  MessageStream: hook.stream,
  ...(hook.auth ? { HttpAuth: { Username: hook.auth.username, Password: hook.auth.password } } : {}),
  HttpHeaders: (hook.extra.headers as unknown) ?? [],
  Triggers: Object.fromEntries(
    TRIGGERS.map((t) => [t, (hook.extra.triggers as Record<string, unknown>)?.[t] ?? { Enabled: false }]),
  ),
});

const showServer = (account: Account) => ({
  ID: 1,
  Name: "Sandbox",
  ApiTokens: [account.id.slice(account.id.indexOf(":") + 1)],
  ServerLink: "https://postmarkapp.com/servers/1/streams",
  Color: "blue",
  SmtpApiActivated: true,
  RawEmailEnabled: false,
  DeliveryType: "Live",
  InboundAddress: "sandbox@inbound.example.com",
  InboundHookUrl: "",
  BounceHookUrl: "",
  OpenHookUrl: "",
  DeliveryHookUrl: "",
  ClickHookUrl: "",
  PostFirstOpenOnly: false,
  InboundDomain: "",
  InboundHash: "sandbox",
  InboundSpamThreshold: 0,
  TrackOpens: false,
  TrackLinks: "None",
  IncludeBounceContentInHook: false,
  EnableSmtpApiErrorHooks: false,
  ...account.server,
});

export function postmarkApi(sandbox: Sandbox): Hono {
  const { store, world } = sandbox;
  type Env = { Variables: { account: Account } };
  const app = new Hono<Env>();

  app.use("*", async (c, next) => {
    const token = c.req.header("x-postmark-server-token");
    if (!token)
      return fail(
        401,
        10,
        "No Account or Server API tokens were supplied in the HTTP headers. Please add a header for either X-Postmark-Server-Token or X-Postmark-Account-Token.",
      );
    const looksRight = token === "POSTMARK_API_TEST" || /^[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}$/i.test(token);
    if (!looksRight || /^0{8}-/.test(token))
      return fail(
        401,
        10,
        "The Server Token you provided in the X-Postmark-Server-Token request header was invalid. Please verify that you are using a valid token.",
      );
    if (!/application\/json|\*\/\*/.test(c.req.header("accept") ?? ""))
      return fail(406, 406, "The Accept header must be application/json.");
    if (["POST", "PUT"].includes(c.req.method) && !/^application\/json/.test(c.req.header("content-type") ?? "")) {
      return fail(415, 415, "The Content-Type header must be application/json.");
    }
    c.set("account", store.account("postmark", token));
    await next();
  });

  const refusals = {
    rateLimit: (after: number) =>
      fail(429, 429, "Rate limit exceeded. Please try again later.", { "retry-after": String(after) }),
    serverError: () => fail(500, 500, "There was an internal server error while processing your request."),
  };

  const body = async (c: Context<Env>) => {
    try {
      return { json: JSON.parse(await c.req.text()) as unknown };
    } catch {
      return null;
    }
  };
  const badJson = () => fail(422, 402, "Invalid JSON: the JSON input you provided is syntactically incorrect.");

  function accept(account: Account, input: unknown) {
    const message = toMessage(account, input);
    if (isRefusal(message)) return message;
    const test = account.id === "postmark:POSTMARK_API_TEST";
    if (!test) {
      store.addMessage(message);
      world.play(message);
    }
    return {
      To: showTo(message.to),
      SubmittedAt: message.accepted_at,
      MessageID: message.id,
      ErrorCode: 0,
      Message: test ? "Test job accepted" : "OK",
    };
  }

  app.post("/email", async (c) => {
    const input = await body(c);
    if (!input) return badJson();
    return underFault(sandbox, c.get("account").id, refusals, () => {
      const result = accept(c.get("account"), input.json);
      return isRefusal(result) ? fail(result.http, result.code, result.message) : Response.json(result);
    });
  });

  app.post("/email/batch", async (c) => {
    const input = await body(c);
    if (!input) return badJson();
    if (!Array.isArray(input.json)) return fail(422, 403, "Incompatible JSON: a list of messages is expected.");
    const items = input.json as unknown[];
    if (items.length > 500) return fail(422, 410, "Too many batch messages: at most 500 are allowed.");
    return underFault(sandbox, c.get("account").id, refusals, () =>
      Response.json(
        items.map((item) => {
          const result = accept(c.get("account"), item);
          return isRefusal(result) ? { ErrorCode: result.code, Message: result.message } : result;
        }),
      ),
    );
  });

  app.get("/messages/outbound", (c) => {
    const query = c.req.query();
    const count = Number(query.count);
    const offset = Number(query.offset);
    if (!(query.count && count >= 1 && count <= 500))
      return fail(422, 600, "The 'count' parameter is required: 1 to 500.");
    if (!(query.offset && offset >= 0 && count + offset <= 10_000))
      return fail(422, 600, "The 'offset' parameter is required; count + offset cannot exceed 10000.");
    const filters = Object.entries(query).filter(([name]) => name.startsWith("metadata_"));
    if (filters.length > 1) return fail(422, 600, "Only one metadata field can be searched at a time.");
    const stream = query.messagestream ?? "outbound";
    if (!(stream in STREAMS)) return fail(422, 1226, "The message stream was not found.");
    const found = [...store.messages.values()]
      .filter(
        (m) =>
          m.account === c.get("account").id &&
          m.stream === stream &&
          (!query.recipient || m.to.some((t) => t.email === query.recipient)) &&
          (!query.fromemail || m.from.email === query.fromemail) &&
          (!query.subject || m.subject.includes(query.subject)) &&
          filters.every(([name, value]) => m.tags[name.slice("metadata_".length)] === value),
      )
      .toReversed();
    return c.json({
      TotalCount: found.length,
      Messages: found.slice(offset, offset + count).map((m) => ({
        Tag: "",
        MessageID: m.id,
        MessageStream: m.stream,
        To: m.to.map((t) => ({ Email: t.email, Name: t.name || null })),
        Cc: [],
        Bcc: [],
        Recipients: m.to.map((t) => t.email),
        ReceivedAt: m.accepted_at,
        From: showTo([m.from]),
        Subject: m.subject,
        Attachments: [],
        Status: "Sent",
        TrackOpens: m.track_opens,
        TrackLinks: "None",
        Metadata: m.tags,
        Sandboxed: false,
      })),
    });
  });

  app.get("/server", (c) => c.json(showServer(c.get("account"))));
  app.put("/server", async (c) => {
    const input = await body(c);
    if (!input) return badJson();
    const known = showServer(c.get("account")) as Record<string, unknown>;
    const account = c.get("account");
    for (const [name, value] of Object.entries(input.json as Record<string, unknown>)) {
      if (name in known && !["ID", "ApiTokens", "InboundAddress", "InboundHash", "DeliveryType"].includes(name))
        account.server[name] = value;
    }
    store.saveAccount(account);
    return c.json(showServer(account));
  });

  app.get("/message-streams/:id", (c) => {
    const id = c.req.param("id");
    const type = STREAMS[id];
    if (!type) return fail(422, 1226, "The message stream for the provided 'ID' was not found.");
    return c.json({
      ID: id,
      ServerID: 1,
      Name: id,
      Description: "",
      MessageStreamType: type,
      CreatedAt: c.get("account").created_at,
      UpdatedAt: null,
      ArchivedAt: null,
    });
  });

  app.get("/webhooks", (c) => {
    const stream = c.req.query("MessageStream");
    if (stream && !(stream in STREAMS)) return fail(422, 1226, "The message stream was not found.");
    return c.json({
      Webhooks: c
        .get("account")
        .hooks.filter((h) => !stream || h.stream === stream)
        .map(showHook),
    });
  });
  const save = async (c: Context<Env>, id: string | null) => {
    const input = await body(c);
    if (!input) return badJson();
    const parsed = HookInput.safeParse(input.json);
    if (!parsed.success) return fail(422, 403, `Incompatible JSON: ${z.prettifyError(parsed.error)}`);
    const account = c.get("account");
    let hook = account.hooks.find((h) => h.id === id);
    if (id !== null && !hook) return fail(422, 700, "The webhook was not found.");
    if (!hook) {
      if (!parsed.data.Url) return fail(422, 701, "A webhook needs a 'Url'.");
      const stream = parsed.data.MessageStream ?? "outbound";
      if (!(stream in STREAMS)) return fail(422, 1226, "The message stream was not found.");
      if (account.hooks.filter((h) => h.stream === stream).length >= 10)
        return fail(422, 702, "At most 10 webhooks are allowed per stream.");
      const next = Math.max(1000, ...account.hooks.map((h) => Number(h.id))) + 1;
      hook = {
        id: String(next),
        url: "",
        events: [],
        secret: "",
        enabled: true,
        created_at: new Date().toISOString(),
        stream,
        auth: null,
        extra: {},
      };
      account.hooks.push(hook);
    }
    const { Url, HttpAuth, HttpHeaders, Triggers } = parsed.data;
    if (Url) hook.url = Url;
    if (HttpAuth) hook.auth = { username: HttpAuth.Username, password: HttpAuth.Password };
    if (HttpHeaders) hook.extra.headers = HttpHeaders;
    if (Triggers) {
      hook.extra.triggers = { ...(hook.extra.triggers as object), ...Triggers };
      hook.events = Object.entries(hook.extra.triggers as Record<string, { Enabled: boolean }>)
        .filter(([, t]) => t.Enabled)
        .map(([name]) => name);
    }
    store.saveAccount(account);
    return c.json(showHook(hook));
  };
  app.post("/webhooks", (c) => save(c, null));
  app.put("/webhooks/:id", (c) => save(c, c.req.param("id")));
  app.get("/webhooks/:id", (c) => {
    const hook = c.get("account").hooks.find((h) => h.id === c.req.param("id"));
    return hook ? c.json(showHook(hook)) : fail(422, 700, "The webhook was not found.");
  });
  app.delete("/webhooks/:id", (c) => {
    const account = c.get("account");
    if (!account.hooks.some((h) => h.id === c.req.param("id"))) return fail(422, 700, "The webhook was not found.");
    account.hooks = account.hooks.filter((h) => h.id !== c.req.param("id"));
    store.saveAccount(account);
    return c.json({ ErrorCode: 0, Message: `Webhook ${c.req.param("id")} removed.` });
  });
  app.notFound(() => fail(404, 404, "The requested resource does not exist."));
  return app as unknown as Hono;
}
