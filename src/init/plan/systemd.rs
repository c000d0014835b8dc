//! As units of systemd.

use super::bare::last_words;
use super::redis::{Cutover, Login, Reach};
use super::{Deployment, Fault, FoundRedis, Place, PlannedFile, Step, Wanted, firewall};
use crate::shell;

const SERVICE: &str = include_str!("../../../deploy/systemd/respgate.service");
const SYSUSERS: &str = include_str!("../../../deploy/systemd/sysusers.conf");

/// Where the unit looks for it.
const PROGRAM: &str = "/usr/bin/respgate";

/// What counts where it is on the command line, whatever a file says.
const OVERRULING: [&str; 5] = ["port", "tls-port", "unixsocket", "unixsocketperm", "user"];

/// What of that these command lines have, so that neither step would do what it says.
pub(super) fn overruled(redis: &FoundRedis) -> Vec<Fault> {
    let mut faults = Vec::new();
    for start in &redis.starts {
        let is_separator = |c: char| c.is_ascii_whitespace() || ['"', '\'', '='].contains(&c);
        let words: Vec<&str> = start.split(is_separator).filter(|word| !word.is_empty()).collect();
        for (at, word) in words.iter().enumerate() {
            let Some(option) = word.strip_prefix("--").map(str::to_ascii_lowercase) else { continue };
            // An ACL file that is said to be there is read.
            let is_unread = option == "aclfile" && redis.acl.is_none();
            let is_closed = option.ends_with("port") && words.get(at + 1) == Some(&"0");
            if is_unread || OVERRULING.contains(&option.as_str()) && !is_closed {
                faults.push(Fault::Overruled(redis.unit.clone(), option));
            }
        }
    }
    faults
}

/// What is installed, in which order.
pub(super) fn deployment(wanted: &Wanted, place: &Place, redis: Option<(&FoundRedis, &Cutover)>) -> Deployment {
    let mut files = Vec::new();
    if !place.has_units {
        files.push(PlannedFile::public("deploy/etc/systemd/system/respgate.service", SERVICE));
        files.push(PlannedFile::public("deploy/usr/lib/sysusers.d/respgate.conf", SYSUSERS));
    }
    let Some((redis, cutover)) = redis else {
        return Deployment { files, folders: Vec::new(), next: Vec::new(), shared: Vec::new() };
    };
    let FoundRedis { group, unit, .. } = redis;
    files.push(PlannedFile::public(
        "deploy/etc/systemd/system/respgate.service.d/redis-socket.conf",
        format!("# Redis's socket lets in its group.\n[Service]\nSupplementaryGroups={group}\n"),
    ));
    let at = |name: &str| shell::word(&place.folder.join(name));
    let restart = format!("systemctl restart {unit}");
    let step = |step: &str, reach: Option<&Reach>, login: &Login, change: Vec<String>| {
        let mut lines = Vec::new();
        if cutover.has_last_words {
            lines.push(last_words(reach, login, &at(&format!("redis/{step}.commands"))));
        }
        let include = shell::word(&cutover.include);
        lines.push(format!("install -m 640 -g {group} {} {include}", at(&format!("redis/{step}.conf"))));
        lines.extend(change);
        if let Some(acl_file) = &cutover.acl_file {
            // The file that is there keeps its owner and mode.
            lines.push(format!("cp {} {}", at(&format!("redis/users.{step}.acl")), shell::word(acl_file)));
        }
        lines.push(restart.clone());
        lines
    };
    let own = Reach::Unix(cutover.socket.clone());
    let next = vec![
        Step::new(
            "Redis lets in respgate as well; old clients go on",
            step("step1", cutover.reach.as_ref(), &cutover.login, vec![cutover.include_line()]),
        ),
        Step::new(format!("respgate in front of it, at {}", wanted.address()), install(wanted, place)),
        Step::new("what is in clients/ goes to the clients, which move to it", []),
        Step::new("who is connected past respgate? nobody, before step 5", ["respgate doctor --who".to_owned()]),
        Step::new("Redis lets in nobody else", step("step2", Some(&own), &Login::Nothing, cutover.lines_out())),
        Step::new("is all well?", ["until respgate health --ready; do sleep 1; done; respgate doctor".to_owned()]),
    ];
    Deployment { files, folders: Vec::new(), next, shared: Vec::new() }
}

/// Program, units, user, files.
fn install(wanted: &Wanted, place: &Place) -> Vec<String> {
    let at = |name: &str| shell::word(&place.folder.join(name));
    let mut lines = Vec::new();
    if place.program.as_os_str() != PROGRAM {
        lines.push(format!("install -m 755 {} {PROGRAM}", shell::word(&place.program)));
    }
    // What is new there gets the modes that the system has, and what is there keeps its own.
    let files = format!("cp -r --no-preserve=mode {}/. /", at("deploy"));
    lines.push(if place.has_units { files } else { format!("{files} && systemd-sysusers respgate.conf") });
    lines.push(format!(
        "install -d -m 750 -g respgate /etc/respgate && install -m 640 -g respgate -t /etc/respgate {}/*",
        at("etc")
    ));
    lines.push("systemctl daemon-reload && systemctl enable --now respgate".to_owned());
    if !wanted.allow.is_empty() {
        lines.extend(firewall::lines(wanted.platform, &shell::word(&place.folder)));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::redis_conf;
    use crate::files::Files;

    #[test]
    fn what_the_unit_says_against_the_steps_is_a_fault() {
        let told = |start: &str| {
            let folder = tempfile::tempdir().unwrap();
            let conf = folder.path().join("redis.conf");
            std::fs::write(&conf, "").unwrap();
            let text = redis_conf(&conf, &Files::default());
            let starts = vec![start.to_owned()];
            let redis =
                FoundRedis { conf, text, acl: None, group: "redis".into(), unit: "redis-server".into(), starts };
            overruled(&redis).iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        let debian = "/usr/bin/redis-server /etc/redis/redis.conf --supervised systemd --daemonize no";
        assert_eq!(told(debian), [""; 0]);
        assert_eq!(told(&format!("{debian} --port 0")), [""; 0]);
        for (more, option) in [
            ("--port 6379", "--port,"),
            ("\"--PORT 7000\"", "--port,"),
            ("--tls-port 6380", "--tls-port,"),
            ("--unixsocket /run/r.sock", "--unixsocket,"),
            ("--user web on +@all", "--user,"),
            ("--aclfile /etc/redis/users.acl", "--aclfile,"),
        ] {
            let told = told(&format!("{debian} {more}"));
            assert!(told.len() == 1 && told[0].contains(&format!("ExecStart has {option}")), "{more}: {told:?}");
        }
    }
}
