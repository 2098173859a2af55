import { createHash } from "node:crypto";
import type { Sql } from "postgres";
import {
  channelAccess,
  claimsOf,
  EVERYTHING,
  Refused,
  type Access,
  type Claims,
  type Keys,
} from "./realtime-access.ts";
import {
  decodeFrame,
  encodeBroadcast,
  encodeFrame,
  type Broadcast,
  type Frame,
  type Version,
} from "./realtime-frames.ts";
import type { Member, RealtimeHub } from "./realtime-hub.ts";
import { Inbox, type Account, type Held, type RealtimeLimits } from "./realtime-limits.ts";

/** Supabase's own limits. */
export const MAX_NAME_BYTES = 255;
export const MAX_PAYLOAD_BYTES = 3_000_000;
/** What the channels of one socket show as presence is kept for as long as they are joined. */
const MAX_PRESENCE_BYTES = 64_000;
const CLOSE_TOO_LARGE = 1009;
/** Broadcasts that wait for the policies' answer about one channel; it takes milliseconds. */
const MAX_HELD = 1_000;
/** How often one question is put to the policies while rights keep changing. */
const MAX_ATTEMPTS = 5;
const CLOSE_POLICY = 1008;

/** How notifications name a topic: every login of the database can listen to them, and none learns an id. */
const digestOf = (topic: string): string => createHash("sha256").update(topic).digest("hex");

export interface SocketOptions {
  socket: WebSocket;
  version: Version;
  /** From the key of the handshake; what a channel without a token runs as. */
  claims: Claims;
  hub: RealtimeHub;
  sql: Sql;
  keys: Keys;
  limits: RealtimeLimits;
  /** What its bytes count on. */
  account: Account;
  log: (message: string) => void;
  /** Called once, when the connection is over. */
  onGone: () => void;
}

interface Channel extends Member {
  topic: string;
  name: string;
  joinRef: string | null;
  isPrivate: boolean;
  ack: boolean;
  self: boolean;
  presence: boolean;
  presenceKey: string;
  /** Bytes of what it shows. */
  presenceBytes: number;
  claims: Claims;
  access: Access;
  /** Whether the policies are asked again now. */
  asking: boolean;
  /** What came since they are to be asked again; null at all other times. */
  held: Broadcast[] | null;
  expiry?: ReturnType<typeof setTimeout>;
}

/** One client's WebSocket with its channels. Frames are handled in order, heartbeats at once. */
export class RealtimeSocket implements Held {
  readonly #options: SocketOptions;
  readonly #channels = new Map<string, Channel>();
  readonly #inbox: Inbox;
  /** Runs while no channel is joined. */
  #idle: ReturnType<typeof setTimeout> | undefined;
  #gone = false;
  /** Unsent when it was cut off. The runtime keeps them until the connection ends, and no longer tells. */
  #stuck = 0;

