"""Ranks of a game: a sorted set keeps everybody in order of their best score."""

from common import connect

client = connect()
BOARD = "example:board"


def report(player, score):
    """Only a better score counts."""
    client.zadd(BOARD, {player: score}, gt=True)


def top(count):
    return client.zrange(BOARD, 0, count - 1, desc=True, withscores=True)


def around(player, distance=1):
    rank = client.zrevrank(BOARD, player)
    return client.zrange(BOARD, max(rank - distance, 0), rank + distance, desc=True)


for n in range(100):
    report(f"player:{n}", n * 10)
report("player:5", 10_000)
report("player:99", 1)
assert [tuple(row) for row in top(2)] == [("player:5", 10_000.0), ("player:99", 990.0)]
assert around("player:50") == ["player:51", "player:50", "player:49"]
assert client.zcount(BOARD, 900, "+inf") == 11
client.zremrangebyrank(BOARD, 0, -11)
assert client.zcard(BOARD) == 10
print("ranks, neighbours and the top follow the best score of each of 100 players")
print("ok")
