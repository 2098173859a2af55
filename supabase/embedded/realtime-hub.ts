import type { Sql } from "postgres";
import { oneAtATime } from "./one-at-a-time.ts";
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

/** Rows read at once. */
const BATCH = 100;

/** Who is on which topic. Private and public channels of one name are different rooms, as on Supabase. */
export class RealtimeHub {
  readonly #rooms = new Map<string, Room>();
  readonly #sql: Sql;
  readonly #log: (message: string) => void;
  readonly #membersPerTopic: number;
  /** Ids of committed messages that somebody waits for and that are not loaded yet. */
  #wanted: string[] = [];
  #failing = false;
  /** How often rights were announced to have changed: an answer of the policies from before counts no more. */
  accessChanges = 0;

  constructor(sql: Sql, membersPerTopic: number, log: (message: string) => void) {
    this.#sql = sql;
    this.#membersPerTopic = membersPerTopic;
    this.#log = log;
  }

  /** False when the topic has as many members as it may have. */
  join(topic: string, isPrivate: boolean, member: Member): boolean {
    const key = roomKey(topic, isPrivate);
    let room = this.#rooms.get(key);
    if (room && room.members.size >= this.#membersPerTopic) return false;
    if (!room) this.#rooms.set(key, (room = { members: new Set(), present: new Map() }));
    room.members.add(member);
    return true;
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

  /** Whether the last look into the table failed. */
  get failing(): boolean {
    return this.#failing;
  }

  /** Delivers what is committed. Resolves when nothing is left; what failed is tried again at the next call. */
  readonly wake: () => Promise<void> = oneAtATime(async () => {
    try {
      while (await this.#deliverBatch());
      this.#failing = false;
    } catch (error) {
      this.#failing = true;
      this.#log(`realtime: messages could not be loaded: ${(error as Error).message}`);
    }
  });

  /** False when nothing more is known to wait. */
  async #deliverBatch(): Promise<boolean> {
    const sql = this.#sql;
    let taken = 0;
    if (this.#wanted.length === 0) {
      const rows = await sql<{ message: string; topic: string; private: boolean }[]>`
        with taken as (
          delete from realtime._undelivered
          where position in (select position from realtime._undelivered order by position limit ${BATCH})
          returning *
        ) select message, topic, private from taken order by position`;
      taken = rows.length;
      this.#wanted = rows.filter((row) => this.#rooms.has(roomKey(row.topic, row.private))).map((row) => row.message);
    }
    if (this.#wanted.length > 0) {
      const rows = await sql`select id, topic, event, payload, private from realtime.messages
        where id = any(${this.#wanted}::uuid[]) and extension = 'broadcast'`;
      const byId = new Map(rows.map((row) => [row.id as string, row]));
      for (const id of this.#wanted) {
        const row = byId.get(id);
        if (!row) continue;
        const broadcast = { event: row.event ?? "", payload: row.payload, meta: { id } };
        this.broadcast(row.topic, row.private ?? false, broadcast);
      }
      this.#wanted = [];
      // The first round may have loaded what an earlier failure left.
      return taken === 0 || taken === BATCH;
    }
    return taken === BATCH;
  }

  #tellPresence(room: Room, diff: { joins: Presences; leaves: Presences }): void {
    for (const member of room.members) if (member.presence) member.push("presence_diff", diff);
  }
}

function roomKey(topic: string, isPrivate: boolean): string {
  return `${isPrivate ? "private" : "public"}:${topic}`;
}
