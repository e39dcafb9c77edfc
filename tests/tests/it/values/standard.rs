//! Types of the standard library.

use std::borrow::Cow;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, LinkedList, VecDeque};
use std::ffi::CString;
use std::marker::PhantomData;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::num::{NonZeroI64, NonZeroU8, NonZeroU128, Saturating, Wrapping};
use std::ops::{Bound, Range, RangeFrom, RangeInclusive, RangeTo};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use proptest::collection::{btree_map, btree_set, hash_map, hash_set, vec};
use proptest::option::of;
use proptest::prelude::*;
use serde::{Deserialize, Serialize};

use super::exchange::row;

#[tokio::test]
async fn numbers_arrive() {
    row!(arrives(any::<(u8, u16, u32, u64, i8, i16, i32, i64, usize, isize)>())).await;
}

#[tokio::test]
async fn large_numbers_arrive() {
    row!(arrives(any::<(u128, i128, Option<u128>, Vec<i128>)>())).await;
    row!(arrives(prop_oneof![Just(0), Just(1), Just(u128::MAX), Just(u128::from(u64::MAX) + 1), Just(255)])).await;
    row!(arrives(prop_oneof![Just(i128::MIN), Just(i128::MAX), Just(-1), Just(i128::from(i64::MIN) - 1)])).await;
}

/// Numbers that are the same when their bits are.
#[derive(Clone, Copy, Serialize, Deserialize)]
struct Floats(f32, f64);

impl PartialEq for Floats {
    fn eq(&self, other: &Self) -> bool {
        (self.0.to_bits(), self.1.to_bits()) == (other.0.to_bits(), other.1.to_bits())
    }
}

impl std::fmt::Debug for Floats {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:#x} {:#x}", self.0.to_bits(), self.1.to_bits())
    }
}

#[tokio::test]
async fn numbers_with_a_point_arrive_bit_by_bit() {
    // Every pattern of bits is a number, those that are none with what they carry.
    row!(arrives(any::<(u32, u64)>().prop_map(|(a, b)| Floats(f32::from_bits(a), f64::from_bits(b))))).await;
    let odd = prop_oneof![
        Just(Floats(f32::NAN, -f64::NAN)),
        Just(Floats(-0.0, -0.0)),
        Just(Floats(f32::INFINITY, f64::NEG_INFINITY)),
        Just(Floats(f32::MIN_POSITIVE / 2.0, f64::MIN_POSITIVE / 2.0)),
    ];
    row!(arrives(odd)).await;
}

#[tokio::test]
async fn truths_and_texts_arrive() {
    row!(arrives(any::<(bool, char, String)>())).await;
    row!(arrives(any::<(Box<str>, Arc<str>, Option<String>, Vec<char>)>())).await;
}

#[tokio::test]
async fn byte_lists_arrive_wherever_they_stand() {
    row!(arrives(vec(any::<u8>(), 0..600))).await;
    row!(arrives(any::<(Vec<u8>, Option<Vec<u8>>, Box<[u8]>, [Vec<u8>; 2], [u8; 32], [u8; 0], [[u8; 2]; 3])>())).await;
    row!(arrives(btree_map(vec(any::<u8>(), 0..9), any::<VecDeque<u8>>(), 0..4))).await;
    row!(arrives((hash_set(any::<u8>(), 0..20), btree_set(any::<u8>(), 0..20)))).await;
}

#[tokio::test]
async fn lists_of_small_numbers_that_are_no_bytes_arrive() {
    row!(arrives(vec(0..300_u16, 0..40))).await;
    row!(arrives((vec(-3..300_i64, 0..40), vec(of(any::<u8>()), 0..10), vec(any::<(u8,)>(), 0..10)))).await;
    row!(arrives((vec(any::<bool>(), 0..10), vec(any::<i8>(), 0..10), vec(any::<()>(), 0..10)))).await;
}

#[tokio::test]
async fn options_in_options_arrive() {
    row!(arrives(of(of(any::<u8>())))).await;
    row!(arrives(of(of(of(of(any::<()>())))))).await;
    row!(arrives((of(any::<()>()), vec(of(of(any::<String>())), 0..6), of(of(vec(any::<u8>(), 0..5)))))).await;
    row!(arrives(btree_map(of(of(any::<bool>())), of(any::<()>()), 0..6))).await;
}

#[tokio::test]
async fn addresses_arrive() {
    row!(arrives((any::<IpAddr>(), any::<Ipv4Addr>(), any::<Ipv6Addr>()))).await;
    row!(arrives((any::<SocketAddrV4>(), vec(any::<IpAddr>(), 0..3)))).await;
    // Their texts have no flow labels.
    row!(arrives_as_from_json((any::<SocketAddr>(), any::<SocketAddrV6>()))).await;
}

#[tokio::test]
async fn times_arrive() {
    row!(arrives(any::<(Duration, Option<Duration>)>())).await;
    row!(arrives(any::<u32>().prop_map(|seconds| SystemTime::UNIX_EPOCH + Duration::new(seconds.into(), 7)))).await;
}

