//! The presets. Commands stand in the order of the alphabet; behind them keys, and behind those channels.

use super::{Lifted, Preset};

/// All presets: applications, then what anybody may need, then operators.
pub const PRESETS: &[Preset] = &[
    Preset {
        name: "celery",
        about: "worker, beat, results and remote control of Celery",
        rules: "+brpop +del +evalsha +exec +exists +expire +get +hdel +hget +hset +llen +lpush +mget +multi \
                +pexpire +ping +psubscribe +publish +punsubscribe +rpush +sadd +script|exists +script|load +set \
                +setex +sismember +smembers +srem +subscribe +time +unsubscribe +unwatch +watch +zadd +zcount \
                +zrange +zrangebyscore +zrem ~{prefix}* &{prefix}* &{prefix}/0.celery.pidbox \
                &{prefix}/0.celeryev/worker.*",
        prefix: Some("{user}:"),
        lifted: Lifted::Scripting,
        notes: &[
            "Set global_keyprefix to \"{prefix}\" in broker_transport_options and in result_backend_transport_options.",
            "In another database than 0 it takes +select, and that number for the 0 in the last two channels.",
        ],
    },
    Preset {
        name: "rq",
        about: "worker and scheduler of rq, and who enqueues, looks, cancels and stops",
        rules: "+blmove +blpop +client|info +client|setname +del +evalsha +exec +exists +expire +get +hexists +hget \
                +hgetall +hincrby +hincrbyfloat +hmget +hset +info +llen +lmove +lpop +lpos +lpush +lrange +lrem \
                +multi +persist +publish +rename +rpush +sadd +scard +script|exists +script|load +set +smembers \
                +srem +subscribe +unsubscribe +unwatch +watch +xadd +xlen +xread +xrevrange +zadd +zcard +zcount \
                +zpopmin +zrange +zrangebyscore +zrem +zremrangebyrank +zremrangebyscore +zscore ~rq:* &rq:*",
        prefix: None,
        lifted: Lifted::Scripting,
        notes: &[],
    },
    Preset {
        name: "dramatiq",
        about: "worker and results of dramatiq",
        rules: "+brpoplpush +del +evalsha +exec +get +hdel +hexists +hget +hlen +hmget +hset +keys +lindex +lpop \
                +lpush +mget +multi +pexpire +rpoplpush +rpush +sadd +scard +script|load +set +srem +unwatch +watch \
                +zadd +zrangebyscore +zrem ~{prefix}:* ~{prefix} ~{prefix}-results:*",
        prefix: Some("dramatiq"),
        lifted: Lifted::Scripting,
        notes: &[
            "RedisBroker(…, namespace=\"{prefix}\"), RedisBackend(…, namespace=\"{prefix}-results\", \
             use_namespace_prefix_keys=True).",
            "+keys, for what a script does after dead workers, shows names of keys of everybody.",
        ],
    },
    Preset {
        name: "huey",
        about: "consumer, results, schedule and locks of huey",
        rules: "+brpop +del +evalsha +exec +exists +get +hdel +hexists +hget +hmget +hset +hsetnx +llen +lpush \
                +lrange +multi +script|load +set +zadd +zrangebyscore +zremrangebyscore ~huey.*",
        prefix: None,
        lifted: Lifted::Scripting,
        notes: &[],
    },
    Preset {
        name: "taskiq",
        about: "worker, results and scheduler of taskiq, over streams or lists",
        rules: "+brpop +del +evalsha +exec +exists +get +getdel +lpush +lrange +lrem +mget +multi +rpush +scan \
                +script|exists +script|load +set +xack +xadd +xautoclaim +xgroup|create +xreadgroup ~{prefix}* \
                ~autoclaim:*",
        prefix: Some("taskiq"),
        lifted: Lifted::Scripting,
        notes: &[
            "RedisStreamBroker(…, queue_name=\"{prefix}\"), RedisAsyncResultBackend(…, prefix_str=\"{prefix}\"), \
             ListRedisScheduleSource(…, prefix=\"{prefix}-schedule\").",
            "+scan shows names of keys of everybody.",
        ],
    },
    Preset {
        name: "bullmq",
        about: "queues, workers and events of BullMQ",
        rules: "+bzpopmin +client|setname +del +eval +evalsha +exec +exists +get +hdel +hexists +hget +hgetall \
                +hincrby +hlen +hmget +hmset +hset +incr +incrby +info +lindex +llen +lpop +lpos +lpush +lrange \
                +lrem +lset +ltrim +multi +persist +pexpire +pexpireat +pttl +rename +rpop +rpoplpush +rpush +sadd \
                +scard +set +sismember +smembers +srem +time +type +unlink +xadd +xdel +xlen +xrange +xread +xtrim \
                +zadd +zcard +zcount +zlexcount +zpopmin +zrange +zrangebylex +zrangebyscore +zrem +zremrangebyrank \
                +zremrangebyscore +zrevrange +zrevrangebyscore +zscore ~{prefix}:*",
        prefix: Some("bull"),
        lifted: Lifted::Scripting,
        notes: &[
            "Every queue and worker has the option prefix: \"{prefix}\".",
            "queue.getWorkers() takes +client|list as well, which shows the connections of everybody.",
        ],
    },
    Preset {
        name: "bull",
        about: "queues of Bull, which was before BullMQ",
        rules: "+@read +@write +@pubsub +@connection +@transaction +@scripting -@dangerous +info ~{prefix}:* \
                &{prefix}:*",
        prefix: Some("bull"),
        lifted: Lifted::Scripting,
        notes: &["Every queue has the option prefix: \"{prefix}\"."],
    },
    Preset {
        name: "sidekiq",
        about: "server of Sidekiq, and who enqueues",
        rules: "+brpop +evalsha +exec +exists +expire +get +hget +hmset +incr +incrby +info +lpush +lrange +multi \
                +ping +rpop +sadd +scard +script|load +srem +sscan +unlink +zadd +zcard +zrangebyscore +zrem \
                ~queue:* ~queues ~retry ~schedule ~dead ~processes ~stat:* \
                ~*:[0-9]*:[0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f]\
                [0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f]*",
        prefix: None,
        lifted: Lifted::Scripting,
        notes: &[
            "The last pattern is that of the heartbeat: host name, number of the process, 12 digits.",
            "The keys that the jobs themselves use come on top.",
        ],
    },
    Preset {
        name: "arq",
        about: "worker and results of arq",
        rules: "+dbsize +del +exec +exists +expire +get +incrby +info +multi +ping +psetex +set +watch +zadd +zcard \
                +zrange +zrangebyscore +zrem +zscore ~arq:*",
        prefix: None,
        lifted: Lifted::Nothing,
        notes: &[],
    },
    Preset {
        name: "channels",
        about: "layers core and pubsub of channels_redis",
        rules: "+bzpopmin +del +eval +exec +expire +multi +publish +subscribe +unsubscribe +zadd +zcount +zpopmin \
                +zrange +zrem +zremrangebyscore ~{prefix}* &{prefix}*",
        prefix: Some("asgi"),
        lifted: Lifted::Scripting,
        notes: &["Each layer has the option prefix=\"{prefix}\"."],
    },
    Preset {
        name: "socket.io",
        about: "Redis adapter of Socket.IO",
        rules: "+info +psubscribe +publish +pubsub|numsub +punsubscribe +subscribe +unsubscribe &{prefix}#/#* \
                &{prefix}-request#/#* &{prefix}-response#/#*",
        prefix: Some("socket.io"),
        lifted: Lifted::Nothing,
        notes: &[
            "createAdapter(…, { key: \"{prefix}\" }).",
            "Another namespace than / takes three channels of its own, as &{prefix}#/NAME#*.",
        ],
    },
    Preset {
        name: "django-cache",
        about: "cache of Django, and sessions in it",
        rules: "+del +exec +exists +expire +get +incrby +mget +mset +multi +persist +set ~{prefix}:*",
        prefix: Some("{user}"),
        lifted: Lifted::Nothing,
        notes: &[
            "Set KEY_PREFIX to \"{prefix}\".",
            "cache.clear() is FLUSHDB, which deletes the keys of everybody and stays refused.",
        ],
    },
    Preset {
        name: "redis-py-lock",
        about: "locks of redis-py",
        rules: "+del +evalsha +get +pexpire +pttl +script|load +set ~{prefix}*",
        prefix: Some("lock:"),
        lifted: Lifted::Scripting,
        notes: &["The names of the locks begin with \"{prefix}\"."],
    },
    Preset {
        name: "python-redis-lock",
        about: "locks of python-redis-lock",
        rules: "+blpop +del +evalsha +expire +get +lpush +pexpire +script|load +set +ttl ~lock:* ~lock-signal:*",
        prefix: None,
        lifted: Lifted::Scripting,
        notes: &["reset_all() takes +keys as well, which shows names of keys of everybody."],
    },
    Preset {
        name: "app",
        about: "any application: all data commands on its own keys and channels",
        rules: "+@read +@write +@pubsub +@connection +@transaction -@dangerous +info ~{prefix}* &{prefix}*",
        prefix: Some("{user}:"),
        lifted: Lifted::Nothing,
        notes: &[],
    },
    Preset {
        name: "cache",
        about: "a cache: values that may end, and counters",
        rules: "+decr +decrby +del +exec +exists +expire +get +getdel +getex +getset +incr +incrby +incrbyfloat \
                +mget +mset +multi +persist +pexpire +ping +psetex +pttl +set +setex +setnx +ttl +unlink ~{prefix}*",
        prefix: Some("{user}:"),
        lifted: Lifted::Nothing,
        notes: &[
            "Its keys begin with \"{prefix}\".",
            "KEYS, SCAN and FLUSHDB, by which some empty a cache, concern the keys of everybody: they are not in it.",
        ],
    },
    Preset {
        name: "session",
        about: "sessions of a web application, a value each",
        rules: "+del +exists +expire +get +getex +mget +pexpire +ping +psetex +set +setex +ttl +unlink ~{prefix}*",
        prefix: Some("sess:"),
        lifted: Lifted::Nothing,
        notes: &["Its keys begin with \"{prefix}\": sess: is connect-redis's own, session: that of Flask-Session."],
    },
    Preset {
        name: "readonly",
        about: "whoever reads and changes nothing",
        rules: "+@read +@connection -@dangerous +info %R~{prefix}*",
        prefix: Some(""),
        lifted: Lifted::Nothing,
        notes: &["SCAN, RANDOMKEY and DBSIZE tell of all keys, whatever the prefix."],
    },
    Preset {
        name: "exporter",
        about: "prometheus-redis-exporter",
        rules: "+client|setname +info +latency|latest +slowlog|len",
        prefix: None,
        lifted: Lifted::Nothing,
        notes: &[
            "Start it with -config-command -, as CONFIG is blocked.",
            "+slowlog|get would add two metrics, and show it arguments of the commands of others.",
        ],
    },
    Preset {
        name: "replica",
        about: "a replica of this Redis: it gets all keys",
        rules: "+ping +psync +replconf +sync",
        prefix: None,
        lifted: Lifted::Everything,
        notes: &["In its redis.conf: tls-replication yes, tls-ca-cert-file, tls-cert-file and tls-key-file."],
    },
    Preset {
        name: "sentinel",
        about: "Redis Sentinel: makes this Redis a replica or a master",
        rules: "+client|kill +client|setname +config|rewrite +exec +info +multi +ping +publish +replicaof +role \
                +script|kill +slaveof +subscribe &__sentinel__:hello",
        prefix: None,
        lifted: Lifted::Everything,
        notes: &[
            "In its sentinel.conf: tls-replication yes, tls-ca-cert-file, tls-cert-file and tls-key-file.",
            "Each Redis names the listener of its respgate as replica-announce-ip and replica-announce-port.",
        ],
    },
    Preset {
        name: "sentinel-client",
        about: "whoever asks a Sentinel for the master, through the respgate of that Sentinel",
        rules: "+client|setname +info +ping +psubscribe +punsubscribe +role +sentinel|ckquorum \
                +sentinel|get-master-addr-by-name +sentinel|master +sentinel|masters +sentinel|myid \
                +sentinel|replicas +sentinel|sentinels +sentinel|slaves +subscribe +unsubscribe &*",
        prefix: None,
        lifted: Lifted::Nothing,
        notes: &["The respgate in front of a Sentinel has that Sentinel's socket or port as its upstream."],
    },
    Preset {
        name: "sentinel-node",
        about: "another Sentinel, through the respgate of a Sentinel",
        rules: "+client|setname +ping +publish +sentinel|is-master-down-by-addr &__sentinel__:hello",
        prefix: None,
        lifted: Lifted::Everything,
        notes: &[
            "In each sentinel.conf: tls-replication yes, and sentinel announce-ip and announce-port of its respgate.",
            "What it needs of Redis is the preset sentinel.",
        ],
    },
    Preset {
        name: "admin",
        about: "an operator: everything, past the blocklist",
        rules: "+@all ~* &*",
        prefix: None,
        lifted: Lifted::Everything,
        notes: &[],
    },
];
