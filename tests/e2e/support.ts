import { test as base, expect, type Browser, type BrowserContext, type Locator, type Page } from "@playwright/test";

/** What every browser test stands on: a team of its own, a signed-in page, and a watch over what no page may do. */

export { expect };

const origin = () => process.env.E2E_URL!;

export type Session = {
  access_token: string;
  refresh_token: string;
  expires_in: number;
  token_type: string;
  user: { id: string; email: string };
  tenant?: { id: string; name: string };
};

export type Account = { email: string; password: string; name: string; tenantId: string; session: Session; api: Api };
type Api = <T = any>(method: string, path: string, body?: unknown) => Promise<T>;

/** The API as this person; throws what it refuses. */
export function apiOf(token: string, tenantId?: string): Api {
  return async (method, path, body) => {
    const text = typeof body === "string";
    const response = await fetch(`${origin()}/api/v1${path}`, {
      method,
      headers: {
        authorization: `Bearer ${token}`,
        ...(tenantId ? { "x-tenant-id": tenantId } : {}),
        ...(body === undefined ? {} : { "content-type": text ? "text/csv" : "application/json" }),
        ...(method === "GET" ? {} : { "idempotency-key": crypto.randomUUID() }),
      },
      ...(body === undefined ? {} : { body: text ? (body as string) : JSON.stringify(body) }),
    });
    const answer = response.status === 204 ? null : await response.json();
    if (!response.ok) throw new Error(`${method} ${path} answered ${response.status}: ${JSON.stringify(answer)}`);
    return answer;
  };
}

/** So that a suite can run without the first one, which uses the claim link in the browser: nobody registers before that. */
async function claimOnce(): Promise<void> {
  const options = (await (await fetch(`${origin()}/api/v1/auth/options`)).json()) as { claimed: boolean };
  if (options.claimed) return;
  const response = await fetch(`${origin()}/api/v1/auth/claim`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({
      token: new URL(process.env.E2E_CLAIM_URL!).searchParams.get("token"),
      email: "operator@people.example",
      password: `operator ${crypto.randomUUID()}`,
      name: "Operator",
      tenant_name: "Operators",
    }),
  });
  if (!response.ok) throw new Error(`claim answered ${response.status}: ${await response.text()}`);
}

/** A new person with a team of their own, made through the API. */
export async function register(name = "Ada Lovelace", team = "Analytical Engines"): Promise<Account> {
  await claimOnce();
  const email = `${crypto.randomUUID().slice(0, 12)}@people.example`;
  const password = `long enough ${crypto.randomUUID()}`;
  const response = await fetch(`${origin()}/api/v1/auth/register`, {
    method: "POST",
    headers: { "content-type": "application/json", "idempotency-key": crypto.randomUUID() },
    body: JSON.stringify({ email, password, name, tenant_name: team }),
  });
  const session = (await response.json()) as Session;
  if (!response.ok) throw new Error(`register answered ${response.status}: ${JSON.stringify(session)}`);
  const tenantId = session.tenant!.id;
  return { email, password, name, tenantId, session, api: apiOf(session.access_token, tenantId) };
}

/** People for a list or a campaign; addresses on reserved domains behave as their name says (see the sandbox). */
export async function addContacts(account: Account, contacts: object[]): Promise<string[]> {
  const { data } = await account.api<{ data: { id: string }[] }>("POST", "/contacts/bulk", {
    on_duplicate: "skip",
    contacts,
  });
  return data.map((row) => row.id);
}

/** An active sandbox connection, reporting back, with one sender. */
export async function connectSandbox(account: Account): Promise<{ connectionId: string; senderId: string }> {
  const connection = await account.api("POST", "/connections", {
    provider: "postmark",
    name: "Sandbox",
    credentials: { server_token: crypto.randomUUID() },
    base_url: `${process.env.E2E_SANDBOX_URL}/postmark`,
  });
  await account.api("POST", `/connections/${connection.id}/register-webhook`);
  await account.api("POST", `/connections/${connection.id}/check`);
  await account.api("POST", `/connections/${connection.id}/activate`);
  const sender = await account.api("POST", "/senders", {
    connection_id: connection.id,
    address: "sam@outreach.example",
    display_name: "Sam",
    limits: [{ action: "email.send", per: "day", cap: 1000 }],
  });
  return { connectionId: connection.id, senderId: sender.id };
}

type ContextOptions = Parameters<Browser["newContext"]>[0];

