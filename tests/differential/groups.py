"""What each group sends. One template per line, see `grammar.py`; `<s> <l> <h> <t> <z>` are keys
that mostly hold a string, list, hash, set or sorted set, `<k>` is any key."""

import luacorpus
import scripts
import users
from grammar import Template

STRING = """
20 SET <s> <v> (NX|XX|~|~|~) (GET|~|~) (EX <sec>|PX <ms>|EXAT <at>|PXAT <atms>|KEEPTTL|~|~|~|~)
12 GET <s>
4 GETSET <s> <v>
4 GETDEL <s>
5 GETEX <s> (EX <sec>|PX <ms>|EXAT <at>|PXAT <atms>|PERSIST|~)
4 SETNX <s> <v>
3 SETEX <s> <sec> <v>
3 PSETEX <s> <ms> <v>
5 MSET (<s> <v>)+
4 MSETNX (<s> <v>)+
5 MGET <k>+
8 APPEND <s> <v>
4 STRLEN <s>
6 SETRANGE <s> <off> <v>
6 GETRANGE <s> <i> <i>
2 SUBSTR <s> <i> <i>
8 INCR <s>
5 DECR <s>
7 INCRBY <s> <incr>
6 DECRBY <s> <incr>
8 INCRBYFLOAT <s> <fl>
4 LCS <s> <s> (LEN|~) (IDX|~) (MINMATCHLEN <n>|~) (WITHMATCHLEN|~)
"""

GENERIC = """
8 DEL <k>+
4 UNLINK <k>+
5 EXISTS <k>+
3 TOUCH <k>+
6 TYPE <k>
8 EXPIRE <k> <sec> (NX|XX|GT|LT|~|~|~) (XX|GT|~|~|~)
6 PEXPIRE <k> <ms> (NX|XX|GT|LT|~|~|~)
5 EXPIREAT <k> <at> (NX|XX|GT|LT|~|~|~)
5 PEXPIREAT <k> <atms> (NX|XX|GT|LT|~|~|~)
4 TTL <k>
4 PTTL <k>
3 EXPIRETIME <k>
3 PEXPIRETIME <k>
5 PERSIST <k>
8 RENAME <k> <k>
5 RENAMENX <k> <k>
8 COPY <k> <k> (DB <db>|~|~) (REPLACE|~)
3 MOVE <k> <db>
3 KEYS <pat>
2 RANDOMKEY
2 DBSIZE
4 OBJECT ENCODING <k>
1 OBJECT REFCOUNT <h>
1 OBJECT FREQ <k>
1 OBJECT FOO <k>
4 SCAN 0 COUNT 1000 (MATCH <pat>|~) (TYPE (string|list|hash|set|zset|foo|stream)|~)
2 @SCAN SCAN 0 (COUNT <n>|~) (MATCH <pat>|~)
6 SORT <l> (ALPHA|~) (DESC|ASC|~) (LIMIT <i> <i>|~) (STORE <l>|~|~)
3 SORT <t> (ALPHA|~) (DESC|~) (LIMIT <i> <i>|~) (STORE <l>|~)
3 SORT <z> (ALPHA|~) (DESC|~) (LIMIT <i> <i>|~)
2 SORT <z> BY nosort (DESC|~) (LIMIT <i> <i>|~)
3 SORT <l> BY s* (GET #|~) (GET s*|~) (GET h*->f1|~) (DESC|~) (LIMIT <i> <i>|~)
2 SORT <l> BY h*->f2 GET h*->f1 (GET #|~)
2 SORT_RO <l> (ALPHA|~) (DESC|~) (LIMIT <i> <i>|~)
2 SELECT <db>
3 SELECT 0
1 SWAPDB 1 2
4 SET <s> <v>
3 RPUSH <l> <m>+
3 HSET <h> (<f> <v>)+
3 SADD <t> <m>+
3 ZADD <z> (<score> <m>)+
3 @DUMP <k>
1 FLUSHDB (ASYNC|SYNC|FOO|~)
1 WAIT 0 0
"""

LIST = """
14 RPUSH <l> <v>+
12 LPUSH <l> <v>+
4 RPUSHX <l> <v>+
4 LPUSHX <l> <v>+
8 LPOP <l> (<n>|~)
8 RPOP <l> (<n>|~)
4 LLEN <l>
10 LRANGE <l> <i> <i>
7 LINDEX <l> <i>
8 LSET <l> <i> <v>
8 LINSERT <l> (BEFORE|AFTER|before|FOO) <v> <v>
8 LREM <l> <i> <v>
6 LTRIM <l> <i> <i>
7 LPOS <l> <v> (RANK <i>|~) (COUNT <n>|~) (MAXLEN <n>|~)
6 RPOPLPUSH <l> <l>
7 LMOVE <l> <l> (LEFT|RIGHT|foo) (LEFT|RIGHT)
6 LMPOP <numkeys> <l> <l> (LEFT|RIGHT) (COUNT <n>|~)
3 BLPOP <l> <l> (0.001|0.001|-1|abc|0.002|1e400|inf)
2 BRPOP <l> 0.001
2 BLMOVE <l> <l> (LEFT|RIGHT) (LEFT|RIGHT) 0.001
1 BRPOPLPUSH <l> <l> 0.001
2 BLMPOP 0.001 <numkeys> <l> <l> (LEFT|RIGHT) (COUNT <n>|~)
3 OBJECT ENCODING <l>
2 DEL <l>
"""

