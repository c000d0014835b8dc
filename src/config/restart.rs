//! What of a configuration a running process takes, and what only a restart gives. Every field is named here, so that none
//! that is added is forgotten.

use super::model::{AclSource, Config, Limits, Listener, LogSettings, MetricsDoor, UpstreamSettings};
use crate::tls::TlsSettings;

impl Config {
    /// This one, in force, with what a reload takes of `written`: who is who and what is refused.
    #[must_use]
    pub fn reloaded(&self, written: &Config) -> Config {
        Config {
            certificates: written.certificates.clone(),
            tls_auth_clients_user: written.tls_auth_clients_user,
            unmapped: written.unmapped,
            ignore_stray_auth: written.ignore_stray_auth,
            block: written.block.clone(),
            renames: written.renames.clone(),
            users: written.users.clone(),
            named_users: written.named_users.clone(),
            unsafe_nopass: written.unsafe_nopass,
            sources: written.sources.clone(),
            ..self.clone()
        }
    }

    /// Whether something of `written` that says who may do what is not in force until a restart.
    #[must_use]
    pub fn rights_wait_for_restart(&self, written: &Config) -> bool {
        let rights = |config: &Config| {
            let Config { listeners, upstream, acl, acl_dialect, strict_permissions, .. } = config.clone();
            (listeners, upstream, acl, acl_dialect, strict_permissions)
        };
        rights(self) != rights(written)
    }

    /// The settings of `written` that are not in force until a restart.
    #[must_use]
    pub fn restart_needed_for(&self, written: &Config) -> Vec<&'static str> {
        let mut settings = Differences::default();
        let Config {
            listeners,
            upstream,
            acl,
            acl_dialect,
            limits,
            reload_interval,
            threads,
            strict_permissions,
            log,
            admin_listen,
            admin_socket_group,
            metrics,
            require_upstream,
            // Taken by a reload.
            certificates: _,
            tls_auth_clients_user: _,
            unmapped: _,
            ignore_stray_auth: _,
            block: _,
            renames: _,
            users: _,
            named_users: _,
            unsafe_nopass: _,
            sources: _,
        } = self;
        settings.listeners(listeners, &written.listeners);
        settings.upstream(upstream, &written.upstream);
        settings.acl(acl, &written.acl);
        settings.note("acl-dialect", acl_dialect, &written.acl_dialect);
        settings.limits(limits, &written.limits);
        settings.note("reload-interval", reload_interval, &written.reload_interval);
        settings.note("threads", threads, &written.threads);
        settings.note("strict-permissions", strict_permissions, &written.strict_permissions);
        settings.log(log, &written.log);
        settings.note("admin-listen", admin_listen, &written.admin_listen);
        settings.note("admin-socket-group", admin_socket_group, &written.admin_socket_group);
        settings.metrics(metrics.as_ref(), written.metrics.as_ref());
        settings.note("require-upstream", require_upstream, &written.require_upstream);
        settings.0
    }
}

