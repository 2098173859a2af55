import { createClient, FunctionsHttpError, type RealtimeChannel, type SupabaseClient } from "@supabase/supabase-js";
import { afterAll, beforeAll, describe, expect, inject, test } from "vitest";
import { until } from "../support/until.ts";

// What a browser or a program does with the official client. By default against the stack of this test run; with
// SUPABASE_URL and SUPABASE_PUBLISHABLE_KEY set, against any Supabase that has the product's migrations and functions,
// such as one of `supabase start`. Nothing here knows which it is.

const url = process.env.SUPABASE_URL ?? inject("stackEnv").SUPABASE_URL!;
const key = process.env.SUPABASE_URL
  ? process.env.SUPABASE_PUBLISHABLE_KEY!
  : inject("stackEnv").SUPABASE_PUBLISHABLE_KEY!;
if (!key) throw new Error("With SUPABASE_URL, set SUPABASE_PUBLISHABLE_KEY to a key of that Supabase.");

const password = "correct horse battery";
const clients: SupabaseClient[] = [];

const anonymous = (): SupabaseClient => {
  const client = createClient(url, key, { auth: { persistSession: false, autoRefreshToken: false } });
  clients.push(client);
  return client;
};

type Member = { client: SupabaseClient; email: string; userId: string; tenantId: string };

async function invoke<T = any>(
  client: SupabaseClient,
  path: string,
  options: { method?: "GET" | "POST" | "PATCH" | "DELETE"; body?: object; tenantId?: string } = {},
) {
  const { data, error } = await client.functions.invoke<T>(`api/v1${path}`, {
    method: options.method ?? "GET",
    ...(options.body ? { body: options.body } : {}),
    headers: options.tenantId ? { "x-tenant-id": options.tenantId } : {},
  });
  const problem =
    error instanceof FunctionsHttpError
      ? ((await error.context.json()) as { status: number; title: string; request_id: string })
      : null;
  if (error && !problem) throw error;
  return { data: data as T, problem };
}

async function signUp(): Promise<Member> {
  const client = anonymous();
  const email = `contract-${crypto.randomUUID()}@example.com`;
  const { data, error } = await client.auth.signUp({ email, password });
  expect(error).toBeNull();
  expect(data.session?.access_token).toBeTruthy();
  const made = await invoke<{ id: string }>(client, "/tenants", {
    method: "POST",
    body: { name: `Contract ${email.slice(9, 17)}` },
  });
  expect(made.problem).toBeNull();
  return { client, email, userId: data.user!.id, tenantId: made.data.id };
}

let ada: Member;
let eve: Member;
beforeAll(async () => {
  ada = await signUp();
  eve = await signUp();
});
afterAll(async () => {
  for (const client of clients) {
    await client.removeAllChannels();
    await client.realtime.disconnect();
  }
});

const createContact = async (member: Member, firstName: string) => {
  const body = { email: `${crypto.randomUUID()}@example.com`, first_name: firstName };
  const { data, problem } = await invoke<{ id: string; email: string }>(member.client, "/contacts", {
    method: "POST",
    body,
    tenantId: member.tenantId,
  });
  expect(problem).toBeNull();
  return data;
};

describe("auth", () => {
  test("signs in with the right password only", async () => {
    expect((await anonymous().auth.signInWithPassword({ email: ada.email, password: "wrong horse" })).error?.code).toBe(
      "invalid_credentials",
    );
    const { data, error } = await anonymous().auth.signInWithPassword({ email: ada.email, password });
    expect(error).toBeNull();
    expect(data.user?.id).toBe(ada.userId);
  });

  test("refreshes a session into one the API accepts", async () => {
    const client = anonymous();
    await client.auth.signInWithPassword({ email: ada.email, password });
    const { data, error } = await client.auth.refreshSession();
    expect(error).toBeNull();
    expect(data.user?.email).toBe(ada.email);
    const { data: me } = await invoke(client, "/auth/me");
    expect(JSON.stringify(me)).toContain(ada.tenantId);
  });

  test("a second account cannot take the same address", async () => {
    const { data, error } = await anonymous().auth.signUp({ email: ada.email, password });
    expect(error !== null || data.session === null).toBe(true);
  });
});

