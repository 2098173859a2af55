import { defineModule } from "../kernel/module.ts";
import { decideOptOut, getMessage, listMessages, resolveMessage } from "./messages.ts";
import { inboxWords } from "./words.ts";
import { contactInteractions } from "./timeline.ts";
import { getThread, listThreadMessages, listThreads } from "./threads.ts";

/** Inbox: what people see of messages and conversations, with their contacts and campaigns. Owns no table. */
export const inbox = defineModule({
  name: "inbox",
  needs: ["contacts", "messaging", "campaigns"],
  operations: [
    listMessages,
    getMessage,
    resolveMessage,
    decideOptOut,
    listThreads,
    getThread,
    listThreadMessages,
    contactInteractions,
  ],
  catalogue: inboxWords,
  pages: [{ path: "/inbox", label: "Inbox", icon: "inbox", shortcut: "i", group: "work", position: 50 }],
});
