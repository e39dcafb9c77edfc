//! What holds across the packages.
mod choice;
mod collection;
mod conformance;
mod datagrams;
mod hostile;
mod interfaces;
mod layers;
mod limits;
mod model;
mod names;
mod outside;
mod promise_bytes;
mod promises;
mod second;
mod tokens;
mod transports;
mod values;
