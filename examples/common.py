"""What the examples share: a connection from `--port`, and a clean start."""

import argparse

import redis


def connect(**options):
    """A connection; keys of earlier runs are removed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--host", default="localhost")
    parser.add_argument("--port", type=int, default=6379)
    where = parser.parse_args()
    options.setdefault("decode_responses", True)
    client = redis.Redis(host=where.host, port=where.port, **options)
    for key in client.scan_iter("example:*"):
        client.delete(key)
    return client
