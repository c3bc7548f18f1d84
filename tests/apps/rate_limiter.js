// rate-limiter-flexible with ioredis and node-redis: counts are exact under parallel use, and outlive a killed server.
const assert = require("assert");
const Redis = require("ioredis");
const { createClient } = require("redis");
const { BurstyRateLimiter, RateLimiterQueue, RateLimiterRedis, RateLimiterRes } = require("rate-limiter-flexible");
const { port, killServer, sleep, main } = require("./common");

/** How many of so many calls at once were let through. */
async function passed(limiter, key, calls, points = 1) {
  const results = await Promise.allSettled([...Array(calls)].map(() => limiter.consume(key, points)));
  for (const { reason } of results.filter(({ status }) => status === "rejected")) {
    assert.ok(reason instanceof RateLimiterRes, String(reason));
    assert.ok(reason.msBeforeNext > 0 && reason.remainingPoints === 0, String(reason));
  }
  return results.filter(({ status }) => status === "fulfilled").length;
}

async function limits(options) {
  const limiter = new RateLimiterRedis({ ...options, keyPrefix: "a", points: 10, duration: 60 });
  assert.strictEqual(await passed(limiter, "ann", 40), 10);
  assert.strictEqual(await passed(limiter, "bob", 6, 3), 3);
  assert.strictEqual((await limiter.get("ann")).consumedPoints, 40);
  assert.strictEqual(await limiter.get("nobody"), null);
  assert.strictEqual((await limiter.reward("bob", 18)).consumedPoints, 0);
  assert.strictEqual((await limiter.penalty("bob", 4)).remainingPoints, 6);
  assert.strictEqual((await limiter.set("bob", 9, 30)).consumedPoints, 9);
  assert.strictEqual(await passed(limiter, "bob", 5), 1);
  assert.strictEqual(await limiter.delete("ann"), true);
  assert.strictEqual(await limiter.delete("ann"), false);
  await limiter.block("eve", 30);
  assert.strictEqual(await passed(limiter, "eve", 2), 0);
  const blocked = await limiter.get("eve");
  assert.ok(blocked.msBeforeNext > 25000 && blocked.msBeforeNext <= 30000, String(blocked));

  const short = new RateLimiterRedis({ ...options, keyPrefix: "b", points: 3, duration: 1 });
  assert.strictEqual(await passed(short, "k", 5), 3);
  await sleep(1100);
  assert.strictEqual(await passed(short, "k", 5), 3);

  const punishing = new RateLimiterRedis({ ...options, keyPrefix: "c", points: 2, duration: 1, blockDuration: 60 });
  assert.strictEqual(await passed(punishing, "k", 3), 2);
  await sleep(1100);
  assert.strictEqual(await passed(punishing, "k", 1), 0, "blocked for longer than the window");

  const bursty = new BurstyRateLimiter(
    new RateLimiterRedis({ ...options, keyPrefix: "d", points: 2, duration: 60 }),
    new RateLimiterRedis({ ...options, keyPrefix: "e", points: 5, duration: 60 }),
  );
  const results = await Promise.allSettled([...Array(9)].map(() => bursty.consume("k")));
  assert.strictEqual(results.filter(({ status }) => status === "fulfilled").length, 7);

  const queue = new RateLimiterQueue(new RateLimiterRedis({ ...options, keyPrefix: "f", points: 2, duration: 1 }));
  const began = Date.now();
  await Promise.all([1, 2, 3].map(() => queue.removeTokens(1)));
  assert.ok(Date.now() - began >= 400, `the third waited only ${Date.now() - began} ms`);
  return limiter;
}

main(async () => {
  const ioredis = new Redis({ port, host: "127.0.0.1", enableOfflineQueue: true });
  ioredis.on("error", () => {});
  const first = await limits({ storeClient: ioredis });
  const client = createClient({ socket: { port, host: "127.0.0.1" } });
  client.on("error", () => {});
  await client.connect();
  await client.flushAll();
  await limits({ storeClient: client, useRedisPackage: true });

  // What was counted is still counted.
  await first.delete("carl");
  assert.strictEqual(await passed(first, "carl", 4), 4);
  await killServer();
  assert.strictEqual((await first.get("carl")).consumedPoints, 4);
  assert.strictEqual(await passed(first, "carl", 10), 6);
});
