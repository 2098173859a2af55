import { exampleSms } from "../sms/fixtures.ts";
import { textSend } from "./text.ts";

export const smsSend = () => textSend(exampleSms);
