import { of } from "./mutation.ts";

/** What people and mail servers answer: opt-outs, replies, bounces and clicks. */
export const answers = of("sending", [
  {
    promise: "An opt-out holds each time it is told",
    file: "modules/messaging/sql/events.sql",
    find: "where i.kind in ('complained', 'unsubscribed') or i.fresh and i.bounce = 'permanent'",
    replace: "where i.fresh and (i.kind in ('complained', 'unsubscribed') or i.bounce = 'permanent')",
    test: "modules/messaging/opting-out.test.ts",
    name: "%s suppresses again and ends what began meanwhile",
  },
  {
    promise: "… and covers every address of the person",
    file: "modules/compliance/sql/suppressions.sql",
    find: "addresses || array(select x from private.own_addresses(on_channel, everybody) x)",
    replace: "addresses",
    test: "modules/messaging/opting-out.test.ts",
    name: "%s ends the person's sequences and covers both addresses",
  },
  {
    promise: "… but none that somebody else has by now",
    file: "modules/compliance/sql/suppressions.sql",
    find: "and o.contact_id <> all(people) and g.state is distinct from 'withdrawn')",
    replace: "and false)",
    test: "modules/messaging/opting-out.test.ts",
    name: "an old address that somebody else has by now is theirs: they did not opt out",
  },
  {
    promise: "A bounce of a former address does not end the sequence",
    file: "modules/campaigns/hearing.ts",
    find: "and a.address <> i.address)",
    replace: "and false)",
    test: "modules/messaging/opting-out.test.ts",
    name: "a permanent bounce of the old address concerns that address only",
  },
  {
    promise: "The unsubscribe page confirms only what the tables say",
    file: "modules/messaging/links.ts",
    find: '  if (!row)\n    throw new AppError(\n      "gone",',
    replace: '  if (!row && token.number > 0)\n    throw new AppError(\n      "gone",',
    test: "modules/messaging/opting-out.test.ts",
    name: "confirms nothing where the message is gone, and nothing changes",
  },
]);
