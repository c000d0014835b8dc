//! `respgate acl preset`: the line of an application or an operator, and what it takes beside it.

use clap::Args;
use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};

use crate::cli::Exit;
use crate::cli::door::print;
use crate::cli::say;
use crate::cli::table::aligned;
use crate::preset::{Grant, PRESETS, Preset, preset};

/// Behind this stands what is meant to be copied out of a comment.
const SETTING: &str = "#     ";

/// `acl preset`.
#[derive(Debug, Args)]
#[command(after_long_help = "\
What is printed goes to the end of an ACL file as it is:

    respgate acl preset celery --user shop >>users.acl

All but the line itself is comments. Those that begin with '#' and five blanks are lines for respgate.toml:

    respgate acl preset celery --user shop | sed -n 's/^#     //p'")]
pub struct AclPresetArgs {
    /// The preset; without one, all of them are listed
    #[arg(requires = "user", value_name = "NAME", value_parser = names())]
    pub name: Option<&'static Preset>,
    /// The user
    #[arg(long, requires = "name", value_name = "USER")]
    pub user: Option<String>,
    /// What the keys begin with, as it is set in the application
    #[arg(long, requires = "name", value_name = "PREFIX")]
    pub prefix: Option<String>,
}

fn names() -> impl TypedValueParser<Value = &'static Preset> {
    let names = PRESETS.iter().map(|preset| PossibleValue::new(preset.name).help(preset.about));
    PossibleValuesParser::new(names).try_map(|name| preset(&name).ok_or("there is no such preset"))
}

/// Prints the grant of one preset, or the names of all.
pub(super) fn print_preset(arguments: &AclPresetArgs) -> Exit {
    let (Some(preset), Some(user)) = (arguments.name, &arguments.user) else {
        print(&list());
        return Exit::Success;
    };
    match preset.grant(user, arguments.prefix.as_deref()) {
        Ok(grant) => {
            print(&text(preset, user, &grant));
            Exit::Success
        }
        Err(error) => {
            say::error(error);
            Exit::Usage
        }
    }
}

fn list() -> String {
    let row = |preset: &Preset| {
        let prefix = preset.default_prefix().map(|prefix| if prefix.is_empty() { "none".to_owned() } else { prefix });
        [preset.name.to_owned(), prefix.unwrap_or_else(|| "-".to_owned()), preset.about.to_owned()]
    };
    let headings = ["NAME", "PREFIX", "FOR"].map(str::to_owned);
    aligned(&[headings].into_iter().chain(PRESETS.iter().map(row)).collect::<Vec<_>>())
}

fn text(preset: &Preset, user: &str, grant: &Grant) -> String {
    let mut lines = vec![format!("# {user}: {} (respgate acl preset {}).", preset.about, preset.name)];
    lines.extend(grant.notes.iter().map(|note| format!("# {note}")));
    lines.push(if grant.takes_password() {
        format!(
            "# Login: a certificate with CN={user}, where respgate.toml has CNs name users; or a password: \
             what `respgate hash-password` prints, behind `on`."
        )
    } else {
        format!("# Login: a certificate with CN={user}, and no password.")
    });
    if !grant.settings.is_empty() {
        lines.push(format!("# In respgate.toml, {}added to the [block] that is there:", above(grant)));
        lines.extend(grant.settings.iter().map(|setting| format!("{SETTING}{setting}")));
    }
    lines.push(grant.line.clone());
    lines.join("\n")
}

/// The first rule that fits decides.
fn above(grant: &Grant) -> &'static str {
    if grant.takes_password() { "" } else { "above [[certificate]] rules that fit others as well, and " }
}

#[cfg(test)]
mod tests;
