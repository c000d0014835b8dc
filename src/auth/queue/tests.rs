use proptest::prelude::*;

use super::*;

fn host(number: u8) -> IpAddr {
    IpAddr::from([198, 51, 100, number])
}

fn address(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

fn pushed<T: std::fmt::Debug + PartialEq>(queue: &mut Queue<T>, standing: Standing, from: IpAddr, item: T) {
    assert_eq!(queue.push(standing, from, item), Pushed::Queued);
}

fn all<T>(queue: &mut Queue<T>) -> Vec<T> {
    std::iter::from_fn(|| queue.pop()).collect()
}

#[test]
fn addresses_take_turns_and_each_keeps_its_order() {
    let mut queue = Queue::new(10);
    for (from, item) in [(1, "a1"), (1, "a2"), (1, "a3"), (2, "b1"), (2, "b2"), (3, "c1")] {
        pushed(&mut queue, Standing::Fresh, host(from), item);
    }
    assert_eq!(all(&mut queue), ["a1", "b1", "c1", "a2", "b2", "a3"]);
}

#[test]
fn a_newcomer_waits_for_one_job_of_each_other_address() {
    let mut queue = Queue::new(1000);
    for from in 1..=5 {
        (0..64).for_each(|_| pushed(&mut queue, Standing::Fresh, host(from), from));
    }
    pushed(&mut queue, Standing::Fresh, host(9), 9);
    assert_eq!(all(&mut queue).iter().position(|from| *from == 9), Some(5));
}

#[test]
fn standings_take_turns_so_that_none_holds_up_another() {
    let mut queue = Queue::new(1000);
    for from in 1..=100 {
        pushed(&mut queue, Standing::Fresh, host(from), "fresh");
        pushed(&mut queue, Standing::Failing, host(from), "failing");
    }
    pushed(&mut queue, Standing::Known, host(1), "known");
    pushed(&mut queue, Standing::Known, host(2), "known");
    assert_eq!(all(&mut queue)[..6], ["fresh", "failing", "known", "fresh", "failing", "known"]);
}

#[test]
fn an_ipv6_network_of_48_bits_takes_turns_as_one_address_and_its_networks_of_64_bits_among_each_other() {
    let mut queue = Queue::new(10);
    for (from, item) in [
        ("2001:db8:1:1::1", "1:1"),
        ("2001:db8:1:1::2", "1:1 again"),
        ("2001:db8:1:2::1", "1:2"),
        ("2001:db8:1:3::1", "1:3"),
        ("2001:db8:2::1", "2"),
        ("192.0.2.1", "v4"),
    ] {
        pushed(&mut queue, Standing::Fresh, address(from), item);
    }
    assert_eq!(all(&mut queue), ["1:1", "2", "v4", "1:2", "1:3", "1:1 again"]);
}

#[test]
fn in_a_full_queue_whoever_has_most_loses_the_newest_to_whoever_has_less() {
    let mut queue = Queue::new(4);
    (1..=4).for_each(|item| pushed(&mut queue, Standing::Fresh, host(1), item));
    assert_eq!(queue.push(Standing::Fresh, host(1), 5), Pushed::Full(5));
    assert_eq!(queue.push(Standing::Fresh, host(2), 21), Pushed::InPlaceOf(4));
    assert_eq!(queue.push(Standing::Fresh, host(2), 22), Pushed::InPlaceOf(3));
    assert_eq!(queue.push(Standing::Fresh, host(2), 23), Pushed::Full(23), "they have as many");
    assert_eq!(queue.push(Standing::Fresh, host(1), 6), Pushed::Full(6));
    assert_eq!(all(&mut queue), [1, 21, 2, 22]);
}

#[test]
fn many_addresses_of_one_standing_do_not_take_the_room_of_another() {
    let mut queue = Queue::new(100);
    (1..=100).for_each(|from| pushed(&mut queue, Standing::Fresh, host(from), from));
    assert_eq!(queue.push(Standing::Fresh, host(200), 200), Pushed::Full(200));
    assert!(matches!(queue.push(Standing::Known, host(200), 200), Pushed::InPlaceOf(_)));
}

#[test]
fn many_networks_of_64_bits_do_not_take_the_room_of_others() {
    let mut queue = Queue::new(100);
    for number in 1..=100 {
        pushed(&mut queue, Standing::Fresh, address(&format!("2001:db8:1:{number}::1")), number);
    }
    assert!(matches!(queue.push(Standing::Fresh, host(1), 101), Pushed::InPlaceOf(_)));
    assert!(matches!(queue.push(Standing::Fresh, address("2001:db8:2::1"), 102), Pushed::InPlaceOf(_)));
    assert_eq!(queue.push(Standing::Fresh, address("2001:db8:1:101::1"), 103), Pushed::Full(103));
}

#[test]
fn a_queue_without_room_takes_nothing() {
    assert_eq!(Queue::new(0).push(Standing::Fresh, host(1), 1), Pushed::Full(1));
}

/// Whatever comes from wherever: 2 networks of 64 bits in each of 2 of 48, and 2 IPv4 addresses.
fn any_place() -> impl Strategy<Value = (Standing, IpAddr)> {
    const PLACES: &[&str] =
        &["2001:db8:1:1::1", "2001:db8:1:2::1", "2001:db8:2:1::1", "2001:db8:2:2::1", "192.0.2.1", "192.0.2.2"];
    const STANDINGS: &[Standing] = &[Standing::Known, Standing::Fresh, Standing::Failing];
    (proptest::sample::select(STANDINGS), proptest::sample::select(PLACES))
        .prop_map(|(standing, place)| (standing, address(place)))
}

/// An item of the model: where it waits, and who was served since it came.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Item {
    number: usize,
    path: [Name; 3],
    served: Vec<[Name; 3]>,
}

