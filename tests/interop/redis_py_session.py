"""A session with redis-py: port and protocol version are the arguments."""

import sys
import threading

import redis

client = redis.Redis(port=int(sys.argv[1]), protocol=int(sys.argv[2]), decode_responses=True)
client.flushall()
assert client.ping() is True
assert client.set("a", "1", ex=100, nx=True) is True and client.set("a", "2", nx=True) is None
assert client.get("a") == "1" and 90 < client.ttl("a") <= 100
assert client.incr("a", 41) == 42 and client.incrbyfloat("f", 1.5) == 1.5
assert client.mset({"x": "1", "y": "2"}) and client.mget("x", "y", "none") == ["1", "2", None]
assert client.rpush("l", 1, 2, 3) == 3 and client.lrange("l", 0, -1) == ["1", "2", "3"]
assert client.lmove("l", "l2", "LEFT", "RIGHT") == "1" and client.lpos("l", "3") == 1
assert client.hset("h", mapping={"a": 1, "b": 2}) == 2 and client.hgetall("h") == {"a": "1", "b": "2"}
assert dict(client.hscan_iter("h")) == {"a": "1", "b": "2"}
assert client.sadd("s", "a", "b") == 2 and client.smembers("s") == {"a", "b"} and client.sismember("s", "a")
assert client.zadd("z", {"m": 1.5, "n": 2}) == 2
assert client.zrange("z", 0, -1, withscores=True) in ([("m", 1.5), ("n", 2.0)], [["m", 1.5], ["n", 2.0]])
assert client.zscore("z", "m") == 1.5 and client.zrangebyscore("z", "-inf", "(2") == ["m"]
assert client.type("z") == "zset" and client.exists("a", "none") == 1 and client.rename("x", "x2")
assert sorted(client.scan_iter("l*")) == ["l", "l2"] and client.dbsize() == len(client.keys())
try:
    client.lpush("a", 1)
    raise SystemExit("WRONGTYPE was not reported")
except redis.ResponseError as error:
    assert str(error).startswith("WRONGTYPE"), error

with client.pipeline(transaction=True) as pipe:
    assert pipe.set("p", 1).incr("p").get("p").execute() == [True, 2, "2"]


def take(amount):
    """A transaction that starts again when the watched key changed."""
    def body(pipe):
        value = int(pipe.get("stock"))
        pipe.multi()
        pipe.set("stock", value - amount)
    client.transaction(body, "stock")


client.set("stock", 100)
threads = [threading.Thread(target=lambda: [take(1) for _ in range(20)]) for _ in range(4)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
assert client.get("stock") == "20", client.get("stock")

subscriber = client.pubsub()
subscriber.subscribe("news")
assert subscriber.get_message(timeout=5)["type"] == "subscribe"
assert client.publish("news", "hello") == 1
message = subscriber.get_message(timeout=5)
assert message["type"] == "message" and message["data"] == "hello", message
subscriber.close()

waiter = {}
thread = threading.Thread(target=lambda: waiter.update(got=redis.Redis(port=int(sys.argv[1]), protocol=int(sys.argv[2]), decode_responses=True).blpop("queue", 10)))
thread.start()
client.rpush("queue", "job")
thread.join()
assert list(waiter["got"]) == ["queue", "job"], waiter
assert client.config_get("maxmemory")["maxmemory"] == "0"
assert client.info("server")["redis_version"].startswith("7.2")
assert client.client_setname("session") and client.client_getname() == "session"
print("redis-py session ok")
