import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { pathToFileURL } from "node:url";
import { parseArgs } from "node:util";
import { z } from "zod";
import { modules } from "../modules/boot.ts";
import type { AnyChannel } from "../modules/kernel/channel.ts";
import { createHttpClient } from "../modules/kernel/http/client.ts";
import type { AnyProvider, OutboundMessage, Party } from "../modules/kernel/provider.ts";
import { createRegistry } from "../modules/kernel/registry.ts";
import type { Emulation } from "../modules/sandbox/emulation.ts";
import { loadEmulations } from "../modules/sandbox/emulations.ts";
import { createSandbox } from "../modules/sandbox/server.ts";
import { recordAnswers } from "./provider-answers.ts";
import { type Recording, recordHttp, recordSmtp } from "./recorder.ts";
import { formatted, isMain, pascal } from "./scaffold.ts";

const ROOT = join(import.meta.dirname, "..");

/**
 * `npm run -s provider:record -- resend`: prints what the adapter sends, byte for byte: one message, and a batch where it has one. The
 * real adapter and HTTP client talk to a recorder on 127.0.0.1, which passes everything on to the provider's emulation.
 * With --real it prints what the provider's own API answers, without secrets and personal values (docs/concepts/providers.md).
 */

/** Messages of the batch: enough to see where one ends. */
const BATCH = 2;

/** Sends with the emulation's example credentials. Throws with the reason where nothing can be recorded. */
export async function record(provider: AnyProvider, emulation: Emulation): Promise<Recording> {
  const { id, send } = provider;
  if (!send) throw new Error(`${id} sends no messages, so there is nothing to record.`);
  if (!emulation.http && !emulation.listen)
    throw new Error(
      `The emulation of ${id} has neither http nor listen, so the adapter's requests would get no response.`,
    );
  const example = await exampleOf(provider.category);
  // So slow that no recipient acts, and no webhook leaves, before it is closed again.
  const sandbox = await createSandbox({ emulations: [emulation], speed: 0.001 });
  const ids = Array.from({ length: 1 + BATCH }, (_, i) => messageId(i + 1));
  try {
    const base = new URL(sandbox.baseUrl(id));
    if (!["http:", "smtp:"].includes(base.protocol))
      throw new Error(`The emulation of ${id} speaks ${base.protocol.slice(0, -1)}; HTTP and SMTP can be recorded.`);
    const recorder = base.protocol === "http:" ? await recordHttp(base) : await recordSmtp(Number(base.port), ids);
    try {
      const { credentials, settings = {} } = emulation.example();
      const connection = {
        id: messageId(0),
        credentials,
        settings,
        base_url: `${base.protocol}//127.0.0.1:${recorder.port}`,
        webhook_url: `https://overture.example/webhooks/${id}/${messageId(0)}`,
      };
      const client = createHttpClient({
        allowPrivateHosts: [`127.0.0.1:${recorder.port}`],
        userAgent: "Overture",
      });
      const messages = ids.map((id) => example({ id }));
      for (const part of [messages.slice(0, 1), ...(send.batch > 1 ? [messages.slice(1)] : [])]) {
        for (const outcome of await send.send(part, connection, client))
          if (outcome.outcome !== "sent")
            throw new Error(`The emulation of ${id} did not accept the message: ${JSON.stringify(outcome)}`);
      }
      return recorder.recording();
    } finally {
      await provider.close?.();
      await recorder.close();
    }
  } finally {
    await sandbox.close();
  }
}

/** The same in every run, so that two recordings can be compared. */
const messageId = (n: number) => `018f0000-0000-7000-8000-${String(n).padStart(12, "0")}`;

type Example = (over: { id: string; from?: Party; to?: Party }) => OutboundMessage;

/** The channel's complete message, which the tests of its providers send too. */
async function exampleOf(channel: string): Promise<Example> {
  const path = `modules/providers/${channel}/fixtures.ts`;
  const name = `example${pascal(channel)}`;
  const url = pathToFileURL(join(import.meta.dirname, "..", path)).href;
  const { [name]: example } = (await import(url).catch((error: unknown) => {
    if ((error as { code?: string }).code === "ERR_MODULE_NOT_FOUND") return {};
    throw error;
  })) as Record<string, Example | undefined>;
  if (!example) throw new Error(`There is no message to send on ${channel}: ${path} must export ${name}.`);
  return example;
}

const USAGE =
  "Type: npm run -s provider:record -- <provider> [--real <credentials.json> [--from <address> --to <address>] [--write]]";

