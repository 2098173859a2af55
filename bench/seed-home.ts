import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import postgres from "postgres";
import { uuid7 } from "../modules/kernel/database/ids.ts";
import { startStack } from "../supabase/embedded/stack.ts";
import { databaseBytes, seedTenant, type Sizes } from "./seed.ts";

/** Seeds a home that is not running: the named one, or a new one that is kept so that it can be started. */
export async function seedHome({
  home,
  tenant,
  ...sizes
}: Sizes & { home?: string | undefined; tenant?: string | undefined }): Promise<void> {
  const folder = home ? resolve(home) : mkdtempSync(join(tmpdir(), "overture-seeded-"));
  const stack = await startStack({ home: folder, gateway: false, yes: false });
  const admin = postgres(stack.adminDbUrl, { max: 3, onnotice: () => {} });
  try {
    let id = tenant;
    if (id) {
      const [known] = await admin`select 1 from public.tenants where id::text = ${id}`;
      if (!known) throw new Error(`--tenant ${id}: there is no such team in ${folder}.`);
    } else {
      const owner = uuid7();
      const [made] = await admin<
        { id: string }[]
      >`select (private.make_tenant('Seeded', ${owner}, ${`owner-${owner}@example.com`}, 'Owner')).id`;
      id = made!.id;
    }
    const before = await databaseBytes(admin);
    const seeded = await seedTenant(admin, id, sizes, (line) => console.error(`  ${line} …`));
    console.log(
      JSON.stringify({
        bench: "seed",
        value: seeded.seconds,
        unit: "s",
        ok: true,
        detail: {
          home: folder,
          tenant: id,
          ...seeded,
          disk_mb: Math.round(((await databaseBytes(admin)) - before) / 1e6),
        },
      }),
    );
  } finally {
    await admin.end({ timeout: 5 });
    await stack.stop();
  }
}
