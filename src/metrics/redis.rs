//! Redis, as its INFO has it, under the names and types of redis_exporter.

use std::fmt;

use super::page::{LabelSet, Page};

/// Databases that are told apart. A client that may SELECT can fill as many as Redis has.
const DATABASES: usize = 100;

#[derive(Debug, Clone, Copy)]
enum Kind {
    Counter,
    Gauge,
    /// 1 where the field has this value.
    Is(&'static str),
}

/// A family: its name, its kind, its field in INFO, what it is.
type Family = (&'static str, Kind, &'static str, &'static str);

#[rustfmt::skip]
const FAMILIES: &[Family] = &[
    ("redis_uptime_in_seconds", Kind::Gauge, "uptime_in_seconds", "Since Redis started."),
    ("redis_connected_clients", Kind::Gauge, "connected_clients", "Clients of Redis: sessions that have a connection."),
    ("redis_blocked_clients", Kind::Gauge, "blocked_clients", "Clients that wait in a blocking command."),
    ("redis_connections_received", Kind::Counter, "total_connections_received", "Connections that Redis has accepted."),
    ("redis_rejected_connections", Kind::Counter, "rejected_connections", "Connections that its maxclients has refused."),
    ("redis_commands_processed", Kind::Counter, "total_commands_processed", "Commands that Redis has executed."),
    ("redis_memory_used_bytes", Kind::Gauge, "used_memory", "Memory that Redis has allocated."),
    ("redis_memory_used_rss_bytes", Kind::Gauge, "used_memory_rss", "Memory of Redis that is in RAM."),
    ("redis_memory_max_bytes", Kind::Gauge, "maxmemory", "Its maxmemory; 0 is no limit."),
    ("redis_mem_fragmentation_ratio", Kind::Gauge, "mem_fragmentation_ratio", "RAM over allocated memory."),
    ("redis_keyspace_hits", Kind::Counter, "keyspace_hits", "Keys that were looked up and there."),
    ("redis_keyspace_misses", Kind::Counter, "keyspace_misses", "Keys that were looked up and not there."),
    ("redis_evicted_keys", Kind::Counter, "evicted_keys", "Keys that maxmemory has cost."),
    ("redis_expired_keys", Kind::Counter, "expired_keys", "Keys whose time was over."),
    ("redis_net_input_bytes", Kind::Counter, "total_net_input_bytes", "Bytes that Redis has read."),
    ("redis_net_output_bytes", Kind::Counter, "total_net_output_bytes", "Bytes that Redis has written."),
    ("redis_connected_slaves", Kind::Gauge, "connected_slaves", "Replicas."),
    ("redis_loading_dump_file", Kind::Gauge, "loading", "1 while Redis loads its data."),
    ("redis_rdb_last_bgsave_status", Kind::Is("ok"), "rdb_last_bgsave_status", "1 if the last BGSAVE succeeded."),
    ("redis_rdb_last_save_timestamp_seconds", Kind::Gauge, "rdb_last_save_time", "When the last one did, since 1970 UTC."),
    ("redis_aof_last_write_status", Kind::Is("ok"), "aof_last_write_status", "1 if the last write to the AOF succeeded."),
];

/// The labels of `redis_instance_info`, and their fields.
const INSTANCE: [(&str, &str); 9] = [
    ("role", "role"),
    ("redis_version", "redis_version"),
    ("redis_build_id", "redis_build_id"),
    ("redis_mode", "redis_mode"),
    ("os", "os"),
    ("maxmemory_policy", "maxmemory_policy"),
    ("tcp_port", "tcp_port"),
    ("run_id", "run_id"),
    ("process_id", "process_id"),
];

/// All families of what INFO says, or that there is none. What it does not say is left out.
pub(super) fn encode(info: Option<&str>, page: &mut Page<'_>) -> fmt::Result {
    page.gauge("redis_up", "1 if Redis answers.", f64::from(u8::from(info.is_some())))?;
    let Some(info) = info else { return Ok(()) };
    let fields = Fields(info);
    let instance = INSTANCE.map(|(label, field)| (label, fields.get(field).unwrap_or_default()));
    page.gauges("redis_instance_info", "What Redis is.", [(instance, 1.0)])?;
    for (name, kind, field, help) in FAMILIES {
        let Some(text) = fields.get(field) else { continue };
        match kind {
            Kind::Is(value) => page.gauge(name, help, f64::from(u8::from(text == *value)))?,
            Kind::Gauge => {
                if let Ok(value) = text.parse() {
                    page.gauge(name, help, value)?;
                }
            }
            Kind::Counter => {
                if let Ok(value) = text.parse() {
                    page.counter(name, help, value)?;
                }
            }
        }
    }
    if let Some(status) = fields.get("master_link_status") {
        let [host, port] = ["master_host", "master_port"].map(|field| (field, fields.get(field).unwrap_or_default()));
        let is_up = f64::from(u8::from(status == "up"));
        page.gauges("redis_master_link_up", "1 if the replica hears its master.", [([host, port], is_up)])?;
    }
    page.gauges("redis_db_keys", "Keys of each database that has any.", fields.databases("keys"))?;
    page.gauges("redis_db_keys_expiring", "Those of them that expire.", fields.databases("expires"))
}

/// A reply to INFO.
#[derive(Clone, Copy)]
struct Fields<'a>(&'a str);

impl<'a> Fields<'a> {
    fn all(self) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.0.lines().filter_map(|line| line.trim_end().split_once(':'))
    }