/** What `--real` reads: the connection as the settings page would make it. Keep the file where git does not look. */
const RealConnection = z.strictObject({
  credentials: z.record(z.string(), z.string()),
  settings: z.record(z.string(), z.unknown()).default({}),
  /** In place of the provider's own address, for a server of one's own. */
  base_url: z.url().nullable().default(null),
});

/** The real API's answers to the adapter, read with the credentials in `file`; with both addresses one message is sent after a question. */
async function recordReal(provider: AnyProvider, channel: AnyChannel | undefined, options: Options): Promise<string> {
  const given = RealConnection.safeParse(jsonOf(options.real!));
  if (!given.success) throw new Error(`${options.real}: ${z.prettifyError(given.error)}`);
  const credentials = provider.credentials.safeParse(given.data.credentials);
  if (!credentials.success) throw new Error(`${options.real}: ${z.prettifyError(credentials.error)}`);
  const connection = { ...given.data, credentials: credentials.data, id: messageId(0), webhook_url: null };
  const client = createHttpClient({ allowPrivateHosts: [], userAgent: "Overture" });
  const sending = options.from && options.to ? await sendingOf(provider, channel, options.from, options.to) : undefined;
  return JSON.stringify(await recordAnswers(provider, connection, client, sending), null, 2);
}

async function sendingOf(provider: AnyProvider, channel: AnyChannel | undefined, from: string, to: string) {
  if (!provider.send || !channel) throw new Error(`${provider.id} sends no messages.`);
  const [sender, recipient] = [channel.sender.normalise(from), channel.address.normalise(to)];
  if (!sender) throw new Error(`--from ${from} is no ${channel.sender.label} (such as ${channel.sender.example}).`);
  if (!recipient) throw new Error(`--to ${to} is no ${channel.address.label} (such as ${channel.address.example}).`);
  const example = await exampleOf(provider.category);
  const message = example({ id: crypto.randomUUID(), from: { address: sender }, to: { address: recipient } });
  return { message, confirm };
}

/** Asks at the terminal; anything but `yes`, and an end of the input, is a no. */
async function confirm(question: string): Promise<boolean> {
  const lines = createInterface({ input: process.stdin });
  process.stderr.write(`${question}\nType yes to send it: `);
  for await (const line of lines) {
    lines.close();
    return line.trim() === "yes";
  }
  return false;
}

function jsonOf(path: string): unknown {
  const text = readFileSync(path, "utf8");
  try {
    return JSON.parse(text);
  } catch {
    throw new Error(`${path} holds no JSON; write {"credentials": {…}} with the fields of the settings page.`);
  }
}

type Options = { real?: string; from?: string; to?: string; write?: boolean };

function optionsOf(args: string[]): { id: string; options: Options } {
  const known = {
    real: { type: "string" },
    from: { type: "string" },
    to: { type: "string" },
    write: { type: "boolean" },
  } as const;
  try {
    const { positionals, values } = parseArgs({ args, allowPositionals: true, options: known });
    const [id, ...others] = positionals;
    const alone = !values.real && (values.write || values.from || values.to);
    if (id && others.length === 0 && !alone && !values.from === !values.to) return { id, options: values };
  } catch {
    // An option nobody knows.
  }
  throw new Error(USAGE);
}

/** The whole command: what it prints. Throws with one line where it cannot be done; then nothing was written. */
export async function providerRecord(args: string[]): Promise<string> {
  const { id, options } = optionsOf(args);
  const { providers, channels } = createRegistry(modules);
  const provider = providers.find((p) => p.id === id);
  if (!provider) throw new Error(`There is no provider «${id}». Use one of: ${providers.map((p) => p.id).join(", ")}.`);
  if (options.real) {
    const text = await recordReal(provider, channels.get(provider.category), options);
    if (!options.write) return text;
    const path = `modules/providers/${provider.category}/${id}/recorded.json`;
    writeFileSync(join(ROOT, path), await formatted(ROOT, path, text));
    return `wrote ${path}; read it before you commit it.`;
  }
  const emulation = (await loadEmulations()).find((e) => e.id === id);
  if (!emulation)
    throw new Error(`${id} has no emulation.ts beside its adapter, so the adapter's requests would get no response.`);
  return JSON.stringify(await record(provider, emulation), null, 2);
}

if (isMain(import.meta.filename)) {
  await providerRecord(process.argv.slice(2)).then(console.log, (error: Error) => {
    console.error(error.message);
    process.exitCode = 1;
  });
}
