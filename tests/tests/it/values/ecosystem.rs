//! Types of other crates.

use std::collections::HashMap;

use bytes::Bytes;
use chrono::{DateTime, FixedOffset, Month, NaiveDate, NaiveDateTime, NaiveTime, TimeDelta, Utc, Weekday};
use indexmap::IndexMap;
use proptest::collection::{hash_map, vec};
use proptest::prelude::*;
use rmi_core::naming::Name;
use rmi_core::{Endpoint, NodeId, ObjectId, ObjectRef};
use rust_decimal::Decimal;
use serde_bytes::ByteBuf;
use time::{Date, OffsetDateTime, PrimitiveDateTime, Time, UtcOffset};
use url::Url;
use uuid::Uuid;

use super::exchange::row;

fn moment() -> impl Strategy<Value = DateTime<Utc>> {
    (-62_135_596_800_i64..253_402_300_799, 0..1_000_000_000_u32)
        .prop_map(|(seconds, nanos)| DateTime::from_timestamp(seconds, nanos).unwrap())
}

fn instant() -> impl Strategy<Value = OffsetDateTime> {
    (-62_135_596_800_i64..253_402_300_799, 0..1_000_000_000_i64).prop_map(|(seconds, nanos)| {
        OffsetDateTime::from_unix_timestamp(seconds).unwrap() + time::Duration::nanoseconds(nanos)
    })
}

fn uuid() -> impl Strategy<Value = Uuid> {
    any::<u128>().prop_map(Uuid::from_u128)
}

#[tokio::test]
async fn chrono_moments_arrive() {
    row!(arrives(moment())).await;
}

#[tokio::test]
async fn chrono_moments_with_an_offset_arrive() {
    let offset = (-86_399 / 60..86_399 / 60).prop_map(|minutes: i32| FixedOffset::east_opt(minutes * 60).unwrap());
    row!(arrives((moment(), offset).prop_map(|(moment, offset)| moment.with_timezone(&offset)))).await;
}

#[tokio::test]
async fn chrono_dates_and_times_arrive() {
    let parts = moment().prop_map(|moment| -> (NaiveDate, NaiveTime, NaiveDateTime) {
        (moment.date_naive(), moment.time(), moment.naive_utc())
    });
    row!(arrives(parts)).await;
}

#[tokio::test]
async fn chrono_spans_days_and_months_arrive() {
    let span = any::<i32>().prop_map(|seconds| TimeDelta::seconds(seconds.into()));
    let day = (0..7_u8).prop_map(|day| Weekday::try_from(day).unwrap());
    let month = (1..13_u8).prop_map(|month| Month::try_from(month).unwrap());
    row!(arrives((span, day, month))).await;
}

#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
struct Stamps {
    #[serde(with = "chrono::serde::ts_milliseconds_option")]
    at: Option<DateTime<Utc>>,
    #[serde(with = "time::serde::timestamp::nanoseconds")]
    other: OffsetDateTime,
}

#[tokio::test]
async fn moments_as_numbers_arrive() {
    let at = prop::option::of(any::<i32>().prop_map(|millis| DateTime::from_timestamp_millis(millis.into()).unwrap()));
    row!(arrives((at, instant()).prop_map(|(at, other)| Stamps { at, other }))).await;
}

#[tokio::test]
async fn time_moments_arrive() {
    row!(arrives(instant())).await;
}

#[tokio::test]
async fn time_dates_times_spans_and_offsets_arrive() {
    type Parts = (Date, Time, PrimitiveDateTime, UtcOffset, time::Duration, time::Weekday, time::Month);
    let parts = (instant(), -23..23_i8, -59..59_i8, any::<i32>(), 0..1_000_000_000_i32);
    let parts = parts.prop_map(|(at, hours, minutes, seconds, nanos)| -> Parts {
        let minutes = if hours < 0 { -minutes.abs() } else { minutes.abs() };
        let offset = UtcOffset::from_hms(hours, minutes, 0).unwrap();
        let nanos = if seconds < 0 { -nanos } else { nanos };
        let span = time::Duration::new(seconds.into(), nanos);
        (at.date(), at.time(), PrimitiveDateTime::new(at.date(), at.time()), offset, span, at.weekday(), at.month())
    });
    row!(arrives(parts)).await;
}

