import Building from "@lucide/svelte/icons/building-2";
import Cable from "@lucide/svelte/icons/cable";
import Circle from "@lucide/svelte/icons/circle";
import Gauge from "@lucide/svelte/icons/gauge";
import Inbox from "@lucide/svelte/icons/inbox";
import Layers from "@lucide/svelte/icons/layers";
import ListChecks from "@lucide/svelte/icons/list-checks";
import ListFilter from "@lucide/svelte/icons/list-filter";
import Send from "@lucide/svelte/icons/send";
import Settings from "@lucide/svelte/icons/settings";
import Sparkles from "@lucide/svelte/icons/sparkles";
import ShieldCheck from "@lucide/svelte/icons/shield-check";
import Users from "@lucide/svelte/icons/users";
import type { Component } from "svelte";
import type { ConsolePage } from "../api/types.ts";
import { session } from "../session.svelte.ts";

export type Icon = Component<{ size?: number | string; class?: string }>;

/** The icons that the catalogue's pages name. */
const icons: Record<string, Icon> = {
  building: Building,
  cable: Cable,
  gauge: Gauge,
  inbox: Inbox,
  layers: Layers,
  "list-checks": ListChecks,
  "list-filter": ListFilter,
  send: Send,
  settings: Settings,
  sparkles: Sparkles,
  "shield-check": ShieldCheck,
  users: Users,
};
export const iconOf = (page: ConsolePage): Icon => icons[page.icon] ?? Circle;

/** Whether this person's role may open the page. Pages of modules that are off are not in the catalogue. */
export const offered = (page: ConsolePage): boolean => !page.permission || session.can(page.permission);

/** The page that an address belongs to. */
export const pageFor = (pages: readonly ConsolePage[], path: string): ConsolePage | undefined =>
  pages.find((page) => (page.path === "/" ? path === "/" : path === page.path || path.startsWith(`${page.path}/`)));
