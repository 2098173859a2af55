import { expect, it } from "vitest";
import { giveList } from "../../../tests/support/campaigns.ts";
import { testKernel } from "../../../tests/support/kernel.ts";

const t = testKernel();

async function draft() {
  const tenant = await t.tenant();
  const { listId } = await giveList(t, tenant, [{ email: "ada@acme.test" }]);
  const made = await tenant.api("POST", "/campaigns", { name: "Spring", list_id: listId });
  return { tenant, listId, id: made.body.id as string };
}

it("a list or segment that is a campaign's audience cannot be deleted, and the answer says why", async () => {
  const { tenant, listId, id } = await draft();
  const remove = async (path: string) => {
    const { status, body } = await tenant.api("DELETE", path);
    return [status, body?.detail];
  };
  expect(await remove(`/lists/${listId}`)).toEqual([409, expect.stringContaining("the audience of a campaign")]);
  const filter = { field: "first_name", op: "eq", value: "Ada" };
  const segment = (await tenant.api("POST", "/segments", { name: "Adas", filter })).body.id;
  await tenant.api("PATCH", `/campaigns/${id}`, { segment_id: segment });
  expect(await remove(`/segments/${segment}`)).toEqual([409, expect.stringContaining("the audience of a campaign")]);
  expect(await remove(`/lists/${listId}`)).toEqual([204, undefined]);
});
