import { expect, it } from "vitest";
import { enrollmentsOf, messagesOf, settlePlans, startedCampaign } from "../../../tests/support/campaigns.ts";
import { testKernel } from "../../../tests/support/kernel.ts";

const t = testKernel();
const THREE = [
  { email: "ada@acme.test", first_name: "Ada" },
  { email: "bob@acme.test", first_name: "Bob" },
  { email: "cy@acme.test", first_name: "Cy" },
];
const CALL = {
  kind: "task",
  title: "Call them",
  note: "Ask about the offer",
  outcomes: ["reached", "no_answer"],
  due_in_hours: 48,
  branches: {
    reached: [{ kind: "end", goal: "Meeting" }],
    no_answer: [{ subject: "I called", body: "b" }],
    skipped: [{ subject: "Instead", body: "b" }],
  },
};
const STEPS = [CALL, { kind: "wait", days: 1 }];

async function calls(people = THREE, input: Record<string, unknown> = {}) {
  const tenant = await t.tenant();
  const campaign = await startedCampaign(t, tenant, people, { steps: STEPS, ...input });
  await settlePlans(t, tenant);
  const list = async (query = "") => {
    const { body, status } = await tenant.api("GET", `/tasks?limit=100${query}`);
    expect(status, JSON.stringify(body)).toBe(200);
    return body.data as {
      id: string;
      status: string;
      contact: { email: string };
      enrollment_id: string;
      due_at: string;
      created_at: string;
      assignee_name: string | null;
    }[];
  };
  const taskOf = async (name: string) => (await list()).find((x) => x.contact.email.startsWith(name))!;
  return { tenant, ...campaign, list, taskOf };
}

it("a task is given once to each person who comes to it, and says whom, what, until when and what may come of it", async () => {
  const { tenant, id, list, taskOf } = await calls();
  expect(await list()).toHaveLength(3);
  const ada = await taskOf("ada");
  expect(ada).toMatchObject({
    title: "Call them",
    note: "Ask about the offer",
    status: "open",
    outcomes: ["reached", "no_answer"],
    outcome: null,
    campaign: { id, name: "Spring" },
    contact: { email: "ada@acme.test", full_name: "Ada" },
    assignee_id: null,
    finished_at: null,
  });
  expect((Date.parse(ada.due_at) - Date.parse(ada.created_at)) / 3_600_000).toBeCloseTo(48, 1);
  expect((await tenant.api("GET", `/tasks/${ada.id}`)).body).toEqual(ada);
  await t.sql`select kernel.enqueue('campaigns_plan', array[jsonb_build_object('tenant_id', ${tenant.id}::text)])`;
  await settlePlans(t, tenant);
  expect(await list()).toHaveLength(3);
  for (const lead of (await tenant.api("GET", `/campaigns/${id}/leads`)).body.data)
    expect(lead).toMatchObject({ status: "task", step_kind: "task", waits_for: "task", next_at: null });
  expect((await tenant.api("GET", `/campaigns/${id}`)).body.counts).toMatchObject({ tasks: 3, pending: 3, sent: 0 });
});

it("a task's title and note name the contact; a missing value is left out, an unknown variable stays as written", async () => {
  const { taskOf } = await calls([...THREE, { email: "dee@acme.test", first_name: "" }], {
    steps: [{ ...CALL, title: "Call {{firstName}}", note: "{{ companyName | the company }}: {{nothing}}" }, STEPS[1]],
  });
  expect(await taskOf("ada")).toMatchObject({
    title: "Call Ada",
    note: "{{ companyName | the company }}: {{nothing}}",
  });
  expect(await taskOf("dee")).toMatchObject({ title: "Call" });
});

