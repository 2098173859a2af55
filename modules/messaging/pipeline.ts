import type { Ctx, ManualCtx } from "../kernel/context.ts";
import type { SendCapability } from "../kernel/provider.ts";
import { ratePerSecond } from "../providers/rate.ts";
import { ADAPTER_ERROR, call, type Claimed, type Opened } from "./call.ts";
import { claim, giveBack, handOver, isUnstorable, pauseOf, settle, type Settled, withoutWords } from "./ledger.ts";

/**
 * One connection's way from the queue to the provider. Four things go on side by side: claiming what the next second takes, handing it over
 * in chunks (an attempt each, committed before any call), calling, and settling outcomes in batches. A claim is as large as what leaves in
 * about a second, whatever a call carries. A crash leaves a question only for what was handed over; what was only claimed goes back.
 */

/**
 * How long a claim is held: the slowest lawful call, with room for a pause before it and the settlement after it. Past it the worker
 * is taken for dead.
 */
export const leaseSeconds = ({ call_seconds }: Pick<SendCapability<unknown, unknown>, "call_seconds">): number =>
  Math.ceil(2 * call_seconds) + 30;

/** Seconds after the claim by which its calls must have begun; a worker that stood still for longer sends nothing. */
export const latestStart = (lease: number): number => lease / 4;

/** Calls side by side at a provider that takes one message a call; more would only wait for each other. */
const MAX_CALLS = 100;
/** The largest claim; what is held is in memory. */
const MAX_CLAIM = 2000;
/** The most that is handed over at once: what a crash leaves in doubt at a provider that takes one message a call. */
const MAX_CHUNK = 250;
/** A claim that left within this time was small, one that took longer than the other was large. */
const SHORT_MS = 1000;
const LONG_MS = 2500;
/** Outcomes are written when there are this many, or the oldest has waited for so long, or no more are to come. */
const SETTLE_SIZE = 500;
const SETTLE_MS = 100;
/** Tries at writing outcomes, over some seven seconds: a database that comes back meanwhile leaves none in doubt. */
const WRITE_TRIES = 5;
/** Waiting for a rate longer than this is left to the next wake. */
const MAX_WAIT_SECONDS = 3;

/** When something was: the date goes on while a machine sleeps, the monotonic clock when the date is set back. */
type Moment = { date: number; monotonic: number };
const moment = (): Moment => ({ date: Date.now(), monotonic: performance.now() });
const secondsSince = (at: Moment): number => Math.max(Date.now() - at.date, performance.now() - at.monotonic) / 1000;

/** A claim on its way: how many of its messages have not been called with yet. */
type Claim = { at: Moment; open: number };
type Held = { message: Claimed; claim: Claim };

/** The pipelines of a process that still claim, by connection. */
const running = new WeakMap<ManualCtx["registry"], Map<string, Pipeline>>();
/** How large a connection's claims were last, so that the next pipeline need not find out again. */
const sizes = new Map<string, number>();
const MAX_SIZES = 10_000;

/** How long the work for one tenant may go on, by performance.now(). It may be brought forward meanwhile. */
export type Turn = { end: number };

/**
 * Sends what is due on a connection until nothing is (false) or the turn is over with work left (true). Where this process does so already, that work looks for more instead: a second pipeline would only halve the batches of the first.
 */
export async function sendDue(ctx: ManualCtx, opened: Opened, turn: Turn): Promise<boolean> {
  let here = running.get(ctx.registry);
  if (!here) running.set(ctx.registry, (here = new Map()));
  const { id } = opened.connection;
  const other = here.get(id);
  if (other) {
    other.lookAgain();
    return false;
  }
  const pipeline = new Pipeline(ctx, opened, turn, () => here.delete(id));
  here.set(id, pipeline);
  return await pipeline.run();
}

class Pipeline {
  readonly #ctx: ManualCtx;
  readonly #opened: Opened;
  readonly #turn: Turn;
  readonly #claimed: () => void;
  readonly #bucket: string;
  readonly #lease: number;
  readonly #perSecond: number;
  readonly #parallel: number;

  /** Claimed; no call was announced. */
  readonly #held: Held[] = [];
  /** Handed over; the call begins when another one ends. */
  readonly #ready: Held[] = [];
  readonly #outcomes: Settled[] = [];
  /** No call will be made with them under this claim. */
  readonly #back: Held[] = [];
  #calls = 0;
  #writing = false;
  #size: number;
  #oldestOutcome = 0;
  #again = false;
  /** What each part of the work has left to do. */
  #claiming = true;
  #handing = true;
  /** Nothing new is begun: the connection is unusable, the worker stops or something failed. */
  #closed = false;
  /** Nothing more is claimed or announced, because the rate is far away; what was announced is called with. */
  #ending = false;
  #timeUp = false;
  #blockedUntil = 0;
  /** Calls whose tokens were taken before their messages were claimed. */
  #paid = 0;
  #change = Promise.withResolvers<void>();

