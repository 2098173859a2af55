import { beforeAll, describe, expect, test } from "vitest";
import { ROLES, type Role, roleRank } from "../../modules/kernel/context.ts";
import { uuid7 } from "../../modules/kernel/database/ids.ts";
import { type AnyOperation, isRead, pathParams } from "../../modules/kernel/operations/operation.ts";
import { type Caller, testKernel, type TestTenant } from "../support/kernel.ts";
import { fillTenant, type Ids, tenantTables } from "./rows.ts";

// Every operation of the registry: who is refused, and that ids of another team do not exist for a caller.

const t = testKernel({ OVERTURE_API_RATE: "10000", OVERTURE_API_BURST: "100000" });
const operations = t.kernel.registry.operations;
const inTenant = operations.filter((o): o is Extract<AnyOperation, { auth: "tenant" }> => o.auth === "tenant");

let mine: TestTenant;
let theirs: TestTenant;
let theirIds: Ids;
const members = new Map<Role, Caller>();
let readKey: string;

beforeAll(async () => {
  [mine, theirs] = [await t.tenant("Attackers"), await t.tenant("Victims")];
  theirIds = await fillTenant(t.sql, theirs.id);
  for (const role of ROLES) members.set(role, role === "owner" ? mine.api : (await mine.member(role)).api);
  const made = await mine.api("POST", "/api-keys", { name: "Reader", scopes: ["*:read"] });
  expect(made.status).toBe(201);
  readKey = made.body.key as string;
});

const pathWith = (op: AnyOperation, id: (param: string) => string) =>
  op.path.replace(/\{(\w+)\}/g, (_, p: string) => id(p));
const anywhere = (op: AnyOperation) => pathWith(op, () => uuid7());
/** The least a request needs to be read; permission comes first, so it matters only where an id is looked up. */
const bodyOf = (op: AnyOperation) =>
  op.method === "GET" || op.method === "DELETE" ? undefined : (bodies[op.id] ?? {});

/** Valid input for the operations that look up an id only after reading a body. */
const bodies: Record<string, unknown> = {
  "approvals.reject": { reason: "No" },
  "approvals.edit": { template: { subject: "Hello", body: "Dear" } },
  "lists.add_contacts": { contact_ids: [uuid7()] },
  "imports.set_encoding": { encoding: "utf-8" },
  "imports.set_mapping": { mapping: { Email: "email" } },
  "campaigns.put": { name: "Taken over" },
  "campaigns.steps.put": { steps: [{ kind: "email", subject: "Hello", body: "Dear" }] },
  "campaigns.leads.add": { contact_ids: [uuid7()] },
  "messages.resolve": { outcome: "sent" },
  "messages.opt_out": { opt_out: true },
  "members.update": { role: "viewer" },
};

/** Operations that read by POST, because what they read by does not fit into a URL. They change nothing. */
const READING_POSTS = ["campaigns.preview", "contacts.select", "segments.preview"];

const refused = async (call: Caller, ops: readonly AnyOperation[], status: number) => {
  const wrong: string[] = [];
  for (const op of ops) {
    const answer = await call(op.method, anywhere(op), bodyOf(op));
    const problem =
      answer.headers.get("content-type")?.startsWith("application/problem+json") && answer.body.request_id;
    if (answer.status !== status || !problem)
      wrong.push(`${op.id}: ${answer.status} ${JSON.stringify(answer.body).slice(0, 120)}`);
  }
  return wrong;
};