HASH = """
16 HSET <h> (<f> <v>)+
3 HMSET <h> (<f> <v>)+
6 HSETNX <h> <f> <v>
8 HGET <h> <f>
6 HMGET <h> <f>+
8 HDEL <h> <f>+
4 HLEN <h>
4 HSTRLEN <h> <f>
4 HEXISTS <h> <f>
6 HGETALL <h>
4 HKEYS <h>
4 HVALS <h>
8 HINCRBY <h> <f> <incr>
8 HINCRBYFLOAT <h> <f> <fl>
5 HRANDFIELD <h> (<small>|~) (WITHVALUES|~|foo)
3 @SCAN HSCAN <h> 0 (COUNT <n>|~) (MATCH <pat>|~)
2 HSCAN <h> (0|abc|0x) COUNT 10000
2 DEL <h>
"""

SET = """
14 SADD <t> <m>+
10 SADD <t> <im>+
8 SREM <t> <m>+
4 SCARD <t>
6 SISMEMBER <t> <m>
5 SMISMEMBER <t> <m>+
6 SMEMBERS <t>
6 SMOVE <t> <t> <m>
6 SPOP <t> (<n>|~)
5 SRANDMEMBER <t> (<small>|~)
5 SINTER <t>+
5 SUNION <t>+
5 SDIFF <t>+
5 SINTERSTORE <t> <t>+
5 SUNIONSTORE <t> <t>+
5 SDIFFSTORE <t> <t>+
6 SINTERCARD <numkeys> <t> <t> (LIMIT <n>|~)
3 @SCAN SSCAN <t> 0 (COUNT <n>|~) (MATCH <pat>|~)
3 DEL <t>
"""

SORTED_SET = """
16 ZADD <z> (NX|XX|~|~) (GT|LT|~|~) (CH|~) (<score> <m>)+
4 ZADD <z> (XX|NX|GT|~) INCR <score> <m>
8 ZINCRBY <z> <score> <m>
8 ZREM <z> <m>+
3 ZCARD <z>
6 ZSCORE <z> <m>
4 ZMSCORE <z> <m>+
6 ZRANK <z> <m> (WITHSCORE|~)
5 ZREVRANK <z> <m> (WITHSCORE|~)
5 ZCOUNT <z> <bound> <bound>
4 ZLEXCOUNT <y> <lex> <lex>
6 ZRANGE <z> <i> <i> (REV|~) (WITHSCORES|~)
6 ZRANGE <z> <bound> <bound> BYSCORE (REV|~) (LIMIT <i> <i>|~) (WITHSCORES|~)
6 ZRANGE <y> <lex> <lex> BYLEX (REV|~) (LIMIT <i> <i>|~) (WITHSCORES|~|~|~)
3 ZREVRANGE <z> <i> <i> (WITHSCORES|~)
4 ZRANGEBYSCORE <z> <bound> <bound> (WITHSCORES|~) (LIMIT <i> <i>|~)
4 ZREVRANGEBYSCORE <z> <bound> <bound> (WITHSCORES|~) (LIMIT <i> <i>|~)
3 ZRANGEBYLEX <y> <lex> <lex> (LIMIT <i> <i>|~)
3 ZREVRANGEBYLEX <y> <lex> <lex> (LIMIT <i> <i>|~)
4 ZRANGESTORE <z> <z> <i> <i> (REV|~)
3 ZRANGESTORE <z> <z> <bound> <bound> BYSCORE (REV|~) (LIMIT <i> <i>|~)
3 ZRANGESTORE <y> <y> <lex> <lex> BYLEX (REV|~) (LIMIT <i> <i>|~)
3 ZREMRANGEBYRANK <z> <i> <i>
3 ZREMRANGEBYSCORE <z> <bound> <bound>
3 ZREMRANGEBYLEX <y> <lex> <lex>
4 ZPOPMIN <z> (<n>|~)
4 ZPOPMAX <z> (<n>|~)
3 ZMPOP <numkeys> <z> <z> (MIN|MAX) (COUNT <n>|~)
4 ZRANDMEMBER <z> (<small>|~) (WITHSCORES|~)
4 ZUNION <numkeys> <z> <z> (WEIGHTS <fl> <fl>|~) (AGGREGATE (SUM|MIN|MAX|foo)|~) (WITHSCORES|~)
4 ZINTER <numkeys> <z> (<z>|<t>) (WEIGHTS <fl> <fl>|~) (AGGREGATE (SUM|MIN|MAX)|~) (WITHSCORES|~)
4 ZDIFF <numkeys> <z> <z> (WITHSCORES|~)
4 ZUNIONSTORE <z> <numkeys> <z> (<z>|<t>) (WEIGHTS <fl> <fl>|~) (AGGREGATE (SUM|MIN|MAX)|~)
4 ZINTERSTORE <z> <numkeys> <z> <z> (WEIGHTS <fl> <fl>|~) (AGGREGATE (SUM|MIN|MAX)|~)
4 ZDIFFSTORE <z> <numkeys> <z> <z>
3 ZINTERCARD <numkeys> <z> <z> (LIMIT <n>|~)
3 @SCAN ZSCAN <z> 0 (COUNT <n>|~) (MATCH <pat>|~)
2 BZPOPMIN <z> <z> (0.001|-1|abc)
2 BZPOPMAX <z> 0.001
2 BZMPOP 0.001 <numkeys> <z> <z> (MIN|MAX) (COUNT <n>|~)
2 SADD <t> <m>+
12 ZADD <y> (0 <m>)+
3 ZREM <y> <m>+
1 DEL <y>
2 DEL <z>
"""

