//! What is refused unless `[block] commands` says otherwise, with the reason for each entry; and what of `@dangerous`
//! is left open, with the reason for that. `docs/blocklist.md` holds the same two tables for people.

/// A command and why it is on its list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlocklistEntry {
    /// Full name in lower case, `container|subcommand`, or `@category`. Some exist only in newer servers.
    pub name: &'static str,
    /// What it does.
    pub reason: &'static str,
}

/// Refused by default, whoever the user is.
pub const DEFAULT_BLOCKLIST: &[BlocklistEntry] = &[
    entry("flushall", "deletes every key of every database"),
    entry("flushdb", "deletes every key of a database"),
    entry(
        "config",
        "writes files anywhere Redis may, loads modules by a restart, turns protection off; reads passwords",
    ),
    entry("shutdown", "ends Redis for everybody"),
    entry("debug", "crashes, blocks or inspects the server"),
    entry("module", "loads machine code into the server"),
    entry("replicaof", "makes the server a copy of another, deleting its data, or feeds it a forged stream"),
    entry("slaveof", "the old name of replicaof"),
    entry("failover", "hands the role of the primary to another server"),
    entry("migrate", "connects from the server to any address and sends data there; the way to reach inner networks"),
    entry("restore", "feeds a serialized value to a parser with a history of memory errors"),
    entry("restore-asking", "restore under another name"),
    entry("sync", "streams the whole data set"),
    entry("psync", "streams the whole data set"),
    entry("replconf", "is a replica's part of the replication protocol"),
    entry("monitor", "shows every command of every client, values and keys included"),
    entry("swapdb", "exchanges databases under the feet of their users"),
    entry("save", "blocks the server until the data set is on disk"),
    entry("bgsave", "forks the server and writes its whole memory to disk"),
    entry("bgrewriteaof", "forks the server and writes its whole memory to disk"),
    entry("pfdebug", "inspects and changes the inside of a HyperLogLog"),
    entry("client|kill", "ends the sessions of others"),
    entry("client|pause", "stops every client"),
    entry("client|unpause", "ends the pause an operator has asked for"),
    entry("acl|setuser", "changes who may do what"),
    entry("acl|deluser", "changes who may do what"),
    entry("acl|load", "changes who may do what"),
    entry("acl|save", "overwrites the file of users"),
    entry("cluster|addslots", "changes which server owns which keys"),
    entry("cluster|addslotsrange", "changes which server owns which keys"),
    entry("cluster|bumpepoch", "changes the configuration epoch"),
    entry("cluster|cancelslotmigrations", "stops an operator's migration of slots"),
    entry("cluster|delslots", "changes which server owns which keys"),
    entry("cluster|delslotsrange", "changes which server owns which keys"),
    entry("cluster|failover", "changes which server is the primary"),
    entry("cluster|flushslot", "deletes every key of a slot"),
    entry("cluster|flushslots", "changes which server owns which keys"),
    entry("cluster|forget", "removes a server from the cluster"),
    entry("cluster|meet", "connects the server to any address and makes it part of another cluster"),
    entry("cluster|migrateslots", "moves slots and their data to another server"),
    entry("cluster|replicate", "makes the server a copy of another, deleting its data"),
    entry("cluster|reset", "forgets the cluster, and on a replica the data"),
    entry("cluster|saveconfig", "writes the cluster's configuration to disk"),
    entry("cluster|set-config-epoch", "changes the configuration epoch"),
    entry("cluster|setslot", "changes which server owns which keys"),
    entry("cluster|syncslots", "streams the data of slots"),
    entry("@scripting", "scripts run inside Redis and keep it from everybody else while they do"),
    entry(
        "graph.password",
        "of FalkorDB: changes the passwords of whoever asks, which is the proxy's own user at Redis",
    ),
    entry("graph.acl", "of FalkorDB: changes and shows Redis's own users, as its administrator"),
    entry("graph.config", "of FalkorDB: changes its settings while it runs"),
    entry("graph.udf", "of FalkorDB: loads and removes code that queries of everybody run"),
    entry("graph.bulk", "of FalkorDB: feeds packed nodes to a parser that ends the server where they are cut or wrong"),
    entry("graph.effect", "of FalkorDB: what primaries say to replicas; ends the server where it cannot be read"),
    entry("graph.restore", "of FalkorDB: feeds a serialized graph to a parser that ends the server where it is wrong"),
    entry("graph.debug", "of FalkorDB: what a forked copy says to the server; changes what it waits for"),
    entry("ft.config", "of RediSearch: changes its settings while it runs"),
    entry("_ft.config", "of RediSearch: ft.config under its other name"),
    entry("ft.debug", "of RediSearch: inspects every index, and stops what works on them"),
    entry("_ft.debug", "of RediSearch: ft.debug under its other name"),
    entry("bf.loadchunk", "of RedisBloom: feeds a serialized filter to a parser with a history of memory errors"),
    entry("cf.loadchunk", "of RedisBloom: feeds a serialized filter to a parser with a history of memory errors"),
    entry("rg.pyexecute", "of RedisGears: runs any Python inside Redis"),
    entry("rg.jexecute", "of RedisGears: runs any Java inside Redis"),
    entry("tfunction", "of RedisGears: loads and removes code that Redis runs, also unasked"),
    entry("tfcall", "of RedisGears: runs such code, with the rights of the proxy's own user at Redis"),
    entry("tfcallasync", "of RedisGears: runs such code, with the rights of the proxy's own user at Redis"),
    entry("ai.config", "of RedisAI: loads machine code into the server"),
    entry("ai.scriptset", "of RedisAI: stores scripts, which may call any command"),
    entry("ai.scriptstore", "of RedisAI: stores scripts, which may call any command"),
    entry("search.clusterset", "of RediSearch: has the server connect to any address, as to others of its cluster"),
    entry(
        "timeseries.clusterset",
        "of RedisTimeSeries: has the server connect to any address, as to others of its cluster",
    ),
    entry("keydb.cron", "of KeyDB: has scripts run later, with nobody's rights in particular"),
    entry("keydb.mvccrestore", "of KeyDB: feeds a serialized value to the same parser as restore"),
    entry("cluster|migration", "of Redis 8: moves slots and their data from another server"),
    entry("trimslots", "of Redis 8: deletes every key of ranges of slots"),
    entry("sentinel|set", "of Sentinel: changes what it watches and which script it runs when something happens"),
    entry("sentinel|monitor", "of Sentinel: has it watch a server at any address, and reconfigure that"),
    entry("sentinel|remove", "of Sentinel: has it watch a server no more"),
    entry("sentinel|reset", "of Sentinel: forgets replicas and other sentinels"),
    entry("sentinel|failover", "of Sentinel: hands the role of the primary to another server"),
    entry("sentinel|flushconfig", "of Sentinel: writes its configuration to disk"),
    entry("sentinel|config", "of Sentinel: changes its settings, and shows its password"),
    entry("sentinel|debug", "of Sentinel: changes its times"),
    entry("sentinel|simulate-failure", "of Sentinel: ends it in the middle of a failover"),
    entry(
        "sentinel|is-master-down-by-addr",
        "of Sentinel: asks for its vote; and, at a Sentinel, PUBLISH, which tells it where the primary is",
    ),
];

