//! Black-box tests: the real binary in front of a real redis-server, seen through real clients.
//!
//! Every test starts its own Redis and its own respgate, in a temporary folder, on a unix socket and on ports the
//! system picks, and ends both by process id. A WARN or ERROR line in respgate's log that the test did not announce
//! fails the test.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]
#![allow(clippy::print_stderr, reason = "a failed test shows the proxy's log, a skipped one its reason")]

mod support;

mod acl_explain;
mod acl_family;
mod acl_preset;
mod acl_report;
mod acl_suggest;
mod addresses;
mod audit;
mod auth;
mod blocklist;
mod cert;
mod certificates;
mod clients;
mod cluster;
mod config;
mod descriptors;
mod doors;
mod drain;
mod from_outside;
mod half_written;
mod health;
mod in_flight;
mod init;
mod introspection;
mod learn;
mod lesser_upstream_user;
mod limits;
mod log;
mod memory;
mod metrics;
mod newer_servers;
mod parity;
mod passwords;
mod proxy_protocol;
mod quickstart;
mod redis_conf;
mod refused;
mod reload;
mod reload_under_load;
mod reloadable;
mod replica;
mod restart;
mod restless_files;
mod samples;
mod scripts;
mod secrets;
mod sentinel;
mod shadow;
mod strangers;
mod stunnel_conf;
mod tracking;
mod transactions;
mod trust;
mod trust_files;
mod tunnel;
mod upstream;
mod volume;
