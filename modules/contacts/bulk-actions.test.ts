import { describe, expect, it } from "vitest";
import { testKernel } from "../../tests/support/kernel.ts";

const t = testKernel();
const nobody = "01900000-0000-7000-8000-000000000000";

async function people(n: number) {
  const team = await t.tenant();
  const contacts = Array.from({ length: n }, (_, i) => ({ email: `p${i}@b.co`, tags: i === 0 ? ["old"] : [] }));
  const ids: string[] = (await team.api("POST", "/contacts/bulk", { contacts })).body.data.map(
    (d: { id: string }) => d.id,
  );
  const act = (body: object) => team.api("POST", "/contacts/bulk-actions", body);
  return { team, ids, act };
}

describe("acting on many people", () => {
  it("tags and untags, counting only who changed", async () => {
    const { act, ids, team } = await people(4);
    expect((await act({ action: "add_tag", value: "old", ids })).body).toEqual({ affected: 3 });
    expect((await act({ action: "add_tag", value: "old", filter: { all: [] } })).body).toEqual({ affected: 0 });
    expect(
      (await act({ action: "remove_tag", value: "old", filter: { field: "email", op: "starts_with", value: "p1" } }))
        .body,
    ).toEqual({ affected: 1 });
    expect((await team.api("GET", "/contacts/count?tag=old")).body.count).toBe(3);
  });

  it("puts on and takes off a list", async () => {
    const { act, ids, team } = await people(4);
    const list = (await team.api("POST", "/lists", { name: "L" })).body.id;
    expect((await act({ action: "add_to_list", value: list, ids: ids.slice(0, 3) })).body).toEqual({ affected: 3 });
    expect((await act({ action: "add_to_list", value: list, filter: { all: [] } })).body).toEqual({ affected: 1 });
    expect(
      (await act({ action: "remove_from_list", value: list, filter: { field: "list", op: "eq", value: list } })).body,
    ).toEqual({ affected: 4 });
    expect((await team.api("GET", `/lists/${list}`)).body.contact_count).toBe(0);
  });

  it("sets the status and deletes, ids of other teams and of nobody left alone", async () => {
    const { act, ids, team } = await people(3);
    const other = await people(2);
    expect(
      (await act({ action: "set_status", value: "interested", ids: [...ids.slice(0, 2), ...other.ids, nobody] })).body,
    ).toEqual({ affected: 2 });
    expect((await act({ action: "delete", ids: [...ids.slice(0, 1), ...other.ids] })).body).toEqual({ affected: 1 });
    expect((await team.api("GET", "/contacts/count")).body.count).toBe(2);
    expect((await other.team.api("GET", "/contacts/count")).body.count).toBe(2);
  });

  it.each([
    [{ action: "add_tag", value: "x" }, "/ids"],
    [{ action: "add_tag", value: "x", ids: [nobody], filter: { all: [] } }, "/ids"],
    [{ action: "add_tag", ids: [nobody] }, "/value"],
    [{ action: "set_status", value: "unsubscribed", ids: [nobody] }, "/value"],
    [{ action: "add_to_list", value: "mine", ids: [nobody] }, "/value"],
    [{ action: "add_to_list", value: nobody, ids: [nobody] }, "/value"],
    [{ action: "delete", value: "x", ids: [nobody] }, "/value"],
    [{ action: "explode", ids: [nobody] }, "/action"],
    [{ action: "delete", filter: { field: "x", op: "eq", value: "1" } }, "/filter/field"],
  ])("422 for %j at %s", async (body, pointer) => {
    const { act } = await people(1);
    const answer = await act(body);
    expect([answer.status, answer.body.errors[0].pointer]).toEqual([422, pointer]);
  });

  it("403 for a viewer", async () => {
    const { team, ids } = await people(1);
    const viewer = await team.member("viewer");
    expect((await viewer.api("POST", "/contacts/bulk-actions", { action: "delete", ids })).status).toBe(403);
  });
});
