//! What of a reload can be taken: everything but what is wrong, which stays as it is in force.

use std::collections::BTreeSet;

use crate::config::FileKind;
use crate::generation::BuildError;

/// What is held up: it stays as it is in force.
pub(super) type HeldUp = BTreeSet<FileKind>;

/// What has come of it.
pub(super) struct Attempt<T> {
    /// Everything that is wrong.
    pub(super) errors: Vec<BuildError>,
    /// What was built, and without what; `None` if nothing could be.
    pub(super) built: Option<(HeldUp, T)>,
}

/// Builds of `read`, which is what is not in force yet. What is wrong by itself is held up; where configuration and users
/// contradict each other, the one of them without which the other is right, or both.
pub(super) fn attempt<T>(
    read: &BTreeSet<FileKind>,
    mut build: impl FnMut(&HeldUp) -> Result<T, Vec<BuildError>>,
) -> Attempt<T> {
    const CONTRADICTORY: [&[FileKind]; 4] =
        [&[], &[FileKind::Configuration], &[FileKind::Users], &[FileKind::Configuration, FileKind::Users]];
    let mut told = Vec::new();
    let mut wrong = HeldUp::new();
    let mut more_is_wrong = true;
    while std::mem::take(&mut more_is_wrong) {
        for contradictory in CONTRADICTORY {
            if !contradictory.iter().all(|kind| read.contains(kind) && !wrong.contains(kind)) {
                continue;
            }
            let held_up: HeldUp = wrong.iter().chain(contradictory).copied().collect();
            let errors = match build(&held_up) {
                Ok(built) => return Attempt { errors: told, built: Some((held_up, built)) },
                Err(errors) => errors,
            };
            let at_fault = errors.iter().filter_map(BuildError::at_fault);
            let by_itself: HeldUp = at_fault.filter(|kind| read.contains(kind) && !held_up.contains(kind)).collect();
            let is_first = told.is_empty();
            let is_news =
                |error: &BuildError| is_first || error.at_fault().is_some_and(|kind| by_itself.contains(&kind));
            told.extend(errors.into_iter().filter(is_news));
            more_is_wrong = !by_itself.is_empty();
            wrong.extend(by_itself);
            if more_is_wrong {
                break;
            }
        }
    }
    Attempt { errors: told, built: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    use FileKind::{Authorities, Certificate, Configuration, RevocationLists, Users};

    /// What is held up of a reload of everything, in which these are wrong by themselves, and in which configuration and users
    /// in force (`false`) or read (`true`) contradict each other so.
    fn held_up(wrong: &[FileKind], contradict: impl Fn(bool, bool) -> bool) -> Option<Vec<FileKind>> {
        let all = [Certificate, Authorities, RevocationLists, Configuration, Users];
        let attempt = attempt(&all.into(), |held_up| {
            let mut errors: Vec<_> = wrong.iter().filter(|kind| !held_up.contains(kind)).copied().map(Some).collect();
            let [config, users] = [Configuration, Users].map(|kind| !held_up.contains(&kind));
            errors.extend(contradict(config, users).then_some(None));
            let errors: Vec<_> = errors.into_iter().map(BuildError::for_test).collect();
            if errors.is_empty() { Ok(()) } else { Err(errors) }
        });
        assert_eq!(attempt.errors.is_empty(), wrong.is_empty() && !contradict(true, true));
        attempt.built.map(|(held_up, ())| held_up.into_iter().collect())
    }

    #[test]
    fn what_is_wrong_by_itself_is_held_up_alone() {
        let never = |_, _| false;
        assert_eq!(held_up(&[], never), Some(vec![]));
        for kind in [Certificate, Authorities, RevocationLists, Configuration, Users] {
            assert_eq!(held_up(&[kind], never), Some(vec![kind]));
        }
        let most = [Certificate, Authorities, RevocationLists, Users];
        assert_eq!(held_up(&most, never), Some(most.into()));
    }

    #[test]
    fn of_configuration_and_users_that_contradict_each_other_as_little_is_held_up_as_can_be() {
        assert_eq!(held_up(&[], |config, users| config && users), Some(vec![Configuration]));
        assert_eq!(held_up(&[], |config, _| config), Some(vec![Configuration]));
        assert_eq!(held_up(&[], |_, users| users), Some(vec![Users]));
        assert_eq!(held_up(&[], |config, users| config || users), Some(vec![Configuration, Users]));
        assert_eq!(held_up(&[RevocationLists], |_, users| users), Some(vec![RevocationLists, Users]));
        assert_eq!(held_up(&[Configuration], |config, users| !config && users), Some(vec![Configuration, Users]));
    }

    #[test]
    fn where_everything_in_force_contradicts_itself_nothing_can_be_done() {
        assert_eq!(held_up(&[], |_, _| true), None);
    }
}
