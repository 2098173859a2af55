import { type Mutation, of } from "./mutation.ts";

const EMAIL = "modules/channels/email/template.test.ts";
const SMS = "modules/channels/sms/sms.test.ts";
const TWILIO = "modules/providers/sms/twilio/twilio.test.ts";
const PHONE = "modules/sandbox/sms.test.ts";

/** What each channel keeps when it reads what people wrote. */
export const channels: readonly Mutation[] = [
  ...of("hostile input", [
    {
      promise: "No author's text keeps the process busy",
      file: "modules/channels/email/markdown.ts",
      find: "  if (inline) return refuse(inline);\n",
      replace: "",
      test: EMAIL,
      name: "of a length and depth that no letter has is refused before it is parsed",
    },
    {
      promise: "… and no misspelt variables do",
      file: "modules/channels/placeholders.ts",
      find: "if (++errors <= MAX_UNKNOWN) faults.push",
      replace: "faults.push",
      test: EMAIL,
      name: "with thousands of unknown variables names the first twenty",
    },
    {
      promise: "No value hides or turns the text around it",
      file: "modules/channels/variables.ts",
      find: '.replace(/[\\u200b\\u202a-\\u202e\\u2060\\u2066-\\u2069\\ufeff]/g, "")',
      replace: "",
      test: SMS,
      name: "a value can neither turn nor hide the text around it",
    },
  ]),
  ...of("sending", [
    {
      promise: "An opt-out word counts only as the whole message",
      file: "modules/channels/sms/opt-out.ts",
      find: "const folded = fold(text);",
      replace: 'const folded = fold(text).split(" ").at(-1)!;',
      test: SMS,
      name: "a sentence that holds such a word stays an answer",
    },
    {
      promise: "What the provider says of an opt-out holds",
      file: "modules/channels/sms/inbound.ts",
      find: "opt_out ? BY_PROVIDER[opt_out] : null",
      replace: "null",
      test: SMS,
      name: "the provider's own reading wins over the words, both ways",
    },
    {
      promise: "Segments are counted as networks cut them",
      file: "modules/channels/sms/encoding.ts",
      find: "if (filled + cost(c) > size.part) {",
      replace: "if (filled >= size.part) {",
      test: SMS,
      name: "characters of the extension table count two, and an escape is never cut from its character",
    },
    {
      promise: "No text is longer than a provider takes, whatever the values",
      file: "modules/channels/sms/template.ts",
      find: "if (segments > MAX_SEGMENTS)",
      replace: "if (segments > 1000)",
      test: SMS,
      name: "many segments are a warning, too many an error, counted without values",
    },
    {
      promise: "A first e-mail has a subject",
      file: "modules/channels/email/template.ts",
      find: 'subject === "" && thread.references.length === 0',
      replace: "false",
      test: EMAIL,
      name: "is needed where nothing was said before, by the author and by each person",
    },
    {
      promise: "Two channels never share an id or an action",
      file: "modules/kernel/registry.ts",
      find: "  for (const c of channels) faults.push(...channelFaults(c));\n",
      replace: "",
      test: "modules/kernel/kernel.test.ts",
      name: "a channel has an id of its own, actions named after it, and limits that are numbers",
    },
    {
      promise: "A callback is proven over its whole address and form",
      file: "modules/providers/sms/twilio/signature.ts",
      find: "  if (!good)\n",
      replace: "  if (false)\n",
      test: TWILIO,
      name: "another message's id in the address is refused",
    },
    {
      promise: "… each value of a repeated field once, in order",
      file: "modules/providers/sms/twilio/signature.ts",
      find: "[...new Set(form.getAll(name))].sort()",
      replace: "form.getAll(name)",
      test: TWILIO,
      name: "a repeated field is signed once for each value, in order",
    },
    {
      promise: "A text whose answer was lost is settled, never repeated",
      file: "modules/providers/sms/twilio/events.ts",
      find: "message_id: messageId,",
      replace: "message_id: null,",
      test: PHONE,
      name: "a send whose answer was lost is settled by the callback that names it, never repeated",
    },
    {
      promise: "A server error of Twilio's is never taken for a refusal",
      file: "modules/providers/sms/twilio/adapter.ts",
      find: "if (response.status >= 500 || response.status === 408)",
      replace: "if (response.status === 408)",
      test: TWILIO,
      name: "no access is broken, too much a retry, and a server error is nobody's word",
    },
    {
      promise: "Only a dead number condemns the number",
      file: "modules/providers/sms/twilio/events.ts",
      find: '  if (UNREACHABLE.has(code)) return { kind: "bounced", bounce: "transient" };',
      replace: '  if (UNREACHABLE.has(code)) return { kind: "bounced", bounce: "permanent" };',
      test: TWILIO,
      name: "error %s is %s, %s: only a dead number condemns the number",
    },
    {
      promise: "A number that serves another application stays as it is",
      file: "modules/providers/sms/twilio/adapter.ts",
      find: "if (!ours && !isFree(sms_url)) {",
      replace: "if (false) {",
      test: TWILIO,
      name: "registering takes numbers that answer to nobody, and leaves another application's alone",
    },
  ]),
];
