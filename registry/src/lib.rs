//! rmi-registry.
