import type { Ctx } from "../kernel/context.ts";
import { AppError, type FieldError } from "../kernel/errors.ts";
import { channelOptions, settingFaults } from "../kernel/options.ts";
import { type Settings, SettingsSchema } from "./schemas.ts";

/** Channels' options among a campaign's settings: each is what the channel that has it says, with the channel's default. */

/**
 * Settings as they are stored: what was `given` over what was `before`, and the default of every option that neither names. Null
 * puts an option back to its default. Equal settings have their keys in one order and so print alike. Throws a 422 that names each
 * given option that no channel has or takes.
 */
export function writtenSettings(
  ctx: Pick<Ctx, "registry">,
  given: Record<string, unknown>,
  before: Record<string, unknown> = {},
): Settings {
  const options = channelOptions(ctx.registry.channels.values());
  const settings: Record<string, unknown> = { ...before, ...given };
  const errors: FieldError[] = Object.keys(given)
    .filter((name) => !(name in SettingsSchema.shape) && !options.has(name))
    .map((name) => ({ pointer: `/settings/${name}`, detail: "is neither a setting nor an option of a channel" }));
  for (const [name, option] of options) {
    const read = option.safeParse(settings[name] ?? undefined);
    if (read.success) settings[name] = read.data;
    else if (name in given) errors.push(...settingFaults(name, read.error));
    else delete settings[name];
  }
  if (errors.length > 0)
    throw new AppError("invalid", `${errors[0]!.pointer.slice(1)} ${errors[0]!.detail}`, {
      errors,
      suggestion: "GET /catalogue gives the options of channels as forms, options.<channel>.",
    });
  return Object.fromEntries(
    Object.entries(SettingsSchema.parse(settings)).sort(([a], [b]) => (a < b ? -1 : 1)),
  ) as unknown as Settings;
}
