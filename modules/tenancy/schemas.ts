import { z } from "zod";
import { type Role, ROLES } from "../kernel/context.ts";

/** A moment: Date in the database, ISO 8601 in UTC in JSON. */
export const instant = z
  .date()
  .transform((d) => d.toISOString())
  .pipe(z.iso.datetime());

export const RoleSchema = z.enum(ROLES).meta({ id: "Role" });

export const Email = z
  .email("is not an email address")
  .max(254)
  .transform((e) => e.toLowerCase());
/** For new accounts. 72 bytes is where bcrypt, the auth server's hash, stops reading. */
export const NewPassword = z
  .string()
  .min(10, "use at least 10 characters")
  .refine((p) => new TextEncoder().encode(p).byteLength <= 72, "use at most 72 bytes");
export const PersonName = z.string().trim().max(120).default("");
export const TenantName = z.string().trim().min(1, "give the workspace a name").max(120);
/** Tokens travel in links; anything longer is no token of ours. */
export const LinkToken = z.string().min(1).max(200);

export const Tenant = z
  .object({
    id: z.uuid(),
    name: z.string(),
    slug: z.string(),
    settings: z.record(z.string(), z.unknown()),
    created_at: instant,
    updated_at: instant,
  })
  .meta({ id: "Tenant" });

export type TenantRow = {
  id: string;
  name: string;
  slug: string;
  settings: Record<string, unknown>;
  created_at: Date;
  updated_at: Date;
};

export const Session = z
  .object({
    access_token: z.string(),
    refresh_token: z.string(),
    expires_in: z.number().describe("Seconds until the access token expires."),
    token_type: z.string(),
    user: z.object({ id: z.uuid(), email: z.string() }),
  })
  .meta({ id: "Session" });

export const SessionWithTenant = Session.extend({ tenant: Tenant }).meta({ id: "SessionWithTenant" });

/** A team of a person's; `person` is what they are called there. */
export type TeamRow = { id: string; name: string; slug: string; role: Role; created_at: Date; person: string };
