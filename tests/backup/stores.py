"""The suite of the store contract (`basalt check-store`) on every kind of store there is a real part for."""

import json
import os
import subprocess
import time

from s3 import S3
from world import back_up, fill, ask, restore_and_compare, tool

from lib.servers import free_port
from lib.tools import node_with, python_with

ACCOUNT = "devstoreaccount1"
# The key of every Azurite; it is in its documentation.
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
MAKE = """
import sys, time
from azure.storage.blob import BlobServiceClient
url, account, key = sys.argv[1:]
for _ in range(300):
    try:
        BlobServiceClient(url + "/" + account, credential=key, retry_total=0).create_container("backups")
        break
    except Exception as error:
        last = error
        time.sleep(0.2)
else:
    raise last
"""


def azurite(world):
    """Microsoft's own emulator with a container; what reaches it."""
    node, environment = node_with("backup-tests", "azurite@3.35.0")
    port = free_port()
    program = os.path.join(environment["NODE_PATH"], ".bin", "azurite-blob")
    words = [node, program, "--blobHost", "127.0.0.1", "--blobPort", str(port), "--inMemoryPersistence", "--silent", "--skipApiVersionCheck", "--disableTelemetry"]
    process = subprocess.Popen(words, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=world.dir)
    world.closing.append(lambda: (process.kill(), process.wait()))
    url = f"http://127.0.0.1:{port}"
    python = python_with("backup-azure", "azure-storage-blob==12.26.0")
    subprocess.run([python, "-c", MAKE, url, ACCOUNT, KEY], check=True, timeout=120, capture_output=True)
    os.environ.update({"AZURE_STORAGE_USE_EMULATOR": "true", "AZURITE_BLOB_STORAGE_URL": url, "AZURE_STORAGE_ACCOUNT_NAME": ACCOUNT, "AZURE_STORAGE_ACCOUNT_KEY": KEY})


def check(world):
    """Each kind: the suite, then a backup that comes back."""
    os.mkdir(world.path("directory"))
    s3 = S3()
    world.closing.append(s3.close)
    azurite(world)
    endpoint = ["--endpoint", f"http://127.0.0.1:{s3.port}", "--region", "us-east-1"]
    kinds = {
        "directory": [world.path("directory")],
        "S3 (moto)": ["s3://backups/suite", *endpoint],
        "Azure (Azurite)": ["az://backups/suite"],
    }
    for kind, place in kinds.items():
        began = time.time()
        assert json.loads(tool("check-store", *place, "--json"))["ok"], kind
        words = ["--backup-url", place[0]]
        if len(place) > 1:
            words += ["--backup-endpoint", place[2], "--backup-region", place[4]]
        server = world.basalt(*words)
        fill(server, "kind")
        assert back_up(server) == "", kind
        restore_and_compare(world, ask(server, "DEBUG", "DIGEST"), *place)
        tool("verify", *place, "-i", world.identity, "--drill")
        server.kill()
        print(f"        {kind}: {time.time() - began:.1f} s", flush=True)
    return ", ".join(kinds)
