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

/** Supabase's default limits. */
export const MAX_CHANNELS = 100;
export const MAX_NAME_BYTES = 255;
export const MAX_PAYLOAD_BYTES = 3_000_000;
/** A client that does not read is cut off before it fills our memory. */
const MAX_UNSENT_BYTES = 16_000_000;
/** Broadcasts that wait for the policies' answer about one channel; it takes milliseconds. */
const MAX_HELD = 1_000;
/** How often one question is put to the policies while rights keep changing. */
const MAX_ATTEMPTS = 5;
const CLOSE_POLICY = 1008;

export interface SocketOptions {
  socket: WebSocket;
  version: Version;
  /** From the key of the handshake; what a channel without a token runs as. */
  claims: Claims;
  hub: RealtimeHub;
  sql: Sql;
  keys: Keys;
  log: (message: string) => void;
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
  claims: Claims;
  access: Access;
  /** What came while the policies are asked again; null at all other times. */
  held: Broadcast[] | null;
  expiry?: ReturnType<typeof setTimeout>;
}

/** One client's WebSocket with its channels. Frames are handled in order, heartbeats at once. */
export class RealtimeSocket {
  readonly #options: SocketOptions;
  readonly #channels = new Map<string, Channel>();
  #work: Promise<void> = Promise.resolve();

  constructor(options: SocketOptions) {
    this.#options = options;
    const { socket } = options;
    socket.binaryType = "arraybuffer";
    socket.addEventListener("message", (event) => this.#receive(event.data as string | ArrayBuffer));
    socket.addEventListener("close", () => this.#leaveAll());
    socket.addEventListener("error", () => this.#leaveAll());
  }

  close(): void {
    this.#options.socket.close(1001, "Server is stopping");
  }

  /** Asks the policies again for the private channels on this topic, or on all; who may no longer listen is shown out. */
  recheck(topic: string | null): void {
    for (const channel of this.#channels.values()) {
      if (channel.isPrivate && (topic === null || channel.name === topic)) void this.#recheck(channel);
    }
  }

  async #recheck(channel: Channel): Promise<void> {
    if (channel.held) return;
    channel.held = [];
    try {
      channel.access = await this.#accessTo(channel.name, channel.claims);
    } catch (error) {
      this.#options.log(`realtime: rights on ${channel.name} could not be read: ${(error as Error).message}`);
      channel.access = { receive: false, send: false, presenceReceive: false, presenceSend: false };
    }
    const held = channel.held;
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
    const size = typeof data === "string" ? data.length : data.byteLength;
    if (size > MAX_PAYLOAD_BYTES + 10_000) return this.#options.socket.close(1009, "Payload is too large");
    let frame: Frame;
    try {
      frame = decodeFrame(this.#options.version, data);
    } catch (error) {
      return this.#options.socket.close(CLOSE_POLICY, (error as Error).message.slice(0, 100));
    }
    if (frame.topic === "phoenix") {
      if (frame.event === "heartbeat") this.#reply(frame, "ok", {});
      return;
    }
    this.#work = this.#work
      .then(() => this.#handle(frame))
      .catch((error: Error) => {
        this.#options.log(`realtime: ${frame.event} on ${frame.topic} failed: ${error.message}`);
        this.#reply(frame, "error", { reason: "UnknownErrorOnChannel: the server could not handle this message" });
      });
  }

  async #handle(frame: Frame): Promise<void> {
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
    const { hub, keys } = this.#options;
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
    if (this.#channels.size >= MAX_CHANNELS) return refuse("ChannelRateLimitReached: Too many channels");

    const payload = record(frame.payload);
    const config = record(payload.config);
    const broadcast = record(config.broadcast);
    const presence = record(config.presence);
    if (Array.isArray(config.postgres_changes) && config.postgres_changes.length > 0) {
      return refuse(
        "Postgres Changes are not available on the embedded server: send broadcasts from a trigger with realtime.broadcast_changes instead",
      );
    }
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
      claims,
      access,
      held: null,
      deliver: (message) => this.#deliver(channel, message),
      push: (event, body) => this.#push(channel, event, body),
    };
    if (this.#options.socket.readyState !== WebSocket.OPEN) return;
    this.#channels.set(frame.topic, channel);
    hub.join(name, isPrivate, channel);
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
    if (channel.claims.exp === undefined) return;
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

  #write(message: string | Uint8Array<ArrayBuffer>): void {
    const { socket } = this.#options;
    if (socket.readyState !== WebSocket.OPEN) return;
    if (socket.bufferedAmount > MAX_UNSENT_BYTES) return socket.close(CLOSE_POLICY, "Client reads too slowly");
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
