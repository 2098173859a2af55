import type { z } from "zod";
import type { AnyChannel } from "./channel.ts";
import type { FieldError } from "./errors.ts";

/** Every channel's options by name. Options of one name mean the same on all channels, and share one value. */
export const channelOptions = (channels: Iterable<AnyChannel>): Map<string, z.ZodType> =>
  new Map([...channels].flatMap((c) => Object.entries(c.options.shape as Record<string, z.ZodType>)));

/** What a schema says against the value of a setting, each with its place under `/settings`. */
export const settingFaults = (name: string, { issues }: z.ZodError): FieldError[] =>
  issues.map((i) => ({ pointer: ["/settings", name, ...i.path.map(String)].join("/"), detail: i.message }));
