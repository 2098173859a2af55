import type { CreateQueryOptions } from "@tanstack/svelte-query";
import type { Campaign, Connection, Contact, ContactList, Member, Segment, Sender, Tag } from "../api/types.ts";
import type { ApiError } from "../errors.ts";
import { session } from "../session.svelte.ts";
import { queryClient } from "./client.ts";
import { read } from "./queries.ts";
import { keyOf } from "./sources.ts";

/** What a Picker chooses among: a search on the server, and the words for one that is chosen already. */

export type Option = { value: string; label: string; hint?: string };
type Asks<T> = CreateQueryOptions<unknown, ApiError, T, readonly unknown[]>;
export type PickerSource = {
  search(text: string): Asks<Option[]>;
  one(value: string): Asks<Option>;
  /** Said when there is nothing at all to choose. */
  none: string;
  /** Said of a choice that does not exist any more; without it, its id is. */
  gone?: string;
};

/** Options a search gives at most; typing narrows it down. */
export const MOST = 20;

const found = <T>(query: object, toOption: (row: T) => Option): Asks<Option[]> => ({
  ...(query as Asks<Option[]>),
  select: (page: unknown) => (page as { data: T[] }).data.map(toOption),
});
const chosen = <T>(query: object, toOption: (row: T) => Option): Asks<Option> => ({
  ...(query as Asks<Option>),
  select: (row: unknown) => toOption(row as T),
});

const ofContact = (c: Contact): Option => ({
  value: c.id,
  label: c.full_name || c.email || "Unnamed",
  ...(c.full_name && c.email ? { hint: c.email } : {}),
});
export const contacts: PickerSource = {
  search: (search) => found(read("/contacts", { query: { search, limit: MOST } }), ofContact),
  one: (id) => chosen(read("/contacts/{id}", { path: { id } }), ofContact),
  none: "There are no contacts yet.",
};

const ofNamed = ({ id, name }: ContactList | Segment): Option => ({ value: id, label: name });
export const lists: PickerSource = {
  search: (search) => found(read("/lists", { query: { search, limit: MOST } }), ofNamed),
  one: (id) => chosen(read("/lists/{id}", { path: { id } }), ofNamed),
  none: "There are no lists yet.",
};
export const segments: PickerSource = {
  search: (search) => found(read("/segments", { query: { search, limit: MOST } }), ofNamed),
  one: (id) => chosen(read("/segments/{id}", { path: { id } }), ofNamed),
  none: "There are no segments yet.",
};

const ofTag = ({ tag }: Tag): Option => ({ value: tag, label: tag });
export const tags: PickerSource = {
  search: (search) => found(read("/tags", { query: { search, limit: MOST } }), ofTag),
  // A tag is its own name; it may have gone meanwhile.
  one: (tag) => ({ queryKey: ["tags", "", tag], queryFn: () => ofTag({ tag } as Tag) }) as Asks<Option>,
  none: "No tag is in use yet.",
};

/** How a sender is called: its name and its address. */
export const senderName = (s: Pick<Sender, "display_name" | "address">): string =>
  s.display_name ? `${s.display_name} <${s.address}>` : s.address;
const ofSender = (s: Sender): Option => ({ value: s.id, label: senderName(s) });
/** Senders of a channel. */
export const senders = (channel: string): PickerSource => ({
  search: (search) => found(read("/senders", { query: { search, channel, limit: MOST } }), ofSender),
  one: (id) => chosen(read("/senders/{id}", { path: { id } }), ofSender),
  none: "There is no sender for this channel yet.",
});

const ofConnection = (c: Connection): Option => ({ value: c.id, label: c.name, hint: c.provider });
/** Connections that send on one of these channels; those to data providers have no senders. */
export const connections = (channels: readonly string[]): PickerSource => ({
  search: (search) => ({
    queryKey: [...keyOf("/connections", { query: { search } }), "channels", channels],
    queryFn: async () => {
      const found = await Promise.all(
        channels.map((category) =>
          queryClient.fetchQuery(read("/connections", { query: { search, category, limit: MOST } })),
        ),
      );
      return found.flatMap((page) => page.data.map(ofConnection)).slice(0, MOST);
    },
  }),
  one: (id) => chosen(read("/connections/{id}", { path: { id } }), ofConnection),
  none: "There are no connections yet.",
});

const ofCampaign = (c: Campaign): Option => ({ value: c.id, label: c.name });
export const campaigns: PickerSource = {
  search: (search) => found(read("/campaigns", { query: { search, limit: MOST } }), ofCampaign),
  one: (id) => chosen(read("/campaigns/{id}", { path: { id } }), ofCampaign),
  none: "There are no campaigns yet.",
};

const mine = (id: string) => id === session.me?.user.id;
const ofMember = (m: Pick<Member, "user_id" | "name" | "email">): Option => ({
  value: m.user_id,
  label: `${m.name || m.email}${mine(m.user_id) ? " (you)" : ""}`,
  ...(m.name ? { hint: m.email } : {}),
});
/** Members of the workspace; before anything is typed oneself first, who is chosen most. */
export const members: PickerSource = {
  search: (search) => ({
    ...(read("/members", { query: { search, limit: MOST } }) as unknown as Asks<Option[]>),
    select: (page: unknown) => {
      const found = (page as { data: Member[] }).data;
      const me = session.me?.user;
      if (search || !me) return found.map(ofMember);
      return [ofMember({ user_id: me.id, ...me }), ...found.filter((m) => !mine(m.user_id)).map(ofMember)];
    },
  }),
  one: (id) => chosen(read("/members/{user_id}", { path: { user_id: id } }), ofMember),
  none: "Nobody is in this workspace.",
  gone: "A former member",
};

/** `list:<id>` and `segment:<id>` as one choice. */
export const audienceOf = (value: string): { list_id: string | null; segment_id: string | null } => {
  const [kind, id = ""] = value.split(":");
  return { list_id: kind === "list" ? id : null, segment_id: kind === "segment" ? id : null };
};
export const audiences: PickerSource = {
  search: (search) => ({
    // Below both, so that a change of either asks again; each half is shared with the other pickers.
    queryKey: [...keyOf("/lists", { query: { search } }), "audience"],
    queryFn: async () => {
      const query = { search, limit: MOST / 2 };
      const [some, others] = await Promise.all([
        queryClient.fetchQuery(read("/lists", { query })),
        queryClient.fetchQuery(read("/segments", { query })),
      ]);
      return [
        ...some.data.map((l) => ({ value: `list:${l.id}`, label: `List: ${l.name}` })),
        ...others.data.map((s) => ({ value: `segment:${s.id}`, label: `Segment: ${s.name}` })),
      ];
    },
  }),
  one: (value) => {
    const { list_id, segment_id } = audienceOf(value);
    return list_id
      ? chosen<ContactList>(read("/lists/{id}", { path: { id: list_id } }), (l) => ({
          value,
          label: `List: ${l.name}`,
        }))
      : chosen<Segment>(read("/segments/{id}", { path: { id: segment_id ?? "" } }), (s) => ({
          value,
          label: `Segment: ${s.name}`,
        }));
  },
  none: "There is no list or segment yet.",
};