#[tokio::test]
async fn uuids_arrive() {
    row!(arrives((uuid(), prop::option::of(uuid()), vec(uuid(), 0..4)))).await;
}

#[tokio::test]
async fn uuids_as_keys_arrive() {
    row!(arrives(hash_map(uuid(), any::<u8>(), 0..4))).await;
}

#[tokio::test]
async fn uuids_as_bytes_arrive() {
    #[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
    struct Short(#[serde(with = "uuid::serde::compact")] Uuid);
    row!(arrives(uuid().prop_map(Short))).await;
}

#[tokio::test]
async fn urls_arrive() {
    let url = ("[a-z]{1,8}", any::<u16>(), "[a-zA-Z0-9/ä%]{0,12}", ".{0,12}").prop_map(|(host, port, path, query)| {
        let mut url: Url = format!("https://{host}.example:{port}/{path}").parse().unwrap();
        url.set_query(Some(&query));
        url
    });
    row!(arrives(url)).await;
}

#[tokio::test]
async fn decimals_arrive() {
    let decimal = (any::<i64>(), 0..28_u32).prop_map(|(number, scale)| Decimal::new(number, scale));
    row!(arrives(vec(decimal, 0..4))).await;
}

#[tokio::test]
async fn byte_strings_arrive() {
    row!(arrives(vec(any::<u8>(), 0..300).prop_map(Bytes::from))).await;
    row!(arrives(vec(any::<u8>(), 0..300).prop_map(ByteBuf::from))).await;
    let several = (vec(any::<u8>(), 0..40), vec(any::<u8>(), 0..40));
    row!(arrives(
        several.prop_map(|(a, b)| vec![(Bytes::from(a.clone()), Some(ByteBuf::from(b))), (Bytes::from(a), None)])
    ))
    .await;
}

#[tokio::test]
async fn maps_in_their_order_arrive() {
    let map = vec((any::<i16>(), any::<String>()), 0..8).prop_map(IndexMap::from_iter);
    row!(arrives(map.prop_map(|map: IndexMap<i16, String>| map.into_iter().collect::<Vec<_>>()))).await;
    let map = vec(("[a-z]{3}", any::<bool>()), 0..8);
    row!(arrives(map.prop_map(|pairs| pairs.into_iter().collect::<IndexMap<String, bool>>()))).await;
}

#[tokio::test]
async fn json_arrives() {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        any::<u64>().prop_map(Into::into),
        (-1e9..1e9).prop_map(|number: f64| (number + 0.5).into()),
        ".{0,8}".prop_map(Into::into),
    ];
    let json = leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(serde_json::Value::from),
            hash_map(".{0,4}", inner, 0..4).prop_map(|map: HashMap<String, serde_json::Value>| {
                serde_json::Value::Object(map.into_iter().collect())
            }),
        ]
    });
    row!(arrives(json)).await;
}

#[tokio::test]
async fn ids_names_endpoints_and_references_as_values_arrive() {
    let part = (any::<[u8; 16]>(), any::<[u8; 16]>(), "[a-z]{1,9}", any::<u16>());
    let values = part.prop_map(|(node, object, name, port)| {
        let endpoint: Endpoint = format!("tcp://127.0.0.1:{port}").parse().unwrap();
        let (node, object) = (NodeId::from_bytes(node), ObjectId::from_bytes(object));
        let reference = ObjectRef::new(node, object, vec![name.clone()], vec![endpoint.clone()]);
        let name: Name = name.parse().unwrap();
        (node, object, name, endpoint, reference)
    });
    row!(arrives(values)).await;
}
