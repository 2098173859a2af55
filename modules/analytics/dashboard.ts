import { z } from "zod";
import { defineOperation } from "../kernel/operations/operation.ts";
import { attention } from "./attention.ts";

const DAYS = 14;
const WEEK = 7;
const DAY_MS = 86_400_000;

const count = z.number().int();
const Counters = z.object({
  contacts: count.describe("Exact up to 10,000, an estimate above."),
  campaigns_running: count,
  sent_today: count,
  sent_7d: count,
  delivered: count,
  opened: count,
  clicked: count,
  replied: count,
  bounced: count,
  unsubscribed: count,
});
const SERIES = ["sent", "delivered", "opened", "replied", "bounced"] as const;
const SHOWN = [...SERIES, "clicked", "unsubscribed"];

export const dashboard = defineOperation({
  id: "analytics.dashboard",
  method: "GET",
  path: "/dashboard",
  summary: "Read the dashboard: counters, the last two weeks, and items that need attention",
  description:
    "Days are UTC. `delivered` to `unsubscribed` count the last 7 days; each message counts once per kind. Automatic opens and clicks by software are not counted.",
  permission: "analytics:read",
  replica: true,
  input: z.object({}),
  output: z.object({
    counters: Counters,
    series: z
      .array(
        z.object({ day: z.iso.date(), sent: count, delivered: count, opened: count, replied: count, bounced: count }),
      )
      .length(DAYS),
    attention: z.array(z.object({ kind: z.string(), detail: z.string(), href: z.string() })),
  }),
  async handle(ctx) {
    const day = (back: number) => new Date(ctx.now.getTime() - back * DAY_MS).toISOString().slice(0, 10);
    const totals = await ctx.db<{ day: string; kind: string; n: number }[]>`
      select bucket as day, substr(metric, 7) as kind, n
      from kernel.counts_since(${SHOWN.map((kind) => `daily_${kind}`)}::text[], 'campaign', ${day(DAYS - 1)}) where bucket <= ${day(0)}`;
    const [now] = await ctx.db<{ contacts: number; running: number }[]>`
      select private.estimate_contacts() as contacts,
        (select count(*) from public.campaigns where tenant_id = ${ctx.tenantId} and status = 'running') as running`;

    const of = new Map(totals.map((t) => [`${t.day} ${t.kind}`, t.n]));
    const at = (d: string, kind: string) => of.get(`${d} ${kind}`) ?? 0;
    const week = Array.from({ length: WEEK }, (_, back) => day(back));
    const sum = (kind: string) => week.reduce((n, d) => n + at(d, kind), 0);
    const series = Array.from({ length: DAYS }, (_, i) => {
      const d = day(DAYS - 1 - i);
      return {
        day: d,
        ...(Object.fromEntries(SERIES.map((kind) => [kind, at(d, kind)])) as Record<(typeof SERIES)[number], number>),
      };
    });
    return {
      counters: {
        contacts: now!.contacts,
        campaigns_running: now!.running,
        sent_today: at(day(0), "sent"),
        sent_7d: sum("sent"),
        delivered: sum("delivered"),
        opened: sum("opened"),
        clicked: sum("clicked"),
        replied: sum("replied"),
        bounced: sum("bounced"),
        unsubscribed: sum("unsubscribed"),
      },
      series,
      attention: await attention(ctx, { sent: sum("sent"), bounced: sum("bounced") }),
    };
  },
});