describe("REST under row-level security", () => {
  test("shows a member the team's own contacts and lists, and nobody else's", async () => {
    const contact = await createContact(ada, "Grace");
    const list = await invoke<{ id: string }>(ada.client, "/lists", {
      method: "POST",
      body: { name: "Friends" },
      tenantId: ada.tenantId,
    });
    const mine = await ada.client.from("contacts").select("id, tenant_id, first_name").eq("id", contact.id);
    expect(mine).toMatchObject({
      error: null,
      data: [{ id: contact.id, tenant_id: ada.tenantId, first_name: "Grace" }],
    });
    expect((await eve.client.from("contacts").select("id").eq("id", contact.id)).data).toEqual([]);
    expect((await eve.client.from("lists").select("id").eq("id", list.data.id)).data).toEqual([]);
    const all = await ada.client.from("contacts").select("tenant_id");
    expect(new Set(all.data?.map((r) => r.tenant_id))).toEqual(new Set([ada.tenantId]));
  });

  test("shows the team's campaigns", async () => {
    const made = await invoke<{ id: string }>(ada.client, "/campaigns", {
      method: "POST",
      body: { name: "Spring" },
      tenantId: ada.tenantId,
    });
    expect(made.problem).toBeNull();
    expect((await ada.client.from("campaigns").select("id, name, status").eq("id", made.data.id)).data).toEqual([
      { id: made.data.id, name: "Spring", status: "draft" },
    ]);
    expect((await eve.client.from("campaigns").select("id")).data).toEqual([]);
  });

  test("filters, orders, counts and pages as PostgREST does", async () => {
    for (const name of ["Xaver", "Xenia", "Xing"]) await createContact(ada, name);
    const { data, count, error } = await ada.client
      .from("contacts")
      .select("first_name", { count: "exact" })
      .like("first_name", "X%")
      .order("first_name", { ascending: false })
      .range(0, 1);
    expect(error).toBeNull();
    expect(data).toEqual([{ first_name: "Xing" }, { first_name: "Xenia" }]);
    expect(count).toBe(3);
  });

  test("writes nothing, for members neither: all writes go through the API", async () => {
    const contact = await createContact(ada, "Still");
    const insert = await ada.client.from("contacts").insert({ tenant_id: ada.tenantId, email: "rest@example.com" });
    expect(insert.error?.code).toBe("42501");
    expect((await ada.client.from("contacts").update({ first_name: "Changed" }).eq("id", contact.id)).error?.code).toBe(
      "42501",
    );
    expect((await ada.client.from("contacts").delete().eq("id", contact.id)).error?.code).toBe("42501");
    expect((await ada.client.from("members").update({ role: "owner" }).eq("tenant_id", ada.tenantId)).error?.code).toBe(
      "42501",
    );
    expect((await ada.client.from("contacts").select("first_name").eq("id", contact.id)).data).toEqual([
      { first_name: "Still" },
    ]);
  });

  test("gives a visitor nothing, and nobody the secrets or the internals", async () => {
    expect((await anonymous().from("contacts").select("id")).error?.code).toBe("42501");
    expect((await ada.client.from("connections").select("credentials")).error?.code).toBe("42501");
    expect((await ada.client.from("api_keys").select("key_hash")).error?.code).toBe("42501");
    for (const schema of ["kernel", "private", "analytics", "pgmq", "auth"]) {
      const { error } = await ada.client
        .schema(schema as "public")
        .from("settings")
        .select("*");
      expect(error?.code, schema).toBe("PGRST106");
    }
    expect((await ada.client.rpc("my_tenants")).error?.code).toBe("PGRST202");
  });
});

