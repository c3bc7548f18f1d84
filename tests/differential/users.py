"""Epochs about ACL users: connection 0 is the default user and changes users, connection 1 is one of them."""

PASSWORDS = [b"p1", b"p2", b"p 3", b""]
HASHES = [b"0a0b" * 16, b"ffff" * 16, b"0A0b" * 16, b"12", b""]
USERS = [b"u1", b"u2", b"u3"]
OTHERS = [b"u4", b"u5", b"nosuch"]
KEYS = [b"a:1", b"a:2", b"b:1", b"r:1", b"w:1", b"x"]
PATTERNS = [b"a:*", b"b:*", b"r:*", b"w:*", b"*", b"a:1", b"[ab]:1", b"?:2", b"x", b"", b"a b"]
CHANNELS = [b"c1", b"c2", b"news:1", b"news:*", b"c*"]
CATEGORIES = b"all read write string list set hash fast dangerous keyspace admin ALL Read nosuch transaction scripting".split()
COMMANDS = (b"get set GET mget del lpush sort eval object object|freq object|help config config|get config|set client client|id select|0 "
            b"select|1 select| get|a|b config|get|x config|nosuch nosuch multi exec copy publish ping acl acl|whoami echo|x").split(b" ")
FLAGS = (b"on off nopass resetpass allkeys resetkeys allchannels resetchannels allcommands nocommands sanitize-payload "
         b"skip-sanitize-payload clearselectors reset ON Reset nosuch").split()
SCRIPTS = [b"return redis.call('get',KEYS[1])", b"return redis.pcall('set',KEYS[1],'v')", b"return redis.acl_check_cmd('get',ARGV[1])",
           b"return redis.acl_check_cmd('set',ARGV[1],'v')", b"return redis.pcall('get',ARGV[1])", b"redis.call('del',ARGV[1]) return 1"]


def selector_rule(rng):
    """A rule that may stand in a selector too. Not those with which 7.2.4 ends: `%~x`, and first arguments with blanks or quotes."""
    kind = rng.random()
    if kind < 0.3:
        return rng.choice((b"~", b"~", b"%R~", b"%W~", b"%RW~", b"%r~", b"%RR~", b"%Rx~")) + rng.choice(PATTERNS)
    if kind < 0.4:
        return b"&" + rng.choice(CHANNELS + PATTERNS[-1:])
    if kind < 0.6:
        return rng.choice((b"+@", b"-@")) + rng.choice(CATEGORIES)
    if kind < 0.9:
        return rng.choice((b"+", b"+", b"-")) + rng.choice(COMMANDS)
    return rng.choice((b"allkeys", b"resetkeys", b"allchannels", b"resetchannels", b"~*", b"&*", b"+@all", b"-@all"))


def rules(rng):
    """Words of one ACL SETUSER."""
    out = []
    for _ in range(rng.randint(0, 5)):
        kind = rng.random()
        if kind < 0.2:
            out.append(rng.choice(FLAGS))
        elif kind < 0.3:
            out.append(rng.choice((b">", b">", b"<")) + rng.choice(PASSWORDS))
        elif kind < 0.34:
            out.append(rng.choice((b"#", b"!")) + rng.choice(HASHES))
        elif kind < 0.46:
            inside = b" ".join(selector_rule(rng) for _ in range(rng.randint(0, 3)))
            whole = rng.choice((b"(", b"(", b"(", b"( ", b"((")) + inside + rng.choice((b")", b")", b")", b" )", b""))
            out += whole.split(b" ") if rng.random() < 0.5 else [whole]
        else:
            out.append(selector_rule(rng))
    return out


def call(rng):
    """A request whose keys, channels or command somebody may not use."""
    key, other, third = (rng.choice(KEYS) for _ in range(3))
    return rng.choice((
        [b"GET", key], [b"SET", key, b"v"], [b"SET", key, b"v", b"GET"], [b"SET", key, b"v", b"EX", b"get"], [b"MGET", key, other, third],
        [b"MSET", key, b"1", other, b"2"], [b"DEL", key, other], [b"EXISTS", key, other], [b"COPY", key, other], [b"RENAME", key, other],
        [b"STRLEN", key], [b"TYPE", key], [b"TOUCH", key], [b"OBJECT", b"HELP"], [b"OBJECT", b"FREQ", key], [b"LCS", key, other],
        [b"SORT", key], [b"SORT", key, b"STORE", other], [b"SORT", key, b"BY", b"b:*"], [b"SORT", key, b"GET", b"#"], [b"SORT_RO", key, b"BY", b"nosort"],
        [b"ZUNIONSTORE", key, b"2", other, third], [b"ZUNION", b"2", key, other], [b"ZUNION", b"9", key], [b"SINTERCARD", b"2", key, other],
        [b"GEORADIUS", key, b"0", b"0", b"1", b"m", b"STORE", other], [b"GEORADIUS", key, b"0", b"0", b"1", b"m"],
        [b"XREAD", b"COUNT", b"1", b"STREAMS", key, other, b"0", b"0"], [b"BITFIELD", key, b"GET", b"u4", b"0"],
        [b"BITFIELD", key, b"SET", b"u4", b"0", b"1"], [b"BITOP", b"AND", key, other, third], [b"LMPOP", b"2", key, other, b"LEFT"],
        [b"PUBLISH", rng.choice(CHANNELS), b"m"], [b"SPUBLISH", rng.choice(CHANNELS), b"m"], [b"EVAL", rng.choice(SCRIPTS), b"1", key, other],
        [b"EVAL", rng.choice(SCRIPTS[2:]), b"0", key], [b"EVAL_RO", SCRIPTS[0], b"2", key, other], [b"EVAL", b"return 1", b"9", key],
        [b"SELECT", b"1"], [b"SELECT", b"0"], [b"PING"], [b"ECHO", b"x"], [b"ACL", b"WHOAMI"], [b"CONFIG", b"GET", b"hz"], [b"CLIENT", b"NO-EVICT", b"OFF"],
        [b"NOSUCH", b"x"], [b"GET"], [b"KEYS", b"*"], [b"DBSIZE"], [b"WATCH", key], [b"UNWATCH"], [b"MIGRATE", b"127.0.0.1", b"1", key, b"0", b"1"]))


