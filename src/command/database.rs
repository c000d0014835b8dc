//! Which databases a command touches (Valkey 9.1's `db=`).

use super::argv::Argv;
use super::keyspec::Unextractable;
use super::spec::CommandSpec;

/// What a command needs of the databases before its arguments are looked at.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DatabaseNeed {
    /// Touches none.
    None,
    /// Touches the selected one.
    Selected,
    /// Touches every one, as FLUSHALL does.
    All,
}

/// A database that an argument names.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DatabaseUse {
    /// The argument.
    pub index: usize,
    /// The number it names.
    pub database: u32,
}

impl CommandSpec {
    /// Calls `visit` for each database that an argument names: SELECT, SWAPDB, MOVE and COPY … DB.
    ///
    /// # Errors
    /// [`Unextractable`] where such an argument is no number the server would take; and what `visit` returns.
    pub fn try_databases<E: From<Unextractable>>(
        &self,
        argv: &Argv<'_>,
        mut visit: impl FnMut(DatabaseUse) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut named = |index| visit(DatabaseUse { index, database: number(argv.get(index))? });
        match self.full_name() {
            "select" => named(1),
            "move" => named(2),
            "swapdb" => {
                named(1)?;
                named(2)
            }
            "copy" => {
                for (index, argument) in argv.iter_from(3) {
                    if memchr::memchr(0, argument).is_some() {
                        return Err(Unextractable.into());
                    }
                    if argument.eq_ignore_ascii_case(b"db") {
                        named(index + 1)?;
                    }
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    pub(super) fn names_databases(&self) -> bool {
        matches!(self.full_name(), "select" | "move" | "swapdb" | "copy")
    }
}

/// As the server reads it (Redis: `string2ll`): decimal, no sign, no leading zero.
fn number(argument: Option<&[u8]>) -> Result<u32, Unextractable> {
    let text = argument.and_then(|a| std::str::from_utf8(a).ok()).ok_or(Unextractable)?;
    let canonical = text == "0" || (text.starts_with(|c: char| c.is_ascii_digit()) && !text.starts_with('0'));
    if !canonical {
        return Err(Unextractable);
    }
    text.parse().map_err(|_| Unextractable)
}
