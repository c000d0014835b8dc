//! What of a reload can be taken: everything but what is wrong, which stays as it is in force.

use std::collections::BTreeSet;

use crate::generation::{BuildError, Part};

/// What is held up: it stays as it is in force.
pub(super) type HeldUp = BTreeSet<Part>;

/// What has come of it.
pub(super) struct Attempt<T> {
    /// Everything that is wrong.
    pub(super) errors: Vec<BuildError>,
    /// What was built, and without what; `None` if nothing could be.
    pub(super) built: Option<(HeldUp, T)>,
}

/// Builds of `read`, which is what is not in force yet. What is wrong by itself is held up, with all that is `beside`
/// it; where configuration and users contradict each other, the one of them without which the other is right, or both.
pub(super) fn attempt<T>(
    read: &BTreeSet<Part>,
    beside: impl Fn(&Part) -> BTreeSet<Part>,
    mut build: impl FnMut(&HeldUp) -> Result<T, Vec<BuildError>>,
) -> Attempt<T> {
    const CONTRADICTORY: [&[Part]; 4] =
        [&[], &[Part::Configuration], &[Part::Users], &[Part::Configuration, Part::Users]];
    let mut told = Vec::new();
    let mut wrong = HeldUp::new();
    let mut more_is_wrong = true;
    while std::mem::take(&mut more_is_wrong) {
        for contradictory in CONTRADICTORY {
            if !contradictory.iter().all(|part| read.contains(part) && !wrong.contains(part)) {
                continue;
            }
            let held_up: HeldUp = wrong.iter().chain(contradictory).cloned().collect();
            let errors = match build(&held_up) {
                Ok(built) => return Attempt { errors: told, built: Some((held_up, built)) },
                Err(errors) => errors,
            };
            let at_fault: BTreeSet<&Part> = errors.iter().filter_map(BuildError::at_fault).collect();
            let with_beside: BTreeSet<Part> = at_fault.into_iter().flat_map(&beside).collect();
            let by_itself: HeldUp =
                with_beside.into_iter().filter(|part| read.contains(part) && !held_up.contains(part)).collect();
            let is_first = told.is_empty();
            let is_news =
                |error: &BuildError| is_first || error.at_fault().is_some_and(|part| by_itself.contains(part));
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

    use Part::{Certificates, Configuration, Users};

    fn authorities() -> Part {
        Part::Authorities("ca.crt".into())
    }

    fn lists(path: &str) -> Part {
        Part::RevocationLists(path.into())
    }

    /// What is held up of a reload of everything, in which these are wrong by themselves, and in which configuration
    /// and users in force (`false`) or read (`true`) contradict each other so.
    fn held_up(wrong: &[Part], contradict: impl Fn(bool, bool) -> bool) -> Option<Vec<Part>> {
        let all = [Certificates, authorities(), lists("a.crl"), lists("ca.crt"), Configuration, Users];
        let of_one_file = [authorities(), lists("ca.crt")];
        let beside =
            |part: &Part| if of_one_file.contains(part) { of_one_file.clone().into() } else { [part.clone()].into() };
        let attempt = attempt(&all.into(), beside, |held_up| {
            let mut errors: Vec<_> = wrong.iter().filter(|part| !held_up.contains(part)).cloned().map(Some).collect();
            let [config, users] = [Configuration, Users].map(|part| !held_up.contains(&part));
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
        for part in [Certificates, lists("a.crl"), Configuration, Users] {
            assert_eq!(held_up(std::slice::from_ref(&part), never), Some(vec![part]));
        }
        let most = [Certificates, lists("a.crl"), Users];
        assert_eq!(held_up(&most, never), Some(most.into()));
    }

    #[test]
    fn what_is_read_from_the_same_file_is_held_up_together() {
        for part in [authorities(), lists("ca.crt")] {
            assert_eq!(held_up(&[part], |_, _| false), Some(vec![authorities(), lists("ca.crt")]));
        }
    }

    #[test]
    fn of_configuration_and_users_that_contradict_each_other_as_little_is_held_up_as_can_be() {
        assert_eq!(held_up(&[], |config, users| config && users), Some(vec![Configuration]));
        assert_eq!(held_up(&[], |config, _| config), Some(vec![Configuration]));
        assert_eq!(held_up(&[], |_, users| users), Some(vec![Users]));
        assert_eq!(held_up(&[], |config, users| config || users), Some(vec![Configuration, Users]));
        assert_eq!(held_up(&[lists("a.crl")], |_, users| users), Some(vec![lists("a.crl"), Users]));
        assert_eq!(held_up(&[Configuration], |config, users| !config && users), Some(vec![Configuration, Users]));
    }

    #[test]
    fn where_everything_in_force_contradicts_itself_nothing_can_be_done() {
        assert_eq!(held_up(&[], |_, _| true), None);
    }
}
