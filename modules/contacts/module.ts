import { defineModule } from "../kernel/module.ts";
import { bulkActions } from "./bulk-actions.ts";
import { contactsWords } from "./words.ts";
import { createCompany, deleteCompany, listCompanies, readCompany, updateCompany } from "./companies.ts";
import {
  bulkContacts,
  contactCount,
  createContact,
  deleteContact,
  listContacts,
  readOneContact,
  selectContacts,
  updateContact,
} from "./contacts.ts";
import { createCustomField, deleteCustomField, listCustomFields, updateCustomField } from "./custom-fields.ts";
import { exportContacts } from "./export.ts";
import { messageHearing } from "./hearing.ts";
import {
  cancelImport,
  getImport,
  importErrors,
  importIssues,
  importWarnings,
  listImports,
  setMapping,
  startImport,
} from "./imports/operations.ts";
import { contactsImport } from "./imports/run.ts";
import { createImport, setEncoding } from "./imports/upload.ts";
import { addToList, createList, deleteList, listLists, readList, removeFromList, updateList } from "./lists.ts";
import { pruneImports } from "./schedules.ts";
import { createSegment, deleteSegment, listSegments, previewSegment, readSegment, updateSegment } from "./segments.ts";
import { listTags } from "./tags.ts";

/** Contacts: people, companies, lists, tags, custom fields, segments, CSV in and out. Owns the tables of the contacts migration. */
export const contacts = defineModule({
  name: "contacts",
  needs: ["tenancy"],
  owns: [
    "contacts_import",
    "contacts_message_facts",
    "public.companies",
    "public.contact_addresses",
    "public.contacts",
    "public.custom_fields",
    "public.import_chunks",
    "public.import_errors",
    "public.imports",
    "public.interactions",
    "public.list_contacts",
    "public.lists",
    "public.segments",
  ],
  permissions: { "contacts:read": "viewer", "contacts:write": "member", "contacts:delete": "member" },
  // Fixed paths stand before {id}: routers take the first that fits.
  operations: [
    ...[contactCount, exportContacts, selectContacts, bulkContacts, bulkActions, listContacts, createContact],
    ...[readOneContact, updateContact, deleteContact],
    ...[listCompanies, createCompany, readCompany, updateCompany, deleteCompany],
    ...[listLists, createList, readList, updateList, deleteList, addToList, removeFromList],
    ...[listTags, listCustomFields, createCustomField, updateCustomField, deleteCustomField],
    ...[previewSegment, listSegments, createSegment, readSegment, updateSegment, deleteSegment],
    ...[
      createImport,
      listImports,
      getImport,
      setEncoding,
      setMapping,
      startImport,
      cancelImport,
      importErrors,
      importIssues,
      importWarnings,
    ],
  ],
  consumers: [contactsImport],
  hears: [messageHearing],
  schedules: [pruneImports],
  catalogue: contactsWords,
  pages: [
    { path: "/contacts", label: "Contacts", icon: "users", shortcut: "c", group: "work", position: 10 },
    { path: "/companies", label: "Companies", icon: "building", shortcut: "o", group: "work", position: 20 },
    { path: "/lists", label: "Lists & segments", icon: "list-filter", shortcut: "l", group: "work", position: 30 },
  ],
});
