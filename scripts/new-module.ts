import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { EMPTY_BLOCK, nextVersion } from "./migration-blocks.ts";
import {
  camel,
  capital,
  checkFree,
  checkName,
  isMain,
  kebab,
  pascal,
  type Scaffold,
  scaffold,
  words,
} from "./scaffold.ts";

/**
 * `npm run new:module -- notes`: prints the files of a new module (its door, two operations with their test, a migration)
 * and its line in modules/boot.ts. With --write it writes them.
 */

/** Makes the files of a module named in snake_case plural, such as `notes`. Throws with what to type instead. */
export function newModule(name: string, root: string, now = new Date()): Scaffold {
  checkName(name, {
    what: "module",
    max: 30,
    example: "notes or price_lists",
    taken: ["kernel", "boot", "module", "modules"],
  });
  checkFree(root, `modules/${name}`);
  checkUnused(name, root);
  const singular = name.endsWith("ies") ? `${name.slice(0, -3)}y` : name.replace(/([^s])s$/, "$1");
  const door = camel(name);
  const Many = pascal(name);
  const One = pascal(singular);
  const item = singular === name ? `${One}Item` : One;
  const path = kebab(name);
  const title = capital(words(name));
  const word = words(singular);
  const files = new Map<string, string>();

  files.set(
    `modules/${name}/module.ts`,
    `import { defineModule } from "../kernel/module.ts";
import { create${item}, list${Many} } from "./${path}.ts";

/** ${title}: say here in one line what it owns. */
export const ${door} = defineModule({
  name: "${name}",
  needs: ["tenancy"],
  owns: ["public.${name}"],
  permissions: { "${name}:read": "viewer", "${name}:write": "member" },
  operations: [list${Many}, create${item}],
});
`,
  );

  files.set(
    `modules/${name}/${path}.ts`,
    `import { z } from "zod";
import { decodeCursor, pageOf, pageParams, toPage } from "../kernel/operations/cursor.ts";
import { defineOperation } from "../kernel/operations/operation.ts";

const ${item} = z.object({ id: z.uuid(), name: z.string(), created_at: z.iso.datetime() }).meta({ id: "${item}" });
type Row = { id: string; name: string; created_at: Date };
const to${item} = (row: Row): z.output<typeof ${item}> => ({ ...row, created_at: row.created_at.toISOString() });

export const list${Many} = defineOperation({
  id: "${name}.list",
  method: "GET",
  path: "/${path}",
  summary: "${title}, newest first",
  permission: "${name}:read",
  input: z.object({ ...pageParams }),
  output: pageOf(${item}),
  async handle(ctx, { limit, cursor }) {
    const before = decodeCursor(cursor, z.tuple([z.uuid()]))?.[0];
    const rows = await ctx.db<Row[]>\`
      select id, name, created_at from public.${name}
      where tenant_id = \${ctx.tenantId} \${before ? ctx.db\`and id < \${before}\` : ctx.db\`\`}
      order by id desc limit \${limit + 1}\`;
    return toPage(rows, limit, (row) => [row.id], to${item});
  },
});

export const create${item} = defineOperation({
  id: "${name}.create",
  method: "POST",
  path: "/${path}",
  summary: "Make a ${word}",
  permission: "${name}:write",
  input: z.object({ name: z.string().trim().min(1, "give it a name").max(120) }),
  output: ${item},
  status: 201,
  async handle(ctx, { name }) {
    const [row] = await ctx.db<[Row]>\`
      insert into public.${name} (tenant_id, name) values (\${ctx.tenantId}, \${name}) returning id, name, created_at\`;
    ctx.audit({ name }, row.id);
    return to${item}(row);
  },
});
`,
  );

  files.set(
    `modules/${name}/${path}.test.ts`,
    `import { expect, test } from "vitest";
import { testKernel } from "../../tests/support/kernel.ts";

const t = testKernel();

test("a ${word} that was made is listed, newest first, page by page", async () => {
  const tenant = await t.tenant();
  for (const name of ["First", "Second"]) expect((await tenant.api("POST", "/${path}", { name })).status).toBe(201);
  const first = await tenant.api("GET", "/${path}?limit=1");
  expect(first.body).toMatchObject({ data: [{ name: "Second" }], has_more: true });
  const second = await tenant.api("GET", \`/${path}?limit=1&cursor=\${first.body.next_cursor}\`);
  expect(second.body).toMatchObject({ data: [{ name: "First" }], has_more: false });
});

test("a nameless ${word} is refused with the field and the fix; a viewer makes none", async () => {
  const tenant = await t.tenant();
  expect(await tenant.api("POST", "/${path}", { name: " " })).toMatchObject({ status: 422, body: { errors: [{ pointer: "/name", detail: "give it a name" }] } });
  const viewer = await tenant.member("viewer");
  expect((await viewer.api("POST", "/${path}", { name: "Mine" })).status).toBe(403);
  expect((await tenant.api("GET", "/${path}")).body.data).toEqual([]);
});

test("another team sees none of it", async () => {
  const [mine, theirs] = [await t.tenant(), await t.tenant()];
  await mine.api("POST", "/${path}", { name: "Private" });
  expect((await theirs.api("GET", "/${path}")).body.data).toEqual([]);
});
`,
  );

  files.set(
    `migrations/${nextVersion(root, now)}_${name}.sql`,
    `-- ${name}: say here in one line what it is for.
-- owner: modules/${name}   breaking: no   locks: none (new objects only)

create table public.${name} (
  tenant_id uuid not null references public.tenants (id) on delete cascade,
  id uuid not null default kernel.uuid7(),
  name text not null check (length(btrim(name)) between 1 and 120),
  created_at timestamptz not null default kernel.now(),
  updated_at timestamptz not null default kernel.now(),
  primary key (tenant_id, id)
);
comment on table public.${name} is 'Say here what a row is, and who writes it.';
select kernel.protect('public.${name}');

${EMPTY_BLOCK}`,
  );
  return {
    files,
    registrations: [
      {
        path: "modules/boot.ts",
        import: `import { ${door} } from "./${name}/module.ts";`,
        name: door,
        list: "export const modules: readonly ModuleDef[] = [",
      },
    ],
    insertions: [
      {
        path: "tests/isolation/rows.ts",
        before: "  });\n  return id;\n",
        line: `    await tx\`insert into public.${name} (tenant_id, id, name) values (\${t}, \${uuid7()}, 'First')\`;\n`,
      },
    ],
    next: [
      `say what the module owns where its files ask for it, and name in \`needs\` the modules whose tables it reads.`,
      `functions, views, policies and triggers go to modules/${name}/sql; npm run migration -- --refresh writes them into the migration.`,
      `npm run gen, then npm test -- modules/${name} tests/isolation`,
    ],
  };
}

/** A table, route or permission of another module under the name would make boot or the migration fail. */
function checkUnused(name: string, root: string): void {
  const uses: [folder: string, what: string, pattern: RegExp][] = [
    ["migrations", "table", new RegExp(`create table (if not exists )?public\\.${name}\\b`)],
    ["modules", "route", new RegExp(`\\bpath: "/${kebab(name)}["/]`)],
    ["modules", "permission", new RegExp(`"${name}:(read|write)"`)],
  ];
  for (const [folder, what, pattern] of uses)
    for (const file of readdirSync(join(root, folder), { recursive: true, encoding: "utf8" }).sort())
      if (/\.(ts|sql)$/.test(file) && pattern.test(readFileSync(join(root, folder, file), "utf8")))
        throw new Error(`${folder}/${file} has a ${what} of the name ${name} already; choose another name.`);
}

if (isMain(import.meta.filename)) await scaffold("new:module", "<name in snake_case plural>", newModule);