# Only XADD of `<xf>` lets the server choose the time.
STREAM = """
40 XADD <x> <xnew> (<f> <v>)+
12 XADD <x> <xnew> a <v> b <v>
6 XADD <x> (NOMKSTREAM|~) (MAXLEN|MINID) <xid> <xnew> <f> <v>
8 XADD <x> MAXLEN <about> <n> (LIMIT <n>|~) <xnew> <f> <v>
6 XADD <x> MINID <about> <xid> (LIMIT <n>|~) <xnew> <f> <v>
6 XADD <x> (NOMKSTREAM|~) MAXLEN <n> (nomkstream|~) <xnew> <f> <v>
2 XADD <x> (LIMIT <n>|MAXLEN 3 MINID 1|MAXLEN|MINID|NOMKSTREAM|FOO|~) <xnew> <f>
5 XADD xf <xfnew> <f> <v>
5 XADD xf NOMKSTREAM * <f> <v>
4 XTRIM <x> MAXLEN <n>
6 XTRIM <x> (MAXLEN|maxlen) <about> <n> (LIMIT <n>|~)
4 XTRIM <x> MINID <xid>
6 XTRIM <x> MINID <about> <xid> (LIMIT <n>|~)
1 XTRIM <x> (LIMIT <n>|MAXLEN|FOO 1|MAXLEN 3 MINID 1|MAXLEN 3 NOMKSTREAM) (LIMIT 0|~)
16 XDEL <x> <xid>+
4 XLEN <x>
14 XRANGE <x> <xfrom> <xto> (COUNT <n>|~)
14 XREVRANGE <x> <xto> <xfrom> (COUNT <n>|~)
2 XRANGE <x> <xid> <xid> (COUNT|COUNT -1|FOO 1|COUNT 1 COUNT 2)
6 XSETID <x> <xid> (ENTRIESADDED <n>|~) (MAXDELETEDID <xid>|~) (FOO|ENTRIESADDED|~|~|~|~)
12 XREAD (COUNT <n>|~) STREAMS <x> <xid>
8 XREAD (COUNT <n>|~) (BLOCK 1|~|~) STREAMS <x> <x> <xid> (<xid>|$)
2 XREAD (BLOCK (-1|abc|1.5|9223372036854775807)|COUNT (-1|abc)) STREAMS <x> <xid>
1 XREAD (STREAMS|STREAMS <x>|STREAMS <x> <x> 0|COUNT 1|GROUP a b STREAMS <x> 0|NOACK STREAMS <x> 0|FOO STREAMS <x> 0)
10 DUMP <x>
2 DUMP xf
3 @DUMP <x>
4 XINFO STREAM <x> (FULL|~)
2 COPY <x> <x> (REPLACE|~)
1 RENAME <x> <x>
2 DEBUG DIGEST-VALUE <x>
1 TYPE <x>
1 SET <x> 1
3 DEL <x>
"""