    fn get(self, name: &str) -> Option<&'a str> {
        self.all().find_map(|(field, value)| (field == name).then_some(value))
    }

    /// One part of `db0:keys=2,expires=1,avg_ttl=0`, of each database.
    fn databases(self, part: &'static str) -> impl Iterator<Item = (LabelSet<'a, 1>, f64)> {
        let is_database =
            |(name, _): &(&str, &str)| name.strip_prefix("db").is_some_and(|number| number.parse::<u32>().is_ok());
        self.all().filter(is_database).take(DATABASES).filter_map(move |(name, parts)| {
            let value = parts.split(',').find_map(|pair| pair.strip_prefix(part)?.strip_prefix('='))?;
            Some(([("db", name)], value.parse().ok()?))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::page::tests::text_of;

    /// Of each of our families, its type at redis_exporter 1.45; `tests/prometheus/run.sh` asks it.
    const EXPORTER: &str = include_str!("redis_exporter.txt");

    const MASTER: &str = "# Server\r\nredis_version:7.0.15\r\nredis_build_id:ae4d\r\nredis_mode:standalone\r\nos:Linux x\r\n\
        process_id:5\r\nrun_id:80488b\r\ntcp_port:6379\r\nuptime_in_seconds:20\r\n\r\n# Clients\r\nconnected_clients:3\r\n\
        blocked_clients:1\r\n\r\n# Memory\r\nused_memory:990672\r\nused_memory_rss:12296192\r\nmaxmemory:0\r\n\
        maxmemory_policy:noeviction\r\nmem_fragmentation_ratio:13.64\r\n\r\n# Persistence\r\nloading:0\r\n\
        rdb_last_bgsave_status:ok\r\nrdb_last_save_time:1796018346\r\naof_last_write_status:err\r\n\r\n# Stats\r\n\
        total_connections_received:7\r\ntotal_commands_processed:8\r\ntotal_net_input_bytes:177\r\n\
        total_net_output_bytes:6669\r\nrejected_connections:2\r\nexpired_keys:4\r\nevicted_keys:6\r\nkeyspace_hits:10\r\n\
        keyspace_misses:11\r\n\r\n# Replication\r\nrole:master\r\nconnected_slaves:1\r\n\r\n# Keyspace\r\n\
        db0:keys=2,expires=1,avg_ttl=987\r\ndb3:keys=5,expires=0,avg_ttl=0\r\n";

    const REPLICA: &str = "master_host:192.0.2.1\r\nmaster_port:6379\r\nmaster_link_status:up\r\n";

    fn text(info: Option<&'static str>) -> String {
        text_of(move |page| encode(info, page))
    }

    #[test]
    fn names_and_types_are_those_of_redis_exporter() {
        let info: &'static str = Box::leak(format!("{MASTER}{REPLICA}").into());
        let text = text(Some(info));
        let types = text.lines().filter_map(|line| line.strip_prefix("# TYPE "));
        let mut types: Vec<String> = types
            .map(|line| match line.strip_suffix(" counter") {
                Some(name) => format!("{name}_total counter"),
                None => line.to_owned(),
            })
            .collect();
        types.sort();
        assert_eq!(types, EXPORTER.lines().collect::<Vec<_>>());
    }

    #[test]
    fn values_are_those_of_info() {
        let text = text(Some(MASTER));
        for series in [
            "redis_up 1.0",
            "redis_memory_used_bytes 990672.0",
            "redis_mem_fragmentation_ratio 13.64",
            "redis_keyspace_hits_total 10",
            "redis_rejected_connections_total 2",
            "redis_rdb_last_bgsave_status 1.0",
            "redis_aof_last_write_status 0.0",
            "redis_db_keys{db=\"db0\"} 2.0",
            "redis_db_keys{db=\"db3\"} 5.0",
            "redis_db_keys_expiring{db=\"db0\"} 1.0",
        ] {
            assert!(text.lines().any(|line| line == series), "{series} in\n{text}");
        }
        assert!(text.contains("redis_instance_info{role=\"master\",redis_version=\"7.0.15\","), "{text}");
        assert!(!text.contains("master_link_up"), "it is no replica");
    }

    #[test]
    fn of_a_redis_that_is_not_there_nothing_is_told_but_that() {
        let series: Vec<String> = text(None).lines().filter(|line| !line.starts_with('#')).map(str::to_owned).collect();
        assert_eq!(series, ["redis_up 0.0"]);
    }

    #[test]
    fn what_it_does_not_say_or_says_otherwise_is_left_out() {
        let text =
            text(Some("used_memory:many\r\nconnected_clients:\r\ndb0:keys=\r\ndbx:keys=1\r\nevicted_keys:-1\r\n"));
        let series = text.lines().filter(|line| !line.starts_with('#'));
        assert!(
            series.into_iter().all(|line| line.starts_with("redis_up") || line.starts_with("redis_instance_info")),
            "{text}"
        );
    }
}
