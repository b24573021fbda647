// The official socket.io-client against the reference stack, unmodified:
//   node client.js BOOTSTRAP_URL COLLECTION EDITS [TRANSPORTS]
// Learns its gateway from the first call, connects (left to itself it polls, then upgrades), subscribes, edits, and prints
// what it saw as JSON.
"use strict";
const { io } = require("socket.io-client");

async function main([bootstrap, collection, edits, transports]) {
  const { gateway } = await (await fetch(`${bootstrap}?client=npm-1`)).json();
  const url = new URL(gateway.url);
  const socket = io(`http://${url.host}`, {
    path: url.pathname,
    ...(transports ? { transports: transports.split(",") } : {}),
    reconnection: false,
    auth: { client: "npm-1" },
  });
  const seen = { version: gateway.version, acks: [], revisions: [], reason: null };
  const complete = new Promise((resolve) => {
    socket.on("revision", (message) => {
      seen.revisions.push(message);
      if (seen.revisions.length === Number(edits)) resolve();
    });
  });
  await new Promise((resolve, reject) => {
    socket.once("connect", resolve);
    socket.once("connect_error", reject);
  });
  const call = (event, argument) => socket.timeout(5000).emitWithAck(event, argument);
  seen.subscribed = await call("subscribe", { collection });
  for (let number = 0; number < Number(edits); number += 1) {
    seen.acks.push(await call("edit", { collection, parameter: "url", text: `é ${number}` }));
  }
  await complete;
  seen.unknown = await call("nope", {});
  seen.unsubscribed = await call("unsubscribe", { collection });
  seen.reason = await new Promise((resolve) => {
    socket.once("disconnect", resolve);
    socket.disconnect();
  });
  process.stdout.write(`${JSON.stringify(seen)}\n`);
}

setTimeout(() => {
  process.stderr.write("timed out\n");
  process.exit(1);
}, 20000).unref();
main(process.argv.slice(2)).catch((error) => {
  process.stderr.write(`${error.stack}\n`);
  process.exit(1);
});
