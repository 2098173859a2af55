import type { Sql } from "postgres";
import type { AccountAdmin } from "./auth-rules.ts";

/** Changes accounts in the auth server's tables, with the hash that it reads (bcrypt). A changed password ends sessions by its trigger. */
export const accountAdmin = (sql: Sql, secretKey: string): AccountAdmin => ({
  secretKey,
  async setPassword(userId, password) {
    const rows = await sql`
      update auth.users set encrypted_password = extensions.crypt(${password}, extensions.gen_salt('bf', 10)), updated_at = now()
      where id = ${userId} returning 1`;
    return rows.length > 0;
  },
  async setEmail(userId, email) {
    try {
      const [row] = await sql<{ found: boolean }[]>`
        with account as (
          update auth.users set email = ${email}, updated_at = now() where id = ${userId} returning id
        ), identity as (
          update auth.identities i set identity_data = i.identity_data || jsonb_build_object('email', ${email}::text), updated_at = now()
          from account where i.user_id = account.id and i.provider = 'email'
        )
        select exists (select from account) as found`;
      return row!.found;
    } catch (error) {
      if ((error as { code?: unknown }).code === "23505") return "taken";
      throw error;
    }
  },
});
