// The official server with an application of three events, in the namespaces "/" and "/admin":
//
//   "echo" [...args, ack]  -> ack(...args)
//   "tell" [...args]       -> the client hears "told" [...args]
//   "ask"  [...args]       -> the client hears "question" [...args], and when it acks that, "answered" [...its answer]
//
// node differential_server.js PING_INTERVAL_MS PING_TIMEOUT_MS; first line on stdout: {"port": N}.
"use strict";
const http = require("http");
const { Server } = require("socket.io");

const [interval, timeout] = process.argv.slice(2).map(Number);
const web = http.createServer();
const io = new Server(web, { pingInterval: interval, pingTimeout: timeout, maxHttpBufferSize: 1 << 20, serveClient: false });

function serve(socket) {
  socket.on("echo", (...args) => args.pop()(...args));
  socket.on("tell", (...args) => socket.emit("told", ...args));
  socket.on("ask", (...args) => socket.emit("question", ...args, (...answer) => socket.emit("answered", ...answer)));
}

io.on("connection", serve);
io.of("/admin").on("connection", serve);
process.on("SIGTERM", () => process.exit(0));
web.listen(0, "127.0.0.1", () => process.stdout.write(JSON.stringify({ port: web.address().port }) + "\n"));