/// Settings that differ, each once.
#[derive(Default)]
struct Differences(Vec<&'static str>);

impl Differences {
    fn note<T: PartialEq>(&mut self, setting: &'static str, running: &T, written: &T) {
        if running != written && !self.0.contains(&setting) {
            self.0.push(setting);
        }
    }

    fn listeners(&mut self, running: &[Listener], written: &[Listener]) {
        self.note("listen", &running.len(), &written.len());
        for (running, written) in running.iter().zip(written) {
            let Listener { address, tls, allow, deny, proxy_protocol_from } = running;
            self.note("listen", address, &written.address);
            self.note("allow", allow, &written.allow);
            self.note("deny", deny, &written.deny);
            self.note("proxy-protocol-from", proxy_protocol_from, &written.proxy_protocol_from);
            match (tls, &written.tls) {
                (Some(running), Some(written)) => self.tls(running, written),
                (running, written) => self.note("tls", running, written),
            }
        }
    }

    fn tls(&mut self, running: &TlsSettings, written: &TlsSettings) {
        let TlsSettings {
            cert_file,
            key_file,
            ca_cert_file,
            crl_files,
            auth_clients,
            protocols,
            crl_check,
            crl_expired,
            strict_permissions,
        } = running;
        self.note("tls-cert-file", cert_file, &written.cert_file);
        self.note("tls-key-file", key_file, &written.key_file);
        self.note("tls-ca-cert-file", ca_cert_file, &written.ca_cert_file);
        self.note("tls-crl-file", crl_files, &written.crl_files);
        self.note("tls-auth-clients", auth_clients, &written.auth_clients);
        self.note("tls-protocols", protocols, &written.protocols);
        self.note("crl-check", crl_check, &written.crl_check);
        self.note("crl-expired", crl_expired, &written.crl_expired);
        self.note("strict-permissions", strict_permissions, &written.strict_permissions);
    }

    fn upstream(&mut self, running: &UpstreamSettings, written: &UpstreamSettings) {
        let UpstreamSettings { address, user, password, unsafe_upstream, connect_timeout, timeout, mirror_users } =
            running;
        self.note("upstream", address, &written.address);
        self.note("[upstream-auth] user", user, &written.user);
        self.note("[upstream-auth] password", password, &written.password);
        self.note("unsafe-upstream", unsafe_upstream, &written.unsafe_upstream);
        self.note("upstream-connect-timeout", connect_timeout, &written.connect_timeout);
        self.note("upstream-timeout", timeout, &written.timeout);
        self.note("mirror-users", mirror_users, &written.mirror_users);
    }

    fn acl(&mut self, running: &AclSource, written: &AclSource) {
        let setting = match written {
            AclSource::File(_) => "aclfile",
            AclSource::Password(_) => "requirepass",
            AclSource::None => "aclfile or requirepass, which is gone",
        };
        self.note(setting, running, written);
    }

    fn limits(&mut self, running: &Limits, written: &Limits) {
        let Limits {
            maxclients,
            max_connections_per_address,
            max_handshakes,
            handshake_timeout,
            auth_timeout,
            idle_timeout,
            request_timeout,
            tcp_keepalive,
            half_close_timeout,
            shutdown_delay,
            shutdown_timeout,
            max_args,
            max_bulk,
            max_inline,
            request_buffer,
            hold_buffer,
            memory_budget,
            // It follows from that, and tells nothing of what was written.
            memory: _,
        } = running;
        self.note("maxclients", maxclients, &written.maxclients);
        self.note("max-connections-per-address", max_connections_per_address, &written.max_connections_per_address);
        self.note("max-handshakes", max_handshakes, &written.max_handshakes);
        self.note("handshake-timeout", handshake_timeout, &written.handshake_timeout);
        self.note("auth-timeout", auth_timeout, &written.auth_timeout);
        self.note("timeout", idle_timeout, &written.idle_timeout);
        self.note("request-timeout", request_timeout, &written.request_timeout);
        self.note("tcp-keepalive", tcp_keepalive, &written.tcp_keepalive);
        self.note("half-close-timeout", half_close_timeout, &written.half_close_timeout);
        self.note("shutdown-delay", shutdown_delay, &written.shutdown_delay);
        self.note("shutdown-timeout", shutdown_timeout, &written.shutdown_timeout);
        self.note("max-args", max_args, &written.max_args);
        self.note("max-bulk", max_bulk, &written.max_bulk);
        self.note("max-inline", max_inline, &written.max_inline);
        self.note("request-buffer", request_buffer, &written.request_buffer);
        self.note("hold-buffer", hold_buffer, &written.hold_buffer);
        self.note("memory-budget", memory_budget, &written.memory_budget);
    }

    fn metrics(&mut self, running: Option<&MetricsDoor>, written: Option<&MetricsDoor>) {
        let address = |door: Option<&MetricsDoor>| door.map(|MetricsDoor { address, .. }| *address);
        let allow = |door: Option<&MetricsDoor>| door.map(|MetricsDoor { allow, .. }| allow.clone());
        self.note("metrics-listen", &address(running), &address(written));
        self.note("metrics-allow", &allow(running), &allow(written));
    }

    fn log(&mut self, running: &LogSettings, written: &LogSettings) {
        let LogSettings { format, level, file } = running;
        self.note("log-format", format, &written.format);
        self.note("log-level", level, &written.level);
        self.note("log-file", file, &written.file);
    }
}
