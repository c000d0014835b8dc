//! What `/metrics` says at one moment.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;

use super::Respgate;

/// The text, and the value of each series of it.
pub(crate) struct Metrics {
    pub(crate) text: String,
    series: BTreeMap<String, f64>,
}

impl Respgate {
    /// Asked for at the admin door.
    pub(crate) fn metrics(&self) -> Metrics {
        let mut door = UnixStream::connect(self.path("admin.sock")).unwrap();
        door.write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
        let mut response = String::new();
        door.read_to_string(&mut response).unwrap();
        let (head, text) = response.split_once("\r\n\r\n").unwrap();
        let content_type = "content-type: application/openmetrics-text; version=1.0.0; charset=utf-8";
        assert!(head.starts_with("HTTP/1.1 200 ") && head.contains(content_type), "{head}");
        Metrics::of(text)
    }
}

impl Metrics {
    fn of(text: &str) -> Metrics {
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        let pairs = lines.map(|line| line.rsplit_once(' ').unwrap());
        let series = pairs.map(|(name, value)| (name.to_owned(), value.parse().unwrap())).collect();
        Metrics { text: text.to_owned(), series }
    }

    /// How many series there are.
    pub(crate) fn len(&self) -> usize {
        self.series.len()
    }

    /// Those that begin like this, with their values.
    pub(crate) fn beginning(&self, start: &str) -> Vec<(&str, f64)> {
        let series = self.series.iter().filter(|(name, _)| name.starts_with(start));
        series.map(|(name, value)| (name.as_str(), *value)).collect()
    }

    /// The sum of all series that begin like this; 0 if there is none.
    pub(crate) fn sum(&self, start: &str) -> f64 {
        self.beginning(start).iter().map(|(_, value)| value).sum()
    }

    /// The names of all families, as `# TYPE` has them.
    pub(crate) fn families(&self) -> BTreeSet<&str> {
        self.text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()).collect()
    }

    /// The values of a label.
    pub(crate) fn labels(&self, label: &str) -> BTreeSet<&str> {
        let start = format!("{label}=\"");
        self.series.keys().filter_map(|name| name.split(start.as_str()).nth(1)?.split('"').next()).collect()
    }
}
