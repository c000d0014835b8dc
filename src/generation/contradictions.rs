//! What the configuration and the users say about each other and cannot both mean. Taken as it stands, something that
//! somebody wrote would silently not take effect.

use std::fmt;

use crate::acl::{Acl, UserName};
use crate::config::{AclSource, Config, ListenAddress, Listener, NamedUser, nearest};
use crate::tls::AuthClients;

/// One of them. `Display` is for whoever reads the log or runs `check`.
#[derive(Debug, PartialEq, Eq)]
pub enum Contradiction {
    /// The configuration names a user that there is not.
    Nobody {
        /// Where.
        named: NamedUser,
        /// The user that may have been meant.
        nearest: Option<UserName>,
        /// There is no ACL file, so `default` is the only user at a start.
        only_default: bool,
    },
    /// A user without a password, and a listener that asks for no certificate either.
    Open {
        /// The user.
        user: UserName,
        /// The listener.
        listener: ListenAddress,
        /// Whom that lets in.
        way: &'static str,
        /// `unsafe-nopass` says that this is wanted.
        is_wanted: bool,
    },
    /// A user without a password, whom the session of another may become.
    Reachable {
        /// The user.
        user: UserName,
        /// The other, who has `reauth`.
        from: String,
        /// `unsafe-nopass` says that this is wanted.
        is_wanted: bool,
    },
}

/// Everything for which this configuration and these users cannot be in force together.
#[must_use]
pub fn contradictions(config: &Config, acl: &Acl) -> Vec<Contradiction> {
    let open = without_a_password(config, acl).filter(|_| !config.unsafe_nopass);
    names_of_nobody(config, acl).chain(open).collect()
}

/// What would be a contradiction, had the operator not said that it is wanted.
#[must_use]
pub fn wanted_contradictions(config: &Config, acl: &Acl) -> Vec<Contradiction> {
    without_a_password(config, acl).filter(|_| config.unsafe_nopass).collect()
}

fn without_a_password<'a>(config: &'a Config, acl: &'a Acl) -> impl Iterator<Item = Contradiction> + use<'a> {
    open_users(config, acl).chain(reachable_users(config, acl))
}

fn names_of_nobody(config: &Config, acl: &Acl) -> impl Iterator<Item = Contradiction> {
    let missing = config.named_users.iter().filter(|named| acl.user(named.name.as_bytes()).is_none());
    missing.map(|named| Contradiction::Nobody {
        named: named.clone(),
        nearest: nearest_user(&named.name, acl),
        only_default: !matches!(config.acl, AclSource::File(_)),
    })
}

/// Users that anybody may become, for whom that takes nothing but a connection.
fn open_users<'a>(config: &'a Config, acl: &'a Acl) -> impl Iterator<Item = Contradiction> + use<'a> {
    takes_any_password(config, acl).flat_map(|user| {
        let ways = config.listeners.iter().filter_map(|listener| Some((&listener.address, way_in(listener)?)));
        ways.map(|(listener, way)| Contradiction::Open {
            user: user.clone(),
            listener: listener.clone(),
            way,
            is_wanted: config.unsafe_nopass,
        })
    })
}

/// Users that sessions of another may become, for whom that takes any word as a password.
fn reachable_users<'a>(config: &'a Config, acl: &'a Acl) -> impl Iterator<Item = Contradiction> + use<'a> {
    let is_on = |name: &str| acl.user(name.as_bytes()).is_some_and(|user| user.is_enabled());
    let listeners = &config.listeners;
    let certificates_count = listeners.iter().any(asks_for_certificates);
    let from = config.users.iter().filter(move |(name, settings)| certificates_count && settings.reauth && is_on(name));
    from.flat_map(move |(from, _)| {
        let others = takes_any_password(config, acl).filter(move |user| user.as_str() != from);
        others.map(|user| Contradiction::Reachable {
            user: user.clone(),
            from: from.clone(),
            is_wanted: config.unsafe_nopass,
        })
    })
}

