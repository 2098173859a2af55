import type { Clock } from "./clock.ts";
import type { World } from "./context.ts";
import type { Emulation, EventKind, WebhookCall } from "./emulation.ts";
import type { Hooks } from "./hooks.ts";
import type { Act } from "./personas.ts";
import type { Reach } from "./reach.ts";
import { matches } from "./store.ts";
import type { Account, Inbound, Message, Store } from "./store.ts";

/** The recipients' side: plays what each persona does with each message, over real HTTP wherever a person would. */

const BROWSER =
  "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36";
const SCANNER = "Mozilla/5.0 (compatible; Barracuda Sentinel; LinkScanner/1.0; +https://scanner.example/bot)";

const unescape = (text: string) =>
  text
    .replaceAll("&quot;", '"')
    .replaceAll("&#39;", "'")
    .replaceAll("&lt;", "<")
    .replaceAll("&gt;", ">")
    .replaceAll("&amp;", "&");

const attribute = (tag: string, name: string) => {
  const match = new RegExp(`\\s${name}\\s*=\\s*(?:"([^"]*)"|'([^']*)'|([^\\s>]+))`, "i").exec(tag);
  return match ? unescape(match[1] ?? match[2] ?? match[3] ?? "") : null;
};

const header = (message: Pick<Message, "headers">, name: string) =>
  message.headers.find(([n]) => n.toLowerCase() === name.toLowerCase())?.[1] ?? null;

/** What a mail client and a reader find in a message. */
function contentsOf(message: Pick<Message, "html" | "headers">) {
  const images = message.html.match(/<img\b[^>]*>/gi) ?? [];
  const tiny = images.find((tag) => attribute(tag, "width") === "1" || attribute(tag, "height") === "1");
  const list = header(message, "List-Unsubscribe") ?? "";
  const oneClick = /one-click/i.test(header(message, "List-Unsubscribe-Post") ?? "");
  const unsubscribe = /<(https?:[^>]+)>/i.exec(list)?.[1] ?? null;
  const links = (message.html.match(/<a\b[^>]*>/gi) ?? [])
    .map((tag) => attribute(tag, "href"))
    .filter((href): href is string => href !== null && /^https?:/i.test(href));
  const reading = links.filter((href) => href !== unsubscribe && !/unsubscribe|opt-?out/i.test(href));
  return {
    pixel: tiny ? attribute(tiny, "src") : null,
    images: images.map((tag) => attribute(tag, "src")),
    links,
    reading,
    unsubscribe,
    oneClick,
  };
}

export function createWorld(parts: {
  store: Store;
  clock: Clock;
  reach: Reach;
  hooks: Hooks;
  emulations: ReadonlyMap<string, Emulation>;
}): World {
  const { store, clock, reach, hooks, emulations } = parts;

  function tell(account: Account, calls: WebhookCall[] | undefined) {
    for (const { id, url, body, headers = () => ({}), stopOn = [] } of calls ?? [])
      hooks.send({ account: account.id, id, url, body, stopOn, headers: async () => headers() });
  }
  const report = (message: Message, kind: EventKind, recipient: string, account: Account) =>
    tell(account, emulations.get(account.provider)?.events?.(message, kind, recipient, account));

  async function visit(message: Message, what: string, url: string, init: Parameters<Reach>[1]) {
    try {
      const { status } = await reach(url, init);
      store.log(message, what, `${init.method} ${url} → ${status}`);
    } catch (error) {
      store.log(
        message,
        what,
        `${init.method} ${url} failed: ${error instanceof Error ? error.message : String(error)}`,
      );
    }
  }

  const castOf = (account: Account) => emulations.get(account.provider)?.people;

  function answer(message: Message, account: Account, to: string, automatic: boolean) {
    const cast = castOf(account);
    if (!cast) return;
    receive(account, {
      ...cast.answer(message, to, automatic),
      account: account.id,
      received_at: new Date().toISOString(),
    });
    store.log(message, automatic ? "autoreply" : "reply", cast.characterOf(to).tone);
  }

  function receive(account: Account, mail: Inbound) {
    store.addInbound(mail);
    tell(account, emulations.get(account.provider)?.inbound?.(mail, account));
  }

  const acts: Record<Act, (message: Message, to: string, account: Account) => void | Promise<void>> = {
    deliver(message, to, account) {
      store.log(message, "delivered");
      report(message, "delivered", to, account);
    },
    async scan(message) {
      const { pixel, links } = contentsOf(message);
      // A scanner opens everything at once, the unsubscribe page too; it never posts.
      for (const url of [...(pixel ? [pixel] : []), ...links])
        await visit(message, "scan", url, { method: "GET", headers: { "user-agent": SCANNER } });
    },
    async open(message, to, account) {
      const { pixel } = contentsOf(message);
      if (pixel)
        await visit(message, "open", pixel, { method: "GET", headers: { "user-agent": BROWSER, accept: "image/*" } });
      else store.log(message, "open", "no pixel in the HTML");
      if (message.track_opens) report(message, "opened", to, account);
    },
    async click(message) {
      const [link] = contentsOf(message).reading;
      if (link)
        await visit(message, "click", link, { method: "GET", headers: { "user-agent": BROWSER, accept: "text/html" } });
      else store.log(message, "click", "no link in the HTML");
    },
    reply: (message, to, account) => answer(message, account, to, false),
    autoreply: (message, to, account) => answer(message, account, to, true),
    bounce(message, to, account) {
      store.log(message, "bounced", "permanent");
      store.suppress(account, to);
      report(message, "bounced", to, account);
    },
    softbounce(message, to, account) {
      store.log(message, "bounced", "transient");
      report(message, "softbounced", to, account);
    },
    async unsubscribe(message) {
      const { unsubscribe, oneClick } = contentsOf(message);
      if (!unsubscribe || !oneClick) return store.log(message, "unsubscribe", "no one-click List-Unsubscribe header");
      await visit(message, "unsubscribe", unsubscribe, {
        method: "POST",
        headers: { "user-agent": "mail-client/1.0", "content-type": "application/x-www-form-urlencoded" },
        body: "List-Unsubscribe=One-Click",
      });
    },
    complain(message, to, account) {
      store.log(message, "complained");
      store.suppress(account, to);
      report(message, "complained", to, account);
    },
  };

  /** Whom each account has written to before. */
  const met = new Set<string>();

  function play(message: Message) {
    const account = store.accounts.get(message.account);
    const cast = account && castOf(account);
    if (!cast) return;
    const age = (Date.now() - Date.parse(message.accepted_at)) / 1000;
    message.to.forEach(({ address }, index) => {
      const pair = `${message.account}|${address.toLowerCase()}`;
      const first = !met.has(pair);
      met.add(pair);
      // What has bounced or complained before is not tried again.
      const plan = account.suppressed.includes(address.toLowerCase()) && !first ? null : cast.planOf(address, first);
      if (!plan) return report(message, "suppressed", address, account);
      plan.forEach(({ act, after }, step) => {
        const key = `${message.id}/${index}/${step}`;
        if (store.isDone(key)) return;
        clock.after(Math.max(0, after - age), async () => {
          if (!store.messages.has(message.id)) return;
          store.done(key);
          await acts[act](message, address, account);
        });
      });
    });
  }

  return {
    play,
    resume() {
      for (const message of store.messages.values()) play(message);
    },
    receive,
    forget(account) {
      for (const pair of met) if (!account || matches(pair.slice(0, pair.lastIndexOf("|")), account)) met.delete(pair);
    },
  };
}
