import { hostile, of, type Mutation } from "./mutation.ts";

const HUB = "supabase/embedded/realtime-hub.ts";
const LIMITS = "supabase/embedded/realtime-limits.ts";
const SOCKET = "supabase/embedded/realtime-socket.ts";
const POOL = "supabase/embedded/lite-pool.ts";
const LIMITS_TEST = "supabase/embedded/realtime-limits.test.ts";
const CONNECTIONS = "supabase/embedded/connections.test.ts";
const READINESS = "tests/faults/readiness.test.ts";
const WAITING = "of one socket are few: who sends more while one is handled is cut off, and others are served";

/** The embedded gateway: its sockets, its notifications and its connections to the database. */
export const gateway: readonly Mutation[] = [
  ...of("isolation", [
    {
      promise: "A notification names nobody",
      file: "supabase/embedded/platform/40-realtime.sql",
      find: "perform pg_catalog.pg_notify('realtime_messages', '');",
      replace: "perform pg_catalog.pg_notify('realtime_messages', new.topic);",
      test: hostile("notifications"),
      name: "an analyst who listens hears that something happened in the installation, and of whom nothing",
    },
  ]),
  ...of("hostile input", [
    {
      promise: "A forged notification loses, repeats and delivers no message",
      file: HUB,
      find: `          delete from realtime._undelivered
          where position in (select position from realtime._undelivered order by position limit \${BATCH})
          returning *`,
      replace: "          select * from realtime._undelivered order by position limit ${BATCH}",
      test: hostile("notifications"),
      name: "on realtime_messages loses nobody a message, repeats none and delivers none",
    },
    {
      promise: "A flood of notifications is one look more",
      file: "supabase/embedded/one-at-a-time.ts",
      find: "return (running ??= run());",
      replace: "return run();",
      test: "supabase/embedded/one-at-a-time.test.ts",
      name: "a thousand calls while it runs are one run more, and the last one is not missed",
    },
    {
      promise: "Messages of a socket that wait are few",
      file: LIMITS,
      find: "this.#frames >= this.#limits.frames || ",
      replace: "",
      test: LIMITS_TEST,
      name: WAITING,
    },
    {
      promise: "… and small together",
      file: LIMITS,
      find: " || this.#bytes + size > this.#limits.bytes",
      replace: "",
      test: LIMITS_TEST,
      name: "of one socket are small together: four megabytes are too many, though no message is too large",
    },
    {
      promise: "… also those of all sockets of an address",
      file: LIMITS,
      find: "if (this.#waiting + size > this.#maxBytes) return false;",
      replace: "",
      test: LIMITS_TEST,
      name: "of all sockets of an address share a bound, and so does what its clients have not read",
    },
    {
      promise: "A client that does not read is cut off",
      file: SOCKET,
      find: "socket.bufferedAmount + size > limits.bytes || ",
      replace: "",
      test: LIMITS_TEST,
      name: "a client that does not read is cut off, and those who read hear everything",
    },
    {
      promise: "A socket joins so many channels",
      file: SOCKET,
      find: "this.#channels.size >= limits.channels",
      replace: "false",
      test: LIMITS_TEST,
      name: "a socket joins so many channels, a topic has so many members; what leaves makes room",
    },
    {
      promise: "… and a topic has so many members",
      file: HUB,
      find: "if (room && room.members.size >= this.#membersPerTopic) return false;",
      replace: "",
      test: LIMITS_TEST,
      name: "a socket joins so many channels, a topic has so many members; what leaves makes room",
    },
    {
      promise: "An address opens so many sockets",
      file: LIMITS,
      find: "if (account.sockets.size >= this.#limits.socketsPerAddress)",
      replace: "if (false)",
      test: LIMITS_TEST,
      name: "an address has so many sockets; another address has its own, and a closed one makes room",
    },
    {
      promise: "… the address a proxy on this machine names",
      file: "supabase/embedded/gateway.ts",
      find: "realtime.fetch(admitted, addressOf(request, peer))",
      replace: "realtime.fetch(admitted, peer)",
      test: LIMITS_TEST,
      name: "an address has so many sockets; another address has its own, and a closed one makes room",
    },
    {
      promise: "A socket that joins nothing is closed",
      file: SOCKET,
      find: "    }, limits.joinMs);",
      replace: "    }, 2 ** 31 - 1);",
      test: LIMITS_TEST,
      name: "a socket that joins nothing is closed; one with a channel stays, and has as long again after leaving it",
    },
    {
      promise: "What is kept with a channel is short",
      file: "supabase/embedded/realtime-frames.ts",
      find: "name.length > MAX_NAME",
      replace: "false",
      test: LIMITS_TEST,
      name: "a reference or a name that would be kept with the channel is short",
    },
    {
      promise: "… and so is what a client shows as presence",
      file: SOCKET,
      find: "others + size > MAX_PRESENCE_BYTES",
      replace: "false",
      test: LIMITS_TEST,
      name: "what a client shows as presence is bounded over all its channels",
    },
  ]),
  ...of("operations", [
    {
      promise: "A lost database connection of sign-in or REST is replaced",
      file: POOL,
      find: "if (slot.lost || this.#closed) return this.#discard(slot);",
      replace: "if (this.#closed) return this.#discard(slot);",
      test: CONNECTIONS,
      name: "connections that are lost in mid-request are replaced: the next sign-in and the next read work",
    },
    {
      promise: "… an idle one too",
      file: POOL,
      find: "    if (at < 0) return;\n",
      replace: "    if (at < 0 || at >= 0) return;\n",
      test: CONNECTIONS,
      name: "idle connections that are lost are replaced",
    },
    {
      promise: "Whatever keeps REST busy, people can sign in",
      file: "supabase/embedded/lite.ts",
      find: 'pathname.startsWith("/auth/v1") ? auth : rest',
      replace: 'pathname.startsWith("/auth/v1") ? rest : rest',
      test: CONNECTIONS,
      name: "people sign in while every connection of REST is busy",
    },
    {
      promise: "Readiness asks sign-in, REST and realtime too",
      file: "functions/api/app.ts",
      find: 'app.get("/health/ready", () => ready(kernel, parts));',
      replace: 'app.get("/health/ready", () => ready(kernel));',
      test: READINESS,
      name: "sign-in, while all its connections are held",
    },
    {
      promise: "… up to their database",
      file: "supabase/embedded/gateway.ts",
      find: "    if (failure) return shared(request, failure);\n",
      replace: "",
      test: READINESS,
      name: "realtime, while what is committed cannot be read",
    },
  ]),
];