describe("every operation", () => {
  test("that wants a caller answers 401 to nobody, to a forged token, an expired one and an unknown key", async () => {
    const closed = operations.filter((o) => o.auth !== "public");
    expect(closed.length).toBeGreaterThan(60);
    expect(await refused(t.call(null), closed, 401)).toEqual([]);
    const someone = mine.owner;
    const expired = await t.sign(someone.userId, someone.email, "-1h");
    const forged = `${someone.token.split(".").slice(0, 2).join(".")}.${"A".repeat(43)}`;
    const unsigned = `${btoa('{"alg":"none","typ":"JWT"}').replaceAll("=", "")}.${someone.token.split(".")[1]}.`;
    for (const token of [expired, forged, unsigned, `ovk_${"x".repeat(40)}`])
      expect(await refused(t.call(token), inTenant, 401), token.slice(0, 40)).toEqual([]);
  });

  test("that is open to nobody in particular is one of the listed ones", () => {
    expect(
      operations
        .filter((o) => o.auth === "public")
        .map((o) => o.id)
        .sort(),
    ).toEqual([
      "auth.address",
      "auth.claim",
      "auth.claim_check",
      "auth.invitation",
      "auth.invitation_accept",
      "auth.login",
      "auth.options",
      "auth.refresh",
      "auth.register",
      "auth.reset",
      "auth.reset_request",
      "auth.signup",
      "catalogue.get",
    ]);
  });

  test("that changes something refuses an API key with read scopes", async () => {
    const call: Caller = (method, path, body) => t.call(null)(method, path, body, { "x-api-key": readKey });
    const reading = inTenant.filter((o) => !isRead(o) && o.permission.endsWith(":read"));
    expect(reading.map((o) => o.id).sort()).toEqual(READING_POSTS);
    const changing = inTenant.filter((o) => !isRead(o) && !reading.includes(o));
    expect(changing.length).toBeGreaterThan(30);
    expect(await refused(call, changing, 403)).toEqual([]);
    // The key itself is good: what it may, it can.
    expect((await call("GET", "/contacts")).status).toBe(200);
  });

  test.each(ROLES.filter((r) => r !== "owner"))("above the role %s refuses it", async (role) => {
    const above = inTenant.filter((o) => roleRank(t.kernel.registry.permissions.get(o.permission)!) > roleRank(role));
    if (roleRank(role) < roleRank("admin")) expect(above.length).toBeGreaterThan(10);
    expect(await refused(members.get(role)!, above, 403)).toEqual([]);
  });

  test("lets a viewer read lists, so that the refusals mean something", async () => {
    const lists = inTenant.filter(
      (o) =>
        isRead(o) && pathParams(o.path).length === 0 && t.kernel.registry.permissions.get(o.permission) === "viewer",
    );
    expect(lists.length).toBeGreaterThan(10);
    for (const op of lists) expect((await members.get("viewer")!(op.method, op.path)).status, op.id).toBe(200);
  });

  test("refuses a person who names a team they do not belong to, and a person without a team", async () => {
    expect(await refused(t.call(mine.owner.token, theirs.id), inTenant, 403)).toEqual([]);
    const loner = uuid7();
    expect(await refused(t.call(await t.sign(loner, "loner@x.test")), inTenant, 403)).toEqual([]);
  });
});

