import { createClient, type SupabaseClient } from "@supabase/supabase-js";
import postgres from "postgres";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { Stack } from "./stack.ts";
import { fixtureStack } from "./testing.ts";

let stack: Stack;
const client = () =>
  createClient(stack.url, stack.env.SUPABASE_PUBLISHABLE_KEY!, {
    auth: { persistSession: false, autoRefreshToken: false },
  });
const signedUp = async (email: string): Promise<SupabaseClient> => {
  const supabase = client();
  const { error, data } = await supabase.auth.signUp({ email, password: "correct horse" });
  expect(error).toBeNull();
  expect(data.session).not.toBeNull();
  return supabase;
};

beforeAll(async () => {
  stack = await fixtureStack(`
    create table public.notes (id int primary key, owner uuid not null default auth.uid(), text text);
    alter table public.notes enable row level security;
    grant select, insert on public.notes to authenticated;
    create policy own on public.notes to authenticated using (owner = (select auth.uid())) with check (owner = (select auth.uid()));
    create table public.internal (id int);
    insert into public.internal values (1);
    create schema hidden;
    create table hidden.secrets (id int);
    alter table hidden.secrets enable row level security;
    create function public.me() returns uuid language sql stable as 'select auth.uid()';
  `);
});
afterAll(() => stack?.stop());

test("a user signs up, signs in, refreshes, changes the password and signs out", async () => {
  const supabase = await signedUp("ann@example.com");
  const { data: refreshed } = await supabase.auth.refreshSession();
  expect(refreshed.user?.email).toBe("ann@example.com");
  // As GoTrue where it asks for the current password; supabase-js passes on what it is given.
  const change = { password: "battery staple", current_password: "correct horse" };
  expect((await supabase.auth.updateUser({ password: change.password })).error?.code).toBe("current_password_mismatch");
  expect((await supabase.auth.updateUser(change)).error).toBeNull();
  // Every session ended with the old password, this one too.
  expect((await supabase.auth.refreshSession()).error?.code).toBe("refresh_token_not_found");
  expect(
    (await client().auth.signInWithPassword({ email: "ann@example.com", password: "correct horse" })).error?.code,
  ).toBe("invalid_credentials");
  expect(
    (await client().auth.signInWithPassword({ email: "ann@example.com", password: "battery staple" })).error,
  ).toBeNull();
  expect((await client().auth.signUp({ email: "bob@example.com", password: "short" })).error?.code).toBe(
    "weak_password",
  );
});

test("each user sees their own rows, anonymous callers none", async () => {
  const [ada, eve] = [await signedUp("ada@example.com"), await signedUp("eve@example.com")];
  expect((await ada.from("notes").insert({ id: 1, text: "mine" })).error).toBeNull();
  expect((await ada.from("notes").select("id,text")).data).toEqual([{ id: 1, text: "mine" }]);
  expect((await eve.from("notes").select("id")).data).toEqual([]);
  const { data: user } = await eve.auth.getUser();
  const forged = await ada.from("notes").insert({ id: 2, owner: user.user!.id });
  expect(forged.error?.code).toBe("42501");
  expect((await client().from("notes").select("id")).error?.code).toBe("42501");
  expect((await ada.rpc("me")).data).toBe((await ada.auth.getUser()).data.user!.id);
});

test("tables without a grant stay closed, also after the server has seen row level security", async () => {
  const supabase = await signedUp("kim@example.com");
  await supabase.from("notes").select("id");
  expect((await supabase.from("internal").select("id")).error?.code).toBe("42501");
  expect((await supabase.from("notes").delete().eq("id", 1)).error?.code).toBe("42501");
  expect((await supabase.schema("hidden").from("secrets").select("id")).error?.code).toBe("PGRST106");
  expect((await supabase.schema("auth").from("users").select("id")).error?.code).toBe("PGRST106");
  const sql = postgres(stack.adminDbUrl, { max: 1 });
  const grants =
    await sql`select grantee, table_schema, table_name, privilege_type from information_schema.role_table_grants
    where grantee in ('anon', 'authenticated', 'service_role') and table_schema in ('public', 'hidden', 'auth') order by privilege_type`;
  await sql.end();
  expect(grants).toEqual([
    { grantee: "authenticated", table_schema: "public", table_name: "notes", privilege_type: "INSERT" },
    { grantee: "authenticated", table_schema: "public", table_name: "notes", privilege_type: "SELECT" },
  ]);
});

test("requests without a key, with a wrong key or with a foreign token are refused", async () => {
  const rest = (headers: Record<string, string>) =>
    fetch(`${stack.url}/rest/v1/notes`, { headers }).then((response) => response.status);
  const apikey = stack.env.SUPABASE_PUBLISHABLE_KEY!;
  expect(await rest({})).toBe(401);
  expect(await rest({ apikey: "sb_publishable_wrong" })).toBe(401);
  const unsigned = `${btoa('{"alg":"none"}')}.${btoa('{"role":"service_role","sub":"x"}')}.`.replaceAll("=", "");
  expect(await rest({ apikey, authorization: `Bearer ${unsigned}` })).toBe(401);
});

test("browsers of any origin may call, and unknown functions and parts say so", async () => {
  const preflight = await fetch(`${stack.url}/rest/v1/notes`, {
    method: "OPTIONS",
    headers: {
      origin: "https://app.example",
      "access-control-request-method": "GET",
      "access-control-request-headers": "apikey,x-custom",
    },
  });
  expect(preflight.status).toBe(204);
  expect(preflight.headers.get("access-control-allow-headers")).toBe("apikey,x-custom");
  const answer = await fetch(`${stack.url}/auth/v1/health`, {
    headers: { origin: "https://app.example", apikey: stack.env.SUPABASE_PUBLISHABLE_KEY! },
  });
  expect(answer.headers.get("access-control-allow-origin")).toBe("*");
  const missing = await fetch(`${stack.url}/functions/v1/nope`);
  expect([missing.status, await missing.json()]).toEqual([404, { message: "Requested function was not found" }]);
  expect((await fetch(`${stack.url}/storage/v1/object/x`)).status).toBe(501);
});