/// In Redis's category `@dangerous` and yet not refused by default; users still need an ACL that allows them.
pub const LEFT_OPEN: &[BlocklistEntry] = &[
    entry("acl|dryrun", "answered by the proxy and allowed by the ACL alone; changes nothing"),
    entry(
        "acl|getuser",
        "answered by the proxy and allowed by the ACL alone; shows hashes, so grant it to administrators",
    ),
    entry(
        "acl|list",
        "answered by the proxy and allowed by the ACL alone; shows hashes, so grant it to administrators",
    ),
    entry("acl|log", "answered by the proxy and allowed by the ACL alone"),
    entry("acl|users", "answered by the proxy and allowed by the ACL alone"),
    entry("client|list", "read only; monitoring needs it"),
    entry("client|no-evict", "concerns the caller's own connection"),
    entry("client|unblock", "connection pools use it to wake their own consumers"),
    entry("cluster|count-failure-reports", "read only"),
    entry("cluster|replicas", "read only; cluster clients need it"),
    entry("cluster|slaves", "read only; cluster clients need it"),
    entry("info", "read only; monitoring needs it"),
    entry("keys", "slow, but reads nothing that scan does not read; take it away by ACL where the data set is large"),
    entry("lastsave", "read only"),
    entry("latency|doctor", "read only"),
    entry("latency|graph", "read only"),
    entry("latency|histogram", "read only"),
    entry("latency|history", "read only"),
    entry("latency|latest", "read only"),
    entry("latency|reset", "forgets samples, no data"),
    entry("pfselftest", "tests the server's own code and touches no data"),
    entry("role", "read only; monitoring needs it"),
    entry("slowlog|get", "read only; shows arguments of others' commands, so grant it to administrators"),
    entry("slowlog|len", "read only"),
    entry("slowlog|reset", "forgets samples, no data"),
    entry("sort", "a data command; what it reads by BY and GET is judged by the ACL"),
    entry("sort_ro", "a data command; what it reads by BY and GET is judged by the ACL"),
    entry("commandlog|get", "read only; shows arguments of others' commands, so grant it to administrators"),
    entry("commandlog|len", "read only"),
    entry("commandlog|reset", "forgets samples, no data"),
    entry("cluster|getslotmigrations", "read only"),
];

const fn entry(name: &'static str, reason: &'static str) -> BlocklistEntry {
    BlocklistEntry { name, reason }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// The rows of the table under a heading of the document: name and reason.
    fn table(heading: &str) -> Vec<(String, String)> {
        let document = include_str!("../../docs/blocklist.md");
        let section = document.split("\n## ").find(|section| section.starts_with(heading)).unwrap();
        let rows = section.lines().filter_map(|line| line.strip_prefix("| `")?.strip_suffix(" |"));
        rows.map(|row| row.split_once("` | ").unwrap()).map(|(name, why)| (name.to_owned(), why.to_owned())).collect()
    }

    fn listed(entries: &[BlocklistEntry]) -> Vec<(String, String)> {
        let markdown = |name: &str| name.replace('|', "\\|");
        entries.iter().map(|entry| (markdown(entry.name), entry.reason.to_owned())).collect()
    }

    #[test]
    fn the_document_lists_what_is_blocked_and_why() {
        assert_eq!(table("Blocked by default"), listed(DEFAULT_BLOCKLIST));
    }

    #[test]
    fn the_document_lists_what_is_left_open_and_why() {
        assert_eq!(table("Left open"), listed(LEFT_OPEN));
    }

    #[test]
    fn no_command_is_listed_twice() {
        let mut seen = BTreeSet::new();
        for entry in DEFAULT_BLOCKLIST.iter().chain(LEFT_OPEN) {
            assert!(seen.insert(entry.name), "{}", entry.name);
            assert_eq!(entry.name, entry.name.to_ascii_lowercase());
        }
    }
}
