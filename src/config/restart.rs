//! What of a configuration a running process takes, and what only a restart gives. Every field is named here, so that none
//! that is added is forgotten.

use super::model::{AuditSettings, Config, Listener, MetricsDoor, Tunnel, UpstreamSettings};

/// The settings of a configuration that are not in force until a restart.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Restart {
    /// Their names.
    pub settings: Vec<&'static str>,
    /// A listener or the upstream is to be elsewhere: who is new may be meant for there.
    pub moves: bool,
}

impl Config {
    /// This one, in force, with what a reload takes of `written`; and what it does not take.
    #[must_use]
    pub fn reloaded(&self, written: &Config) -> (Config, Restart) {
        let mut restart = Restart::default();
        let Config {
            listeners,
            tunnels,
            upstream,
            acl,
            acl_dialect,
            certificates,
            tls_auth_clients_user,
            unmapped,
            ignore_stray_auth,
            block,
            renames,
            users,
            unsafe_nopass,
            named_users,
            limits,
            reload_interval,
            threads,
            strict_permissions,
            log,
            audit,
            learn_file,
            admin_listen,
            admin_socket_group,
            metrics,
            // Nobody asks for it after the start.
            require_upstream,
            file,
            sources,
        } = written.clone();
        let config = Config {
            listeners: self.listeners_with(listeners, &mut restart),
            tunnels: self.tunnels_with(tunnels, &mut restart),
            upstream: self.upstream_with(upstream, &mut restart),
            acl,
            acl_dialect,
            certificates,
            tls_auth_clients_user,
            unmapped,
            ignore_stray_auth,
            block,
            renames,
            users,
            unsafe_nopass,
            named_users,
            limits,
            reload_interval,
            threads: restart.keep("threads", &self.threads, &threads),
            strict_permissions,
            log,
            audit: AuditSettings {
                target: restart.keep("audit-file", &self.audit.target, &audit.target),
                on_full: restart.keep("audit-on-full", &self.audit.on_full, &audit.on_full),
                ..audit
            },
            learn_file: restart.keep("learn-file", &self.learn_file, &learn_file),
            admin_listen: restart.keep("admin-listen", &self.admin_listen, &admin_listen),
            admin_socket_group: restart.keep("admin-socket-group", &self.admin_socket_group, &admin_socket_group),
            metrics: self.metrics_with(metrics.as_ref(), &mut restart),
            require_upstream,
            file,
            sources,
        };
        (config, restart)
    }

    /// The listeners that there are, with what is written for their addresses.
    fn listeners_with(&self, mut written: Vec<Listener>, restart: &mut Restart) -> Vec<Listener> {
        let mut is_any_gone = false;
        let mut with = |running: &Listener| match written.iter().position(|other| other.address == running.address) {
            Some(position) => written.remove(position),
            None => {
                is_any_gone = true;
                running.clone()
            }
        };
        let listeners = self.listeners.iter().map(&mut with).collect();
        if is_any_gone || !written.is_empty() {
            restart.settings.push("listen");
            restart.moves = true;
        }
        listeners
    }

    /// The tunnels that there are, with what is written for their addresses.
    fn tunnels_with(&self, mut written: Vec<Tunnel>, restart: &mut Restart) -> Vec<Tunnel> {
        let mut is_any_other = false;
        let mut with = |running: &Tunnel| match written.iter().position(|other| other.listen == running.listen) {
            Some(position) => {
                let written = written.remove(position);
                is_any_other |= written.listen_group != running.listen_group;
                Tunnel { listen_group: running.listen_group, ..written }
            }
            None => {
                is_any_other = true;
                running.clone()
            }
        };
        let tunnels = self.tunnels.iter().map(&mut with).collect();
        if is_any_other || !written.is_empty() {
            restart.settings.push("tunnel");
        }
        tunnels
    }

    fn metrics_with(&self, written: Option<&MetricsDoor>, restart: &mut Restart) -> Option<MetricsDoor> {
        let address = |door: &MetricsDoor| door.address;
        restart.keep("metrics-listen", &self.metrics.as_ref().map(address), &written.map(address));
        let allow = |door: &MetricsDoor| door.allow.clone();
        restart.keep("metrics-allow", &self.metrics.as_ref().map(allow), &written.map(allow));
        self.metrics.clone()
    }

    /// As whom the proxy is at a Redis, and whether it has mirrors there, is written for the one that is written beside it.
    fn upstream_with(&self, written: UpstreamSettings, restart: &mut Restart) -> UpstreamSettings {
        let running = &self.upstream;
        if written.address == running.address {
            return written;
        }
        restart.moves = true;
        let UpstreamSettings { address, user, password, unsafe_upstream, connect_timeout, timeout, mirror_users } =
            written;
        UpstreamSettings {
            address: restart.keep("upstream", &running.address, &address),
            user: restart.keep("upstream-user", &running.user, &user),
            password: restart.keep("upstream-password-file", &running.password, &password),
            unsafe_upstream,
            connect_timeout,
            timeout,
            mirror_users: restart.keep("mirror-users", &running.mirror_users, &mirror_users),
        }
    }
}

impl Restart {
    /// Whether there are any.
    #[must_use]
    pub fn is_needed(&self) -> bool {
        !self.settings.is_empty()
    }

    /// What stays in force, whatever is written.
    fn keep<T: PartialEq + Clone>(&mut self, setting: &'static str, running: &T, written: &T) -> T {
        if running != written {
            self.settings.push(setting);
        }
        running.clone()
    }
}