#[tokio::test]
async fn a_time_that_its_type_cannot_write_is_told() {
    row!(is_told(Just(SystemTime::UNIX_EPOCH - Duration::from_secs(1)))).await;
}

#[tokio::test]
async fn paths_arrive() {
    row!(arrives("[a-z/ä ]{0,20}".prop_map(PathBuf::from))).await;
    row!(arrives("[a-z]{0,20}".prop_map(|text| CString::new(text).unwrap()))).await;
}

#[tokio::test]
async fn a_path_that_its_type_cannot_write_is_told() {
    use std::os::unix::ffi::OsStringExt;
    row!(is_told(Just(PathBuf::from(std::ffi::OsString::from_vec(vec![b'/', 0xff]))))).await;
}

#[tokio::test]
async fn collections_arrive() {
    row!(arrives(any::<(Vec<String>, VecDeque<i16>, LinkedList<bool>, BTreeSet<char>)>())).await;
    row!(arrives((hash_set(any::<i64>(), 0..9), hash_map(any::<String>(), any::<Option<i8>>(), 0..9)))).await;
    row!(arrives((vec(any::<u16>(), 17..40), vec(any::<u32>(), 70_000..70_002)))).await;
}

#[tokio::test]
async fn maps_of_maps_with_any_keys_arrive() {
    fn map<K: Strategy<Value: Ord>, V: Strategy>(
        keys: K,
        values: V,
    ) -> impl Strategy<Value = BTreeMap<K::Value, V::Value>> {
        btree_map(keys, values, 0..4)
    }
    let few = || vec(any::<u8>(), 0..4);
    row!(arrives(map(any::<u64>(), map(("[a-z]{0,4}", any::<i8>()), hash_map(any::<char>(), few(), 0..4))))).await;
    row!(arrives(map(any::<Option<bool>>(), map(few(), map(any::<i128>(), any::<()>()))))).await;
    row!(arrives(hash_map(any::<bool>(), map(any::<IpAddr>(), map(map(any::<u8>(), few()), any::<Duration>())), 0..3)))
        .await;
    row!(arrives(map(any::<[u8; 3]>(), map(any::<()>(), map(any::<Result<i8, char>>(), few()))))).await;
}

#[tokio::test]
async fn what_holds_a_value_arrives() {
    row!(arrives(any::<(Box<u32>, Arc<String>, Box<[String]>, Arc<[u64]>, Box<Option<Box<u8>>>)>())).await;
    row!(arrives(
        any::<(String, Vec<u8>)>()
            .prop_map(|(a, b)| -> (Cow<'static, str>, Cow<'static, [u8]>) { (Cow::Owned(a), Cow::Owned(b)) }),
    ))
    .await;
    row!(arrives(any::<(u8, Option<u8>)>().prop_map(|(a, b)| (Reverse(a), Reverse(b))))).await;
}

#[tokio::test]
async fn numbers_in_wrappers_arrive() {
    row!(arrives(any::<(NonZeroU8, NonZeroI64, NonZeroU128, Option<NonZeroU8>)>())).await;
    row!(arrives(any::<(u8, i32)>().prop_map(|(a, b)| (Wrapping(a), Saturating(b))))).await;
}

#[tokio::test]
async fn shared_counters_arrive() {
    #[derive(Debug, Clone, Serialize, Deserialize)]
    struct Counter(Arc<AtomicU64>);

    impl PartialEq for Counter {
        fn eq(&self, other: &Self) -> bool {
            self.0.load(Ordering::Relaxed) == other.0.load(Ordering::Relaxed)
        }
    }

    row!(arrives(any::<u64>().prop_map(|number| Counter(Arc::new(number.into()))))).await;
}

#[tokio::test]
async fn ranges_arrive() {
    row!(arrives(any::<(u8, i64, char)>().prop_map(
        |(a, b, c)| -> (Range<u8>, RangeInclusive<i64>, RangeFrom<char>, RangeTo<i64>) { (a / 2..a, b..=b, c.., ..b) },
    )))
    .await;
    let bound = prop_oneof![
        Just(Bound::Unbounded),
        any::<i8>().prop_map(Bound::Included),
        any::<i8>().prop_map(Bound::Excluded)
    ];
    row!(arrives(bound)).await;
}

#[tokio::test]
async fn results_as_values_arrive() {
    row!(arrives(any::<(Result<u8, String>, Result<(), Option<()>>, Vec<Result<Vec<u8>, ()>>)>())).await;
}

#[tokio::test]
async fn nothing_arrives_as_nothing() {
    row!(arrives(Just(()))).await;
    row!(arrives(Just(((), PhantomData::<u8>, [(); 2], (((),),))))).await;
}

#[tokio::test]
async fn long_tuples_arrive() {
    row!(arrives(any::<((u8, u8, u8, u8, u8, u8, u8, u8), (i8, String, bool, char, (), [i32; 3], Option<u8>, u64))>()))
        .await;
}
