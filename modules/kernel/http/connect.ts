import net from "node:net";
import tls from "node:tls";
import type { buildConnector } from "undici";
import { type AddressGuard, bareHost } from "./addresses.ts";
import { HttpError } from "./errors.ts";

/** A peer that does not answer the handshake at all is given up before most deadlines. */
const CONNECT_MS = 10_000;
/** After this long without a connection the next address is tried beside the first, as RFC 8305 has it. */
const NEXT_ADDRESS_MS = 250;

/**
 * Connections for undici. The name is resolved here and the socket goes to the very addresses that were checked: no second
 * look-up can answer otherwise. (A `lookup` option of node:http would do as well, but Deno 2.1 has none.)
 */
export function createConnector(guard: AddressGuard, own: boolean, signal?: AbortSignal): buildConnector.connector {
  return (options, callback) => {
    const port = Number(options.port || (options.protocol === "https:" ? 443 : 80));
    open(guard, { host: bareHost(options.hostname), port, secure: options.protocol === "https:", own, signal }).then(
      (socket) => callback(null, socket as never),
      (error: unknown) => callback(error as Error, null),
    );
  };
}

type Target = { host: string; port: number; secure: boolean; own: boolean; signal?: AbortSignal | undefined };

async function open(guard: AddressGuard, target: Target): Promise<net.Socket> {
  const late = new AbortController();
  const timer = setTimeout(
    () => late.abort(new HttpError("timeout", `No connection to ${target.host} within ${CONNECT_MS} ms.`, false)),
    CONNECT_MS,
  );
  const signal = target.signal ? AbortSignal.any([target.signal, late.signal]) : late.signal;
  try {
    const addresses = await guard.resolve(target.host, target.port, target.own);
    signal.throwIfAborted();
    return await dial(addresses, target, signal);
  } finally {
    clearTimeout(timer);
  }
}

/** The first of the addresses to complete its handshakes. Rejects with HttpError, or with the signal's reason. */
function dial(addresses: readonly string[], target: Target, signal: AbortSignal): Promise<net.Socket> {
  return new Promise((done, fail) => {
    const open = new Set<net.Socket>();
    let next = 0;
    let timer: ReturnType<typeof setTimeout> | undefined;
    const settle = (act: () => void, winner?: net.Socket) => {
      clearTimeout(timer);
      signal.removeEventListener("abort", aborted);
      for (const socket of open) if (socket !== winner) socket.destroy();
      act();
    };
    const aborted = () => settle(() => fail(signal.reason as Error));
    const attempt = () => {
      clearTimeout(timer);
      const host = addresses[next++];
      if (host === undefined) return;
      const socket = connect(host, target);
      open.add(socket);
      const refused = (error: Error) => {
        open.delete(socket);
        if (next < addresses.length) attempt();
        else if (open.size === 0) settle(() => fail(faultOf(error, target)));
      };
      socket.once(target.secure ? "secureConnect" : "connect", () => {
        // Errors are told by whoever reads or writes; without a listener they would end the process.
        socket.on("error", () => {});
        socket.off("error", refused);
        socket.setNoDelay(true);
        socket.setKeepAlive(true, 60_000);
        settle(() => done(socket), socket);
      });
      socket.once("error", refused);
      if (next < addresses.length) timer = setTimeout(attempt, NEXT_ADDRESS_MS);
    };
    signal.addEventListener("abort", aborted);
    attempt();
  });
}

/** With TLS the certificate is checked against the name in the URL, not against the address it resolved to. */
function connect(address: string, { host, port, secure }: Target): net.Socket {
  if (!secure) return net.connect({ host: address, port });
  // One call rather than TLS over a connected socket: that never gets ready under Deno 2.1.
  return tls.connect({
    host: address,
    port,
    ALPNProtocols: ["http/1.1"],
    ...(net.isIP(host) ? {} : { servername: host }),
  });
}

function faultOf(error: NodeJS.ErrnoException, { secure }: Target): HttpError {
  const ofNetwork = /^E[A-Z]+$/.test(error.code ?? "");
  return new HttpError(secure && !ofNetwork ? "tls" : "connect", error.message, false, error);
}
