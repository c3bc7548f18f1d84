"""Vectors of a model, computed once per text: the key is a digest of model and text."""

import hashlib
import struct

from common import connect

client = connect(decode_responses=False)
MODEL, SIZE, DAY = "model-1", 64, 86_400
computed = []


def embed(texts):
    """An expensive model, called with many texts at a time."""
    computed.extend(texts)
    seeds = [hashlib.sha256(text.encode()).digest() for text in texts]
    return [[byte / 255 for byte in (seed * 2)[:SIZE]] for seed in seeds]


def key_of(text):
    return f"example:embedding:{MODEL}:{hashlib.sha256(text.encode()).hexdigest()}"


def embeddings(texts):
    """The vectors in order; what is not known is computed in one call and kept for a day."""
    known = dict(zip(texts, client.mget([key_of(text) for text in texts])))
    unknown = [text for text, vector in known.items() if vector is None]
    if unknown:
        with client.pipeline(transaction=False) as steps:
            for text, vector in zip(unknown, embed(unknown)):
                known[text] = struct.pack(f"<{SIZE}f", *vector)
                steps.set(key_of(text), known[text], ex=DAY)
            steps.execute()
    return [struct.unpack(f"<{SIZE}f", known[text]) for text in texts]


first = embeddings(["a cat", "a dog"])
again = embeddings(["a dog", "a bird", "a cat"])
assert computed == ["a cat", "a dog", "a bird"]
assert again[0] == first[1] and again[2] == first[0] and len(again[1]) == SIZE
assert 0 < client.ttl(key_of("a cat")) <= DAY

# The chunks of a document in one hash, each with an expiry of its own.
document = "example:document:7"
for chunk, vector in enumerate(first):
    client.execute_command("HSETEX", document, "EX", DAY + chunk, "FIELDS", 1, chunk, struct.pack(f"<{SIZE}f", *vector))
assert client.hlen(document) == 2
assert client.execute_command("HTTL", document, "FIELDS", 2, 0, 1)[1] > DAY - 60
print(f"{len(computed)} of {len(first) + len(again)} vectors were computed, the others came from the cache")
print("ok")
