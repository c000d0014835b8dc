//! As containers of Docker Compose.

use super::containers::{GROUP, replaced};
use super::redis::Cutover;
use super::{Deployment, Place, PlannedFile, Sharing, Step, Wanted, containers, firewall};
use crate::shell;

const COMPOSE: &str = include_str!("../../../compose.yaml");

/// What the sample says, of which another text stands here.
const HEADER: &str = "\
# Redis without a network, and respgate as the only way in.
#
#     certs-example/make.sh && RESPGATE_UID=$(id -u) docker compose up --build
#
# Docker Compose 2 runs it, and Debian's docker-compose 1.29. docs/compose.md says how it is used, and what to change.
";
const REDIS: &str = "    network_mode: none
    command:
      - redis-server
      - --port
      - \"0\"
      - --unixsocket
      - /run/redis/redis.sock
      - --unixsocketperm
      - \"770\"
      - --aclfile
      - /etc/redis/users.acl
      - --dir
      - /data
      - --appendonly
      - \"yes\"
";
const HEALTH: &str = "      # Only respgate can log in: that Redis asks for a password is enough.
      test: [\"CMD-SHELL\", \"redis-cli -s /run/redis/redis.sock PING | grep -q NOAUTH\"]
";
const IMAGE: &str = "    build: .
    image: respgate
    # The user who owns certs-example/respgate: the keys in it are for nobody else. The group may open Redis's socket.
    user: \"${RESPGATE_UID:-1000}:65532\"
";
const SETTINGS: &str = "      - --listen
      - 0.0.0.0:6380
      - --upstream-user
      - respgate
      - --upstream-password-file
      - /etc/respgate/redis_password
";
const PORT: &str = "\"${RESPGATE_PUBLISH:-127.0.0.1}:6380:6380\"";
const REDIS_FOLDER: &str = "./certs-example/redis:/etc/redis:ro";
const GATE_FOLDER: &str = "./certs-example/respgate:/etc/respgate:ro";

/// Where the containers see the configuration.
const CONFIG: &str = "/etc/respgate/respgate.toml";

/// What is started, in which order.
pub(super) fn deployment(wanted: &Wanted, place: &Place, cutover: Option<&Cutover>, upstream_user: &str) -> Deployment {
    let conf = if cutover.is_some() { "step2.conf" } else { "redis.conf" };
    let closed = closed(wanted, place, conf);
    let mut files = Vec::new();
    if cutover.is_some() {
        files.push(PlannedFile::public("deploy/compose.step1.yaml", open(&closed)));
    } else {
        let text = containers::redis_conf(None, "respgate is the only way in.", upstream_user, false);
        files.push(PlannedFile::secret(format!("redis/{conf}"), text));
    }
    files.push(PlannedFile::public("deploy/compose.yaml", closed));
    let at = |name: &str| shell::word(&place.folder.join(name));
    let compose = |file: &str| format!("docker compose -p respgate -f {}", at(&format!("deploy/{file}")));
    let last = compose("compose.yaml");
    let inside = format!("{last} exec -T respgate /respgate");
    let up = |compose: &str| format!("{compose} up --detach");
    let is_well = Step::new(
        "is all well?",
        [
            format!("until {inside} health --ready; do sleep 1; done; {inside} doctor --config {CONFIG}"),
            format!("{} doctor --compose {}", shell::word(&place.program), at("deploy/compose.yaml")),
        ],
    );
    let mut gate = Vec::new();
    if !wanted.allow.is_empty() {
        gate.extend(firewall::lines(wanted.platform, &shell::word(&place.folder)));
    }
    let next = match cutover {
        None => vec![
            Step::new("Redis, and respgate in front of it", [up(&last)].into_iter().chain(gate)),
            Step::new("what is in clients/ goes to the clients", []),
            is_well,
        ],
        Some(_) => {
            let first = compose("compose.step1.yaml");
            let stop =
                "# the Redis that was there is stopped before, and its data goes into the volume respgate_redis-data";
            let elsewhere = "# for old clients on other hosts: REDIS_PUBLISH=0.0.0.0 before the next line";
            let lines = [stop.to_owned(), elsewhere.to_owned(), up(&first)].into_iter().chain(gate);
            vec![
                Step::new("Redis lets in respgate as well as old clients; respgate in front of it", lines),
                Step::new("what is in clients/ goes to the clients, which move to it", []),
                Step::new(
                    "who is connected past respgate? nobody, before step 4",
                    [format!("{first} exec -T respgate /respgate doctor --config {CONFIG} --who")],
                ),
                Step::new("Redis lets in nobody else", [up(&last)]),
                is_well,
            ]
        }
    };
    // As another user than root respgate runs as the owner of the files.
    let shared = match place.user {
        0 => vec![("etc", Sharing::Group(GROUP)), ("redis", Sharing::Group(GROUP))],
        _ => vec![("redis", Sharing::Everybody)],
    };
    Deployment { files, folders: Vec::new(), next, shared }
}

/// Step 2, or all there is.
fn closed(wanted: &Wanted, place: &Place, conf: &str) -> String {
    let user = if place.user == 0 { GROUP } else { place.user };
    let image = format!("    image: {}\n    user: \"{user}:{GROUP}\"\n", wanted.image());
    let port = wanted.listen.map_or_else(|| PORT.to_owned(), |address| format!("\"{address}:6380\""));
    replaced(
        COMPOSE,
        &[
            (HEADER, "# Redis without a network, and respgate as the only way in. Made by `respgate init`.\n"),
            (REDIS, &format!("    network_mode: none\n    command: [redis-server, /etc/redis/{conf}]\n")),
            (IMAGE, &image),
            (SETTINGS, ""),
            (PORT, &port),
            (REDIS_FOLDER, "../redis:/etc/redis:ro"),
            (GATE_FOLDER, "../etc:/etc/respgate:ro"),
        ],
    )
}

/// Step 1.
fn open(closed: &str) -> String {
    let redis = "    network_mode: none\n    command: [redis-server, /etc/redis/step2.conf]\n";
    let port = "\"${REDIS_PUBLISH:-127.0.0.1}:6379:6379\"";
    replaced(
        closed,
        &[
            ("# Redis without a network, and respgate as the only way in.", "# Step 1: Redis is open to old clients."),
            (redis, &format!("    command: [redis-server, /etc/redis/step1.conf]\n    ports:\n      - {port}\n")),
            (
                HEALTH,
                "      test: [\"CMD-SHELL\", \"redis-cli -s /run/redis/redis.sock PING | grep -qE 'NOAUTH|PONG'\"]\n",
            ),
        ],
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_that_is_replaced_is_in_the_sample() {
        for part in [HEADER, REDIS, HEALTH, IMAGE, SETTINGS, PORT, REDIS_FOLDER, GATE_FOLDER] {
            assert_eq!(COMPOSE.matches(part).count(), 1, "{part}");
        }
    }
}
