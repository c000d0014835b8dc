//! What the configuration and the users say about each other and cannot both mean. Taken as it stands, something that
//! somebody wrote would silently not take effect.

use std::fmt;

use crate::acl::{Acl, UserName};
use crate::config::{AclSource, Config, NamedUser, nearest};

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
}

/// All of them.
#[must_use]
pub fn contradictions(config: &Config, acl: &Acl) -> Vec<Contradiction> {
    let missing = config.named_users.iter().filter(|named| acl.user(named.name.as_bytes()).is_none());
    let nobody = missing.map(|named| Contradiction::Nobody {
        named: named.clone(),
        nearest: nearest_user(&named.name, acl),
        only_default: !matches!(config.acl, AclSource::File(_)),
    });
    nobody.collect()
}

/// The user whose name is nearest to this one, if it is near.
pub fn nearest_user(name: &str, acl: &Acl) -> Option<UserName> {
    let near = nearest(name, acl.users().map(|user| user.name().as_str()))?;
    acl.user(near.as_bytes()).map(|user| user.name().clone())
}

/// What somebody is told whose edit of users would lead to these; `None` where there are none.
pub fn refusal(contradictions: &[Contradiction]) -> Option<String> {
    let Contradiction::Nobody { named: NamedUser { name, .. }, .. } = contradictions.first()?;
    let keys = contradictions.iter().filter_map(|contradiction| match contradiction {
        Contradiction::Nobody { named, .. } => (named.name == *name).then_some(named.key.as_str()),
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
        }
    }
}
