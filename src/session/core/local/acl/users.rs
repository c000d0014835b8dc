//! USERS, LIST and GETUSER.

use crate::acl::{Acl, SelectorDescription, UserDescription};
use crate::command::CommandTable;
use crate::resp::Reply;

/// `ACL USERS`.
pub(super) fn names(acl: &Acl) -> Reply {
    Reply::Array(acl.users().map(|user| Reply::bulk(user.name().as_str())).collect())
}

/// `ACL LIST`.
pub(super) fn lines(acl: &Acl, table: &CommandTable) -> Reply {
    Reply::Array(acl.users().map(|user| Reply::bulk(user.to_line(table))).collect())
}

/// `ACL GETUSER name`.
pub(super) fn describe(acl: &Acl, name: &[u8], table: &CommandTable) -> Reply {
    let Some(user) = acl.user(name) else { return Reply::Null };
    let UserDescription { flags, passwords, root, selectors } = user.describe(table);
    let mut fields = vec![
        (Reply::bulk("flags"), Reply::Set(flags.into_iter().map(Reply::bulk).collect())),
        (Reply::bulk("passwords"), Reply::Array(passwords.into_iter().map(Reply::bulk).collect())),
    ];
    fields.extend(selector(root));
    let selectors = selectors.into_iter().map(|description| Reply::Map(selector(description)));
    fields.push((Reply::bulk("selectors"), Reply::Array(selectors.collect())));
    Reply::Map(fields)
}

/// The fields of one selector [aclAddReplySelectorDescription].
fn selector(description: SelectorDescription) -> Vec<(Reply, Reply)> {
    let SelectorDescription { commands, keys, channels, databases } = description;
    let mut fields = vec![
        (Reply::bulk("commands"), Reply::bulk(commands)),
        (Reply::bulk("keys"), Reply::bulk(keys)),
        (Reply::bulk("channels"), Reply::bulk(channels)),
    ];
    fields.extend(databases.map(|databases| (Reply::bulk("databases"), Reply::bulk(databases))));
    fields
}
