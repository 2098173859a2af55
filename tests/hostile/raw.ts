import net from "node:net";

/** HTTP as no client library would send it. */

export type RawAnswer = { status: number; head: string; body: string; sentBytes: number; milliseconds: number };

/**
 * Opens a connection, lets `write` send what it likes, and resolves with what the server answered when it closes the
 * connection, or when an answer stands and nothing more comes for 300 ms. Status 0: closed without an answer.
 */
export function exchange(
  url: string,
  write: (socket: net.Socket, stop: AbortSignal) => void | Promise<void>,
  timeoutMs = 20_000,
): Promise<RawAnswer> {
  const { hostname, port } = new URL(url);
  return new Promise((resolve, reject) => {
    const started = performance.now();
    const stop = new AbortController();
    const socket = net.connect(Number(port), hostname);
    let text = "";
    let quiet: NodeJS.Timeout | undefined;
    const finish = () => {
      if (stop.signal.aborted) return;
      stop.abort();
      clearTimeout(timer);
      clearTimeout(quiet);
      const sentBytes = socket.bytesWritten;
      socket.destroy();
      const [head = "", ...rest] = text.split("\r\n\r\n");
      const status = Number(/^HTTP\/1\.[01] (\d{3})/.exec(head)?.[1] ?? 0);
      resolve({ status, head, body: rest.join("\r\n\r\n"), sentBytes, milliseconds: performance.now() - started });
    };
    const timer = setTimeout(() => {
      stop.abort();
      socket.destroy();
      reject(
        new Error(
          `the server neither answered nor closed the connection in ${timeoutMs} ms; so far: ${text.slice(0, 200)}`,
        ),
      );
    }, timeoutMs);
    socket.setMaxListeners(0);
    socket.setEncoding("utf8");
    socket.on("data", (chunk: string) => {
      text += chunk;
      clearTimeout(quiet);
      quiet = setTimeout(finish, 300);
    });
    socket.on("error", finish);
    socket.on("close", finish);
    socket.on("connect", () => void write(socket, stop.signal));
  });
}

/** One request, written as it stands. */
export const sendRaw = (url: string, lines: readonly string[], body = "") =>
  exchange(url, (socket) => void socket.write(`${lines.join("\r\n")}\r\n\r\n${body}`));

/** Sends the head and then a byte at a time, for as long as the server listens. */
export const trickle = (url: string, lines: readonly string[]) =>
  exchange(url, (socket, stop) => {
    socket.write(`${lines.join("\r\n")}\r\n\r\n`);
    const timer = setInterval(() => (stop.aborted || socket.destroyed ? clearInterval(timer) : socket.write("a")), 100);
    stop.addEventListener("abort", () => clearInterval(timer));
  });

/** Sends chunks of 64 KiB without saying how many, until the server has had enough. */
export const pour = (url: string, lines: readonly string[], most: number) =>
  exchange(url, async (socket, stop) => {
    socket.write(`${lines.join("\r\n")}\r\nTransfer-Encoding: chunked\r\n\r\n`);
    const chunk = `10000\r\n${"x".repeat(65536)}\r\n`;
    for (let sent = 0; sent < most && !stop.aborted && !socket.destroyed; sent += 65536) {
      if (!socket.write(chunk))
        await new Promise<void>((resume) => (socket.once("drain", resume), socket.once("close", () => resume())));
    }
  });
