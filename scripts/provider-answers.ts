import { HttpError, type HttpClient, type HttpResponse } from "../modules/kernel/http/client.ts";
import type { AnyProvider, Connection, OutboundMessage } from "../modules/kernel/provider.ts";
import { createRedaction, type Redaction } from "./redact.ts";

/** Records what a provider's real API answers to the adapter, without secrets and personal values. */

export type RecordedAnswer = {
  method: string;
  path: string;
  status: number;
  headers: Record<string, string>;
  /** JSON with its values replaced; a sentence in place of anything else. */
  body: unknown;
};

export type Sending = {
  message: OutboundMessage;
  /** Asks the person at the terminal; nothing is sent unless it gives true. */
  confirm(question: string): Promise<boolean>;
};

/**
 * Runs the adapter's check, which may only read, and with `sending` one send after that was confirmed. `client` is the guarded client.
 * Throws with a sentence that holds no secret.
 */
export async function recordAnswers(
  provider: AnyProvider,
  connection: Connection<Record<string, string>>,
  client: HttpClient,
  sending?: Sending,
): Promise<RecordedAnswer[]> {
  const { message, confirm } = sending ?? {};
  const redaction = createRedaction(
    [connection.credentials, connection.settings, message?.from, message?.to].flatMap((part) => textsIn(part)),
  );
  const recorder = recording(client, redaction);
  try {
    await provider.check(connection, recorder.http);
    if (message && confirm) {
      const question = `This command sends one message from ${message.from.address} to ${message.to.address} through ${provider.label}, which may cost money.`;
      if (!(await confirm(question))) throw new Error("Nothing was sent, and nothing was recorded.");
      recorder.allowChanges();
      await provider.send!.send([message], connection, recorder.http);
    }
  } catch (error) {
    throw new Error(redaction.sentence((error as Error).message), { cause: error });
  } finally {
    await provider.close?.();
  }
  if (recorder.answers.length === 0)
    throw new Error(`${provider.id} made no call over HTTP, so there is nothing to record.`);
  redaction.assertClean(JSON.stringify(recorder.answers));
  return recorder.answers;
}

/** The client with a note of every answer. Calls that change something are refused until they are allowed. */
function recording(client: HttpClient, redaction: Redaction) {
  const answers: RecordedAnswer[] = [];
  let changes = false;
  const admit = (method: string) => {
    if (changes || method === "GET" || method === "HEAD") return;
    throw new Error(
      `The adapter's check wants to ${method}, which may change something or cost money: only reading is recorded.`,
    );
  };
  const note = (method: string, url: string, status: number, headers: Headers, text: string) => {
    const type = headers.get("content-type")?.split(";")[0] ?? "no type";
    answers.push({
      method,
      path: redaction.path(new URL(url)),
      status,
      headers: redaction.headers(headers),
      body:
        jsonIn(text, (value) => redaction.body(value, status >= 400)) ??
        `${text.length} characters of ${type}, left out`,
    });
  };
  const through =
    <R extends { method: string; url: string }>(call: (request: R) => Promise<HttpResponse>) =>
    async (request: R): Promise<HttpResponse> => {
      admit(request.method);
      const response = await call(request);
      note(request.method, request.url, response.status, response.headers, response.text());
      return response;
    };
  const noSockets = () => {
    throw new HttpError("blocked", "Only answers over HTTP can be recorded.", false);
  };
  const wrap = (inner: HttpClient): HttpClient => ({
    async fetch(input, init) {
      const request = new Request(input, init);
      admit(request.method);
      const response = await inner.fetch(request);
      note(request.method, request.url, response.status, response.headers, await response.clone().text());
      return response;
    },
    request: through((request) => inner.request(request)),
    json: through((request) => inner.json(request)),
    with: (limits) => wrap(inner.with(limits)),
    lookupFor: noSockets,
    assertAllowed: noSockets,
  });
  return { http: wrap(client), answers, allowChanges: () => void (changes = true) };
}

function jsonIn(text: string, use: (value: unknown) => unknown): unknown {
  try {
    return use(JSON.parse(text));
  } catch {
    return null;
  }
}

/** Every text in a value, at any depth. */
const textsIn = (value: unknown): string[] =>
  typeof value === "string" ? [value] : value && typeof value === "object" ? Object.values(value).flatMap(textsIn) : [];
