// BullMQ: priorities, delays, retries, flows, schedulers, rate limits, stalled jobs, and a killed server.
const assert = require("assert");
const { fork } = require("child_process");
const { FlowProducer, Queue, QueueEvents, UnrecoverableError, Worker } = require("bullmq");
const { port, killServer, sleep, until, main } = require("./common");

const connection = { host: "127.0.0.1", port, maxRetriesPerRequest: null };

/** A process that takes a job, says so and never ends it. */
function hang() {
  new Worker("stalling", () => new Promise(() => process.send("taken")), { connection, stalledInterval: 300, lockDuration: 600 });
}

async function plain() {
  const queue = new Queue("plain", { connection });
  const events = new QueueEvents("plain", { connection });
  await events.waitUntilReady();
  await queue.pause();
  for (const priority of [3, 1, 2]) await queue.add("ranked", { priority }, { priority });
  assert.deepStrictEqual((await queue.getJobs(["prioritized"])).map((job) => job.data.priority).sort(), [1, 2, 3]);
  const seen = [];
  const worker = new Worker(
    "plain",
    async (job) => {
      seen.push(job.data.priority ?? job.name);
      if (job.name === "flaky" && job.attemptsMade < 2) throw new Error("not yet");
      if (job.name === "hopeless") throw new UnrecoverableError("never");
      if (job.name === "delayed") return Date.now() - job.timestamp;
      await job.updateProgress(50);
      await job.log("half way");
      return { twice: (job.data.n ?? 0) * 2 };
    },
    { connection },
  );
  await queue.resume();
  await until("jobs by priority", () => seen.length === 3);
  assert.deepStrictEqual(seen, [1, 2, 3]);

  const job = await queue.add("double", { n: 21 });
  assert.deepStrictEqual(await job.waitUntilFinished(events, 10000), { twice: 42 });
  assert.deepStrictEqual((await queue.getJobLogs(job.id)).logs, ["half way"]);
  assert.strictEqual((await queue.getJob(job.id)).progress, 50);

  const flaky = await queue.add("flaky", {}, { attempts: 3, backoff: { type: "exponential", delay: 30 } });
  await flaky.waitUntilFinished(events, 10000);
  assert.strictEqual((await queue.getJob(flaky.id)).attemptsMade, 3);

  const hopeless = await queue.add("hopeless", {}, { attempts: 5 });
  await assert.rejects(hopeless.waitUntilFinished(events, 10000), /never/);
  assert.strictEqual((await queue.getFailed()).length, 1);

  const delayed = await queue.add("delayed", {}, { delay: 300 });
  assert.strictEqual(await delayed.getState(), "delayed");
  const waited = await delayed.waitUntilFinished(events, 10000);
  assert.ok(waited >= 299, `${waited}`);

  const first = await queue.add("once", {}, { deduplication: { id: "same" }, delay: 1000 });
  const second = await queue.add("once", {}, { deduplication: { id: "same" }, delay: 1000 });
  assert.strictEqual(second.id, first.id);
  await first.remove();
  assert.strictEqual(await queue.getJob(first.id), undefined);

  const ticks = seen.length;
  await queue.upsertJobScheduler("tick", { every: 80, limit: 3 }, { name: "tick" });
  await until("three ticks", () => seen.filter((name) => name === "tick").length === 3);
  assert.strictEqual(seen.length, ticks + 3);
  await until("the end of the last tick", async () => (await queue.getActiveCount()) === 0);
  const counts = await queue.getJobCounts();
  assert.strictEqual(counts.active + counts.waiting + counts.delayed, 0, JSON.stringify(counts));
  assert.ok(counts.completed >= 8 && counts.failed === 1, JSON.stringify(counts));
  assert.strictEqual((await queue.clean(0, 100, "failed")).length, 1);
  await worker.close();
  await queue.obliterate();
  await Promise.all([events.close(), queue.close()]);
}

async function flows() {
  const producer = new FlowProducer({ connection });
  const children = new Worker("children", async (job) => job.data.n * job.data.n, { connection, concurrency: 3 });
  let sum;
  const parents = new Worker(
    "parents",
    async (job) => (sum = Object.values(await job.getChildrenValues()).reduce((a, b) => a + b, 0)),
    { connection },
  );
  await producer.add({
    name: "sum",
    queueName: "parents",
    children: [1, 2, 3, 4].map((n) => ({ name: "square", queueName: "children", data: { n } })),
  });
  await until("the parent after its children", () => sum !== undefined);
  assert.strictEqual(sum, 30);
  await Promise.all([children.close(), parents.close(), producer.close()]);
}

async function limited() {
  const queue = new Queue("limited", { connection });
  const times = [];
  await queue.addBulk([...Array(12).keys()].map((n) => ({ name: "x", data: { n } })));
  const worker = new Worker("limited", async () => void times.push(Date.now()), {
    connection,
    concurrency: 12,
    limiter: { max: 5, duration: 1000 },
  });
  await until("all limited jobs", () => times.length === 12);
  // The first may have been noted late.
  assert.ok(times[11] - times[0] > 1300, `${times[11] - times[0]} ms for 12 jobs at 5 a second`);
  await worker.close();
  await queue.close();
}

async function stalled() {
  const queue = new Queue("stalling", { connection });
  const job = await queue.add("x", {});
  const child = fork(__filename, [String(port)], { env: { ...process.env, HANG: "1" } });
  await new Promise((resolve) => child.once("message", resolve));
  child.kill("SIGKILL");
  const done = [];
  const worker = new Worker("stalling", async (taken) => void done.push(taken.id), { connection, stalledInterval: 300, lockDuration: 600 });
  await until("the job of a worker that died", () => done.length === 1);
  assert.deepStrictEqual(done, [job.id]);
  await worker.close();
  await queue.close();
}

async function killed() {
  const queue = new Queue("killed", { connection });
  const done = new Map();
  const worker = new Worker(
    "killed",
    async (job) => {
      await sleep(5);
      done.set(job.id, (done.get(job.id) ?? 0) + 1);
    },
    { connection, concurrency: 4, stalledInterval: 500, lockDuration: 1500, maxStalledCount: 5 },
  );
  // What is in flight fails meanwhile.
  for (const one of [queue, worker]) one.on("error", () => {});
  const ids = [];
  for (let n = 0; n < 100; n++) ids.push((await queue.add("x", { n })).id);
  const delayed = await queue.add("late", {}, { delay: 1500 });
  await killServer();
  for (let n = 0; n < 100; n++) ids.push((await queue.add("x", { n })).id);
  ids.push(delayed.id);
  await until("every job that was accepted", () => ids.every((id) => done.has(id)), 40000);
  assert.strictEqual(new Set(ids).size, 201);
  await until("nothing active", async () => (await queue.getJobCounts("active", "waiting", "delayed")).active === 0);
  const counts = await queue.getJobCounts();
  assert.deepStrictEqual([counts.completed, counts.failed, counts.waiting, counts.delayed], [201, 0, 0, 0]);
  await worker.close();
  await queue.close();
}

if (process.env.HANG) hang();
else
  main(async () => {
    await Promise.all([plain(), flows(), limited(), stalled()]);
    await killed();
  });
