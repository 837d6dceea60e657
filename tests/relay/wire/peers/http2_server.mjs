// A provider of few words on Node's http2. It answers every request, ends its sessions as it is told, and counts.
//
//     node http2_server.mjs KEY CERT '{"streams": 100, "goawayAfter": 300}'
//
// It listens on a port of its choice and says which; on SIGTERM it says what it has counted, as JSON, and ends.
import { readFileSync } from "node:fs";
import http2 from "node:http2";

const [keyFile, certFile, wishes] = process.argv.slice(2);
const {
  streams = 100, // SETTINGS_MAX_CONCURRENT_STREAMS
  table = 4096, // SETTINGS_HEADER_TABLE_SIZE
  window = 65535, // SETTINGS_INITIAL_WINDOW_SIZE
  delay = 0, // milliseconds to an answer
  padded = false, // as much padding as there may be
  interim = false, // 103 before every answer
  trailers = false, // after every answer
  goawayAfter = Infinity, // requests of one session after which it is ended in order
  warned = false, // ... with a first GOAWAY 2^31-1
  cut = false, // ... not in order: the connection just ends, whatever is open
  changing = false, // MAX_CONCURRENT_STREAMS goes down, to 0 (with all windows) and up again all the time
  deadEvery = Infinity, // every so many requests: 410, its body in several DATA frames
} = JSON.parse(wishes);

const seen = new Map();
const counted = { requests: 0, distinct: 0, sessions: 0, mostAtOnce: 0, dead: 0, codes: {} };
const server = http2.createSecureServer({
  key: readFileSync(keyFile),
  cert: readFileSync(certFile),
  settings: { maxConcurrentStreams: streams, headerTableSize: table, initialWindowSize: window },
  paddingStrategy: padded ? http2.constants.PADDING_STRATEGY_MAX : http2.constants.PADDING_STRATEGY_NONE,
  // What was on its way when a limit went down is refused, and counts as invalid; of 1,000 Node ends the session.
  maxSessionInvalidFrames: 100_000,
});

server.on("session", (session) => {
  counted.sessions += 1;
  let open = 0;
  let requests = 0;
  session.on("stream", (stream, headers) => {
    open += 1;
    requests += 1;
    counted.mostAtOnce = Math.max(counted.mostAtOnce, open);
    stream.on("close", () => (open -= 1));
    stream.on("error", () => {});
    stream.resume();
    stream.on("end", () => setTimeout(answer, delay, stream, headers[":path"]));
    if (requests === goawayAfter) end(session);
    if (changing && requests % 50 === 0) {
      const many = [streams, 1, 0, 7][(requests / 50) % 4];
      session.settings({ maxConcurrentStreams: many, initialWindowSize: many ? window : 0 });
      if (many === 0) setTimeout(reopen, 20, session);
    }
  });
  session.on("goaway", (code) => (counted.codes[code] = (counted.codes[code] ?? 0) + 1));
  session.on("error", () => {});
});
server.on("sessionError", () => {});

function reopen(session) {
  if (!session.destroyed) session.settings({ maxConcurrentStreams: streams, initialWindowSize: window });
}

function end(session) {
  if (cut) return session.destroy();
  if (warned) session.goaway(http2.constants.NGHTTP2_NO_ERROR, 2 ** 31 - 1);
  setTimeout(() => session.destroyed || session.close(), warned ? 20 : 0);
}

function answer(stream, path) {
  if (stream.destroyed) return;
  counted.requests += 1;
  seen.set(path, (seen.get(path) ?? 0) + 1);
  counted.distinct = seen.size;
  if (interim) stream.additionalHeaders({ ":status": 103, link: "</w>" });
  if (counted.requests % deadEvery === 0) {
    counted.dead += 1;
    stream.respond({ ":status": 410, "content-type": "application/json" });
    stream.write('{"reason":"Unregist');
    setTimeout(() => stream.end(`ered","timestamp":${Date.now() + 10 ** 9}}`), 1);
    return;
  }
  stream.respond({ ":status": 200, "apns-id": `${counted.requests}` }, { waitForTrailers: trailers, endStream: !trailers });
  if (trailers) {
    stream.on("wantTrailers", () => stream.sendTrailers({ "grpc-status": "0" }));
    stream.end("{}");
  }
}

process.on("SIGTERM", () => {
  console.log(JSON.stringify(counted));
  process.exit(0);
});
server.listen(0, "127.0.0.1", () => console.log(`listening on ${server.address().port}`));
