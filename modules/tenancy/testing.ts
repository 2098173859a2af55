import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { text } from "node:stream/consumers";

/** For tests: an auth server that answers when told to, as GoTrue does with confirmations off. */
export type FakeAuth = {
  url: string;
  /** How many calls stand there without an answer. */
  waiting(): number;
  /** From now on calls wait. */
  hold(): void;
  /** Answers everybody who waits, and everybody after them at once. */
  release(): void;
  /** Whether the work is done but the connection breaks before the answer, as when either side crashes. */
  loseAnswers(lose: boolean): void;
  close(): Promise<void>;
};

type Account = { id: string; email: string; password: string };
type Reply = { status: number; body?: unknown };

export async function fakeAuthServer(): Promise<FakeAuth> {
  const accounts = new Map<string, Account>();
  let gate: PromiseWithResolvers<void> | null = null;
  let waiting = 0;
  let losing = false;

  const session = ({ id, email }: Account): Reply => ({
    status: 200,
    body: {
      access_token: "access",
      refresh_token: `refresh ${email}`,
      expires_in: 3600,
      token_type: "bearer",
      user: { id, email },
    },
  });

  /** `existed`: what the look before the wait found; somebody may have been quicker since. */
  function signUp({ email, password }: Account, existed: boolean): Reply {
    if (existed) return { status: 422, body: { code: "user_already_exists", message: "User already registered" } };
    if (accounts.has(email)) {
      return { status: 500, body: { code: "unexpected_failure", message: "Database error saving new user" } };
    }
    const account = { id: crypto.randomUUID(), email, password };
    accounts.set(email, account);
    return session(account);
  }

  function signIn({ email, password }: Account): Reply {
    const account = accounts.get(email);
    if (account?.password === password) return session(account);
    return { status: 400, body: { code: "invalid_credentials", message: "Invalid login credentials" } };
  }

  function refresh(token: string): Reply {
    const account = accounts.get(token.replace("refresh ", ""));
    return account ? session(account) : { status: 400, body: { code: "refresh_token_not_found" } };
  }

  function userOf(bearer: string): Reply {
    const { sub, email } = JSON.parse(Buffer.from(bearer.split(".")[1]!, "base64url").toString());
    return { status: 200, body: { id: sub, email, user_metadata: { name: "Known there" } } };
  }

  const server = createServer(async (request, response) => {
    const given = await text(request);
    const input = given === "" ? {} : JSON.parse(given);
    const path = request.url!.replace("/auth/v1", "");
    const existed = accounts.has(input.email);
    waiting++;
    await gate?.promise;
    waiting--;
    const reply =
      path === "/signup"
        ? signUp(input, existed)
        : path === "/token?grant_type=password"
          ? signIn(input)
          : path === "/token?grant_type=refresh_token"
            ? refresh(input.refresh_token)
            : path === "/user"
              ? userOf(request.headers.authorization!)
              : { status: 204 };
    if (losing) return void request.socket.destroy();
    response.writeHead(reply.status, { "content-type": "application/json" });
    response.end(reply.body === undefined ? undefined : JSON.stringify(reply.body));
  });
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));

  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    waiting: () => waiting,
    hold: () => void (gate = Promise.withResolvers<void>()),
    release() {
      gate?.resolve();
      gate = null;
    },
    loseAnswers: (lose) => void (losing = lose),
    close() {
      gate?.resolve();
      return new Promise((done) => {
        server.close(() => done());
        server.closeAllConnections();
      });
    },
  };
}
