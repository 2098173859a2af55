import type { Clock } from "./clock.ts";
import { type Fault, type Faults, SEND_FAULTS } from "./faults.ts";
import type { Hooks } from "./hooks.ts";
import type { Account, Inbound, Message, Store } from "./store.ts";

/** The recipients' side: who acts on what arrives. */
export type World = {
  /** Lets the recipients act on a message. */
  play(message: Message): void;
  /** Continues what a restart interrupted. */
  resume(): void;
  /** Takes a message that somebody writes to an account, and reports it. */
  receive(account: Account, message: Inbound): void;
  /** Forgets whom an account (none: any) has written to before. */
  forget(account?: string): void;
};

/** What every emulation works with. */
export type Sandbox = { store: Store; clock: Clock; faults: Faults; hooks: Hooks; world: World };

/** Answers that are none: the server reads this header and hangs up, or never answers. */
export const SILENCE = "x-sandbox-silence";
const silence = (how: "reset" | "hang") => new Response(null, { status: 599, headers: { [SILENCE]: how } });

export const sleep = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));

/** Runs one send under whatever fault is armed. `accept` takes the messages; the refusals are the provider's own words. */
export async function underFault(
  sandbox: Sandbox,
  account: string,
  refusals: { rateLimit(retryAfter: number): Response; serverError(): Response },
  accept: () => Promise<Response>,
): Promise<Response> {
  const fault: Fault | null = sandbox.faults.take(SEND_FAULTS, account);
  switch (fault?.kind) {
    case "rate_limit":
      return refusals.rateLimit(fault.retry_after ?? 1);
    case "server_error":
      if (fault.accepted) await accept();
      return refusals.serverError();
    case "reset":
      if (fault.accepted) await accept();
      return silence("reset");
    case "timeout_after_accept":
      await accept();
      return silence("hang");
    case "slow": {
      const pause = () => sleep(fault.delay_ms ?? 3000);
      if (fault.accepted === false) return pause().then(accept);
      const response = await accept();
      await pause();
      return response;
    }
    default:
      return accept();
  }
}