# Idle times are 0 or far from any threshold, so that it does not matter when a server looks.
STREAM_GROUPS = """
24 XADD <g> <gnew> <f> <v> (<f> <v>|~)
3 XADD <g> MAXLEN <n> <gnew> <f> <v>
7 XDEL <g> <gid>+
2 XTRIM <g> MAXLEN <n>
1 XTRIM <g> MINID <gid>
1 XSETID <g> <gid> (ENTRIESADDED <n>|~) (MAXDELETEDID <gid>|~)
10 XGROUP CREATE <g> <grp> (<gid>|$|0|0) (MKSTREAM|~) (ENTRIESREAD (<n>|-1|-2|abc)|~|~|~)
4 XGROUP SETID <g> <grp> (<gid>|$|0|0) (ENTRIESREAD (<n>|-1)|~|~)
1 XGROUP DESTROY <g> <grp>
4 XGROUP CREATECONSUMER <g> <grp> <cons>
3 XGROUP DELCONSUMER <g> <grp> <cons>
1 XGROUP (FOO|FOO <g> <grp>|CREATE|SETID <g>|HELP|DESTROY <g>|CREATE <g> <grp> 0 FOO|SETID <g> <grp> 0 MKSTREAM|CREATE <g> <grp> 0 MKSTREAM MKSTREAM MKSTREAM MKSTREAM)
34 XREADGROUP GROUP <grp> <cons> (COUNT <n>|~) (NOACK|~|~|~) STREAMS <g> (<new>|<new>|<new>|<new>|0|<gid>)
6 XREADGROUP GROUP <grp> <cons> (COUNT <n>|~) STREAMS <g> <g> (<new>|0) (<new>|<gid>)
2 XREADGROUP GROUP <grp> <cons> BLOCK (1|1|-1|abc|1.5|9223372036854775807x) (NOACK|~) STREAMS <g> (<new>|0)
1 XREADGROUP (GROUP <grp>|COUNT 1|NOACK|GROUP <grp> <cons> FOO) (BLOCK|~) STREAMS <g> (<new>|~)
12 XACK <g> <grp> <gid>+
16 XCLAIM <g> <grp> <cons> (0|0|0|0|0|50000|-1|abc) <gid>+ (IDLE (0|100000|200000|-5|abc)|TIME (1|-1|4102444800000|abc)|~|~) (RETRYCOUNT <n>|~) (FORCE|~) (JUSTID|~) (LASTID <gid>|~|~|~) (FOO|~|~|~|~|~|~)
14 XAUTOCLAIM <g> <grp> <cons> (0|0|0|0|50000|-1|abc) <gfrom> (COUNT <n>|~) (JUSTID|~) (FOO|~|~|~|~|~|~)
6 XPENDING <g> <grp>
10 XPENDING <g> <grp> (IDLE (0|50000|-1|abc)|~) <gfrom> <gto> <n> (<cons>|~)
1 XPENDING <g> <grp> (IDLE|<gfrom>) (<gfrom>|~) (<n>|~)
6 XINFO STREAM <g>
6 XINFO STREAM <g> FULL (COUNT <n>|COUNT abc|FOO 1|~)
6 XINFO GROUPS <g>
6 XINFO CONSUMERS <g> <grp>
1 XINFO (FOO|HELP|STREAM|STREAM <g> FOO|CONSUMERS <g>|GROUPS <g> x)
2 XLEN <g>
2 XRANGE <g> <gfrom> <gto>
1 COPY <g> <g> (REPLACE|~)
1 @DUMP <g>
1 DEL <g>
"""

# `<hyll>` are sound and damaged values. Those whose last run is cut off are left out: Redis writes
# past the end of the string then.
HYPERLOGLOG = """
24 PFADD <p> <el>+
10 PFADD <p> <el> <el> <el> <el> <el> <el> <el> <el> <el> <el> <el> <el> <el> <el> <el> <el>
2 PFADD <p>
14 PFCOUNT <p>
6 PFCOUNT <p> <p>+
8 PFMERGE <p> <p>+
2 PFMERGE <p>
6 PFDEBUG DECODE <p>
3 PFDEBUG (ENCODING|encoding|foo) <p>
2 PFDEBUG TODENSE <p>
1 PFDEBUG GETREG <p>
1 PFDEBUG (DECODE|GETREG) <p> x
8 GET <p>
4 DUMP <p>
2 @DUMP <p>
4 SET <p> <hyll>
2 SETRANGE <p> (8|9|14) <el>
1 SETRANGE <p> (4|5|15) (0|1)
1 APPEND <p> 0
2 COPY <p> <p> (REPLACE|~)
2 EXPIRE <p> 1000
2 DEL <p>
"""

# Scores of these sorted sets are mostly geohashes.
GEO = """
24 GEOADD <o> (NX|XX|~|~|~) (CH|~) (<lon> <lat> <om>)+
4 GEOADD <o> <pole> <om>
1 GEOADD <o> (NX XX|CH CH NX|1|~) <lon> <lat> <om> (<lon>|~|~)
6 GEODIST <o> <om> <om> (m|km|FT|mi|x|~|~)
6 GEOHASH <o> <om>+
6 GEOPOS <o> <om>+
10 GEORADIUS <o> <lon> <lat> <radius> (WITHDIST|~) (WITHCOORD|~) (WITHHASH|~) (COUNT <n>|~) (ANY|~|~|~) (ASC|DESC|~)
3 GEORADIUS_RO <o> <lon> <lat> <radius> (WITHDIST|~) (COUNT <n>|~) (ASC|DESC|~) (STORE <o>|~|~|~)
3 GEORADIUS <o> <lon> <lat> <radius> (COUNT <n>|~) (STORE|STOREDIST) <o> (ASC|WITHDIST|STORE <o>|~|~|~|~)
6 GEORADIUSBYMEMBER <o> <om> <radius> (WITHDIST|~) (WITHHASH|~) (COUNT <n>|~) (ASC|desc|~)
2 GEORADIUSBYMEMBER_RO <o> <om> <radius> (WITHCOORD|~) (COUNT <n> ANY|~)
2 GEORADIUSBYMEMBER <o> <om> <radius> (STORE|STOREDIST) <o>
14 GEOSEARCH <o> <from> <shape> (ASC|DESC|~) (COUNT <n>|~) (ANY|~|~|~) (WITHDIST|~) (WITHCOORD|~) (WITHHASH|~)
4 GEOSEARCH <o> <shape> (WITHDIST|~) <from> (COUNT <n> ANY|~)
1 GEOSEARCH <o> <from> (<from>|<shape>|~) (<shape>|~) (FOO|STORE x|STOREDIST|COUNT|FROMMEMBER|BYBOX 1 1|~)
8 GEOSEARCHSTORE <o> <o> <from> <shape> (ASC|DESC|~) (COUNT <n>|~) (STOREDIST|~) (WITHDIST|~|~|~|~|~)
6 ZRANGE <o> 0 -1 WITHSCORES
3 ZADD <o> <fl> <om>
3 ZREM <o> <om>+
2 @DUMP <o>
2 DEL <o>
"""