describe("functions", () => {
  test("the API answers the official client, with the session as the caller", async () => {
    const contact = await createContact(ada, "Invoked");
    const { data } = await invoke<{ id: string; email: string }>(ada.client, `/contacts/${contact.id}`, {
      tenantId: ada.tenantId,
    });
    expect(data).toMatchObject({ id: contact.id, email: contact.email });
    expect((await invoke(eve.client, `/contacts/${contact.id}`, { tenantId: eve.tenantId })).problem).toMatchObject({
      status: 404,
    });
    expect((await invoke(eve.client, `/contacts/${contact.id}`, { tenantId: ada.tenantId })).problem).toMatchObject({
      status: 403,
    });
    expect((await invoke(anonymous(), "/contacts")).problem).toMatchObject({
      status: 401,
      request_id: expect.any(String),
    });
  });

  test("a fault arrives as a problem the client can read", async () => {
    const { problem } = await invoke(ada.client, "/contacts", {
      method: "POST",
      body: { email: "no address" },
      tenantId: ada.tenantId,
    });
    expect(problem).toMatchObject({ status: 422, errors: [{ pointer: "/email" }] });
  });

  test.each([
    ["links/o/forged", "GET", 404],
    [`webhooks/resend/${crypto.randomUUID()}`, "POST", 404],
    ["tick", "POST", 401],
  ])("%s is reachable beside it", async (path, method, status) => {
    const response = await fetch(`${url}/functions/v1/${path}`, { method });
    expect(response.status).toBe(status);
    expect(response.headers.get("content-type")).toMatch(/problem\+json/);
  });

  test("a function that does not exist is 404", async () => {
    expect((await fetch(`${url}/functions/v1/no-such-function`, { headers: { apikey: key } })).status).toBe(404);
  });
});

describe("realtime", () => {
  type Heard = { event: string; payload: { table: string; op: string; count: number; ids: string[] } };

  async function join(member: { client: SupabaseClient }, topic: string) {
    const heard: Heard[] = [];
    let status = "";
    let reason: string | undefined;
    const { data } = await member.client.auth.getSession();
    await member.client.realtime.setAuth(data.session?.access_token ?? null);
    const channel: RealtimeChannel = member.client.channel(topic, { config: { private: true } });
    channel
      .on("broadcast", { event: "*" }, (message) => heard.push(message as unknown as Heard))
      .subscribe((s, error) => {
        status ||= s;
        reason ??= error?.message;
      });
    await until(() => status, { what: `an answer to joining ${topic}` });
    return { heard, status, reason, channel };
  }

  test("a member hears the team's changes as they are made through the API", async () => {
    const { heard, status, reason, channel } = await join(ada, `tenant:${ada.tenantId}`);
    expect(status, reason).toBe("SUBSCRIBED");
    const contact = await createContact(ada, "Heard");
    const message = await until(
      () => heard.find((m) => m.event === "contacts" && m.payload.ids?.includes(contact.id)),
      { what: "the broadcast of the new contact" },
    );
    expect(message.payload).toMatchObject({ table: "contacts", op: "insert", count: 1, ids: [contact.id] });
    // Ids only: what a row holds is asked for under policies.
    expect(JSON.stringify(message)).not.toContain(contact.email);
    await createContact(eve, "Elsewhere");
    const last = await createContact(ada, "Last");
    await until(() => heard.some((m) => m.payload.ids?.includes(last.id)), { what: "the last broadcast" });
    expect(heard.filter((m) => m.event === "contacts").map((m) => m.payload.ids)).toEqual([[contact.id], [last.id]]);
    await ada.client.removeChannel(channel);
  });

  test("a member of another team and a visitor are refused", async () => {
    for (const stranger of [eve, { client: anonymous() }]) {
      const { status, channel } = await join(stranger, `tenant:${ada.tenantId}`);
      expect(status).toBe("CHANNEL_ERROR");
      await stranger.client.removeChannel(channel);
    }
  });

  test("a member cannot speak on the team's topic: what is heard there comes from the database", async () => {
    const listener = await join(ada, `tenant:${ada.tenantId}`);
    // Another session of the same person: a speaker does not hear itself.
    const second = anonymous();
    await second.auth.signInWithPassword({ email: ada.email, password });
    const speaker = await join({ client: second }, `tenant:${ada.tenantId}`);
    expect([listener.status, speaker.status]).toEqual(["SUBSCRIBED", "SUBSCRIBED"]);
    const answer = await speaker.channel.send({
      type: "broadcast",
      event: "contacts",
      payload: { table: "contacts", op: "delete", ids: ["forged"] },
    });
    const real = await createContact(ada, "Real");
    await until(() => listener.heard.some((m) => m.payload.ids?.includes(real.id)), {
      what: `the real broadcast (the send was ${answer})`,
    });
    expect(JSON.stringify(listener.heard)).not.toContain("forged");
    await ada.client.removeChannel(listener.channel);
  });
});
