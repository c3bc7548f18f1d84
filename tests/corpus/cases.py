"""The cases of a corpus: what its MANIFEST says, one case per way of loading a file."""

import csv
import os
from dataclasses import dataclass, field, replace

from lib.servers import ROOT

CORPUS = os.path.join(ROOT, "formats/tests/corpus")


@dataclass
class Case:
    """One load: a file, the configuration for it, and what shall come of it."""

    name: str
    source: str
    expect: str
    wanted: str = None  # canonical content
    meta: str = None  # access frequency and idle time right after the load
    config: list = field(default_factory=list)
    compare: list = field(default_factory=list)
    in_1970: bool = False
    sanitize: bool = True

    @property
    def loads(self):
        """Whether the server shall come up."""
        return self.expect.startswith("loads")

    @property
    def is_rdb(self):
        """Whether the source is one RDB file; else it is a directory."""
        return os.path.isfile(self.source)


def rows(path):
    """Rows of a table with a line of names."""
    with open(path, encoding="utf-8", newline="") as file:
        yield from csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)


def of_row(part, row):
    """All cases of a row."""
    expected = [os.path.join(part, name) for name in row["expected_files"].split()]
    plain = Case(row["file"], os.path.join(part, row["file"]), row["expect"],
                 config=[line.strip() for line in row["config"].split(";") if line.strip()],
                 compare=row["compare_opts"].split())
    cases = [plain]
    for path in expected:
        mode = os.path.basename(path).removesuffix(".jsonl").rpartition(".")[2]
        if mode == "meta":
            plain.meta = path
        elif mode == "asof1970":
            cases.append(replace(plain, name=plain.name + " (1970)", wanted=path, in_1970=True))
        elif mode == "databases300":
            cases.append(replace(plain, name=plain.name + " (databases 300)", expect="loads", wanted=path,
                                 config=plain.config + ["databases 300"]))
        else:
            plain.wanted = path
    return cases


def all_cases(part=CORPUS):
    """Every case of a corpus."""
    return [case for row in rows(os.path.join(part, "MANIFEST.tsv")) for case in of_row(part, row)]


def payload_tables(part=CORPUS):
    """Paths of the tables of good payloads."""
    folder = os.path.join(part, "dump")
    if not os.path.isdir(folder):
        return []
    return [os.path.join(folder, name) for name in sorted(os.listdir(folder)) if name.startswith("payloads")]
