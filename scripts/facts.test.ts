import { expect, test } from "vitest";
import { factFaults } from "./facts.ts";

const defined = ["modules/a/facts.ts", 'export const sent = defineFact({\n  name: "message.sent",\n});'] as const;

test("SQL emits only facts that a module defines", () => {
  const sql = (name: string) => ["modules/a/sql/a.sql", `begin\n  perform kernel.emit('${name}', x);\nend`] as const;
  expect(factFaults([defined, sql("message.sent")])).toEqual([]);
  expect(factFaults([defined, sql("mesage.sent")])).toEqual([
    "modules/a/sql/a.sql:2: emits mesage.sent, which no defineFact in modules/ names",
  ]);
});