proptest! {
    #[test]
    fn whatever_happens_nothing_is_lost_and_nobody_waits_for_two_turns_of_another(
        steps in proptest::collection::vec(proptest::option::weighted(0.7, any_place()), 0..200),
        limit in 1_usize..24,
    ) {
        let mut queue = Queue::new(limit);
        let mut model: Vec<Item> = Vec::new();
        for (number, step) in steps.into_iter().enumerate() {
            match step {
                Some((standing, from)) => {
                    let path = [Name::Standing(standing), Name::Network(network(from)), Name::Origin(origin(from))];
                    let lens = |model: &[Item], path: &[Name]| {
                        model.iter().filter(|item| item.path.starts_with(path)).count()
                    };
                    match queue.push(standing, from, number) {
                        Pushed::Queued => prop_assert!(model.len() < limit),
                        Pushed::InPlaceOf(other) => {
                            prop_assert_eq!(model.len(), limit);
                            let at = model.iter().position(|item| item.number == other).expect("it waited");
                            let gone = model.remove(at);
                            prop_assert!(!model[at..].iter().any(|item| item.path == gone.path), "the newest");
                            let level = (0..3).find(|level| gone.path[*level] != path[*level]).expect("another's");
                            let (of_gone, of_new) = (&gone.path[..=level], &path[..=level]);
                            prop_assert!(lens(&model, of_gone) > lens(&model, of_new), "who had more");
                        }
                        Pushed::Full(refused) => {
                            prop_assert_eq!((refused, model.len()), (number, limit));
                            for level in 0..3 {
                                let own = lens(&model, &path[..=level]);
                                let beside = model.iter().filter(|item| item.path[..level] == path[..level]);
                                let longest = beside.map(|item| lens(&model, &item.path[..=level])).max();
                                prop_assert!(longest.unwrap_or_default() <= own + 1, "nobody has more");
                            }
                            continue;
                        }
                    }
                    model.push(Item { number, path, served: Vec::new() });
                }
                None => {
                    let Some(popped) = queue.pop() else {
                        prop_assert!(model.is_empty());
                        continue;
                    };
                    let at = model.iter().position(|item| item.number == popped).expect("it waited");
                    let item = model.remove(at);
                    prop_assert!(!model[..at].iter().any(|other| other.path == item.path), "the oldest of its address");
                    // Of those beside it on each level, none had more turns than its own part, and one.
                    for level in 0..3 {
                        let beside = item.served.iter().filter(|path| path[..level] == item.path[..level]);
                        let names: Vec<Name> = beside.map(|path| path[level]).collect();
                        let turns = |name: Name| names.iter().filter(|served| **served == name).count();
                        for name in &names {
                            prop_assert!(turns(*name) <= turns(item.path[level]) + 1, "{:?} had two turns", name);
                        }
                    }
                    model.iter_mut().for_each(|other| other.served.push(item.path));
                }
            }
            prop_assert_eq!(queue.waiting.len, model.len());
        }
        let rest: std::collections::BTreeSet<usize> = all(&mut queue).into_iter().collect();
        prop_assert_eq!(rest, model.iter().map(|item| item.number).collect());
    }
}
