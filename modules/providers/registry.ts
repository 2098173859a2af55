import type { AnyProvider } from "../kernel/provider.ts";
import { postmark } from "./email/postmark/adapter.ts";
import { resend } from "./email/resend/adapter.ts";
import { smtp } from "./email/smtp/adapter.ts";
import { apollo } from "./enrichment/apollo/adapter.ts";
import { builtWith } from "./enrichment/builtwith/adapter.ts";
import { clearbit } from "./enrichment/clearbit/adapter.ts";
import { customApi } from "./enrichment/custom_api/adapter.ts";
import { enrichLayer } from "./enrichment/enrich_layer/adapter.ts";
import { explorium } from "./enrichment/explorium/adapter.ts";
import { fullContact } from "./enrichment/fullcontact/adapter.ts";
import { hunter } from "./enrichment/hunter/adapter.ts";
import { peopleDataLabs } from "./enrichment/people_data_labs/adapter.ts";
import { wappalyzer } from "./enrichment/wappalyzer/adapter.ts";
import { website } from "./enrichment/website/adapter.ts";
import { zoominfo } from "./enrichment/zoominfo/adapter.ts";
import { anthropic } from "./llm/anthropic/adapter.ts";
import { openai } from "./llm/openai/adapter.ts";
import { brave } from "./search/brave/adapter.ts";
import { searxng } from "./search/searxng/adapter.ts";
import { twilio } from "./sms/twilio/adapter.ts";

/** The providers this module brings. What an installation can use is `registry.providers`: those of every module that is on. */
export const providers: readonly AnyProvider[] = [
  resend,
  postmark,
  smtp,
  twilio,
  peopleDataLabs,
  website,
  hunter,
  apollo,
  clearbit,
  zoominfo,
  fullContact,
  explorium,
  enrichLayer,
  builtWith,
  wappalyzer,
  customApi,
  openai,
  anthropic,
  brave,
  searxng,
];
