//! rmi-examples.
