import { createServer } from "node:net";

/**
 * A mail server that takes everything and keeps nothing, in a process of its own: `fork` it and it sends its port, and how many it has
 * taken whenever it is sent anything.
 */

let taken = 0;

const server = createServer((socket) => {
  socket.setNoDelay(true);
  let buffer = "";
  let inData = false;
  socket.write("220 sink ESMTP\r\n");
  socket.on("error", () => socket.destroy());
  socket.on("data", (chunk) => {
    buffer += chunk.toString("latin1");
    let answer = "";
    for (;;) {
      const end = buffer.indexOf(inData ? "\r\n.\r\n" : "\r\n");
      if (end < 0) break;
      const line = buffer.slice(0, end);
      buffer = buffer.slice(end + (inData ? 5 : 2));
      if (inData) {
        inData = false;
        taken++;
        answer += "250 2.0.0 taken\r\n";
        continue;
      }
      const verb = line.slice(0, 4).toUpperCase();
      if (verb === "EHLO") answer += "250-sink\r\n250-PIPELINING\r\n250-8BITMIME\r\n250 SMTPUTF8\r\n";
      else if (verb === "DATA") {
        inData = true;
        answer += "354 go on\r\n";
      } else if (verb === "QUIT") {
        socket.end(`${answer}221 bye\r\n`);
        return;
      } else answer += "250 2.1.0 ok\r\n";
    }
    if (answer) socket.write(answer);
  });
});

server.listen(0, "127.0.0.1", () => process.send?.({ port: (server.address() as { port: number }).port }));
process.on("message", () => process.send?.({ taken }));
process.on("disconnect", () => process.exit(0));