/// Enabled users whose login takes neither a password nor their certificate.
fn takes_any_password<'a>(config: &'a Config, acl: &'a Acl) -> impl Iterator<Item = &'a UserName> {
    let needs_certificate = |name: &UserName| {
        let settings = config.users.get(name.as_str());
        settings.is_some_and(|settings| settings.certificate_required || settings.certificate_only)
    };
    let open = acl.users().filter(|user| user.is_enabled() && user.is_nopass());
    open.map(|user| user.name()).filter(move |name| !needs_certificate(name))
}

fn asks_for_certificates(listener: &Listener) -> bool {
    listener.tls.as_ref().is_some_and(|tls| tls.auth_clients != AuthClients::No)
}

/// Whom a listener lets in without a certificate, if anybody. Plaintext on loopback is for this host alone, as long as no
/// balancer speaks for others there.
fn way_in(listener: &Listener) -> Option<&'static str> {
    match listener.tls.as_ref().map(|tls| tls.auth_clients) {
        Some(AuthClients::Yes) => None,
        Some(AuthClients::Optional) => Some("clients without a certificate (tls-auth-clients = \"optional\")"),
        Some(AuthClients::No) => Some("clients without a certificate (tls-auth-clients = \"no\")"),
        None if !listener.address.is_loopback() => Some("plaintext clients from beyond loopback"),
        None if !listener.proxy_protocol_from.is_empty() => Some("plaintext clients from behind a balancer"),
        None => None,
    }
}

/// The user whose name is nearest to this one, if it is near.
pub fn nearest_user(name: &str, acl: &Acl) -> Option<UserName> {
    let near = nearest(name, acl.users().map(|user| user.name().as_str()))?;
    acl.user(near.as_bytes()).map(|user| user.name().clone())
}

/// What somebody is told whose edit of users would lead to these; `None` where there are none.
pub fn edit_refusal(contradictions: &[Contradiction]) -> Option<String> {
    let first = contradictions.first()?;
    let Contradiction::Nobody { named: NamedUser { name, .. }, .. } = first else {
        return Some(format!("ERR {first}"));
    };
    let keys = contradictions.iter().filter_map(|contradiction| match contradiction {
        Contradiction::Nobody { named, .. } if named.name == *name => Some(named.key.as_str()),
        _ => None,
    });
    let keys = keys.collect::<Vec<_>>().join(" and ");
    Some(format!("ERR user '{name}' is named by {keys}: take it out there first, or switch the user off"))
}

impl fmt::Display for Contradiction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nobody { named: NamedUser { name, key, location }, nearest, only_default } => {
                write!(f, "{location}: {key}: there is no user '{name}'")?;
                match nearest {
                    _ if *only_default => f.write_str("; without aclfile the only one is 'default'"),
                    Some(nearest) => write!(f, "; did you mean '{nearest}'?"),
                    None => write!(f, "; the ACL file has to have it, if only as: user {name} off"),
                }
            }
            Self::Open { user, listener, way, is_wanted } => {
                write!(f, "user '{user}' is nopass, and {listener} lets in {way}: whoever connects can be '{user}'")?;
                way_out(f, user, *is_wanted)
            }
            Self::Reachable { user, from, is_wanted } => {
                write!(
                    f,
                    "user '{user}' is nopass, and [user.{from}] reauth = \"yes\": whoever is '{from}' can be '{user}', with any \
                     password"
                )?;
                way_out(f, user, *is_wanted)
            }
        }
    }
}

fn way_out(f: &mut fmt::Formatter<'_>, user: &UserName, is_wanted: bool) -> fmt::Result {
    match is_wanted {
        true => f.write_str(", as unsafe-nopass has it"),
        false => write!(
            f,
            "; give it a password, or [user.{user}] certificate = \"required\"; unsafe-nopass = \"yes\" insists"
        ),
    }
}