CONNECTION = """
6 PING (<v>|~)
6 ECHO <v>
4 SELECT <db>
4 SELECT 0
3 CLIENT SETNAME (abc|~|<v>)
4 CLIENT GETNAME
2 CLIENT SETINFO (LIB-NAME|lib-ver|foo) (abc|1.2.3|<v>)
2 CLIENT NO-EVICT (ON|OFF|foo)
2 CLIENT NO-TOUCH (ON|OFF|foo)
1 CLIENT FOO
1 CLIENT KILL (ID 99999999|TYPE foo|ADDR 1.2.3.4:5|foo|ID abc|USER nosuch|SKIPME maybe)
1 CLIENT UNBLOCK (99999999|abc|-1) (TIMEOUT|ERROR|foo|~)
1 CLIENT REPLY (ON|foo)
1 CLIENT PAUSE (0|abc|-1) (WRITE|ALL|foo|~)
1 CLIENT UNPAUSE
1 CLIENT TRACKINGINFO
1 CLIENT GETREDIR
1 CLIENT LIST (TYPE foo|ID abc|FOO|ID)
1 CLIENT CACHING (YES|NO|foo)
1 CLIENT TRACKING (OFF|foo|ON FOO)
2 AUTH (<v>|default x|nosuch user|a b c|~)
2 HELLO (4|1|abc|@RESP AUTH|@RESP FOO|@RESP SETNAME|@RESP AUTH nosuch x|@RESP SETNAME <v>)
3 SET <s> <v>
3 GET <s>
2 SWAPDB <db> <db>
2 DBSIZE
2 COMMAND GETKEYS (SET a b|GET a|MSET a 1 b 2|LMPOP 2 a b LEFT|ZUNIONSTORE d 2 a b|SORT a BY b STORE c|GET|foo|PING|SINTERCARD 2 a b|COPY a b|ZMPOP 1 a MIN)
2 COMMAND GETKEYSANDFLAGS (SET a b|GET a|SORT a STORE c|DEL a b|MSET a 1 b 2|LMOVE a b LEFT RIGHT|COPY a b)
2 COMMAND INFO (get|set|lmove|hset|zadd|sinter|multi|subscribe|client|config|object|ping|foo|sort|zunionstore|lmpop|expire|copy|spop|client\\|setname|del|blpop|select)
1 COMMAND LIST FILTERBY (ACLCAT hash|PATTERN h*|PATTERN nomatch|FOO x|ACLCAT set|ACLCAT list|PATTERN z*)
1 COMMAND FOO
1 FOO <v>
1 FOO (<v>)+
1 FOO\\r\\nBAR x
1 CONFIG GET (list-max-listpack-size|hash-max-listpack-entries|maxmemory|maxmemory-policy|databases|timeout|appendonly|save|hz|nomatch|zset-max-*|*listpack*|slowlog-log-slower-than)
1 CONFIG SET (hash-max-listpack-entries abc|foo bar|maxmemory-policy foo|databases 3|list-max-listpack-size 1.5|timeout -1|save foo|hz|appendfsync foo|maxmemory 1x)
1 CONFIG FOO
1 LOLWUT VERSION 99 extra
1 READONLY
1 RESET
1 DEBUG FOO
1 SLOWLOG FOO
1 LATENCY FOO
1 MEMORY USAGE
1 OBJECT HELP
1 CLIENT HELP
1 COMMAND HELP
1 CONFIG HELP
1 PUBSUB HELP
1 SLOWLOG HELP
1 LATENCY HELP
1 MEMORY HELP
"""

PUBLISH = """
10 PUBLISH <ch> <v>
3 SPUBLISH <ch> <v>
2 PUBSUB CHANNELS (<chp>|~)
2 PUBSUB NUMSUB (<ch>)+
2 PUBSUB NUMPAT
2 PUBSUB SHARDCHANNELS (<chp>|~)
2 PUBSUB SHARDNUMSUB (<ch>)+
1 PUBSUB FOO
"""

SUBSCRIBE = """
8 SUBSCRIBE <ch>+
8 PSUBSCRIBE <chp>+
5 SSUBSCRIBE <ch>
5 UNSUBSCRIBE (<ch>+|~)
5 PUNSUBSCRIBE (<chp>+|~)
3 SUNSUBSCRIBE (<ch>|~)
3 PING (<v>|~)
2 GET s1
1 RESET
"""

