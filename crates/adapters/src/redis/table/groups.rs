//! Every command of Redis 7, with what came later and is common: what it is, and whether it is allowed by default.

use super::{Class, Group, Key, Waits};

const READS: Group = Group { names: &[], reads: true, key: Key::At(1), class: Class::Open, waits: Waits::Never };
const WRITES: Group = Group { reads: false, ..READS };
const KEYLESS: Group = Group { key: Key::None, ..READS };
const CLOSED: Group = Group { reads: false, key: Key::None, class: Class::Closed, ..READS };
const BOUND: Group = Group { reads: false, key: Key::None, ..READS };

const TRANSACTION: &str = "Send the commands of a transaction together: `cache/multi-exec`.";
const CONNECTION: &str = "Connections are shared; what changes one of them would change it for others.";
const LISTENING: &str = "Messages that nobody asked for have no place in an answer.";
const REPLICATION: &str = "It is spoken between servers.";

pub(super) const GROUPS: &[Group] = &[
    Group {
        names: &[
            "BITCOUNT", "BITFIELD_RO", "BITPOS", "DUMP", "EXISTS", "EXPIRETIME", "GEODIST", "GEOHASH", "GEOPOS",
            "GEORADIUSBYMEMBER_RO", "GEORADIUS_RO", "GEOSEARCH", "GET", "GETBIT", "GETRANGE", "HEXISTS", "HGET",
            "HGETALL", "HKEYS", "HLEN", "HMGET", "HRANDFIELD", "HSCAN", "HSTRLEN", "HVALS", "LCS", "LINDEX", "LLEN",
            "LPOS", "LRANGE", "MGET", "PEXPIRETIME", "PFCOUNT", "PTTL", "SCARD", "SDIFF", "SINTER", "SISMEMBER",
            "SMEMBERS", "SMISMEMBER", "SORT_RO", "SRANDMEMBER", "SSCAN", "STRLEN", "SUBSTR", "SUNION", "TOUCH", "TTL",
            "TYPE", "XLEN", "XPENDING", "XRANGE", "XREVRANGE", "ZCARD", "ZCOUNT", "ZLEXCOUNT", "ZMSCORE",
            "ZRANDMEMBER", "ZRANGE", "ZRANGEBYLEX", "ZRANGEBYSCORE", "ZRANK", "ZREVRANGE", "ZREVRANGEBYLEX",
            "ZREVRANGEBYSCORE", "ZREVRANK", "ZSCAN", "ZSCORE",
            // Of 7.4 and 8.
            "HEXPIRETIME", "HPEXPIRETIME", "HPTTL", "HTTL", "VCARD", "VDIM", "VEMB", "VGETATTR", "VINFO", "VLINKS",
            "VRANDMEMBER", "VSIM",
            // Of documents, where the server has them.
            "JSON.ARRINDEX", "JSON.ARRLEN", "JSON.GET", "JSON.MGET", "JSON.OBJKEYS", "JSON.OBJLEN", "JSON.RESP",
            "JSON.STRLEN", "JSON.TYPE",
        ],
        ..READS
    },
    Group {
        names: &[
            "MEMORY USAGE", "OBJECT ENCODING", "OBJECT FREQ", "OBJECT IDLETIME", "OBJECT REFCOUNT",
            "XINFO CONSUMERS", "XINFO GROUPS", "XINFO STREAM",
        ],
        key: Key::At(2),
        ..READS
    },
    Group { names: &["SINTERCARD", "ZDIFF", "ZINTER", "ZINTERCARD", "ZUNION"], key: Key::Counted(1), ..READS },
    Group { names: &["EVALSHA_RO", "EVAL_RO", "FCALL_RO"], key: Key::Counted(2), ..READS },
    Group { names: &["XREAD"], key: Key::Streams, waits: Waits::Block, ..READS },
    Group {
        names: &[
            "CLUSTER COUNTKEYSINSLOT", "CLUSTER GETKEYSINSLOT", "CLUSTER HELP", "CLUSTER INFO", "CLUSTER KEYSLOT",
            "CLUSTER LINKS", "CLUSTER MYID", "CLUSTER NODES", "CLUSTER REPLICAS", "CLUSTER SHARDS",
            "CLUSTER SLAVES", "CLUSTER SLOTS", "COMMAND", "COMMAND COUNT", "COMMAND DOCS", "COMMAND GETKEYS",
            "COMMAND GETKEYSANDFLAGS", "COMMAND HELP", "COMMAND INFO", "COMMAND LIST", "DBSIZE", "ECHO",
            "FUNCTION DUMP", "FUNCTION HELP", "FUNCTION LIST", "FUNCTION STATS", "INFO", "KEYS", "LASTSAVE",
            "LOLWUT", "MEMORY DOCTOR", "MEMORY HELP", "MEMORY STATS", "OBJECT HELP", "PING", "PUBSUB CHANNELS",
            "PUBSUB HELP", "PUBSUB NUMPAT", "PUBSUB NUMSUB", "PUBSUB SHARDCHANNELS", "PUBSUB SHARDNUMSUB",
            "RANDOMKEY", "ROLE", "SCAN", "SCRIPT EXISTS", "SCRIPT HELP", "TIME", "XGROUP HELP", "XINFO HELP",
        ],
        ..KEYLESS
    },
    Group {
        names: &[
            "APPEND", "BITFIELD", "COPY", "DECR", "DECRBY", "DEL", "EXPIRE", "EXPIREAT", "GEOADD", "GEORADIUS",
            "GEORADIUSBYMEMBER", "GEOSEARCHSTORE", "GETDEL", "GETEX", "GETSET", "HDEL", "HINCRBY", "HINCRBYFLOAT",
            "HMSET", "HSET", "HSETNX", "INCR", "INCRBY", "INCRBYFLOAT", "LINSERT", "LMOVE", "LPOP", "LPUSH",
            "LPUSHX", "LREM", "LSET", "LTRIM", "MOVE", "MSET", "MSETNX", "PERSIST", "PEXPIRE", "PEXPIREAT", "PFADD",
            "PFMERGE", "PSETEX", "RENAME", "RENAMENX", "RPOP", "RPOPLPUSH", "RPUSH", "RPUSHX", "SADD",
            "SDIFFSTORE", "SET", "SETBIT", "SETEX", "SETNX", "SETRANGE", "SINTERSTORE", "SMOVE", "SORT", "SPOP",
            "SPUBLISH", "SREM", "SUNIONSTORE", "UNLINK", "XACK", "XADD", "XAUTOCLAIM", "XCLAIM", "XDEL", "XSETID",
            "XTRIM", "ZADD", "ZDIFFSTORE", "ZINCRBY", "ZINTERSTORE", "ZPOPMAX", "ZPOPMIN", "ZRANGESTORE", "ZREM",
            "ZREMRANGEBYLEX", "ZREMRANGEBYRANK", "ZREMRANGEBYSCORE", "ZUNIONSTORE",
            // Of 7.4 and 8.
            "HEXPIRE", "HEXPIREAT", "HGETDEL", "HGETEX", "HPERSIST", "HPEXPIRE", "HPEXPIREAT", "HSETEX", "VADD",
            "VREM", "VSETATTR",
            // Of documents, where the server has them.
            "JSON.ARRAPPEND", "JSON.ARRINSERT", "JSON.ARRPOP", "JSON.ARRTRIM", "JSON.CLEAR", "JSON.DEL",
            "JSON.FORGET", "JSON.MERGE", "JSON.MSET", "JSON.NUMINCRBY", "JSON.NUMMULTBY", "JSON.SET",
            "JSON.STRAPPEND", "JSON.TOGGLE",
        ],
        ..WRITES
    },
    Group {
        names: &[
            "BITOP", "XGROUP CREATE", "XGROUP CREATECONSUMER", "XGROUP DELCONSUMER", "XGROUP DESTROY",
            "XGROUP SETID",
        ],
        key: Key::At(2),
        ..WRITES
    },
    Group { names: &["LMPOP", "ZMPOP"], key: Key::Counted(1), ..WRITES },
    Group { names: &["EVAL", "EVALSHA", "FCALL"], key: Key::Counted(2), ..WRITES },
    Group {
        names: &["FUNCTION DELETE", "FUNCTION LOAD", "PUBLISH", "SCRIPT LOAD"],
        key: Key::None,
        ..WRITES
    },
    Group {
        names: &["BLMOVE", "BLPOP", "BRPOP", "BRPOPLPUSH", "BZPOPMAX", "BZPOPMIN"],
        waits: Waits::LastSeconds,
        ..WRITES
    },
    Group { names: &["BLMPOP", "BZMPOP"], key: Key::Counted(2), waits: Waits::Seconds(1), ..WRITES },
    Group { names: &["XREADGROUP"], key: Key::Streams, waits: Waits::Block, ..WRITES },
    Group { names: &["WAIT"], waits: Waits::Millis(2), ..KEYLESS },
    Group { names: &["WAITAOF"], waits: Waits::Millis(3), ..KEYLESS },
    Group {
        names: &[
            "ACL CAT", "ACL DELUSER", "ACL DRYRUN", "ACL GENPASS", "ACL GETUSER", "ACL HELP", "ACL LIST",
            "ACL LOAD", "ACL LOG", "ACL SAVE", "ACL SETUSER", "ACL USERS", "ACL WHOAMI", "BGREWRITEAOF", "BGSAVE",
            "CLIENT HELP", "CLIENT KILL", "CLIENT LIST", "CLIENT PAUSE", "CLIENT UNBLOCK", "CLIENT UNPAUSE",
            "CLUSTER ADDSLOTS", "CLUSTER ADDSLOTSRANGE", "CLUSTER BUMPEPOCH", "CLUSTER COUNT-FAILURE-REPORTS",
            "CLUSTER DELSLOTS", "CLUSTER DELSLOTSRANGE", "CLUSTER FAILOVER", "CLUSTER FLUSHSLOTS",
            "CLUSTER FORGET", "CLUSTER MEET", "CLUSTER REPLICATE", "CLUSTER RESET", "CLUSTER SAVECONFIG",
            "CLUSTER SET-CONFIG-EPOCH", "CLUSTER SETSLOT", "CONFIG GET", "CONFIG HELP", "CONFIG RESETSTAT",
            "CONFIG REWRITE", "CONFIG SET", "DEBUG", "FAILOVER", "FLUSHALL", "FLUSHDB", "FUNCTION FLUSH",
            "FUNCTION KILL", "FUNCTION RESTORE", "LATENCY DOCTOR", "LATENCY GRAPH", "LATENCY HELP",
            "LATENCY HISTOGRAM", "LATENCY HISTORY", "LATENCY LATEST", "LATENCY RESET", "MEMORY MALLOC-STATS",
            "MEMORY PURGE", "MODULE HELP", "MODULE LIST", "MODULE LOAD", "MODULE LOADEX", "MODULE UNLOAD",
            "PFDEBUG", "PFSELFTEST", "REPLICAOF", "SAVE", "SCRIPT FLUSH", "SCRIPT KILL", "SHUTDOWN", "SLAVEOF",
            "SLOWLOG GET", "SLOWLOG HELP", "SLOWLOG LEN", "SLOWLOG RESET", "SWAPDB",
        ],
        ..CLOSED
    },
    // Bytes that a server believes, and keys that leave it.
    Group { names: &["RESTORE"], key: Key::At(1), ..CLOSED },
    Group { names: &["MIGRATE"], key: Key::At(3), ..CLOSED },
    Group {
        names: &["DISCARD", "EXEC", "MULTI", "UNWATCH", "WATCH"],
        class: Class::Bound(TRANSACTION),
        ..BOUND
    },
    Group {
        names: &[
            "ASKING", "AUTH", "CLIENT CACHING", "CLIENT GETNAME", "CLIENT GETREDIR", "CLIENT ID", "CLIENT INFO",
            "CLIENT NO-EVICT", "CLIENT NO-TOUCH", "CLIENT REPLY", "CLIENT SETINFO", "CLIENT SETNAME",
            "CLIENT TRACKING", "CLIENT TRACKINGINFO", "HELLO", "QUIT", "READONLY", "READWRITE", "RESET",
            "SCRIPT DEBUG", "SELECT",
        ],
        class: Class::Bound(CONNECTION),
        ..BOUND
    },
    Group {
        names: &[
            "MONITOR", "PSUBSCRIBE", "PUNSUBSCRIBE", "SSUBSCRIBE", "SUBSCRIBE", "SUNSUBSCRIBE", "UNSUBSCRIBE",
        ],
        class: Class::Bound(LISTENING),
        ..BOUND
    },
    Group {
        names: &["PSYNC", "REPLCONF", "RESTORE-ASKING", "SYNC"],
        class: Class::Bound(REPLICATION),
        ..BOUND
    },
];
