//! rmi-benches.
