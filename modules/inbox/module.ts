import { defineModule } from "../kernel/module.ts";
import { getMessage, listMessages, resolveMessage } from "./messages.ts";
import { inboxWords } from "./words.ts";
import { getThread, listThreads, updateThread } from "./threads.ts";

/** Inbox: what people see of messages and conversations, with their contacts and campaigns. Owns no table. */
export const inbox = defineModule({
  name: "inbox",
  needs: ["contacts", "messaging", "campaigns"],
  permissions: { "messages:read": "viewer", "messages:write": "member" },
  operations: [listMessages, getMessage, resolveMessage, listThreads, getThread, updateThread],
  catalogue: inboxWords,
  pages: [{ path: "/inbox", label: "Inbox", icon: "inbox", shortcut: "i", group: "work", position: 50 }],
});
