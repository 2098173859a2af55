// Deno 2.1 has the web's setTimeout, whose number has no unref.
import { setTimeout as nodeTimeout } from "node:timers";
import { type Envelope, type Session, smtpError, type SmtpError } from "./dialogue.ts";

/**
 * The open connections to one server with one account. They are kept between messages; a message that finds none free waits, and that
 * wait counts toward its time. No message is ever repeated once bytes of it were written.
 */

export type Pool = {
  /** Resolves when the server has taken the message; rejects with an SmtpError, whose `begun` tells what may have happened. */
  send(envelope: Envelope, bytes: Buffer, patienceMs: number): Promise<void>;
};

type Job = {
  envelope: Envelope;
  bytes: Buffer;
  done: (error: SmtpError | null) => void;
  session: Session | null;
  /** Only a connection that has carried nothing yet: the one before was found closed. */
  fresh: boolean;
  tries: number;
};

/** `close`: the connections that are idle since then or longer; with null all, for good. */
type Kept = { isUnused(): boolean; close(idleSince: number | null): void };

/** Servers limit what one connection may carry; many recommend to stay at a hundred. */
const MESSAGES_MAX = 100;
const IDLE_MS = 60_000;
/** How long a server that refuses another connection is asked for no more than it has given. */
const FEWER_MS = 60_000;

const pools = new Map<string, Pool & Kept>();
let sweep: NodeJS.Timeout | null = null;

/** The pool of this key; `open` makes a signed-in connection. */
export function poolFor(key: string, size: number, open: () => Promise<Session>): Pool {
  let pool = pools.get(key);
  if (!pool) pools.set(key, (pool = createPool(size, open)));
  sweep ??= armSweep();
  return pool;
}

/** Closes everything when the process drains, or what nobody has used for a minute; what is under way is never cut off. */
export function closeSmtpPools(all = true, now = performance.now()): void {
  for (const [key, pool] of pools) {
    pool.close(all ? null : now - IDLE_MS);
    if (all || pool.isUnused()) pools.delete(key);
  }
}

function armSweep(): NodeJS.Timeout {
  const timer = nodeTimeout(() => {
    closeSmtpPools(false);
    sweep = pools.size > 0 ? armSweep() : null;
  }, IDLE_MS / 4);
  timer.unref();
  return timer;
}

function createPool(size: number, open: () => Promise<Session>): Pool & Kept {
  /** By when they were put back; the newest is taken first, so that those beyond the need fall idle. */
  const idleSince = new Map<Session, number>();
  const waiting: Job[] = [];
  let opening = 0;
  /** Open ones and those being opened. */
  let count = 0;
  let limit = size;
  let limitedAt = 0;
  let ended = false;

  function send(envelope: Envelope, bytes: Buffer, patienceMs: number): Promise<void> {
    return new Promise((resolve, reject) => {
      const job: Job = {
        envelope,
        bytes,
        session: null,
        fresh: false,
        tries: 0,
        done(error) {
          clearTimeout(timer);
          if (error) reject(error);
          else resolve();
        },
      };
      const timer = setTimeout(() => giveUp(job), patienceMs);
      waiting.push(job);
      pump();
    });
  }

  function giveUp(job: Job): void {
    const late = smtpError("The time for this message was over.", { code: "ETIMEDOUT" });
    // The deadline is the message's own: no second try after it.
    job.tries = 2;
    if (job.session) return job.session.destroy(late);
    waiting.splice(waiting.indexOf(job), 1);
    job.done(late);
  }

  function pump(): void {
    for (const session of [...idleSince.keys()].reverse()) {
      if (waiting.length === 0) return;
      const job = waiting.findIndex((j) => !j.fresh || session.messages === 0);
      if (job < 0) continue;
      idleSince.delete(session);
      carry(waiting.splice(job, 1)[0]!, session);
    }
    if (ended) return;
    if (limit < size && performance.now() - limitedAt >= FEWER_MS) limit = size;
    // The first alone: a server that refuses the sign-in is to see one try, not one for each connection.
    while (waiting.length > opening && count < limit && (opening === 0 || count > opening)) openOne();
  }

  function openOne(): void {
    opening++;
    count++;
    open().then(
      (session) => {
        opening--;
        session.onEnd = () => {
          count--;
          idleSince.delete(session);
          pump();
        };
        release(session);
      },
      (error: SmtpError) => {
        opening--;
        count--;
        if (count > 0) {
          // The others work: the server may bear no more of them. What waits goes over those.
          limit = count;
          limitedAt = performance.now();
          for (const job of waiting) job.fresh = false;
        } else {
          // One refused sign-in is enough; the account is not tried again for each message that waits.
          limit = size;
          for (const job of waiting.splice(0)) job.done(error);
        }
        pump();
      },
    );
  }

  function release(session: Session): void {
    if (!session.alive) return;
    if (ended || session.messages >= MESSAGES_MAX) return session.close();
    idleSince.set(session, performance.now());
    pump();
  }

  function carry(job: Job, session: Session): void {
    const reused = session.messages > 0;
    job.session = session;
    job.tries++;
    session.send(job.envelope, job.bytes, (error) => {
      job.session = null;
      // A server may close a connection between two messages. Nothing of this one was sent, so it may go out over another, once.
      if (error && reused && !session.alive && !error.begun && job.tries < 2 && !ended) {
        job.fresh = opening > 0 || count < limit;
        waiting.unshift(job);
        return pump();
      }
      job.done(error);
      release(session);
    });
  }

  return {
    send,
    isUnused: () => count === 0 && waiting.length === 0,
    close(before) {
      for (const [session, since] of idleSince) {
        if (before !== null && since > before) continue;
        idleSince.delete(session);
        session.close();
      }
      if (before !== null) return;
      ended = true;
      const error = smtpError("The connections were closed before it was this message's turn.", {
        code: "ECONNECTION",
      });
      for (const job of waiting.splice(0)) job.done(error);
    },
  };
}
