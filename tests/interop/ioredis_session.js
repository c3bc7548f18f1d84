// A session with ioredis: the port is the argument.
const assert = require("assert");
const Redis = require("ioredis");

async function main() {
  const port = Number(process.argv[2]);
  const client = new Redis({ port, host: "127.0.0.1" });
  await client.flushall();
  assert.strictEqual(await client.set("a", "1"), "OK");
  assert.strictEqual(await client.incrby("a", 41), 42);
  assert.deepStrictEqual(await client.mget("a", "none"), ["42", null]);
  assert.strictEqual(await client.hset("h", { x: 1, y: 2 }), 2);
  assert.deepStrictEqual(await client.hgetall("h"), { x: "1", y: "2" });
  assert.strictEqual(await client.rpush("l", 1, 2, 3), 3);
  assert.deepStrictEqual(await client.lrange("l", 0, -1), ["1", "2", "3"]);
  await client.sadd("s", "a", "b");
  assert.deepStrictEqual((await client.smembers("s")).sort(), ["a", "b"]);
  await client.zadd("z", 1.5, "m", 2, "n");
  assert.deepStrictEqual(await client.zrange("z", 0, -1, "WITHSCORES"), ["m", "1.5", "n", "2"]);
  const results = await client.multi().set("p", 1).incr("p").get("p").exec();
  assert.deepStrictEqual(results, [[null, "OK"], [null, 2], [null, "2"]]);
  const many = client.pipeline();
  for (let i = 0; i < 1000; i++) many.set("k" + i, i);
  assert.strictEqual((await many.exec()).filter(([e, r]) => !e && r === "OK").length, 1000);
  const found = new Set();
  for await (const keys of client.scanStream({ match: "k*", count: 100 })) keys.forEach((k) => found.add(k));
  assert.strictEqual(found.size, 1000);
  await assert.rejects(client.lpush("a", 1), /WRONGTYPE/);
  const subscriber = new Redis({ port, host: "127.0.0.1" });
  const message = new Promise((resolve) => subscriber.on("message", (channel, text) => resolve([channel, text])));
  assert.strictEqual(await subscriber.subscribe("news"), 1);
  assert.strictEqual(await client.publish("news", "hello"), 1);
  assert.deepStrictEqual(await message, ["news", "hello"]);
  const waiter = new Redis({ port, host: "127.0.0.1" });
  const popped = waiter.blpop("queue", 10);
  await client.rpush("queue", "job");
  assert.deepStrictEqual(await popped, ["queue", "job"]);
  for (const c of [client, subscriber, waiter]) c.disconnect();
  console.log("ioredis session ok");
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