BLOCK = """
6 BLPOP <l> <l> <l> 0
4 BRPOP <l> <l> 0
4 BLMOVE <l> <l> (LEFT|RIGHT) (LEFT|RIGHT) 0
2 BRPOPLPUSH <l> <l> 0
4 BLMPOP 0 2 <l> <l> (LEFT|RIGHT) (COUNT <n>|~)
4 BZPOPMIN <z> <z> 0
3 BZPOPMAX <z> <z> 0
4 BZMPOP 0 2 <z> <z> (MIN|MAX) (COUNT <n>|~)
8 XREAD (COUNT <n>|~) BLOCK 0 STREAMS <x> <x> $ ($|$|0|7)
8 XREADGROUP GROUP (ga|gb) (c1|c2) (COUNT <n>|~) BLOCK 0 (NOACK|~) STREAMS <g> (<new>|<new>|<new>|0)
4 XREADGROUP GROUP ga c1 BLOCK 0 STREAMS <g> <g> <new> <new>
"""

UNBLOCK = """
10 RPUSH <l> <v>+
8 LPUSH <l> <v>+
8 ZADD <z> (<score> <m>)+
3 RENAME <l> <l>
2 RENAME <z> <z>
2 LMOVE <l> <l> LEFT RIGHT
2 SORT <l> ALPHA STORE <l>
2 ZUNIONSTORE <z> 2 <z> <z>
2 ZRANGESTORE <z> <z> 0 -1
2 COPY <l> <l> REPLACE
2 DEL <l>
2 DEL <z>
2 SET <l> x
2 LINSERT <l> BEFORE <v> <v>
1 SWAPDB 0 1
1 MOVE <l> 1
1 FLUSHALL
10 XADD <x> <xnew> <f> <v>
1 XDEL <x> <xid>
1 XTRIM <x> MAXLEN 0
1 DEL <x>
1 SET <x> x
1 RENAME <x> <x>
10 XADD <g> <gnew> <f> <v>
8 XGROUP CREATE <g> (ga|gb) $ MKSTREAM
2 XGROUP DESTROY <g> (ga|gb)
2 XGROUP SETID <g> (ga|gb) 0
1 DEL <g>
1 SET <g> x
1 RENAME <g> <g>
1 COPY <g> <g> REPLACE
1 PEXPIREAT <g> 1
"""


def compile_all(text):
    """Templates and their weights, ready for `random.choices`."""
    templates = [Template(line) for line in text.strip().splitlines()]
    return templates, [t.weight for t in templates]


PLAIN = {
    "string": compile_all(STRING),
    "generic": compile_all(GENERIC),
    "list": compile_all(LIST),
    "hash": compile_all(HASH),
    "set": compile_all(SET),
    "sorted_set": compile_all(SORTED_SET),
    "stream": compile_all(STREAM),
    "stream_groups": compile_all(STREAM_GROUPS),
    "hyperloglog": compile_all(HYPERLOGLOG),
    "geo": compile_all(GEO),
    "connection": compile_all(CONNECTION),
}
# What transactions, notifications and `mixed` draw from.
DATA = [name for name in PLAIN if name != "connection"]
OTHER = {name: compile_all(text) for name, text in
         (("publish", PUBLISH), ("subscribe", SUBSCRIBE), ("block", BLOCK), ("unblock", UNBLOCK))}

# Sessions of several connections; `mixed` is all plain groups together.
SESSIONS = ["transactions", "pubsub", "notify", "blocking", "protocol", "lualib", "scripting", "acl"]
GROUPS = list(PLAIN) + ["mixed"] + SESSIONS

MAY_BLOCK = {b"XREAD", b"XREADGROUP", b"BLPOP", b"BRPOP", b"BLMOVE", b"BRPOPLPUSH", b"BLMPOP", b"BZPOPMIN",
             b"BZPOPMAX", b"BZMPOP", b"WAIT"}


def draw(source, pair):
    """A command of a compiled group."""
    templates, weights = pair
    rng = source.rng
    command = rng.choices(templates, weights)[0].draw(source)
    if rng.random() < 0.04 and not command[0].startswith(b"@"):
        # A command that may block must keep its timeout: only shorten it.
        if command[0] in MAY_BLOCK or (len(command) > 1 and command[1] in (b"PAUSE", b"KILL", b"REPLY")):
            command = command[:-1] or command
        elif not (command[0] == b"ZADD" and command[1].startswith(b"y")):
            # All scores of the lexicographic sets stay 0.
            command = source.mutate(command)
    if command[0] in (b"CLIENT", b"HELLO"):
        # Redis checks names as C strings, up to the first NUL, and then keeps all bytes.
        command = [word.replace(b"\0", b"0") for word in command]
    if command[0] == b"XADD" and command[1:3] != [b"xf", b"NOMKSTREAM"]:
        # The time of day would be the ID.
        command = [b"**" if word == b"*" else word for word in command]
    if command[0] == b"LSET" and len(command) > 2 and len(command[2].strip()) > 9:
        # Redis cuts the index of LSET to 32 bits: what lies beyond is left out.
        command[2] = b"100"
    if rng.random() < 0.03:
        command[0] = command[0].swapcase() if not command[0].startswith(b"@") else command[0]
    return command


