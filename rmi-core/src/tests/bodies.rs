//! The examples of bodies: each is written from a value, and read as it.

use std::fmt::Debug;
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

use super::example;
use super::frames::{account, observer};
use crate::error::{ErrorKind, Executed, RemoteError};
use crate::wire::codec::{self, Form};

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Point {
    x: i32,
    y: i32,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
enum Colour {
    Red,
    Grey(u8),
    Mixed(u8, u8),
    Named { left: u8 },
}

/// Reads the bytes as this value, and writes it as these bytes.
fn is_value<T: Serialize + DeserializeOwned + PartialEq + Debug>(bytes: &[u8], form: Form, value: &T) {
    let mut written = Vec::new();
    codec::encode(value, form, &mut written).unwrap();
    assert_eq!(bytes, written);
    codec::check(bytes).unwrap();
    let (read, length) = codec::decode_next::<T>(bytes).unwrap();
    assert_eq!((&read, length), (value, bytes.len()));
}

#[test]
fn arguments_are_what_they_say() {
    is_value(&example("arguments"), Form::ByName, &(500, "tip".to_owned()));
}

#[test]
fn structs_and_variants_are_what_they_say() {
    let point = Point { x: 1, y: -2 };
    is_value(&example("struct by name"), Form::ByName, &point);
    is_value(&example("struct compact"), Form::Compact, &point);
    let colours = vec![Colour::Red, Colour::Grey(7), Colour::Mixed(1, 2), Colour::Named { left: 1 }];
    is_value(&example("value variants"), Form::ByName, &colours);
}

#[test]
fn bytes_and_options_are_what_they_say() {
    is_value(&example("value list of bytes"), Form::ByName, &vec![1_u8, 2, 3]);
    is_value(&example("value bytes"), Form::ByName, &ByteBuf::from([1, 2, 3]));
    is_value(&example("value some none"), Form::ByName, &Some(None::<u8>));
}

#[test]
fn values_with_a_form_for_people_are_what_they_say() {
    let value = (account(), Duration::from_millis(1500), observer());
    is_value(&example("value forms for people"), Form::ByName, &value);
}

#[test]
fn a_reference_inside_a_body_is_what_it_says() {
    assert_eq!(example("value reference"), codec::FIRST_REFERENCE);
}

#[test]
fn an_error_inside_a_body_is_what_it_says() {
    let error = RemoteError::new(ErrorKind::Disconnected, Executed::Maybe, "gone");
    is_value(&example("value error"), Form::ByName, &error.relayed());
}
