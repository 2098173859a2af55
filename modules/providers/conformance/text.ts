import { expect } from "vitest";
import type { OutboundMessage } from "../../kernel/provider.ts";
import type { TextExample } from "../fixtures.ts";
import type { SendSpec } from "./send.ts";

type Text = { text: string };

/** The part of a send spec that channels of plain text share: text and sender arrive as they are, whatever encoding the API uses. */
export const textSend = (
  example: (over?: TextExample) => OutboundMessage<Text>,
): Pick<SendSpec<Text>, "example" | "arrived" | "injections"> => ({
  example: () => example(),
  arrived({ from, content }, accepted) {
    expect(accepted.text).toBe(content.text);
    expect(accepted.from.address).toBe(from.address);
  },
  injections: INJECTIONS.map(({ name, text }) => {
    const message = example({ text });
    return {
      name,
      message,
      harmless(accepted) {
        expect(accepted.text).toBe(text);
        expect(accepted.from.address).toBe(message.from.address);
      },
    };
  }),
});

const INJECTIONS = [
  {
    name: "a text that looks like fields of a form stays text",
    text: "Hi&To=%2B15005550009&From=evil&StatusCallback=https://evil.test\r\nBody=other",
  },
  { name: "a text that looks like JSON stays text", text: 'Hi","to":"evil","from":"evil\\u0022,{{x}}' },
];
