import { z } from "zod";

export const researchConfig = z.object({
  OVERTURE_RESEARCH_SITES_URL: z
    .url()
    .transform((url) => url.replace(/\/+$/, ""))
    .optional()
    .meta({
      description:
        "For the sandbox: pages of https://host/path are fetched from this URL + /host/path, and no real website is read; leave it unset otherwise",
    }),
  OVERTURE_RESEARCH_PAGES_PER_SECOND: z.coerce.number().positive().max(1000).default(1).meta({
    description: "Pages that website research fetches from one host per second, of all teams together",
  }),
});