  /** `claimed` is called when nothing more will be claimed. */
  constructor(ctx: ManualCtx, opened: Opened, turn: Turn, claimed: () => void) {
    this.#claimed = claimed;
    this.#ctx = ctx;
    this.#opened = opened;
    this.#turn = turn;
    this.#bucket = `connection:${opened.connection.id}`;
    this.#lease = leaseSeconds(opened.send);
    this.#perSecond = ratePerSecond(opened.connection, opened.send.per_second);
    const { batch, parallel } = opened.send;
    this.#parallel =
      parallel?.(opened.connection) ?? (batch > 1 ? 2 : Math.min(MAX_CALLS, Math.max(1, Math.floor(this.#perSecond))));
    this.#size = Math.max(this.#smallest, Math.min(this.#largest, sizes.get(opened.connection.id) ?? 0));
  }

  /** Something may have become due: what finds nothing now looks once more. */
  lookAgain(): void {
    this.#again = true;
    this.#signal();
  }

  /** Sends until nothing is due (false) or the time is up with work left (true). Every message it claimed is settled or returned. */
  async run(): Promise<boolean> {
    const stop = () => this.#close();
    this.#ctx.signal.addEventListener("abort", stop);
    if (this.#ctx.signal.aborted) this.#close();
    const parts = await Promise.allSettled(
      [this.#claimAhead(), this.#announceAhead(), this.#settleOutcomes()].map((part) =>
        part.catch((error: unknown) => {
          this.#close();
          throw error;
        }),
      ),
    );
    this.#ctx.signal.removeEventListener("abort", stop);
    // Where settling failed, calls may be under way yet.
    while (this.#calls > 0) await this.#changed();
    const ends = await Promise.allSettled([
      this.#write(this.#outcomes.splice(0)),
      this.#putBack([...this.#back, ...this.#held, ...this.#ready]),
    ]);
    const failed = [...parts, ...ends].find((p) => p.status === "rejected");
    if (failed) throw failed.reason;
    return this.#timeUp || this.#ctx.signal.aborted;
  }

  // ── Claiming ────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

  async #claimAhead(): Promise<void> {
    let first = true;
    try {
      while (!this.#closed && !this.#ending) {
        if (performance.now() >= this.#turn.end) {
          this.#timeUp = true;
          return;
        }
        if (this.#held.length > this.#size / 2) {
          await this.#changed();
          continue;
        }
        if (this.#paid === 0 && (first || this.#perSecond < 1)) {
          // Before anything is taken off the queue: what has to wait long is not claimed and put back at every wake.
          const calls = this.#callsOf(this.#chunk);
          const wait = await this.#tokens(calls);
          if (wait > MAX_WAIT_SECONDS) return;
          if (wait === 0) this.#paid = calls;
          else await this.#pause(wait);
          continue;
        }
        first = false;
        this.#again = false;
        const at = moment();
        const wanted = { size: this.#size, lease: this.#lease, connectionId: this.#opened.connection.id };
        const claimed = await this.#ctx.tx((tx) => claim(tx, wanted));
        if (claimed.length > 0) {
          const taken = { at, open: claimed.length };
          this.#held.push(...claimed.map((message) => ({ message, claim: taken })));
          this.#signal();
          continue;
        }
        // Nothing that may leave: what a guard stops is moved out of the way, and what stood behind it may be next.
        const [swept] = await this.#ctx.tx((tx) => tx.db<{ n: number }[]>`select private.apply_guards() as n`);
        if (swept!.n > 0) continue;
        // More may become due while the last calls run.
        while (!this.#closed && !this.#ending && !this.#again && !this.#idle) await this.#changed();
        if (!this.#again) return;
      }
    } finally {
      this.#claiming = false;
      this.#claimed();
      this.#signal();
    }
  }

  /** Nothing is held, under way or still to be written. */
  get #idle(): boolean {
    const open = this.#held.length + this.#ready.length + this.#calls + this.#outcomes.length + this.#back.length;
    return open === 0 && !this.#writing;
  }

  /** One call's worth for each place, within what the rate lets leave in a second. */
  get #smallest(): number {
    const { batch } = this.#opened.send;
    return Math.min(MAX_CLAIM, batch * Math.max(1, Math.min(this.#parallel, Math.floor(this.#perSecond))));
  }

  /** A claim that left quickly is followed by a larger one, one that took long by a smaller one; never more than a second's rate. */
  #fit(took: number): void {
    if (took < SHORT_MS) this.#size = Math.min(this.#largest, this.#size * 2);
    else if (took > LONG_MS) this.#size = Math.max(this.#smallest, Math.floor(this.#size / 2));
    if (sizes.size >= MAX_SIZES) sizes.clear();
    sizes.set(this.#opened.connection.id, this.#size);
  }

  /** What the rate lets leave in a second. */
  get #largest(): number {
    return Math.max(this.#smallest, Math.min(MAX_CLAIM, Math.floor(this.#perSecond * this.#opened.send.batch)));
  }

  // ── Handing over ────────────────────────────────────────────────────────────────────────────────────────────────────────────────

  async #announceAhead(): Promise<void> {
    const { batch } = this.#opened.send;
    try {
      while (!this.#closed) {
        if (this.#held.length === 0 && !this.#claiming) return;
        // The next chunk is announced while the calls of this one run.
        if (this.#held.length === 0 || this.#ready.length >= this.#parallel * batch) {
          await this.#changed();
          continue;
        }
        const paid = Math.min(this.#chunk, this.#held.length, this.#paid > 0 ? this.#paid * batch : Infinity);
        const blocked = Math.max(0, this.#blockedUntil - performance.now()) / 1000;
        const wait = blocked || (this.#paid > 0 ? 0 : await this.#tokens(this.#callsOf(paid)));
        if (wait > MAX_WAIT_SECONDS) {
          this.#ending = true;
          return;
        }
        if (wait > 0) {
          await this.#pause(wait);
          continue;
        }
        this.#paid = 0;
        if (!this.#closed) await this.#announce(this.#held.splice(0, paid));
      }
    } finally {
      this.#handing = false;
      this.#signal();
    }
  }

  /** A batch; of single calls a tenth of a second's worth, so that announcing them costs one statement for many. */
  get #chunk(): number {
    const { batch } = this.#opened.send;
    if (batch > 1) return batch;
    const tenth = Math.max(this.#parallel, Math.ceil(this.#size / 10));
    return Math.min(MAX_CHUNK, Math.max(1, Math.floor(this.#perSecond)), tenth);
  }

  #callsOf(messages: number): number {
    return Math.ceil(messages / this.#opened.send.batch);
  }

  /** Takes so many tokens of the rate, one a call; otherwise the seconds until they may be there. */
  async #tokens(n: number): Promise<number> {
    // A transaction of its own, that waits for no disk: workers queue up at the bucket, and a crash that loses it loses a pause.
    return await this.#ctx.tx(async (tx) => {
      await tx.db`set local synchronous_commit = off`;
      const [token] = await tx.db<{ taken: boolean; retry_after: number }[]>`
        select taken, retry_after from kernel.take_tokens(${this.#bucket}, ${Math.max(this.#perSecond, n)}, ${this.#perSecond}, ${n})`;
      return token!.taken ? 0 : token!.retry_after;
    });
  }

  /** Writes the attempts of calls that begin next. */
  async #announce(chunk: readonly Held[]): Promise<void> {
    const leaseLeft = this.#lease - latestStart(this.#lease);
    let may: Set<string>;
    try {
      may = await this.#ctx.tx((tx) =>
        handOver(
          tx,
          chunk.map((h) => h.message),
          { connectionId: this.#opened.connection.id, leaseLeft },
        ),
      );
    } catch (error) {
      this.#back.push(...chunk);
      throw error;
    }
    // What may not is no longer ours, or its connection rests, or a member stopped its sender.
    for (const one of chunk) (may.has(one.message.id) ? this.#ready : this.#back).push(one);
    this.#startCalls();
    this.#signal();
  }

  // ── Calling ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

  #startCalls(): void {
    // Too fast for the provider: what was announced and has not begun would only be refused as well.
    if (performance.now() < this.#blockedUntil) this.#back.push(...this.#ready.splice(0));
    while (!this.#closed && this.#calls < this.#parallel && this.#ready.length > 0) {
      const some = this.#ready.splice(0, this.#opened.send.batch);
      // Frozen since the claim? The lease may be over, and somebody else at it.
      const [late, inTime] = [
        some.filter((h) => secondsSince(h.claim.at) > latestStart(this.#lease)),
        some.filter((h) => secondsSince(h.claim.at) <= latestStart(this.#lease)),
      ];
      this.#back.push(...late);
      if (inTime.length > 0) void this.#callWith(inTime);
    }
  }

  async #callWith(some: readonly Held[]): Promise<void> {
    this.#calls++;
    const messages = some.map((h) => h.message);
    const outcomes = await call(this.#ctx, this.#opened, messages).catch((error: unknown) => {
      this.#ctx.log.error("a call failed", { connection: this.#opened.connection.id, error });
      return messages.map(() => ADAPTER_ERROR);
    });
    this.#calls--;
    if (this.#outcomes.length === 0) this.#oldestOutcome = performance.now();
    this.#outcomes.push(...messages.map((message, i) => ({ message, outcome: outcomes[i]! })));
    for (const { claim } of some) if (--claim.open === 0) this.#fit(performance.now() - claim.at.monotonic);
    if (outcomes.some((o) => o.outcome === "broken")) this.#close();
    const pause = pauseOf(outcomes);
    if (pause > 0) this.#blockedUntil = Math.max(this.#blockedUntil, performance.now() + pause * 1000);
    this.#startCalls();
    this.#signal();
  }

  // ── Settling ────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

  async #settleOutcomes(): Promise<void> {
    for (;;) {
      const more = this.#calls > 0 || (!this.#closed && (this.#claiming || this.#handing || this.#ready.length > 0));
      if (this.#outcomes.length === 0 && this.#back.length === 0) {
        if (!more) return;
        await this.#changed();
        continue;
      }
      const wait = this.#oldestOutcome + SETTLE_MS - performance.now();
      if (more && wait > 0 && this.#back.length === 0 && this.#outcomes.length < SETTLE_SIZE) {
        await this.#changed(wait);
        continue;
      }
      this.#writing = true;
      await this.#write(this.#outcomes.splice(0, 2 * SETTLE_SIZE));
      await this.#putBack(this.#back.splice(0));
      this.#writing = false;
      this.#signal();
    }
  }

  /**
   * Writing what is known may be tried again, unlike the call: a settlement names its attempt and changes a message once. Outcomes that
   * cannot be stored together are stored in halves; one that cannot be stored by itself, without what the provider said.
   */
  async #write(some: readonly Settled[]): Promise<void> {
    if (some.length === 0) return;
    try {
      await this.#surely("outcomes of sends could not be saved; they will be tried again", some.length, (tx) =>
        settle(tx, this.#bucket, some),
      );
    } catch (error) {
      if (!isUnstorable(error)) throw error;
      const [{ message, outcome }] = some as [Settled];
      if (some.length === 1) {
        this.#ctx.log.error("what a provider said of a message cannot be stored", { message: message.id, error });
        const known = [{ message, outcome: withoutWords(outcome) }];
        return await this.#surely("an outcome could not be saved; it will be tried again", 1, (tx) =>
          settle(tx, this.#bucket, known),
        );
      }
      const half = Math.ceil(some.length / 2);
      await this.#write(some.slice(0, half));
      await this.#write(some.slice(half));
    }
  }

  /** Puts messages back that no call was made with. Should it fail, their leases run out. */
  async #putBack(some: readonly Held[]): Promise<void> {
    if (some.length === 0) return;
    const messages = some.map((h) => h.message);
    await this.#surely("messages that were not sent could not be put back; it will be tried again", some.length, (tx) =>
      giveBack(tx, messages),
    );
  }

  async #surely(what: string, messages: number, write: (tx: Ctx) => Promise<void>): Promise<void> {
    for (let tries = 1; ; tries++) {
      try {
        return await this.#ctx.tx(write);
      } catch (error) {
        if (tries === WRITE_TRIES || isUnstorable(error)) throw error;
        this.#ctx.log.warn(what, { messages, error });
        await new Promise((resolve) => setTimeout(resolve, 250 * 2 ** tries));
      }
    }
  }

  // ── Waiting for each other ──────────────────────────────────────────────────────────────────────────────────────────────────────

  #close(): void {
    this.#closed = true;
    this.#signal();
  }

  #signal(): void {
    this.#change.resolve();
    this.#change = Promise.withResolvers<void>();
  }

  /** Waits, but not past the end of the work. */
  async #pause(seconds: number): Promise<void> {
    const until = performance.now() + seconds * 1000;
    while (!this.#closed && performance.now() < until) await this.#changed(until - performance.now());
  }

  /** Until another part did something, or for so many milliseconds. */
  async #changed(ms?: number): Promise<void> {
    const { promise } = this.#change;
    if (ms === undefined) return await promise;
    let timer: ReturnType<typeof setTimeout> | undefined;
    await Promise.race([promise, new Promise<void>((resolve) => (timer = setTimeout(resolve, ms)))]);
    clearTimeout(timer);
  }
}
