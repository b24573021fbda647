// An application of its own on the npm socket.io server: event names, arguments and acks unlike our gateway's.
//
//   "enter-room" [roomName, ack]   -> ack(null, {room, members})      note the Node habit: error first
//   "shout" {to, body} [, ack]     -> everyone in the room hears "heard" {room, body, at}
//   /private                       a namespace that wants auth {key: "letmein"}, otherwise connect_error
//
// Plain HTTP beside it: GET /count -> {sockets, rooms}; POST /drop -> disconnects everybody; POST /shout {to, body}.
// SIGUSR2 drops everybody too. First line on stdout: {"port": N}. Listens on 127.0.0.1.

const http = require("http");
const { Server } = require("socket.io");

const web = http.createServer((request, response) => {
  const answer = (status, body) => {
    response.writeHead(status, { "Content-Type": "application/json" });
    response.end(JSON.stringify(body));
  };
  if (request.method === "GET" && request.url === "/count") {
    const rooms = [...io.of("/").adapter.rooms].filter(([name]) => !io.of("/").sockets.has(name));
    answer(200, { sockets: io.of("/").sockets.size, rooms: Object.fromEntries(rooms.map(([name, all]) => [name, all.size])) });
  } else if (request.method === "POST" && request.url === "/drop") {
    answer(200, { dropped: drop() });
  } else if (request.method === "POST" && request.url === "/shout") {
    let text = "";
    request.on("data", (chunk) => (text += chunk));
    request.on("end", () => {
      shout(JSON.parse(text));
      answer(202, {});
    });
  } else {
    answer(404, { error: "no such page" });
  }
});

const io = new Server(web, { transports: ["websocket"], perMessageDeflate: false, serveClient: false });

function shout({ to, body }) {
  io.to(to).emit("heard", { room: to, body, at: Date.now() });
}

function drop() {
  const count = io.engine.clientsCount;
  for (const client of Object.values(io.engine.clients)) client.transport.socket.terminate();
  return count;
}

function serve(socket) {
  socket.on("enter-room", (room, ack) => {
    if (typeof room !== "string" || room === "") {
      if (typeof ack === "function") ack("a room has a name");
      return;
    }
    socket.join(room);
    if (typeof ack === "function") ack(null, { room, members: io.of("/").adapter.rooms.get(room)?.size ?? 0 });
  });
  socket.on("shout", (message, ack) => {
    shout(message);
    if (typeof ack === "function") ack(null, "shouted");
  });
}

io.on("connection", serve);
io.of("/private").use((socket, next) => {
  next(socket.handshake.auth.key === "letmein" ? undefined : new Error("wrong key"));
});
io.of("/private").on("connection", serve);

process.on("SIGUSR2", drop);
process.on("SIGTERM", () => process.exit(0));

web.listen(Number(process.argv[2] || 0), "127.0.0.1", 4096, () => {
  process.stdout.write(JSON.stringify({ port: web.address().port }) + "\n");
});
