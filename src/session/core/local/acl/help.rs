//! HELP.

use crate::resp::Reply;

/// The subcommands and what each does.
const SUBCOMMANDS: [(&str, &str); 13] = [
    ("CAT [<category>]", "The categories of commands, or the commands of one category."),
    ("DELUSER <username> [<username> ...]", "Delete users. Their sessions end."),
    ("DRYRUN <username> <command> [<arg> ...]", "Whether the ACL of a user allows a command; nothing is executed."),
    ("GETUSER <username>", "One user's rules."),
    ("GENPASS [<bits>]", "A random password in hexadecimal digits, of 256 bits unless another number is given."),
    ("LIST", "All users, in the format of the ACL file."),
    ("LOAD", "Read the ACL file again; users that are not in it are gone."),
    ("LOG [<count> | RESET]", "The latest refusals, or forget them."),
    ("SAVE", "Write the users of this moment to the ACL file."),
    ("SETUSER <username> <rule> [<rule> ...]", "Create a user, or change its rules."),
    ("USERS", "The names of all users."),
    ("WHOAMI", "The user of this session."),
    ("HELP", "This text."),
];

/// One status a line, as Redis [addReplyHelp].
pub(super) fn reply() -> Reply {
    let head = "ACL <subcommand> [<arg> [value] [opt] ...]. Subcommands are:".to_owned();
    let lines = SUBCOMMANDS.iter().flat_map(|(syntax, text)| [(*syntax).to_owned(), format!("    {text}")]);
    let lines = std::iter::once(head).chain(lines);
    Reply::Array(lines.map(|line| Reply::Simple(line.into())).collect())
}
