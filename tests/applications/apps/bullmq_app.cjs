// BullMQ: a job and its result, a delayed one, one that is tried again, one that a scheduler makes every second, and a pause.

const { Queue, QueueEvents, Worker } = require("bullmq");
const { connection, expect } = require("./node_client.cjs");

const DEADLINE = 60_000;

const tasks = {
  add: ({ x, y }) => x + y,
  tick: () => "tick",
  failsOnce: (_, attempt) => {
    if (attempt === 0) throw new Error("as it should");
    return "retried";
  },
};

function worker() {
  const worker = new Worker("sums", async (job) => tasks[job.name](job.data, job.attemptsMade), {
    connection: connection(),
    limiter: { max: 1000, duration: 1000 },
  });
  worker.on("error", (error) => console.error(error));
  process.on("SIGTERM", async () => {
    await worker.close();
    process.exit(0);
  });
}

async function work() {
  const queue = new Queue("sums", { connection: connection() });
  const events = new QueueEvents("sums", { connection: connection() });
  await events.waitUntilReady();
  const result = async (name, data, options) => (await queue.add(name, data, options)).waitUntilFinished(events, DEADLINE);

  expect(await result("add", { x: 2, y: 3 }), 5);
  expect(await result("add", { x: 2, y: 4 }, { delay: 1000, removeOnComplete: true }), 6);
  expect(await result("failsOnce", {}, { attempts: 2, backoff: { type: "fixed", delay: 500 } }), "retried");

  const ticked = new Promise((resolve) => events.on("completed", ({ returnvalue }) => returnvalue === "tick" && resolve()));
  await queue.upsertJobScheduler("every second", { every: 1000 }, { name: "tick" });
  await Promise.race([ticked, new Promise((_, reject) => setTimeout(() => reject(new Error("nothing is scheduled")), DEADLINE))]);
  await queue.removeJobScheduler("every second");

  await queue.pause();
  const important = await queue.add("add", { x: 3, y: 3 }, { priority: 1, deduplication: { id: "once", ttl: 1000 } });
  expect((await queue.getJobs(["prioritized"])).length, 1);
  await queue.resume();
  expect(await important.waitUntilFinished(events, DEADLINE), 6);

  const waiting = await queue.add("add", { x: 1, y: 1 }, { delay: DEADLINE });
  await waiting.updateProgress(50);
  expect((await queue.getJobCounts("delayed")).delayed, 1);
  await waiting.remove();
  await queue.clean(0, 10, "completed");
  process.exit(0);
}

({ worker, work })[process.argv[2]]();
