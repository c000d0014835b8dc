//! The nodes of a cluster, out of CLUSTER SLOTS.

use crate::resp::Reply;

/// Where a node of a cluster tells clients to find it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// An address or a name.
    pub host: String,
    /// The port for clients without TLS, as which those of respgate come.
    pub port: u16,
    /// It is the one that told.
    pub is_own: bool,
}

/// Of `[[first, last, [host, port, id, …], …], …]`, each once; `own` is the id of the one that told. A node without a host is
/// where whoever asked it is already.
pub(super) fn nodes(slots: Reply, own: Option<&str>) -> Option<Vec<Node>> {
    let Reply::Array(ranges) = slots else { return None };
    let mut nodes = Vec::new();
    for range in ranges {
        let Reply::Array(fields) = range else { return None };
        for node in fields.into_iter().skip(2).filter_map(|fields| node(fields, own)) {
            if !nodes.contains(&node) {
                nodes.push(node);
            }
        }
    }
    Some(nodes)
}

fn node(fields: Reply, own: Option<&str>) -> Option<Node> {
    let Reply::Array(fields) = fields else { return None };
    let [Reply::Bulk(host), Reply::Integer(port), Reply::Bulk(id), ..] = fields.as_slice() else { return None };
    let is_own = own.is_some_and(|own| own.as_bytes() == id.as_slice());
    Some(Node { host: String::from_utf8_lossy(host).into_owned(), port: u16::try_from(*port).ok()?, is_own })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_node_is_there_once_and_the_one_that_told_is_known() {
        let bulk = |text: &str| Reply::Bulk(text.into());
        let node =
            |host, port, id| Reply::Array(vec![bulk(host), Reply::Integer(port), bulk(id), Reply::Array(Vec::new())]);
        let range = |nodes: Vec<Reply>| Reply::Array([vec![Reply::Integer(0), Reply::Integer(9)], nodes].concat());
        let slots = Reply::Array(vec![
            range(vec![node("192.0.2.1", 6380, "a"), node("192.0.2.2", 6379, "b")]),
            range(vec![node("192.0.2.1", 6380, "a")]),
            range(vec![Reply::Array(vec![Reply::Null, Reply::Integer(1), bulk("c")])]),
        ]);
        let known = |host: &str, port, is_own| Node { host: host.to_owned(), port, is_own };
        assert_eq!(
            nodes(slots, Some("b")),
            Some(vec![known("192.0.2.1", 6380, false), known("192.0.2.2", 6379, true)])
        );
        assert_eq!(nodes(Reply::Error("ERR cluster support disabled".into()), None), None);
    }
}
