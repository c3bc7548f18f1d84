//! What Redis 7.2.4 answers to scripts that use `bit`. `SHA` stands for the script's hash.

pub(super) const REPLIES: &[(&str, &[u8])] = &[
    ("return {bit.tobit(2^32+5), bit.tobit(-1), bit.tobit('0x7f'), bit.tobit(1.5), bit.tobit(2.5), bit.tobit(1e300)}", b"*6\r\n:5\r\n:-1\r\n:127\r\n:2\r\n:2\r\n:-2013235812\r\n"),
    ("return {bit.bnot(0), bit.band(7,3,-1), bit.bor(1,2,4), bit.bxor(5,3), bit.bswap(0x12345678)}", b"*5\r\n:-1\r\n:3\r\n:7\r\n:6\r\n:2018915346\r\n"),
    ("return {bit.lshift(1,31), bit.lshift(1,33), bit.rshift(-1,28), bit.arshift(-256,4), bit.rol(0x12345678,8), bit.ror(0x12345678,8), bit.rol(5,0)}", b"*7\r\n:-2147483648\r\n:2\r\n:15\r\n:-16\r\n:878082066\r\n:2014458966\r\n:5\r\n"),
    ("return {bit.tohex(-1), bit.tohex(255,4), bit.tohex(65535,-4), bit.tohex(1,0), bit.tohex(1,100), bit.tohex(0xabcdef12,-9)}", b"*6\r\n$8\r\nffffffff\r\n$4\r\n00ff\r\n$4\r\nFFFF\r\n$0\r\n\r\n$8\r\n00000001\r\n$8\r\nABCDEF12\r\n"),
    ("return bit.band(1,'x',{})", b"-ERR user_script:1: bad argument #3 to 'band' (number expected, got table) script: SHA, on @user_script:1.\r\n"),
    ("return bit.tohex(1,nil)", b"-ERR user_script:1: bad argument #2 to 'tohex' (number expected, got nil) script: SHA, on @user_script:1.\r\n"),
    ("return bit.tobit()", b"-ERR user_script:1: bad argument #1 to 'tobit' (number expected, got no value) script: SHA, on @user_script:1.\r\n"),
    ("return {pcall(bit.bnot,{})}", b"*2\r\n$-1\r\n$51\r\nbad argument #1 to '?' (number expected, got table)\r\n"),
    ("local f = bit.bor\nreturn f(cjson.null)", b"-ERR user_script:2: bad argument #1 to 'f' (number expected, got userdata) script: SHA, on @user_script:2.\r\n"),
    ("return bit:tobit(1)", b"-ERR user_script:1: calling 'tobit' on bad self (number expected, got table) script: SHA, on @user_script:1.\r\n"),
    ("bit.band = 1", b"-ERR user_script:1: Attempt to modify a readonly table script: SHA, on @user_script:1.\r\n"),
];
