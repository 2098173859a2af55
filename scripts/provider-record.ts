import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { modules } from "../modules/boot.ts";
import { createHttpClient } from "../modules/kernel/http/client.ts";
import type { AnyProvider, OutboundMessage, Party } from "../modules/kernel/provider.ts";
import { createRegistry } from "../modules/kernel/registry.ts";
import type { Emulation } from "../modules/sandbox/emulation.ts";
import { loadEmulations } from "../modules/sandbox/emulations.ts";
import { createSandbox } from "../modules/sandbox/server.ts";
import { type Recording, recordHttp, recordSmtp } from "./recorder.ts";
import { isMain, pascal } from "./scaffold.ts";

/**
 * `npm run -s provider:record -- resend`: prints what the adapter sends, byte for byte: one message, and a batch where it has one. The
 * real adapter and HTTP client talk to a recorder on 127.0.0.1, which passes everything on to the provider's emulation.
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
    const recorder = base.protocol === "http:" ? await recordHttp(base) : await recordSmtp(Number(base.port));
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

/** The whole command: what it prints. Throws with one line where it cannot be done. */
export async function providerRecord(args: string[]): Promise<string> {
  const [id, ...others] = args;
  if (!id || others.length > 0) throw new Error("Type: npm run -s provider:record -- <provider>");
  const { providers } = createRegistry(modules);
  const provider = providers.find((p) => p.id === id);
  if (!provider) throw new Error(`There is no provider «${id}». Use one of: ${providers.map((p) => p.id).join(", ")}.`);
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