describe("ids of another team", () => {
  /** Which of the team's rows the ids in a path mean, by the segment before them. */
  const rowFor = (op: AnyOperation, param: string): string => {
    const segment = op.path.split(`/{${param}}`)[0]!.split("/").pop()!;
    const table =
      {
        "api-keys": "api_keys",
        "custom-fields": "custom_fields",
        leads: "enrollments",
        runs: op.path.startsWith("/research/") ? "research_runs" : "enrichment_runs",
        enrichment: "enriched_values",
      }[segment] ?? segment;
    const id = table === "members" ? theirs.owner.userId : theirIds[table];
    if (!id) throw new Error(`${op.id}: tests/isolation/rows.ts makes no row that /${segment}/{${param}} could mean`);
    return id;
  };
  const withIds = inTenant.filter((o) => pathParams(o.path).length > 0);

  test("are 404 for every operation, and nothing of that team changes", async () => {
    const tables = await tenantTables(t.sql);
    const look = async () => {
      const all: Record<string, unknown> = {};
      for (const { name, key } of tables)
        all[name] = (
          await t.sql`select md5(coalesce(string_agg(to_jsonb(x)::text, ',' order by to_jsonb(x)::text), '')) as hash from public.${t.sql(name)} x where ${t.sql(key)} = ${theirs.id}`
        )[0]!.hash;
      return all;
    };
    const before = await look();
    const wrong: string[] = [];
    for (const op of withIds) {
      const answer = await mine.api(
        op.method,
        pathWith(op, (p) => rowFor(op, p)),
        bodyOf(op),
      );
      if (answer.status !== 404) wrong.push(`${op.id}: ${answer.status} ${JSON.stringify(answer.body).slice(0, 160)}`);
    }
    expect(wrong).toEqual([]);
    expect(withIds.length).toBeGreaterThan(30);
    expect(await look()).toEqual(before);
  });

  test("are found by their own team, so that the 404 is the wall's and not a wrong address", async () => {
    const reading = withIds.filter((o) => isRead(o));
    expect(reading.length).toBeGreaterThan(8);
    for (const op of reading)
      expect(
        (
          await theirs.api(
            op.method,
            pathWith(op, (p) => rowFor(op, p)),
          )
        ).status,
        op.id,
      ).toBe(200);
  });

  test("in a body do not exist either", async () => {
    const own = await mine.api("POST", "/lists", { name: `Mine ${uuid7()}` });
    const draft = await mine.api("POST", "/campaigns", { name: `Mine ${uuid7()}` });
    const attempts: [string, string, unknown][] = [
      ["POST", `/lists/${own.body.id}/contacts`, { contact_ids: [theirIds.contacts] }],
      ["POST", "/senders", { connection_id: theirIds.connections, address: "spoof@us.test" }],
      ["POST", "/campaigns", { name: "Spy", sender_ids: [theirIds.senders], list_id: theirIds.lists }],
      ["POST", "/contacts", { email: "spy@x.test", company_id: theirIds.companies }],
      ["POST", "/consents", { channel: "sms", contact_ids: [theirIds.contacts], source: "A guess" }],
      ["POST", `/campaigns/${draft.body.id}/leads`, { contact_ids: [theirIds.contacts] }],
      // A step of another team would bring its statistics along.
      [
        "PUT",
        `/campaigns/${draft.body.id}/steps`,
        { steps: [{ id: theirIds.campaign_steps, kind: "email", subject: "Hello", body: "Dear" }] },
      ],
    ];
    for (const [method, path, body] of attempts) {
      const answer = await mine.api(method, path, body);
      const kept =
        JSON.stringify(answer.body).includes(theirIds.contacts!) ||
        (answer.status < 300 &&
          Object.values(body as object).some(
            (v) =>
              typeof v === "string" && Object.values(theirIds).includes(v) && JSON.stringify(answer.body).includes(v),
          ));
      expect(kept, `${method} ${path}: ${answer.status} ${JSON.stringify(answer.body)}`).toBe(false);
    }
    expect(await t.sql`select from public.list_contacts where list_id = ${own.body.id as string}`).toHaveLength(0);
    expect(
      await t.sql`select from public.senders where tenant_id = ${mine.id} and connection_id = ${theirIds.connections!}`,
    ).toHaveLength(0);
    expect(
      await t.sql`select from public.campaigns where tenant_id = ${mine.id} and list_id = ${theirIds.lists!}`,
    ).toHaveLength(0);
    expect(
      await t.sql`select from public.campaign_senders where tenant_id = ${mine.id} and sender_id = ${theirIds.senders!}`,
    ).toHaveLength(0);
    expect(await t.sql`select from public.consents where tenant_id = ${mine.id}`).toHaveLength(0);
    expect(
      await t.sql`select from public.enrollments where tenant_id = ${mine.id} and contact_id = ${theirIds.contacts!}`,
    ).toHaveLength(0);
    expect(
      await t.sql`select from public.contacts where tenant_id = ${mine.id} and company_id = ${theirIds.companies!}`,
    ).toHaveLength(0);
  });
});