def plain_epoch(source, group, count):
    """Items of one epoch on connection 0."""
    rng = source.rng
    names = DATA
    out = []
    for _ in range(count):
        pair = PLAIN[rng.choice(names) if group == "mixed" else group]
        command = draw(source, pair)
        out.append(command)
        if rng.random() < 0.12 and len(command) > 1 and not command[0].startswith(b"@"):
            out.append([b"OBJECT", b"ENCODING", command[1]])
        if rng.random() < 0.02:
            out.append([b"SELECT", b"0"])
    return out


# Replies that depend on chance or on the clock, kept out of transactions.
UNFIT_FOR_MULTI = {b"SPOP", b"SRANDMEMBER", b"HRANDFIELD", b"ZRANDMEMBER", b"RANDOMKEY", b"SELECT",
                   b"SWAPDB", b"FLUSHDB", b"KEYS", b"SCAN", b"MOVE",
                   # Encodings differ between Redis 7.0 and 7.2, and EXEC replies are compared whole.
                   b"OBJECT", b"DUMP"}


def fit_for_multi(command):
    """Whether a command may run inside MULTI in these tests."""
    # Redis 7.0 refuses to queue ZRANK WITHSCORE, and the whole transaction would differ.
    if command[0].upper() in (b"ZRANK", b"ZREVRANK") and len(command) > 3:
        return False
    return not command[0].startswith(b"@") and command[0].upper() not in UNFIT_FOR_MULTI


def transactions_epoch(source, count):
    """MULTI, EXEC, DISCARD and WATCH on two connections."""
    rng = source.rng
    names = DATA

    def command():
        while True:
            drawn = draw(source, PLAIN[rng.choice(names)])
            if fit_for_multi(drawn):
                return drawn
    out = []
    while len(out) < count:
        out.append([b"@c", rng.choice((b"0", b"1"))])
        r = rng.random()
        if r < 0.25:
            out.append([b"WATCH"] + [source.draw_k() for _ in range(rng.randrange(1, 4))])
        elif r < 0.30:
            out.append([b"UNWATCH"])
        elif r < 0.50:
            out.append([b"MULTI"])
        elif r < 0.72:
            out.append([b"EXEC"])
        elif r < 0.76:
            out.append([b"DISCARD"])
        elif r < 0.78:
            out.append(rng.choice(([b"MULTI", b"x"], [b"EXEC", b"x"], [b"WATCH"], [b"DISCARD", b"y"],
                                   [b"NOSUCH", b"a"], [b"GET"], [b"SUBSCRIBE"], [b"RESET"])))
        else:
            for _ in range(rng.randrange(1, 5)):
                out.append(command())
    return out + [[b"@c", b"0"], [b"DISCARD"], [b"@c", b"1"], [b"DISCARD"], [b"@c", b"0"]]


def pubsub_epoch(source, count):
    """Two subscribers (connections 1 and 2) and a publisher."""
    rng = source.rng
    out = []
    while len(out) < count:
        if rng.random() < 0.4:
            sub = rng.choice((b"1", b"2"))
            out.append([b"@sub", sub] + draw(source, OTHER["subscribe"]))
        else:
            out.append([b"@c", b"0"])
            for _ in range(rng.randrange(1, 6)):
                out.append(draw(source, OTHER["publish"]))
        if rng.random() < 0.3:
            out += [[b"@drain", b"1"], [b"@drain", b"2"]]
    return out + [[b"@drain", b"1"], [b"@drain", b"2"]]


def notify_epoch(source, count):
    """All classes of keyspace notifications as one stream, beside data commands."""
    rng = source.rng
    names = DATA
    out = [[b"CONFIG", b"SET", b"notify-keyspace-events", rng.choice((b"KEA", b"KEAmn", b"KEAn", b"Kg$lshzxetd", b"Elz", b"KExg"))],
           [b"@sub", b"1", b"PSUBSCRIBE", b"__key*__:*"], [b"@drain", b"1"]]
    while len(out) < count:
        for _ in range(rng.randrange(1, 12)):
            command = draw(source, PLAIN[rng.choice(names)])
            if fit_for_multi(command):
                out.append(command)
        if rng.random() < 0.08:
            key = source.draw_k()
            out += [[b"PEXPIRE", key, b"4"], [b"@sleep", b"8"], [b"EXISTS", key]]
        out.append([b"@drain", b"1"])
    return out + [[b"CONFIG", b"SET", b"notify-keyspace-events", b""]]


