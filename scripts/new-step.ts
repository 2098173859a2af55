import { capital, camel, checkFree, checkName, isMain, kebab, type Scaffold, scaffold, words } from "./scaffold.ts";

/**
 * `npm run new:step -- note`: prints a new kind of step with its test, and its line in modules/campaigns/module.ts. With --write it
 * writes them. Steps that send come with their channel (`npm run new:channel`).
 */

/** Makes the files of a kind of step named in snake_case, such as `note`. Throws with what to type instead. */
export function newStep(kind: string, root: string): Scaffold {
  checkName(kind, { what: "kind of step", max: 40, example: "note or update_contact" });
  const file = `modules/campaigns/steps/${kebab(kind)}`;
  checkFree(root, `${file}.ts`, `modules/channels/${kind}`);
  const step = `${camel(kind)}Step`;
  const files = new Map([
    [`${file}.ts`, stepFile(kind, step)],
    [`${file}.test.ts`, testFile(kind, step)],
  ]);
  return {
    files,
    registrations: [
      {
        path: "modules/campaigns/module.ts",
        import: `import { ${step} } from "./steps/${kebab(kind)}.ts";`,
        name: step,
        list: "\n  steps: [",
      },
    ],
    next: [
      `label, description, config and plan in ${file}.ts are an example (it keeps a text with each person's step run): make them yours.`,
      `npm test -- ${file}.test.ts`,
    ],
  };
}

const stepFile = (kind: string, step: string) => `import { z } from "zod";
import { defineStep } from "../../kernel/step.ts";

/** ${capital(words(kind))}: say here in one line what it does. */
export const ${step} = defineStep({
  kind: "${kind}",
  label: "${capital(words(kind))}",
  description: "Keeps a text with each person's run of the step.",
  action: null,
  config: z.object({
    text: z.string().trim().min(1, "must not be empty").max(200).meta({ title: "Text" }),
  }),
  branches: () => ["next"],
  // Everybody who is due at steps of this kind, in one call and within the planner's transaction: an outcome each, in their order.
  plan: (runs) =>
    Promise.resolve(
      runs.map(({ config }) => ({ do: "next" as const, outcome: "kept", output: { text: config.text } })),
    ),
});
`;

const testFile = (kind: string, step: string) => `import { expect, test } from "vitest";
import { testKernel } from "../../../tests/support/kernel.ts";
import { email, story } from "../../../tests/support/sequences.ts";
import { ${step} } from "./${kebab(kind)}.ts";

const t = testKernel();

test("a configuration without a text is refused by the field's name", () => {
  expect(${step}.config.safeParse({ text: "A text" }).success).toBe(true);
  for (const config of [{}, { text: " " }, { text: "x".repeat(201) }])
    expect(${step}.config.safeParse(config).error?.issues.map((i) => i.path)).toEqual([["text"]]);
});

test("everybody goes through the step once, and on to the one behind it", async () => {
  const tenant = await t.tenant();
  const steps = [{ kind: "${kind}", text: "A text" }, email("Behind")];
  const { id, go, sent } = await story(t, tenant, steps, ["ada@acme.test", "bob@acme.test"]);
  await go();
  expect(await sent()).toEqual(["Behind", "Behind"]);
  const runs = await t.sql\`
    select r.outcome, r.output from public.step_runs r
    join public.sequence_nodes n on n.tenant_id = r.tenant_id and n.id = r.node_id
    join public.enrollments e on e.tenant_id = r.tenant_id and e.id = r.enrollment_id
    where e.campaign_id = \${id} and n.kind = '${kind}'\`;
  expect(runs.map((r) => ({ ...r }))).toEqual([
    { outcome: "kept", output: { text: "A text" } },
    { outcome: "kept", output: { text: "A text" } },
  ]);
});
`;

if (isMain(import.meta.filename)) await scaffold("new:step", "<kind in snake_case>", newStep);
