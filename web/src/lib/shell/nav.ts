import Building from "@lucide/svelte/icons/building-2";
import Cable from "@lucide/svelte/icons/cable";
import Gauge from "@lucide/svelte/icons/gauge";
import Inbox from "@lucide/svelte/icons/inbox";
import Layers from "@lucide/svelte/icons/layers";
import ListFilter from "@lucide/svelte/icons/list-filter";
import Send from "@lucide/svelte/icons/send";
import Settings from "@lucide/svelte/icons/settings";
import Users from "@lucide/svelte/icons/users";
import type { Component } from "svelte";
import { session } from "../session.svelte.ts";

export type NavItem = {
  href: string;
  label: string;
  icon: Component<{ size?: number | string; class?: string }>;
  /** The module that must be on; without one the page is always there. */
  module?: string;
  /** What one must be allowed to open it. */
  permission?: string;
  /** Second key after "g". */
  key: string;
  group: "work" | "system";
};

export const navigation: readonly NavItem[] = [
  { href: "/", label: "Dashboard", icon: Gauge, key: "d", group: "work" },
  { href: "/contacts", label: "Contacts", icon: Users, module: "contacts", key: "c", group: "work" },
  { href: "/companies", label: "Companies", icon: Building, module: "contacts", key: "o", group: "work" },
  { href: "/lists", label: "Lists & segments", icon: ListFilter, module: "contacts", key: "l", group: "work" },
  { href: "/campaigns", label: "Campaigns", icon: Send, module: "campaigns", key: "a", group: "work" },
  { href: "/inbox", label: "Inbox", icon: Inbox, module: "messaging", key: "i", group: "work" },
  { href: "/providers", label: "Providers", icon: Cable, module: "providers", key: "p", group: "system" },
  {
    href: "/queues",
    label: "Operations",
    icon: Layers,
    module: "operations",
    permission: "operations:read",
    key: "q",
    group: "system",
  },
  { href: "/settings", label: "Settings", icon: Settings, key: "s", group: "system" },
];

/** Is the page there for this person: its module is on, and their role may read it. */
export const offered = (item: NavItem): boolean =>
  (!item.module || session.has(item.module)) && (!item.permission || session.can(item.permission));

export const itemFor = (path: string): NavItem | undefined =>
  navigation.find((item) =>
    item.href === "/" ? path === "/" : path === item.href || path.startsWith(`${item.href}/`),
  );
