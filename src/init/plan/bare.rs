//! Started by hand, from where it lies.

use std::path::{Path, PathBuf};

use super::quoting::redis_word;
use super::redis::{Cutover, Login, Reach};
use super::{Deployment, Place, PlannedFile, Step, Wanted, firewall};
use crate::shell;

/// Where a Redis of its own has its socket.
pub(super) fn socket(place: &Place) -> PathBuf {
    place.folder.join("redis/redis.sock")
}

/// What is started, in which order.
pub(super) fn deployment(wanted: &Wanted, place: &Place, cutover: Option<&Cutover>, upstream_user: &str) -> Deployment {
    let at = |name: &str| shell::word(&place.folder.join(name));
    let program = shell::word(&place.program);
    let config = at("etc/respgate.toml");
    let start = format!("nohup {program} run --config {config} >>{} 2>&1 &", at("log/respgate.log"));
    let doctor = format!("{program} doctor --config {config}");
    let is_well = format!("until {program} health --ready --config {config}; do sleep 1; done; {doctor}");
    let mut gate = vec![start];
    if !wanted.allow.is_empty() {
        gate.extend(firewall::lines(wanted.platform, &shell::word(&place.folder)));
    }
    let mut deployment = Deployment {
        files: Vec::new(),
        folders: ["log", "run"].map(PathBuf::from).to_vec(),
        next: Vec::new(),
        shared: Vec::new(),
    };
    let Some(cutover) = cutover else {
        deployment.files.push(PlannedFile::secret("redis/redis.conf", redis_conf(place, upstream_user)));
        deployment.folders.push("redis/data".into());
        let redis = format!("redis-server {} --daemonize yes", at("redis/redis.conf"));
        deployment.next = vec![
            Step::new("Redis, which lets in nobody but respgate", [redis]),
            Step::new(format!("respgate in front of it, at {}", wanted.address()), gate),
            Step::new("what is in clients/ goes to the clients", []),
            Step::new("is all well?", [is_well]),
        ];
        return deployment;
    };
    let conf = shell::word(&cutover.conf);
    let include = shell::word(&cutover.include);
    let redis = format!("redis-server {conf} --daemonize yes");
    let step = |step: &str, stop: String, change: Vec<String>| {
        let mut lines = vec!["# what is said last here is that the server closed the connection".to_owned(), stop];
        lines.push(format!("cp {} {include}", at(&format!("redis/{step}.conf"))));
        lines.extend(change);
        if let Some(acl_file) = &cutover.acl_file {
            lines.push(format!("cp {} {}", at(&format!("redis/users.{step}.acl")), shell::word(acl_file)));
        }
        lines.push(redis.clone());
        lines
    };
    let own = Reach::Unix(cutover.socket.clone());
    let stop1 = last_words(cutover.reach.as_ref(), &cutover.login, &at("redis/step1.commands"));
    let stop2 = last_words(Some(&own), &Login::Nothing, &at("redis/step2.commands"));
    deployment.next = vec![
        Step::new(
            "Redis lets in respgate as well; old clients go on",
            step("step1", stop1, vec![cutover.include_line()]),
        ),
        Step::new(format!("respgate in front of it, at {}", wanted.address()), gate),
        Step::new("what is in clients/ goes to the clients, which move to it", []),
        Step::new("who is connected past respgate? nobody, before step 5", [format!("{doctor} --who")]),
        Step::new("Redis lets in nobody else", step("step2", stop2, cutover.lines_out())),
        Step::new("is all well?", [is_well]),
    ];
    deployment
}

/// Has Redis save its data, or save and stop.
pub(super) fn last_words(reach: Option<&Reach>, login: &Login, commands: &str) -> String {
    match (reach, login) {
        (None, _) | (_, Login::Unknown) => {
            "# here Redis has to SAVE its data, and be stopped, by somebody who has its password".to_owned()
        }
        (Some(Reach::Unix(socket)), _) => format!("redis-cli -s {} <{commands}", shell::word(socket)),
        (Some(Reach::Tcp(host, port)), _) => {
            format!("redis-cli -h {} -p {port} <{commands}", shell::word(Path::new(host)))
        }
    }
}

impl Cutover {
    /// Has redis.conf include the file of ours, after everything else.
    pub(super) fn include_line(&self) -> String {
        let include = redis_word(self.include.as_os_str().as_encoded_bytes());
        format!("printf '\\ninclude %s\\n' {} >>{}", shell::word(Path::new(&include)), shell::word(&self.conf))
    }

    /// Comments out the lines of users, however they are quoted: Redis takes one of each only, and respgate is to be the only one that
    /// gets in.
    pub(super) fn lines_out(&self) -> Vec<String> {
        let out = |path: &PathBuf| {
            format!("sed -i -E 's/^[[:space:]]*[^[:alnum:]#]?user[^[:alnum:]-]/# &/I' {}", shell::word(path))
        };
        self.with_users.iter().map(out).collect()
    }
}

/// A Redis of its own.
fn redis_conf(place: &Place, upstream_user: &str) -> String {
    let word = |path: PathBuf| redis_word(path.as_os_str().as_encoded_bytes());
    let data = place.folder.join("redis/data");
    format!(
        "# Redis without a port: respgate is the only way in.\nport 0\nunixsocket {}\nunixsocketperm 770\n\
         {upstream_user}\nuser default off\n\ndir {}\nlogfile {}\nappendonly yes\n\
         # Without a limit one client can fill the host.\nmaxmemory 256mb\n",
        word(socket(place)),
        word(data.clone()),
        word(place.folder.join("log/redis.log")),
    )
}
