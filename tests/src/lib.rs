//! rmi-tests.
