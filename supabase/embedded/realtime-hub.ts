import type { Sql } from "postgres";
import type { Broadcast } from "./realtime-frames.ts";

/** A joined channel of one client, as the hub sees it. */
export interface Member {
  deliver(broadcast: Broadcast): void;
  push(event: string, payload: unknown): void;
  /** Whether this member sees presence. */
  readonly presence: boolean;
}

export type Meta = { phx_ref: string } & Record<string, unknown>;
export type Presences = Record<string, { metas: Meta[] }>;

interface Room {
  members: Set<Member>;
  /** What each present member shows, under its key. */
  present: Map<Member, { key: string; meta: Meta }>;
}

/** Who is on which topic. Private and public channels of one name are different rooms, as on Supabase. */
export class RealtimeHub {
  readonly #rooms = new Map<string, Room>();
  readonly #sql: Sql;
  readonly #log: (message: string) => void;
  /** How often rights were announced to have changed: an answer of the policies from before counts no more. */
  accessChanges = 0;
  #announced: string[] = [];
  #loading = false;

  constructor(sql: Sql, log: (message: string) => void) {
    this.#sql = sql;
    this.#log = log;
  }

  join(topic: string, isPrivate: boolean, member: Member): void {
    const key = roomKey(topic, isPrivate);
    let room = this.#rooms.get(key);
    if (!room) this.#rooms.set(key, (room = { members: new Set(), present: new Map() }));
    room.members.add(member);
  }

  leave(topic: string, isPrivate: boolean, member: Member): void {
    const key = roomKey(topic, isPrivate);
    const room = this.#rooms.get(key);
    if (!room) return;
    room.members.delete(member);
    this.untrack(topic, isPrivate, member);
    if (room.members.size === 0) this.#rooms.delete(key);
  }

  broadcast(topic: string, isPrivate: boolean, broadcast: Broadcast, except?: Member): void {
    for (const member of this.#rooms.get(roomKey(topic, isPrivate))?.members ?? []) {
      if (member !== except) member.deliver(broadcast);
    }
  }

  track(topic: string, isPrivate: boolean, member: Member, key: string, payload: Record<string, unknown>): void {
    const room = this.#rooms.get(roomKey(topic, isPrivate));
    if (!room) return;
    const before = room.present.get(member);
    const meta: Meta = { ...payload, phx_ref: crypto.randomUUID().slice(0, 12) };
    room.present.set(member, { key, meta });
    const leaves: Presences = before ? { [before.key]: { metas: [before.meta] } } : {};
    this.#tellPresence(room, { joins: { [key]: { metas: [meta] } }, leaves });
  }

  untrack(topic: string, isPrivate: boolean, member: Member): void {
    const room = this.#rooms.get(roomKey(topic, isPrivate));
    const before = room?.present.get(member);
    if (!room || !before) return;
    room.present.delete(member);
    this.#tellPresence(room, { joins: {}, leaves: { [before.key]: { metas: [before.meta] } } });
  }

  presences(topic: string, isPrivate: boolean): Presences {
    const state: Presences = {};
    for (const { key, meta } of this.#rooms.get(roomKey(topic, isPrivate))?.present.values() ?? []) {
      (state[key] ??= { metas: [] }).metas.push(meta);
    }
    return state;
  }

  /** A row was committed to realtime.messages: "<id> <t|f> <topic>". Loads it only if somebody listens. */
  announce(payload: string): void {
    const [id, isPrivate, ...topic] = payload.split(" ");
    if (!this.#rooms.has(roomKey(topic.join(" "), isPrivate === "t"))) return;
    this.#announced.push(id!);
    if (!this.#loading) void this.#load();
  }

  async #load(): Promise<void> {
    this.#loading = true;
    const sql = this.#sql;
    try {
      while (this.#announced.length > 0) {
        const ids = this.#announced.splice(0, 500);
        const rows = await sql`select id, topic, event, payload, private from realtime.messages
          where id = any(${ids}::uuid[]) and extension = 'broadcast'`;
        const byId = new Map(rows.map((row) => [row.id as string, row]));
        for (const id of ids) {
          const row = byId.get(id);
          if (!row) continue;
          const broadcast = { event: row.event ?? "", payload: row.payload, meta: { id } };
          this.broadcast(row.topic, row.private ?? false, broadcast);
        }
      }
    } catch (error) {
      this.#log(`realtime: messages could not be loaded: ${(error as Error).message}`);
    } finally {
      this.#loading = false;
    }
  }

  #tellPresence(room: Room, diff: { joins: Presences; leaves: Presences }): void {
    for (const member of room.members) if (member.presence) member.push("presence_diff", diff);
  }
}

function roomKey(topic: string, isPrivate: boolean): string {
  return `${isPrivate ? "private" : "public"}:${topic}`;
}
