//! LOG.

use std::time::SystemTime;

use crate::acl::{AclLog, LogEntry};
use crate::command::Dialect;
use crate::resp::Reply;

/// `ACL LOG count`: the latest refusals, in the fields of the dialect's server.
pub fn describe_log(log: &AclLog, count: usize, dialect: Dialect, now: SystemTime) -> Reply {
    Reply::Array(log.entries().take(count).map(|entry| describe(entry, dialect, now)).collect())
}

fn describe(entry: &LogEntry, dialect: Dialect, now: SystemTime) -> Reply {
    let LogEntry { id, record, client, created, updated } = entry;
    let age = now.duration_since(*updated).unwrap_or_default().as_millis() as f64 / 1000.0;
    let integer = |number: u64| Reply::Integer(i64::try_from(number).unwrap_or(i64::MAX));
    let mut fields = vec![
        (Reply::bulk("count"), integer(record.count)),
        (Reply::bulk("reason"), Reply::bulk(record.reason.to_string())),
        (Reply::bulk("context"), Reply::bulk(record.context.to_string())),
        (Reply::bulk("object"), Reply::bulk(record.object.clone())),
        (Reply::bulk("username"), Reply::bulk(record.user.clone())),
        (Reply::bulk("age-seconds"), Reply::Double(age)),
        (Reply::bulk("client-info"), Reply::bulk(client.as_bytes())),
    ];
    match dialect {
        Dialect::Redis70 => {}
        Dialect::Redis72 | Dialect::Valkey91 => fields.extend([
            (Reply::bulk("entry-id"), integer(*id)),
            (Reply::bulk("timestamp-created"), integer(milliseconds(*created))),
            (Reply::bulk("timestamp-last-updated"), integer(milliseconds(*updated))),
        ]),
    }
    Reply::Map(fields)
}

/// Since 1970.
fn milliseconds(time: SystemTime) -> u64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