  constructor(options: SocketOptions) {
    this.#options = options;
    const { socket } = options;
    this.#inbox = new Inbox(options.limits, options.account);
    socket.binaryType = "arraybuffer";
    socket.addEventListener("message", (event) => this.#receive(event.data as string | ArrayBuffer));
    socket.addEventListener("close", () => this.#end());
    socket.addEventListener("error", () => this.#end());
    this.#watchIdle();
  }

  get unsent(): number {
    return Math.max(this.#stuck, this.#options.socket.bufferedAmount);
  }

  close(): void {
    this.#options.socket.close(1001, "Server is stopping");
  }

  /** Ends the connection and forgets at once what it had: a client may take its time to answer, or never do. */
  #cut(code: number, reason: string): void {
    this.#stuck = this.unsent;
    this.#leaveAll();
    this.#options.socket.close(code, reason);
  }

  #end(): void {
    if (this.#gone) return;
    this.#gone = true;
    clearTimeout(this.#idle);
    this.#leaveAll();
    this.#options.onGone();
  }

  #watchIdle(): void {
    const { socket, limits } = this.#options;
    clearTimeout(this.#idle);
    if (this.#gone || this.#channels.size > 0) return;
    this.#idle = setTimeout(() => {
      // Its client went away before the handshake was over; no event tells of that.
      if (socket.readyState === WebSocket.CONNECTING) this.#end();
      else this.#cut(CLOSE_POLICY, "No channel was joined in time");
    }, limits.joinMs);
  }

  /** Delivers nothing more on these channels until `recheck` has asked about them. `digests`: of topics and sessions; null for all. */
  hold(digests: ReadonlySet<string> | null): void {
    for (const channel of this.#concerned(digests)) channel.held ??= [];
  }

  /** Asks the policies again for these channels; who may no longer listen is shown out. */
  recheck(digests: ReadonlySet<string> | null): void {
    for (const channel of this.#concerned(digests)) void this.#recheck(channel);
  }

  #concerned(digests: ReadonlySet<string> | null): Channel[] {
    return [...this.#channels.values()].filter(
      (channel) =>
        channel.isPrivate &&
        (digests === null ||
          digests.has(digestOf(channel.name)) ||
          digests.has(digestOf(`session:${String(channel.claims.session_id)}`))),
    );
  }

  async #recheck(channel: Channel): Promise<void> {
    if (channel.asking) return;
    channel.asking = true;
    channel.held ??= [];
    try {
      channel.access = await this.#accessTo(channel.name, channel.claims);
    } catch (error) {
      this.#options.log(`realtime: rights on ${channel.name} could not be read: ${(error as Error).message}`);
      channel.access = { receive: false, send: false, presenceReceive: false, presenceSend: false };
    }
    const held = channel.held;
    channel.asking = false;
    channel.held = null;
    if (this.#channels.get(channel.topic) !== channel) return;
    if (!channel.access.receive) return this.#expel(channel, unauthorized(channel.name));
    for (const message of held) this.#deliver(channel, message);
  }

  /** What the policies say now: asked again when rights have changed meanwhile. */
  async #accessTo(name: string, claims: Claims): Promise<Access> {
    const { hub, sql } = this.#options;
    for (let attempt = 1; attempt <= MAX_ATTEMPTS; attempt++) {
      const seen = hub.accessChanges;
      const access = await channelAccess(sql, name, claims);
      if (seen === hub.accessChanges) return access;
    }
    throw new Refused("Rights are changing: try again");
  }

  #receive(data: string | ArrayBuffer): void {
    if (this.#options.socket.readyState !== WebSocket.OPEN) return;
    const size = typeof data === "string" ? data.length : data.byteLength;
    if (size > MAX_PAYLOAD_BYTES + 10_000) return this.#cut(CLOSE_TOO_LARGE, "Payload is too large");
    let frame: Frame;
    try {
      frame = decodeFrame(this.#options.version, data);
    } catch (error) {
      return this.#cut(CLOSE_POLICY, (error as Error).message.slice(0, 100));
    }
    if (frame.topic === "phoenix") {
      if (frame.event === "heartbeat") this.#reply(frame, "ok", {});
      return;
    }
    const refused = this.#inbox.add(size, () =>
      this.#handle(frame).catch((error: Error) => {
        this.#options.log(`realtime: ${frame.event} on ${frame.topic} failed: ${error.message}`);
        this.#reply(frame, "error", { reason: "UnknownErrorOnChannel: the server could not handle this message" });
      }),
    );
    if (refused) this.#cut(CLOSE_POLICY, refused);
  }

  async #handle(frame: Frame): Promise<void> {
    if (this.#options.socket.readyState !== WebSocket.OPEN) return;
    if (frame.event === "phx_join") return await this.#join(frame);
    const channel = this.#channels.get(frame.topic);
    if (!channel) {
      if (frame.ref !== null) this.#reply(frame, "error", { reason: "unmatched topic" });
      return;
    }
    if (frame.event === "phx_leave") {
      this.#leave(channel);
      this.#reply(frame, "ok", {});
      this.#send({ ...frame, event: "phx_close", payload: {} });
    } else if (frame.event === "access_token") await this.#refresh(channel, record(frame.payload).access_token);
    else if (frame.event === "broadcast") this.#broadcast(channel, frame);
    else if (frame.event === "presence") this.#presence(channel, frame);
  }

  async #join(frame: Frame): Promise<void> {
    const { hub, keys, limits } = this.#options;
    const refuse = (reason: string) => this.#reply(frame, "error", { reason });
    const existing = this.#channels.get(frame.topic);
    if (existing) {
      this.#leave(existing);
      this.#send({
        joinRef: existing.joinRef,
        ref: existing.joinRef,
        topic: frame.topic,
        event: "phx_close",
        payload: {},
      });
    }
    if (!frame.topic.startsWith("realtime:") || frame.topic.length === 9) {
      return refuse("TopicNameRequired: You must provide a topic name");
    }
    const name = frame.topic.slice("realtime:".length);
    if (bytes(name) > MAX_NAME_BYTES) return refuse(`Topic names may have at most ${MAX_NAME_BYTES} bytes`);
    if (this.#channels.size >= limits.channels) return refuse("ChannelRateLimitReached: Too many channels");

    const payload = record(frame.payload);
    const config = record(payload.config);
    const broadcast = record(config.broadcast);
    const presence = record(config.presence);
    if (Array.isArray(config.postgres_changes) && config.postgres_changes.length > 0) {
      return refuse(
        "Postgres Changes are not available on the embedded server: send broadcasts from a trigger with realtime.broadcast_changes instead",
      );
    }
    if (typeof presence.key === "string" && bytes(presence.key) > MAX_NAME_BYTES)
      return refuse(`Presence keys may have at most ${MAX_NAME_BYTES} bytes`);
    const isPrivate = config.private === true;
    let access = EVERYTHING;
    let claims = this.#options.claims;
    try {
      const token = payload.access_token;
      if (typeof token === "string" && token && !token.startsWith("sb_")) claims = await claimsOf(keys, token);
      if (isPrivate) access = await this.#accessTo(name, claims);
    } catch (error) {
      if (error instanceof Refused) return refuse(error.message);
      throw error;
    }
    if (!access.receive) return refuse(unauthorized(name));

    const channel: Channel = {
      topic: frame.topic,
      name,
      joinRef: frame.joinRef ?? frame.ref,
      isPrivate,
      ack: broadcast.ack === true,
      self: broadcast.self === true,
      presence: presence.enabled === true && access.presenceReceive,
      presenceKey: typeof presence.key === "string" && presence.key ? presence.key : crypto.randomUUID(),
      presenceBytes: 0,
      claims,
      access,
      asking: false,
      held: null,
      deliver: (message) => this.#deliver(channel, message),
      push: (event, body) => this.#push(channel, event, body),
    };
    if (this.#options.socket.readyState !== WebSocket.OPEN) return;
    if (!hub.join(name, isPrivate, channel)) {
      return refuse("ConnectionRateLimitReached: Too many connected users on this topic");
    }
    this.#channels.set(frame.topic, channel);
    clearTimeout(this.#idle);
    this.#watchExpiry(channel);
    this.#reply(frame, "ok", { postgres_changes: [] });
    if (channel.presence) this.#push(channel, "presence_state", hub.presences(name, isPrivate));
  }

  async #refresh(channel: Channel, token: unknown): Promise<void> {
    // An opaque key is no token: the channel keeps what it has.
    if (typeof token !== "string" || !token || token.startsWith("sb_")) return;
    try {
      channel.claims = await claimsOf(this.#options.keys, token);
      if (channel.isPrivate) channel.access = await this.#accessTo(channel.name, channel.claims);
    } catch (error) {
      if (error instanceof Refused) return this.#expel(channel, error.message);
      throw error;
    }
    if (!channel.access.receive) return this.#expel(channel, unauthorized(channel.name));
    this.#watchExpiry(channel);
  }

  #watchExpiry(channel: Channel): void {
    clearTimeout(channel.expiry);
    // Left while its new token was checked.
    if (this.#channels.get(channel.topic) !== channel || channel.claims.exp === undefined) return;
    const left = channel.claims.exp * 1000 - Date.now();
    // Timers hold at most 2^31 ms; a longer life is looked at again then.
    const check = () => (left > 2_000_000_000 ? this.#watchExpiry(channel) : this.#expel(channel, "Token has expired"));
    channel.expiry = setTimeout(check, Math.min(Math.max(left, 0), 2_000_000_000));
  }

  #expel(channel: Channel, message: string): void {
    this.#push(channel, "system", { extension: "system", status: "error", message, channel: channel.name });
    this.#leave(channel);
    const { topic, joinRef } = channel;
    this.#send({ joinRef, ref: joinRef, topic, event: "phx_close", payload: {} });
  }

  #broadcast(channel: Channel, frame: Frame): void {
    const { event, payload } = record(frame.payload);
    if (typeof event !== "string" || bytes(event) > MAX_NAME_BYTES) {
      return this.#reply(frame, "error", { reason: `A broadcast needs an event of at most ${MAX_NAME_BYTES} bytes` });
    }
    // As on Supabase, what may not be sent is dropped without a word.
    if (!channel.access.send) return;
    const except = channel.self ? undefined : channel;
    this.#options.hub.broadcast(channel.name, channel.isPrivate, { event, payload: payload ?? {} }, except);
    if (channel.ack) this.#reply(frame, "ok", {});
  }

  #presence(channel: Channel, frame: Frame): void {
    const { event, payload } = record(frame.payload);
    const { hub } = this.#options;
    if (!channel.access.presenceSend) {
      return this.#reply(frame, "error", {
        reason: "Unauthorized: You do not have permissions to track presence here",
      });
    }
    if (event === "track") {
      const size = JSON.stringify(record(payload)).length;
      const others = [...this.#channels.values()].reduce((sum, c) => sum + (c === channel ? 0 : c.presenceBytes), 0);
      if (others + size > MAX_PRESENCE_BYTES) {
        return this.#reply(frame, "error", {
          reason: `The presence of one client may have at most ${MAX_PRESENCE_BYTES} bytes`,
        });
      }
      channel.presenceBytes = size;
      if (!channel.presence && channel.access.presenceReceive) {
        // The first track of a channel that did not ask for presence switches it on.
        channel.presence = true;
        this.#push(channel, "presence_state", hub.presences(channel.name, channel.isPrivate));
      }
      hub.track(channel.name, channel.isPrivate, channel, channel.presenceKey, record(payload));
    } else if (event === "untrack") hub.untrack(channel.name, channel.isPrivate, channel);
    else return this.#reply(frame, "error", { reason: 'Presence knows "track" and "untrack"' });
    this.#reply(frame, "ok", {});
  }

  #leave(channel: Channel): void {
    clearTimeout(channel.expiry);
    this.#channels.delete(channel.topic);
    this.#watchIdle();
    this.#options.hub.leave(channel.name, channel.isPrivate, channel);
  }

  #leaveAll(): void {
    for (const channel of [...this.#channels.values()]) this.#leave(channel);
  }

  #deliver(channel: Channel, broadcast: Broadcast): void {
    if (channel.held) {
      if (channel.held.push(broadcast) > MAX_HELD)
        this.#expel(channel, "Rights on this topic could not be read in time");
      return;
    }
    const message = encodeBroadcast(this.#options.version, channel.topic, broadcast);
    if (message !== null) this.#write(message);
  }

  #push(channel: Channel, event: string, payload: unknown): void {
    this.#send({ joinRef: channel.joinRef, ref: null, topic: channel.topic, event, payload });
  }

  #reply(frame: Frame, status: "ok" | "error", response: unknown): void {
    const { joinRef, ref, topic } = frame;
    this.#send({ joinRef, ref, topic, event: "phx_reply", payload: { status, response } });
  }

  #send(frame: Frame): void {
    this.#write(encodeFrame(this.#options.version, frame));
  }

  /** A client that does not read is cut off before it fills our memory. */
  #write(message: string | Uint8Array<ArrayBuffer>): void {
    const { socket, limits, account } = this.#options;
    if (socket.readyState !== WebSocket.OPEN) return;
    const size = typeof message === "string" ? message.length : message.byteLength;
    if (socket.bufferedAmount + size > limits.bytes || !account.maySend(size))
      return this.#cut(CLOSE_POLICY, "Client reads too slowly");
    socket.send(message);
  }
}

const unauthorized = (topic: string) =>
  `Unauthorized: You do not have permissions to read from this Channel topic: ${topic}`;

function record(value: unknown): Record<string, unknown> {
  return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : {};
}

function bytes(text: string): number {
  return new TextEncoder().encode(text).length;
}
