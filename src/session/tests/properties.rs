//! What holds for every session, tried on many.

use proptest::collection::vec;
use proptest::prelude::*;

use super::refusing::check_refusals;
use super::scenario::{check_pieces, check_steps};

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn however_requests_and_replies_are_cut_both_sides_are_sent_the_same(data in vec(any::<u8>(), 0..60)) {
        check_pieces(&data);
    }

    #[test]
    fn one_byte_at_a_time_gives_the_same(data in vec(any::<u8>(), 0..16)) {
        check_pieces(&[&[1, 1, 1, 1], data.as_slice()].concat());
    }

    #[test]
    fn whatever_redis_refuses_nothing_is_executed_that_is_not_permitted(data in vec(any::<u8>(), 0..60)) {
        let (rig, redis) = check_refusals(&data);
        prop_assert_eq!(rig.closed, None);
        prop_assert_eq!(rig.in_transaction(), redis.is_queueing());
        prop_assert!(rig.database().is_none_or(|database| database == redis.database));
    }

    #[test]
    fn whatever_happens_only_what_is_permitted_is_sent_in_order_and_within_bounds(data in vec(any::<u8>(), 0..300)) {
        check_steps(&data);
    }
}