def blocking_epoch(source, count):
    """Three connections that block, in a fixed order, and one that serves them."""
    rng = source.rng
    out = []
    while len(out) < count:
        blocked = []
        for conn in (b"1", b"2", b"3"):
            if rng.random() < 0.7:
                out.append([b"@block", conn] + rng.choices(*OTHER["block"])[0].draw(source))
                blocked.append(conn)
        multi = rng.random() < 0.3
        if multi:
            out.append([b"MULTI"])
        for _ in range(rng.randrange(1, 5)):
            out.append(rng.choices(*OTHER["unblock"])[0].draw(source))
        if multi:
            out.append([b"EXEC"])
        for conn in blocked:
            if rng.random() < 0.15:
                out.append([b"@unblock", conn] + rng.choice(([], [b"TIMEOUT"], [b"ERROR"])))
            out.append([b"@collect", conn])
        out.append([b"@reset"])
        if rng.random() < 0.2:
            out.append([b"FLUSHALL"])
    return out


def protocol_epoch(source, count):
    """Raw bytes on connections of their own: inline commands and protocol errors."""
    rng = source.rng
    fixed = [b"PING\r\n", b"PING\n", b"\r\n\r\nPING\r\n", b"SET s1 \"a b\\x41\\n\"\r\nGET s1\r\n", b"GET 's1'\r\n",
             b"SET s1 \"unbalanced\r\n", b"SET s1 \"a\"b\r\n", b"SET s1 'it\\'s'\r\nGET s1\r\n", b"*0\r\nPING\r\n", b"*-1\r\nPING\r\n", b"*\r\n", b"*abc\r\n",
             b"*1\r\nPING\r\n", b"*1\r\n$4\r\nPING\r\n", b"*2\r\n$4\r\nECHO\r\n$-1\r\n", b"*2\r\n$4\r\nECHO\r\n$abc\r\n",
             b"*2\r\n$4\r\nECHO\r\n$99999999999\r\n", b"*1048577\r\n", b"*2147483648\r\n", b"*99999999999999999999\r\n",
             b"*1\r\n+PING\r\n", b"*1\r\n:1\r\n", b"*2\r\n$4\r\nECHO\r\n$0\r\n\r\n", b"*3\r\n$3\r\nSET\r\n$2\r\ns1\r\n$3\r\nabc\r\nPING\r\n",
             b"*1\r\n$4\r\nPINGxx*1\r\n$4\r\nPING\r\n", b"\x00\r\n", b"PING\x00\r\n", b"  PING   \r\n", b"\tPING\t\r\n", b"QUIT\r\nPING\r\n",
             b"POST / HTTP/1.1\r\nHost: x\r\n\r\n", b"Host: x\r\n", b"GET\r\n", b"set a\r\n", b"*01\r\n$4\r\nPING\r\n", b"*+1\r\n$4\r\nPING\r\n",
             b"*1\r\n$04\r\nPING\r\n", b"*1\r\n$ 4\r\nPING\r\n", b"* 1\r\n$4\r\nPING\r\n", b"x" * 300000, b"*" + b"1" * 300000, b"*1\r\n$" + b"1" * 300000,
             b"*1\r\n$0\r\n\r\n", b"*2\r\n$0\r\n\r\n$1\r\na\r\n", b"$4\r\nPING\r\n", b"+PING\r\n", b"%1\r\n", b"*2\n$4\nPING\n$1\na\n", b"*1\r\n\r\n$4\r\nPING\r\n",
             b"RESET\r\nPING\r\n", b"HELLO 3\r\nPING\r\n", b"HELLO\r\n"[:3] + b"\r\n", b"CLIENT REPLY OFF\r\nPING\r\nCLIENT REPLY ON\r\n",
             b"CLIENT REPLY SKIP\r\nPING\r\nPING x\r\n", b"MULTI\r\nGET\r\nEXEC\r\n", b"MULTI\r\nSET s1 x\r\nGET s1\r\nEXEC\r\n",
             b"*-10\r\nPING\r\n", b"*2\r\n$3\r\nGET\r\n$2\r\ns1\r\n*2\r\n$3\r\nGET\r\n$2\r\ns1\r\n", b"QUIT x\r\n", b"\"PING\"\r\n", b"'' x\r\n", b"\"\"\r\n"]
    out = []
    for _ in range(max(1, count // 20)):
        raw = rng.choice(fixed)
        r = rng.random()
        if r < 0.2:
            raw = raw + rng.choice(fixed)
        elif r < 0.3:
            at = rng.randrange(len(raw))
            raw = raw[:at] + rng.choice((b"\r\n", b"\x00", b"$", b"*", b"9", b"")) + raw[at + 1:]
        # What stays incomplete would only wait: a line end settles most cases.
        out.append([b"@raw", raw])
    return out


def epoch(source, group, count):
    """Items of one epoch of a group."""
    special = {"transactions": transactions_epoch, "pubsub": pubsub_epoch, "notify": notify_epoch,
               "blocking": blocking_epoch, "protocol": protocol_epoch,
               "lualib": lambda source, count: luacorpus.epoch(source.rng, count),
               "scripting": lambda source, count: scripts.epoch(source.rng, count),
               "acl": lambda source, count: users.epoch(source.rng, count)}
    if group in special:
        return special[group](source, count)
    return plain_epoch(source, group, count)