it("the sequence goes on by the branch of what came of it", async () => {
  const { tenant, id, taskOf, list } = await calls();
  const [ada, bob, cy] = [await taskOf("ada"), await taskOf("bob"), await taskOf("cy")];
  const finish = (task: { id: string }, body: object) => tenant.api("POST", `/tasks/${task.id}/finish`, body);
  const unknown = await finish(ada, { outcome: "won" });
  expect([unknown.status, unknown.body.errors[0]]).toEqual([
    422,
    { pointer: "/outcome", detail: "must be one of reached, no_answer, skipped" },
  ]);
  const done = await finish(ada, { outcome: "reached", result: "Meeting on Monday" });
  expect(done.body).toMatchObject({
    status: "done",
    outcome: "reached",
    result: "Meeting on Monday",
    finished_by: tenant.owner.email,
  });
  expect((await finish(bob, { outcome: "no_answer" })).body).toMatchObject({ status: "done", outcome: "no_answer" });
  expect((await finish(cy, { outcome: "skipped" })).body).toMatchObject({ status: "skipped", outcome: "skipped" });
  await settlePlans(t, tenant);
  expect((await enrollmentsOf(t, id)).map((e) => [e.email, e.status, e.kind])).toEqual([
    ["ada@acme.test", "finished", "end"],
    ["bob@acme.test", "sending", "email"],
    ["cy@acme.test", "sending", "email"],
  ]);
  expect((await messagesOf(t, id)).map((m) => [m.to_address, m.subject])).toEqual([
    ["bob@acme.test", "I called"],
    ["cy@acme.test", "Instead"],
  ]);
  const runs =
    await t.sql`select r.outcome, r.state from public.step_runs r join public.enrollments e on e.id = r.enrollment_id
    where e.campaign_id = ${id} and e.contact_id = (select c.id from public.contacts c where c.tenant_id = ${tenant.id} and c.email = 'ada@acme.test') order by r.id`;
  expect([...runs]).toEqual([
    { outcome: "reached", state: "done" },
    { outcome: "goal", state: "done" },
  ]);
  expect(await list()).toEqual([]);
  expect((await list("&status=done")).map((x) => x.contact.email).toSorted()).toEqual([
    "ada@acme.test",
    "bob@acme.test",
  ]);
  expect((await finish(ada, { outcome: "reached" })).status).toBe(409);
});

it("two people who finish a task at once: one says what came of it, the other is told, and the sequence goes on once", async () => {
  const { tenant, id, taskOf } = await calls(THREE.slice(0, 1));
  const task = await taskOf("ada");
  const colleague = await tenant.member("member");
  const answers = await Promise.all([
    tenant.api("POST", `/tasks/${task.id}/finish`, { outcome: "no_answer" }),
    colleague.api("POST", `/tasks/${task.id}/finish`, { outcome: "reached" }),
    colleague.api("POST", `/tasks/${task.id}/finish`, { outcome: "skipped" }),
  ]);
  expect(answers.map((a) => a.status).sort()).toEqual([200, 409, 409]);
  const won = answers.find((a) => a.status === 200)!.body.outcome;
  await settlePlans(t, tenant);
  const subjects = (await messagesOf(t, id)).map((m) => m.subject);
  expect(subjects).toEqual({ reached: [], no_answer: ["I called"], skipped: ["Instead"] }[won as string]);
});

it("a task whose sequence ends is cancelled and cannot be finished any more", async () => {
  const { tenant, id, taskOf, list } = await calls();
  const [ada, bob] = [await taskOf("ada"), await taskOf("bob")];
  expect((await tenant.api("POST", `/campaigns/${id}/leads/${ada.enrollment_id}/stop`)).status).toBe(200);
  expect((await tenant.api("GET", `/tasks/${ada.id}`)).body).toMatchObject({
    status: "cancelled",
    result: "stopped_by_person",
  });
  expect((await tenant.api("POST", `/tasks/${ada.id}/finish`, { outcome: "reached" })).status).toBe(409);
  expect((await tenant.api("PATCH", `/tasks/${ada.id}`, { due_at: null })).status).toBe(409);
  expect((await tenant.api("POST", `/campaigns/${id}/stop`)).status).toBe(200);
  await settlePlans(t, tenant);
  expect(await list()).toEqual([]);
  expect((await tenant.api("GET", `/tasks/${bob.id}`)).body).toMatchObject({
    status: "cancelled",
    result: "campaign_stopped",
  });
});

it("a task that is finished while the campaign is paused moves nobody before it goes on", async () => {
  const { tenant, id, taskOf } = await calls(THREE.slice(0, 1));
  await tenant.api("POST", `/campaigns/${id}/pause`);
  expect((await tenant.api("POST", `/tasks/${(await taskOf("ada")).id}/finish`, { outcome: "no_answer" })).status).toBe(
    200,
  );
  await settlePlans(t, tenant);
  expect(await messagesOf(t, id)).toEqual([]);
  await tenant.api("POST", `/campaigns/${id}/resume`);
  await settlePlans(t, tenant);
  expect((await messagesOf(t, id)).map((m) => m.subject)).toEqual(["I called"]);
});