def subscription(rng):
    """For DRYRUN only: who listens may do little else."""
    return [rng.choice((b"SUBSCRIBE", b"PSUBSCRIBE", b"SSUBSCRIBE", b"UNSUBSCRIBE"))] + rng.sample(CHANNELS, rng.randint(1, 2))


def change(rng):
    """An item by which the default user changes or looks at users."""
    user = rng.choice(USERS)
    kind = rng.random()
    if kind < 0.4:
        return [b"ACL", b"SETUSER", user, *rules(rng)]
    if kind < 0.5:
        return [b"ACL", b"SETUSER", rng.choice((b"u4", b"u5", b"a b")), *rules(rng)]
    if kind < 0.6:
        return [b"ACL", b"GETUSER", rng.choice(USERS + OTHERS)]
    if kind < 0.7:
        return [b"ACL", rng.choice((b"LIST", b"USERS"))]
    if kind < 0.75:
        return [b"ACL", b"DELUSER", *rng.sample(OTHERS, 2)]
    if kind < 0.95:
        request = call(rng) if rng.random() < 0.8 else subscription(rng)
        return [b"ACL", b"DRYRUN", rng.choice(USERS + OTHERS), *request]
    return [b"@acllog"]


def epoch(rng, count):
    """Items of one epoch."""
    out = [[b"@c", b"0"], [b"ACL", b"DELUSER", *USERS, *OTHERS], [b"ACL", b"LOG", b"RESET"], [b"ACL", b"SETUSER", b"default", b"reset", b"on", b"nopass", b"+@all", b"allkeys", b"allchannels"]]
    for user in USERS:
        out.append([b"ACL", b"SETUSER", user, b"on", b"nopass", b"+@all", rng.choice((b"~a:*", b"%R~r:*", b"%W~w:*")), b"%RW~b:*"])
    out += [[b"@c", b"1"], [b"AUTH", USERS[0], b"x"]]
    while len(out) < count:
        if rng.random() < 0.4:
            out.append([b"@c", b"0"])
            out += [change(rng) for _ in range(rng.randint(1, 4))]
        out.append([b"@c", b"1"])
        if rng.random() < 0.3:
            out.append([b"AUTH", rng.choice(USERS + [b"nosuch"]), rng.choice(PASSWORDS)])
        if rng.random() < 0.2:
            out += [[b"MULTI"], call(rng), call(rng)]
            if rng.random() < 0.5:
                out += [[b"@c", b"0"], [b"ACL", b"SETUSER", rng.choice(USERS), *rules(rng)], [b"@c", b"1"]]
            out.append([rng.choice((b"EXEC", b"EXEC", b"DISCARD"))])
        out += [call(rng) for _ in range(rng.randint(1, 6))]
    return out + [[b"@c", b"0"], [b"@acllog"], [b"ACL", b"LIST"], [b"ACL", b"DELUSER", *USERS, *OTHERS]]


def different_logs(pair):
    """The first entry of ACL LOG in which two servers differ, of each, without what it has of time and clients."""
    told = []
    for conn in pair:
        entries = conn.call("ACL", "LOG", "100")
        if not isinstance(entries, list):
            return [repr(entries).encode(), b"", "ACL LOG cannot be read"]
        pairs = [entry if isinstance(entry, dict) else dict(zip(entry[::2], entry[1::2])) for entry in entries]
        told.append([[fields[name] for name in (b"count", b"reason", b"context", b"object", b"username")] for fields in pairs])
    for place, (a, b) in enumerate(zip(*[entries + [None] for entries in told])):
        if a != b:
            return [repr(a).encode(), repr(b).encode(), f"entry {place} of ACL LOG differs"]
    return None
