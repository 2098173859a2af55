import { textExample } from "../fixtures.ts";

/** Sandbox numbers that stay silent: +1 with 555 01xx in any area is reserved for fiction. */
let next = 0;
const silentNumber = () => `+1${201 + (Math.floor(next / 10) % 700)}555010${next++ % 10}`;

export const exampleSms = textExample("sms.send", "+15005550006", silentNumber);