/** A browser of its own in which this person is signed in, as after a login. */
export async function contextFor(browser: Browser, account: Account, options: ContextOptions = {}) {
  const { session } = account;
  const stored = { ...session, expires_at: Math.floor(Date.now() / 1000) + session.expires_in };
  return browser.newContext({
    baseURL: origin(),
    viewport: { width: 1360, height: 900 },
    ...options,
    storageState: {
      cookies: [],
      origins: [
        {
          origin: origin(),
          localStorage: [
            { name: "console-session", value: JSON.stringify(stored) },
            { name: "console-tenant", value: account.tenantId },
          ],
        },
      ],
    },
  });
}

/** Collects what no page of the console may ever do; `check` fails with everything it saw. */
export class Watch {
  /** Console messages a test provokes on purpose, such as the browser's own line about a refused request. */
  readonly allowed: RegExp[] = [];
  readonly #faults: string[] = [];
  readonly #bodies: Promise<void>[] = [];
  readonly #secrets = [
    "sb_secret",
    ...(JSON.parse(process.env.E2E_SECRETS ?? "[]") as string[]).filter((s) => s && s.length > 7),
  ];
  readonly #seen = new Set<string>();

  constructor(context: BrowserContext) {
    context.on("page", (page) => this.#page(page));
    for (const page of context.pages()) this.#page(page);
    context.on("response", (response) => {
      const url = response.url();
      if (/\.(woff2?|png|svg)(\?|$)/.test(url) || (url.includes("/_app/immutable/") && this.#seen.has(url))) return;
      this.#seen.add(url);
      this.#bodies.push(
        response.text().then(
          (text) => {
            const headers = JSON.stringify(response.headers());
            for (const secret of this.#secrets)
              if (text.includes(secret) || headers.includes(secret))
                this.#faults.push(`A secret (${secret.slice(0, 9)}…) reached the browser in ${url}`);
          },
          // The page left before the body was kept: redirects and aborted requests have none.
          () => undefined,
        ),
      );
    });
  }
  #page(page: Page): void {
    page.on("pageerror", (error) => this.#faults.push(`Uncaught on ${page.url()}: ${error.message}`));
    page.on("dialog", (dialog) => {
      // The one dialog the console itself opens.
      if (dialog.type() !== "beforeunload") this.#faults.push(`A ${dialog.type()} fired: ${dialog.message()}`);
      void dialog.dismiss().catch(() => undefined);
    });
    page.on("console", (message) => {
      const text = message.text();
      const bad = message.type() === "error" || /content security policy/i.test(text);
      if (!bad || this.allowed.some((pattern) => pattern.test(text))) return;
      this.#faults.push(`Console on ${page.url()}: ${text}`);
    });
  }
  async check(): Promise<void> {
    await Promise.all(this.#bodies);
    expect(this.#faults, "pages neither log errors, break the content security policy nor receive secrets").toEqual([]);
  }
}

type Fixtures = { account: Account; page: Page; watch: Watch; signedOut: Page };

export const test = base.extend<Fixtures>({
  // Playwright wants the braces, even around nothing.
  // oxlint-disable-next-line no-empty-pattern
  baseURL: async ({}, use) => use(origin()),
  // oxlint-disable-next-line no-empty-pattern
  account: async ({}, use) => use(await register()),
  watch: async ({ context }, use) => {
    await use(new Watch(context));
  },
  context: async ({ browser, account }, use) => {
    const context = await contextFor(browser, account);
    await use(context);
    await context.close();
  },
  // Through the watch, so that no test forgets it.
  page: async ({ context, watch }, use) => {
    await use(await context.newPage());
    await watch.check();
  },
  signedOut: async ({ browser }, use) => {
    const context = await browser.newContext({ baseURL: origin(), viewport: { width: 1360, height: 900 } });
    const watch = new Watch(context);
    await use(await context.newPage());
    await watch.check();
    await context.close();
  },
});

/** The number a counter shows now. */
export async function counter(page: Page, label: string): Promise<number> {
  const text = await page
    .getByRole("region", { name: "Counters" })
    .locator(":scope > *", { has: page.getByText(label, { exact: true }) })
    .locator(".text-2xl")
    .innerText();
  return Number(text.replace(/\D/g, ""));
}

/** Chooses in a picker as a person does: opens it, types a part of the name, takes the option. */
export async function pick(box: Locator, search: string, option: string | RegExp): Promise<void> {
  await box.click();
  await box.pressSequentially(search);
  // Until the search has answered, options may still move under the pointer.
  await expect(box.page().getByRole("listbox").locator("[aria-busy=true]")).toHaveCount(0);
  await box.page().getByRole("option", { name: option }).click();
}

export const toast = (page: Page, text: string | RegExp) => page.getByRole("status").getByText(text);
