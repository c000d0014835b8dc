// Socket.IO's Redis adapter: two servers, a client at each, and what one server has to ask of the other.

const { Redis } = require("ioredis");
const { Server } = require("socket.io");
const { createAdapter } = require("@socket.io/redis-adapter");
const { io } = require("socket.io-client");
const { connection, expect } = require("./node_client.cjs");

const DEADLINE = 60_000;

async function work() {
  const [one, other] = [await server(), await server()];
  const [here, there] = [await client(one), await client(other)];

  const greeted = once(there, "greeting");
  one.emit("greeting", 1);
  expect(await greeted, 1);

  expect((await one.fetchSockets()).length, 2);
  other.on("question", (question, answer) => answer(question + 1));
  expect((await one.serverSideEmitWithAck("question", 1))[0], 2);

  one.socketsJoin("room");
  while ((await one.in("room").fetchSockets()).length < 2);
  const told = once(there, "secret");
  one.to("room").emit("secret", 2);
  expect(await told, 2);

  for (const socket of [here, there]) socket.on("asked", (answer) => answer("yes"));
  expect((await one.timeout(DEADLINE).emitWithAck("asked")).join(), "yes,yes");
  process.exit(0);
}

async function server() {
  const [publisher, subscriber] = [new Redis(connection()), new Redis(connection())];
  const server = new Server(0, { adapter: createAdapter(publisher, subscriber, { requestsTimeout: DEADLINE }) });
  // A broadcast reaches whoever has subscribed by then.
  while (Number(await publisher.pubsub("NUMSUB", "socket.io-request#/#").then((reply) => reply[1])) < 1);
  return server;
}

async function client(server) {
  const socket = io(`http://127.0.0.1:${server.httpServer.address().port}`);
  await once(socket, "connect");
  return socket;
}

function once(socket, event) {
  return new Promise((resolve, reject) => {
    socket.once(event, resolve);
    setTimeout(() => reject(new Error(`no ${event}`)), DEADLINE).unref();
  });
}

({ work })[process.argv[2]]();
