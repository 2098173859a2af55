import { of, type Mutation } from "./mutation.ts";

const STATUSES = "modules/compliance/sql/statuses.sql";
const STATUSES_TEST = "modules/compliance/statuses.test.ts";
const ROUND_TRIP = "modules/contacts/imports/round-trip.test.ts";

/** What comes in with contacts: files, statuses, texts. */
export const contactData: readonly Mutation[] = of("sending", [
  {
    promise: "A contact whose address is suppressed says so at once",
    file: STATUSES,
    find: "    people := people || g.people;\n",
    replace: "",
    test: STATUSES_TEST,
    name: "an address suppressed for %s: who is created, imported or given it is %s in the answer",
  },
  {
    promise: "… and is free when nothing stops it any more",
    file: "modules/compliance/suppressions.ts",
    find: "select private.settle_statuses(array(",
    replace: "select (array(",
    test: STATUSES_TEST,
    name: "a suppression (%s) that is removed frees who was stopped by it, and nobody else",
  },
  {
    promise: "A status that a file brings is an opt-out or a suppression",
    file: STATUSES,
    find: "'unsubscribed' then perform private.opt_out(g.channel, g.people, g.addresses, 'unsubscribe', note);",
    replace: "'unsubscribed' then null;",
    test: ROUND_TRIP,
    name: "a file that says %s suppresses the address, of new people and of known ones, and no later row undoes it",
  },
  {
    promise: "… and no later row of the file undoes it",
    file: "modules/contacts/contact-write.ts",
    find: "if (isStopped(a.values.status))",
    replace: "if (false)",
    test: ROUND_TRIP,
    name: "a file that says %s suppresses the address, of new people and of known ones, and no later row undoes it",
  },
  {
    promise: "Nobody who is stopped is given another status by hand",
    file: "modules/contacts/contacts.ts",
    find: "if (values.status && isStopped(before.status))",
    replace: "if (false)",
    test: STATUSES_TEST,
    name: "the status of somebody stopped is not set by hand: 422 says what stops them",
  },
  {
    promise: "What the export writes, the import reads back",
    file: "modules/contacts/tag-cell.ts",
    find: "if (isRead(readTagCell(plain)) && isRead(readTagCell(plain, awkward))) return plain;",
    replace: "if (plain) return plain;",
    test: ROUND_TRIP,
    name: "any text comes back: an export imported into an empty team and exported again is the same file",
  },
  {
    promise: "A file in an old encoding is read in it, or says that it may be read wrongly",
    file: "modules/contacts/imports/encoding.ts",
    find: "const best = byScore[0]!;",
    replace: "const best = readings[1]!;",
    test: "modules/contacts/imports/encoding.test.ts",
    name: "a list of names in %s is known: %s",
  },
  {
    promise: "The encoding that a person chose stays with the import",
    file: "modules/contacts/imports/upload.ts",
    find: "set status = 'uploaded', mapping = '{}', detected = ${db.json(detected)}",
    replace: "set status = 'uploaded', mapping = '{}'",
    test: "modules/contacts/imports/encoding.test.ts",
    name: "is read in the encoding that a person chooses, before and after the upload, with headers and rows to look at",
  },
  {
    promise: "A bad optional value costs nobody the contact, and is noted",
    file: "modules/contacts/imports/run.ts",
    find: 'options.invalid_values === "reject" ? faults.length > 0',
    replace: "faults.length > 0 ? faults.length > 0",
    test: "modules/contacts/imports/issues.test.ts",
    name: "a bad value of %s keeps the contact: %s",
  },
  {
    promise: "What nobody sees is no part of a name or an address",
    file: "modules/kernel/text.ts",
    find: '(isMeant(character, at, whole) ? character : "")',
    replace: "character",
    test: "modules/contacts/search-text.test.ts",
    name: "an address with an internationalised domain is found by either form; what nobody sees is no part of an address",
  },
  {
    promise: "Search makes no difference of accents",
    file: "modules/kernel/sql/text.sql",
    find: "pg_catalog.lower(pg_catalog.normalize(x, 'NFKD')), '[\\u0300-\\u036f]', '', 'g')",
    replace: "pg_catalog.lower(x), '[\\u0300-\\u036f]', '', 'g')",
    test: "modules/contacts/search-text.test.ts",
    name: "people are found with and without accents, in any form and width",
  },
  {
    promise: "A page of a list reads that list alone",
    file: "modules/contacts/contact-page.ts",
    find: "if (list?.alone) return page(await stride(wanted));",
    replace: "",
    test: "modules/contacts/plans.test.ts",
    name: "by %s, %s",
  },
  {
    promise: "… in the order that names and addresses have now",
    file: "modules/contacts/sql/lists.sql",
    find: "where l.tenant_id = new.tenant_id and l.contact_id = new.id;",
    replace: "where false and l.tenant_id = new.tenant_id and l.contact_id = new.id;",
    test: "modules/contacts/plans.test.ts",
    name: "a contact's place in the pages of its lists follows its name and address",
  },
]);