it("tasks are listed the most urgent first, page by page, and by campaign, contact and assignee", async () => {
  const { tenant, id, list, taskOf, contactIds } = await calls();
  const member = await tenant.member("member");
  const [ada, cy] = [await taskOf("ada"), await taskOf("cy")];
  const stranger = await tenant.api("PATCH", `/tasks/${cy.id}`, { assignee_id: crypto.randomUUID() });
  expect([stranger.status, stranger.body.errors[0].pointer]).toEqual([422, "/assignee_id"]);
  for (const due_at of ["0000-01-01T00:00:00Z", "9999-12-31T23:59:59-01:00"])
    expect((await tenant.api("PATCH", `/tasks/${cy.id}`, { due_at })).body.errors?.[0].pointer).toBe("/due_at");
  const soon = new Date(Date.now() + 60_000).toISOString();
  expect(
    (await tenant.api("PATCH", `/tasks/${cy.id}`, { due_at: soon, assignee_id: member.userId })).body,
  ).toMatchObject({ due_at: soon, assignee_id: member.userId, assignee_name: "member" });
  // Null: from when it was given.
  expect((await tenant.api("PATCH", `/tasks/${ada.id}`, { due_at: null })).body).toMatchObject({
    due_at: null,
    assignee_id: null,
  });
  const names = (tasks: { contact: { email: string } }[]) => tasks.map((x) => x.contact.email.split("@")[0]);
  expect(names(await list())).toEqual(["ada", "cy", "bob"]);
  const seen: string[] = [];
  for (let cursor: string | null = ""; cursor !== null;) {
    const page: { data: { contact: { email: string } }[]; next_cursor: string | null } = (
      await tenant.api("GET", `/tasks?limit=1&cursor=${cursor}`)
    ).body;
    seen.push(...(names(page.data) as string[]));
    cursor = page.next_cursor;
  }
  expect(seen).toEqual(["ada", "cy", "bob"]);
  expect(names(await list(`&assignee_id=${member.userId}`))).toEqual(["ada", "cy", "bob"]);
  expect((await list()).map((x) => x.assignee_name)).toEqual([null, "member", null]);
  expect(names(await list(`&assignee_id=${tenant.owner.userId}`))).toEqual(["ada", "bob"]);
  expect(names(await list(`&contact_id=${contactIds[1]}`))).toEqual(["bob"]);
  expect(await list(`&campaign_id=${id}`)).toHaveLength(3);
  expect(await list(`&campaign_id=${crypto.randomUUID()}`)).toEqual([]);
});

it("the tasks of who leaves the team are anybody's, and so are those that a step still gives them", async () => {
  const { tenant, id, list, taskOf, steps } = await calls();
  const member = await tenant.member("member");
  const cy = await taskOf("cy");
  await tenant.api("PATCH", `/tasks/${cy.id}`, { assignee_id: member.userId });
  const given = steps.map((s) => (s.kind === "task" ? { ...s, assignee_id: member.userId } : s));
  expect((await tenant.api("PUT", `/campaigns/${id}/steps`, { steps: given })).status).toBe(200);
  expect((await tenant.api("DELETE", `/members/${member.userId}`)).status).toBe(204);
  const mine = () => list(`&assignee_id=${tenant.owner.userId}`);
  expect((await mine()).map((x) => x.id)).toContain(cy.id);
  const dan = (await tenant.api("POST", "/contacts", { email: "dan@example.com", first_name: "dan" })).body.id;
  await tenant.api("POST", `/campaigns/${id}/leads`, { contact_ids: [dan] });
  await settlePlans(t, tenant);
  expect((await mine()).map((x) => x.contact.email)).toContain("dan@example.com");
  expect(await t.sql`select 1 from kernel.dead_letters where tenant_id = ${tenant.id}`).toEqual([]);
});

it("a viewer reads tasks and finishes none; another team sees none", async () => {
  const { tenant, taskOf } = await calls(THREE.slice(0, 1));
  const task = await taskOf("ada");
  const viewer = await tenant.member("viewer");
  expect((await viewer.api("GET", `/tasks/${task.id}`)).status).toBe(200);
  expect((await viewer.api("POST", `/tasks/${task.id}/finish`, { outcome: "reached" })).status).toBe(403);
  expect((await viewer.api("PATCH", `/tasks/${task.id}`, { due_at: null })).status).toBe(403);
  const other = await t.tenant();
  expect((await other.api("GET", "/tasks")).body.data).toEqual([]);
  expect((await other.api("GET", `/tasks/${task.id}`)).status).toBe(404);
  expect((await other.api("POST", `/tasks/${task.id}/finish`, { outcome: "reached" })).status).toBe(404);
  expect((await taskOf("ada")).status).toBe("open");
});
