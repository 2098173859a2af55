import { jwtVerify } from "jose";
import type { Sql, TransactionSql } from "postgres";

/** What a verified token or key says about its bearer. `exp` in seconds since 1970; absent for keys. */
export interface Claims {
  role: string;
  exp?: number;
  [claim: string]: unknown;
}

export interface Keys {
  jwtSecret: string;
  publishableKey: string;
  secretKey: string;
}

/** What policies on realtime.messages allow on one private topic. */
export interface Access {
  receive: boolean;
  send: boolean;
  presenceReceive: boolean;
  presenceSend: boolean;
}

export const EVERYTHING: Access = { receive: true, send: true, presenceReceive: true, presenceSend: true };

/** A token or key that is refused; the message is for the client. */
export class Refused extends Error {}

/** Claims of an `sb_…` key or of a signed token. */
export async function claimsOf(keys: Keys, credential: string | null | undefined): Promise<Claims> {
  if (!credential) throw new Refused("No API key found in request");
  if (credential === keys.publishableKey) return { role: "anon" };
  if (credential === keys.secretKey) return { role: "service_role" };
  if (credential.startsWith("sb_")) throw new Refused("Invalid API key");
  let claims;
  try {
    const key = new TextEncoder().encode(keys.jwtSecret);
    claims = (await jwtVerify(credential, key, { algorithms: ["HS256"] })).payload;
  } catch (error) {
    const expired = (error as { code?: string }).code === "ERR_JWT_EXPIRED";
    throw new Refused(
      expired ? "InvalidJWTToken: Token has expired" : "JwtSignatureError: Failed to validate JWT signature",
    );
  }
  if (typeof claims.role !== "string" || typeof claims.exp !== "number") {
    throw new Refused("InvalidJWTToken: Fields `role` and `exp` are required in JWT");
  }
  return claims as Claims;
}

/** Roles a token may act as; anything else in a signed token is refused. */
const ROLES = ["anon", "authenticated", "service_role"];

/**
 * Asks the policies on realtime.messages, as Realtime does: two probe rows are written, the bearer's role and claims
 * are set, reading and writing are tried, and everything is rolled back.
 */
export async function channelAccess(sql: Sql, topic: string, claims: Claims): Promise<Access> {
  if (!ROLES.includes(claims.role)) throw new Refused(`Unauthorized: role "${claims.role}" may not use channels`);
  const access: Access = { receive: false, send: false, presenceReceive: false, presenceSend: false };
  const rollback = new Error("rollback");
  try {
    await sql.begin(async (tx) => {
      const probes = await tx`
        insert into realtime.messages (topic, extension, private) values (${topic}, 'broadcast', true), (${topic}, 'presence', true)
        returning id, extension`;
      await tx`select set_config('role', ${claims.role}, true), set_config('realtime.topic', ${topic}, true),
        set_config('request.jwt.claims', ${JSON.stringify(claims)}, true),
        set_config('request.jwt.claim.sub', ${String(claims.sub ?? "")}, true),
        set_config('request.jwt.claim.role', ${claims.role}, true),
        set_config('request.headers', '{}', true)`;
      const seen =
        await tx`select extension from realtime.messages where id = any(${probes.map((row) => row.id as string)})`;
      access.receive = seen.some((row) => row.extension === "broadcast");
      access.presenceReceive = seen.some((row) => row.extension === "presence");
      access.send = await mayInsert(tx, topic, "broadcast");
      access.presenceSend = await mayInsert(tx, topic, "presence");
      throw rollback;
    });
  } catch (error) {
    if (error !== rollback) throw error;
  }
  return access;
}

async function mayInsert(tx: TransactionSql, topic: string, extension: string): Promise<boolean> {
  try {
    await tx.savepoint(
      (point) => point`insert into realtime.messages (topic, extension, private) values (${topic}, ${extension}, true)`,
    );
    return true;
  } catch (error) {
    if ((error as { code?: string }).code === "42501") return false;
    throw error;
  }
}
