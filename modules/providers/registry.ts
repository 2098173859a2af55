import { AppError } from "../kernel/errors.ts";
import type { AnyProvider } from "../kernel/provider.ts";
import { postmark } from "./email/postmark.ts";
import { resend } from "./email/resend.ts";
import { smtp } from "./email/smtp.ts";

/** Every provider this installation can speak to. */
export const providers: AnyProvider[] = [resend, postmark, smtp];

export function providerById(id: string): AnyProvider {
  const provider = providers.find((p) => p.id === id);
  if (provider) return provider;
  throw new AppError("not_found", `There is no provider «${id}».`, {
    suggestion: `Use one of: ${providers.map((p) => p.id).join(", ")}.`,
  });
}
