// Node's `ws` as a peer of the stream bench: the protocol of _stream_peers.py.
import { createRequire } from "node:module";
import { createInterface } from "node:readline";

const require = createRequire(process.argv[2] + "/");
const { WebSocketServer } = require("ws");

const MODULUS = 10_000_000_000n;
const UNREAD_BYTES = 64 * 1024;
const TURN_TICKS = 64;
let pace = "0";
let dueMs = 0;

function tick() {
  const bid = Number((process.hrtime.bigint() / 1000n) % MODULUS) / 1e5;
  const head = `{"type":"tick","symbol":"GBPUSD","bid":${bid.toFixed(5)},"timestamp":"`;
  return head.padEnd(118, "0") + '"}';
}

function publish(clients) {
  const text = tick();
  for (const client of clients) client.send(text);
}

function isFull(clients) {
  for (const client of clients) if (client.bufferedAmount > UNREAD_BYTES) return true;
  return false;
}

function turn(server) {
  if (pace === "flood") {
    for (let i = 0; i < TURN_TICKS && !isFull(server.clients); i++) publish(server.clients);
    setImmediate(turn, server);
    return;
  }
  const perSecond = Number(pace);
  if (perSecond) {
    const now = performance.now();
    for (; dueMs <= now; dueMs += 1000 / perSecond) publish(server.clients);
  }
  setTimeout(turn, 1, server);
}

const server = new WebSocketServer({ host: "127.0.0.1", port: 0, perMessageDeflate: false });
server.on("listening", () => {
  const address = `ws://127.0.0.1:${server.address().port}/`;
  process.stdout.write(JSON.stringify({ rest: address, stream: address }) + "\n");
  turn(server);
});
createInterface({ input: process.stdin }).on("line", (line) => {
  dueMs = performance.now();
  pace = line.trim();
});
process.on("SIGINT", () => process.exit(0));
