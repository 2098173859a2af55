import { z } from "zod";
import { decodeCursor, pageOf, pageParams, toPage } from "../kernel/operations/cursor.ts";
import type { Actor, Ctx } from "../kernel/context.ts";
import { AppError, invalidField } from "../kernel/errors.ts";
import { defineOperation } from "../kernel/operations/operation.ts";
import { Moment } from "../kernel/operations/time.ts";
import { randomToken, sha256Hex } from "../kernel/secrets/signatures.ts";
import { checkScopes } from "./scopes.ts";
import { instant } from "./schemas.ts";

const shape = {
  id: z.uuid(),
  name: z.string(),
  prefix: z.string(),
  scopes: z.array(z.string()),
  created_by: z
    .object({ user_id: z.uuid(), email: z.string(), name: z.string() })
    .describe("Who made the key. A key can do no more than its maker may now, and stops when they leave."),
  expires_at: instant.nullable(),
  last_used_at: instant.nullable(),
  created_at: instant,
};
const ApiKey = z.object(shape).meta({ id: "ApiKey" });
type ApiKeyRow = z.input<typeof ApiKey>;

/** The columns of ApiKey, of keys `k` whose makers are members `m`; there are no others, because a key ends with the membership. */
const columns = (db: Ctx["db"]) => db`
  k.id, k.name, k.prefix, k.scopes, k.expires_at, k.last_used_at, k.created_at,
  jsonb_build_object('user_id', m.user_id, 'email', m.email, 'name', m.name) as created_by`;

/** The person behind a caller: a key that makes a key does it for its own maker. */
function makerOf(actor: Actor): string {
  if (actor.kind === "user") return actor.userId;
  if (actor.kind === "api_key") return actor.makerId;
  throw new AppError("forbidden", "Only a member or an API key can make a key.");
}

/** `ovk_` and eight characters: enough to tell keys apart, far too little to guess the rest. */
const PREFIX_LENGTH = 12;

export const createApiKey = defineOperation({
  id: "api_keys.create",
  method: "POST",
  path: "/api-keys",
  summary: "Create an API key",
  description:
    "The key is in this response and is not shown again: only its hash is stored. Scopes are `resource:read`, `resource:write` (which includes reading) or `*` for all. A key cannot have permissions that its creator does not have, loses those that its creator loses, and stops when they leave.",
  permission: "api_keys:write",
  input: z.object({
    name: z.string().trim().min(1, "give the key a name").max(80),
    scopes: z.array(z.string().max(80)).min(1, "give at least one scope").max(50),
    expires_at: Moment.optional(),
  }),
  output: z.object({ ...shape, key: z.string() }),
  status: 201,
  secretAnswer: true,
  async handle(ctx, { name, scopes, expires_at }) {
    const wanted = [...new Set(scopes)];
    const { db, actor, tenantId, now } = ctx;
    checkScopes(ctx.registry, actor, wanted);
    const key = randomToken("ovk_");
    const hash = await sha256Hex(key);
    const expires = expires_at ? new Date(expires_at) : null;
    if (expires && expires <= now) throw invalidField("/expires_at", "is in the past");
    const [row] = await db<ApiKeyRow[]>`
      with k as (
        insert into public.api_keys (tenant_id, name, prefix, key_hash, scopes, created_by, expires_at)
        values (${tenantId}, ${name}, ${key.slice(0, PREFIX_LENGTH)}, ${hash}, ${wanted}, ${makerOf(actor)}, ${expires})
        returning *
      )
      select ${columns(db)} from k join public.members m on m.tenant_id = k.tenant_id and m.user_id = k.created_by`;
    return { ...row!, key };
  },
});

export const listApiKeys = defineOperation({
  id: "api_keys.list",
  method: "GET",
  path: "/api-keys",
  summary: "List the API keys that are not revoked, newest first",
  permission: "api_keys:read",
  input: z.object(pageParams),
  output: pageOf(ApiKey),
  async handle(ctx, { limit, cursor }) {
    const before = decodeCursor(cursor, z.tuple([z.uuid()]))?.[0];
    const rows = await ctx.db<ApiKeyRow[]>`
      select ${columns(ctx.db)} from public.api_keys k
      join public.members m on m.tenant_id = k.tenant_id and m.user_id = k.created_by
      where k.tenant_id = ${ctx.tenantId} and k.revoked_at is null ${before ? ctx.db`and k.id < ${before}` : ctx.db``}
      order by k.id desc limit ${limit + 1}`;
    return toPage(
      rows,
      limit,
      (r) => [r.id],
      (r) => r,
    );
  },
});

export const revokeApiKey = defineOperation({
  id: "api_keys.revoke",
  method: "DELETE",
  path: "/api-keys/{id}",
  summary: "Revoke an API key with immediate effect",
  permission: "api_keys:write",
  input: z.object({ id: z.uuid() }),
  output: z.null(),
  status: 204,
  async handle(ctx, { id }) {
    const [row] = await ctx.db<{ name: string; prefix: string }[]>`
      update public.api_keys set revoked_at = ${ctx.now} where tenant_id = ${ctx.tenantId} and id = ${id} and revoked_at is null
      returning name, prefix`;
    if (!row) throw new AppError("not_found", "There is no such API key.");
    ctx.audit({ name: row.name, prefix: row.prefix }, id);
    return null;
  },
});
