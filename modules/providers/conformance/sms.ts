import { expect } from "vitest";
import type { SmsContent } from "../../channels/sms/content.ts";
import { exampleSms } from "../sms/fixtures.ts";
import type { SendSpec } from "./send.ts";

/** The SMS part of a send spec: text and sender arrive as they are, whatever encoding the provider's API uses. */
export const smsSend = (): Pick<SendSpec<SmsContent>, "example" | "arrived" | "injections"> => ({
  example: () => exampleSms(),
  arrived({ from, content }, accepted) {
    expect(accepted.text).toBe(content.text);
    expect(accepted.from.address).toBe(from.address);
  },
  injections: [
    {
      name: "a text that looks like fields of a form stays text",
      message: exampleSms({ text: "Hi&To=%2B15005550009&From=evil&StatusCallback=https://evil.test\r\nBody=other" }),
      harmless(accepted) {
        expect(accepted.text).toBe("Hi&To=%2B15005550009&From=evil&StatusCallback=https://evil.test\r\nBody=other");
        expect(accepted.from.address).toBe("+15005550006");
      },
    },
  ],
});
