//! As units of systemd.

use super::bare::last_words;
use super::redis::{Cutover, Login, Reach};
use super::{Deployment, FoundRedis, Place, PlannedFile, Step, Wanted, firewall};
use crate::shell;

const SERVICE: &str = include_str!("../../../deploy/systemd/respgate.service");
const SYSUSERS: &str = include_str!("../../../deploy/systemd/sysusers.conf");

/// Where the unit looks for it.
const PROGRAM: &str = "/usr/bin/respgate";

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
