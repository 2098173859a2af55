import { createRemoteJWKSet, jwtVerify } from "jose";
import type { Actor, Role } from "../context.ts";
import { AppError } from "../errors.ts";
import { bearerOf } from "../http/bearer.ts";
import type { Kernel } from "../kernel.ts";
import { sha256Hex } from "../secrets/signatures.ts";

/** Who calls: a signed-in person (Supabase's JWT), a program (API key), or nobody. */

export type Person = { userId: string; email: string; sessionId: string | null };
/** `policy`: whose bucket this is about; of an API key's two the one with less left. */
export type RateLimit = {
  policy: "tenant" | "key";
  limit: number;
  perSecond: number;
  remaining: number;
  retryAfter: number;
};
/** `now` is the database's clock at that moment. */
export type Entered = { actor: Actor; tenantId: string; rate: RateLimit; now: Date };

/** How long a withdrawn signing key may still count, in milliseconds; the set of keys is kept longer than that anyway. */
const VERIFIED_MS = 60_000;
const VERIFIED_MOST = 5_000;

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

/** `ovk_…` is a program, anything else a JWT. Both travel as Bearer; a program may also use X-API-Key. */
export function credentialOf(headers: Headers): { kind: "api_key" | "jwt"; value: string } | null {
  const apiKey = headers.get("x-api-key");
  if (apiKey) return { kind: "api_key", value: apiKey };
  const value = bearerOf(headers);
  if (!value || value.startsWith("sb_")) return null;
  return { kind: value.startsWith("ovk_") ? "api_key" : "jwt", value };
}

/** For an access token that is valid by its signature, but whose session was ended. */
export const sessionEnded = () =>
  new AppError("unauthenticated", "The session has ended.", { suggestion: "Sign in again." });

export function createAuthenticator(kernel: Kernel) {
  const { config } = kernel;
  const secret = config.jwtSecret ? new TextEncoder().encode(config.jwtSecret) : null;
  const jwks = createRemoteJWKSet(new URL(`${config.supabaseUrl}/auth/v1/.well-known/jwks.json`));
  const limits = {
    tenant: { limit: config.apiBurst, perSecond: config.apiRate },
    key: { limit: config.apiKeyBurst, perSecond: config.apiKeyRate },
  };

  /** Tokens whose signature held, for as long as they stand: checking it costs more than the rest of a request's entry. */
  const verified = new Map<string, { person: Person; until: number }>();

  /** Only `sub` and `role` decide anything: claims go stale, membership is looked up. */
  async function person(token: string): Promise<Person> {
    const known = verified.get(token);
    if (known && Date.now() < known.until) return known.person;
    try {
      const options = { clockTolerance: 5, requiredClaims: ["sub", "exp"], audience: "authenticated" };
      const symmetric =
        JSON.parse(atob((token.split(".")[0] ?? "").replaceAll("-", "+").replaceAll("_", "/"))).alg === "HS256";
      const { payload } =
        symmetric && secret
          ? await jwtVerify(token, secret, { ...options, algorithms: ["HS256"] })
          : await jwtVerify(token, jwks, { ...options, algorithms: ["ES256", "RS256"] });
      if (payload.role !== "authenticated" || !UUID.test(payload.sub ?? "")) throw new Error("not a person's token");
      const session = typeof payload.session_id === "string" ? payload.session_id : null;
      if (session !== null && !UUID.test(session)) throw new Error("not a session");
      const found = { userId: payload.sub!, email: String(payload.email ?? ""), sessionId: session };
      if (verified.size >= VERIFIED_MOST) verified.clear();
      verified.set(token, { person: found, until: Math.min(payload.exp! * 1000, Date.now() + VERIFIED_MS) });
      return found;
    } catch (cause) {
      throw new AppError("unauthenticated", "The access token is not valid or has expired.", {
        cause,
        suggestion: "Refresh the session or sign in again.",
      });
    }
  }

  type Bucket = { taken: boolean; remaining: number; retry_after: number };
  const rateOf = (policy: RateLimit["policy"], row: Bucket): RateLimit => ({
    policy,
    ...limits[policy],
    remaining: Math.floor(row.remaining),
    retryAfter: row.taken ? 0 : Math.max(1, Math.ceil(row.retry_after)),
  });

  return {
    person,

    /** The caller inside a tenant, with one token of its rate limits (the tenant's, the key's) taken. One round trip. */
    async enter(headers: Headers): Promise<Entered> {
      const credential = credentialOf(headers);
      if (!credential) {
        throw new AppError("unauthenticated", "This operation needs a session or an API key.", {
          suggestion: "Send `Authorization: Bearer <access token or API key>`.",
        });
      }
      // One statement without a transaction around it: these functions find the tenant, so they need none.
      if (credential.kind === "api_key") {
        const hash = await sha256Hex(credential.value);
        const [row] = await kernel.database.once(
          (sql) => sql<
            {
              tenant_id: string;
              key_id: string;
              scopes: string[];
              maker_id: string;
              role: Role | null;
              taken: boolean;
              remaining: number;
              retry_after: number;
              policy: RateLimit["policy"];
              now: Date;
            }[]
          >`
            select *, kernel.now() as now from kernel.enter_as_key(${hash}, ${limits.tenant.limit}, ${limits.tenant.perSecond}, ${limits.key.limit}, ${limits.key.perSecond})`,
        );
        if (!row) throw new AppError("unauthenticated", "The API key is unknown, revoked or expired.");
        if (row.role === null) {
          throw new AppError(
            "unauthenticated",
            "The API key has stopped: the person who made it has left the workspace.",
            {
              suggestion: "Ask a member of the workspace to make a new key.",
            },
          );
        }
        return {
          actor: { kind: "api_key", keyId: row.key_id, scopes: row.scopes, makerId: row.maker_id, role: row.role },
          tenantId: row.tenant_id,
          rate: rateOf(row.policy, row),
          now: row.now,
        };
      }
      const who = await person(credential.value);
      const wanted = headers.get("x-tenant-id");
      if (wanted !== null && !UUID.test(wanted)) throw new AppError("bad_request", "X-Tenant-Id is not a UUID.");
      const [row] = await kernel.database.once(
        (sql) => sql<
          {
            tenant_id: string | null;
            role: Role;
            taken: boolean;
            remaining: number;
            retry_after: number;
            now: Date;
          }[]
        >`
          select *, kernel.now() as now from kernel.enter_as_user(${who.userId}, ${who.sessionId}, ${wanted}, ${limits.tenant.limit}, ${limits.tenant.perSecond})`,
      );
      if (!row) {
        throw new AppError(
          "forbidden",
          wanted ? "You are not a member of this workspace." : "You are not a member of a workspace yet.",
          {
            suggestion: "GET /api/v1/tenants lists your workspaces; POST /api/v1/tenants creates one.",
          },
        );
      }
      if (row.tenant_id === null) throw sessionEnded();
      return {
        actor: { kind: "user", ...who, role: row.role },
        tenantId: row.tenant_id,
        rate: rateOf("tenant", row),
        now: row.now,
      };
    },
  };
}

/** The address the nearest proxy saw: it appends to what the caller may have invented. Only used for limits, never for rights. */
export const callerAddress = (headers: Headers): string =>
  headers.get("x-forwarded-for")?.split(",").at(-1)?.trim() || "unknown";

export type Authenticator = ReturnType<typeof createAuthenticator>;
