//! As a Pod of Kubernetes, with respgate as a sidecar of Redis.

use super::containers::replaced;
use super::{Deployment, Place, PlannedFile, Step, Wanted};
use crate::shell;

const REDIS: &str = include_str!("../../../deploy/kubernetes/redis.yaml");

/// What the sample says, of which another text stands here.
const HEADER: &str = "\
# Redis without a port, and respgate as the only way in. docs/kubernetes.md says what to do before and after
#
#     kubectl apply -f deploy/kubernetes/
";
const IMAGE: &str = "          # As `docker build -t respgate .` calls it; put the name in your registry here.
          image: respgate
";
const CLIENTS: &str = "        - podSelector:
            matchLabels:
              redis-client: \"true\"
";

/// Folders in a Pod: what is in them is replaced as a whole.
pub(super) const CONFIG: &str = "config";
pub(super) const TLS: &str = "tls";

/// What is applied.
pub(super) fn deployment(wanted: &Wanted, place: &Place, settings: &str, users: &str) -> Deployment {
    let image = format!("          image: {}\n", wanted.image());
    let clients = wanted.allow.iter().map(|network| format!("        - ipBlock:\n            cidr: {network}\n"));
    let clients: String = [CLIENTS.to_owned()].into_iter().chain(clients).collect();
    let manifest = replaced(
        REDIS,
        &[
            (HEADER, "# Redis without a port, and respgate as the only way in. Made by `respgate init`.\n"),
            (IMAGE, &image),
            (CLIENTS, &clients),
        ],
    );
    let files = vec![
        PlannedFile::public("deploy/redis.yaml", manifest),
        PlannedFile::public("deploy/config.yaml", config_map(settings, users)),
    ];
    let at = |name: &str| shell::word(&place.folder.join(name));
    let status = "kubectl rollout status statefulset redis && kubectl exec redis-0 -c respgate -- /respgate status";
    let next = vec![
        Step::new(
            "Redis, and respgate in front of it",
            [
                "# deploy/config.yaml: metrics-allow has to name where probes come from".to_owned(),
                format!("kubectl create secret generic respgate-tls --from-file={}", at(TLS)),
                format!("kubectl apply -f {}", at("deploy")),
            ],
        ),
        Step::new("what is in clients/ goes to the clients", []),
        Step::new("is all well?", [status.to_owned()]),
    ];
    Deployment { files, folders: Vec::new(), next, shared: Vec::new() }
}

fn config_map(settings: &str, users: &str) -> String {
    let indented = |text: &str| {
        let line = |line: &str| if line.is_empty() { "\n".to_owned() } else { format!("    {line}\n") };
        text.lines().map(line).collect::<String>()
    };
    format!(
        "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: respgate\n  labels:\n    app.kubernetes.io/name: redis\ndata:\n\
         \x20 respgate.toml: |\n{}  users.acl: |\n{}",
        indented(settings),
        indented(users)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_that_is_replaced_is_in_the_sample() {
        for part in [HEADER, IMAGE, CLIENTS] {
            assert_eq!(REDIS.matches(part).count(), 1, "{part}");
        }
    }
}
