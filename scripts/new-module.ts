import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";

/**
 * `npm run new:module -- notes`: prints the files of a new module (its door, two operations with their test, a migration)
 * and its line in modules/boot.ts. With --write it writes them.
 */

export type NewModule = {
  /** Text by path below the repository. */
  files: Map<string, string>;
  /** What modules/boot.ts needs: the import and the name in the list. */
  bootImport: string;
  bootName: string;
};

const RESERVED = ["kernel", "boot", "module"];

/** Makes the files of a module named in snake_case plural, such as `notes`. Throws with what to type instead. */
export function newModule(name: string, root: string, now = new Date()): NewModule {
  if (!/^[a-z][a-z0-9]*(_[a-z0-9]+)*$/.test(name) || name.length > 30) {
    throw new Error(
      `"${name}" is no name for a module: use lower case letters, digits and _, at most 30, such as notes or price_lists.`,
    );
  }
  if (RESERVED.includes(name)) throw new Error(`"${name}" is taken by the kernel's own files; choose another name.`);
  if (existsSync(join(root, "modules", name))) throw new Error(`modules/${name} exists already.`);
  const camel = (text: string) => text.replace(/_(\w)/g, (_, c: string) => c.toUpperCase());
  const singular = name.endsWith("ies") ? `${name.slice(0, -3)}y` : name.replace(/([^s])s$/, "$1");
  const door = camel(name);
  const Many = door.charAt(0).toUpperCase() + door.slice(1);
  const one = camel(singular);
  const One = one.charAt(0).toUpperCase() + one.slice(1);
  const item = singular === name ? `${One}Item` : One;
  const path = name.replaceAll("_", "-");
  const words = name.replaceAll("_", " ");
  const word = singular.replaceAll("_", " ");
  const files = new Map<string, string>();

  files.set(
    `modules/${name}/module.ts`,
    `import { defineModule } from "../kernel/module.ts";
import { create${item}, list${Many} } from "./${path}.ts";

/** ${capital(words)}: say here in one line what it owns. */
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
  summary: "${capital(words)}, newest first",
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
`,
  );
  return { files, bootImport: `import { ${door} } from "./${name}/module.ts";`, bootName: door };
}

const capital = (text: string) => text.charAt(0).toUpperCase() + text.slice(1);

/** UTC now, but after the newest migration: the order of names is the order of applying. */
function nextVersion(root: string, now: Date): string {
  const stamp = now.toISOString().replace(/[-:T]|\..*/g, "");
  const newest =
    readdirSync(join(root, "migrations"))
      .map((f) => /^(\d{14})_/.exec(f)?.[1] ?? "")
      .sort()
      .at(-1) ?? "";
  return stamp > newest ? stamp : String(BigInt(newest) + 1n);
}

/** modules/boot.ts with the module added. */
export function withModule(boot: string, made: NewModule): string {
  const list = /export const modules: readonly ModuleDef\[\] = \[([^\]]*)\];/.exec(boot);
  const firstImport = boot.indexOf("import ");
  if (!list || firstImport < 0)
    throw new Error("modules/boot.ts has no list of modules where it is expected: add the line by hand.");
  const names = [
    ...list[1]!
      .split(",")
      .map((n) => n.trim())
      .filter(Boolean),
    made.bootName,
  ];
  return boot
    .replace(list[0], `export const modules: readonly ModuleDef[] = [${names.join(", ")}];`)
    .replace(/^import /m, () => `${made.bootImport}\nimport `);
}

function main(args: string[]): void {
  const name = args.find((a) => !a.startsWith("-"));
  const write = args.includes("--write");
  const unknown = args.filter((a) => a.startsWith("-") && a !== "--write");
  if (!name || unknown.length > 0) throw new Error("Type: npm run new:module -- <name in snake_case plural> [--write]");
  const root = resolve(process.env.NEW_MODULE_ROOT ?? join(import.meta.dirname, ".."));
  const made = newModule(name, root);
  const bootFile = join(root, "modules", "boot.ts");
  if (write) {
    const boot = withModule(readFileSync(bootFile, "utf8"), made);
    for (const [path, text] of made.files) {
      mkdirSync(dirname(join(root, path)), { recursive: true });
      writeFileSync(join(root, path), text, { flag: "wx" });
      console.log(`wrote ${path}`);
    }
    writeFileSync(bootFile, boot);
    console.log("added its line to modules/boot.ts");
  } else {
    for (const [path, text] of made.files) console.log(`--- ${path}\n${text}`);
    console.log(
      `--- modules/boot.ts: add\n${made.bootImport}\nand ${made.bootName} to the list of modules. With --write all of this is done.`,
    );
  }
  console.log(
    `Next: give it a row in tests/isolation/rows.ts (the isolation tests ask for one), then npm test -- modules/${name}`,
  );
}

if (process.argv[1] && import.meta.filename === resolve(process.argv[1])) {
  try {
    main(process.argv.slice(2));
  } catch (error) {
    console.error((error as Error).message);
    process.exit(1);
  }
}
