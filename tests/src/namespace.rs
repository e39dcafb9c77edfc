//! Another machine on this one: a network namespace with a link to ours that can be cut.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

/// A network namespace, joined to this one by a link. Dropping it removes both. Needs root and `ip` of iproute2.
#[derive(Debug)]
pub struct Namespace {
    name: String,
    link: String,
    near: String,
    far: String,
}

impl Namespace {
    /// Whether this process may make one.
    #[must_use]
    pub fn is_permitted() -> bool {
        std::fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0)
    }

    /// A namespace that nobody else has, with its link up.
    ///
    /// # Errors
    /// `ip` is missing, or not permitted.
    pub fn new() -> io::Result<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        // Four addresses for each process and each of its first eight namespaces: what 10.0.0.0/8 has room for.
        let number = (std::process::id() << 3 | NEXT.fetch_add(1, Ordering::Relaxed) & 7) & 0x3f_ffff;
        let [_, a, b, c] = (number << 2).to_be_bytes();
        let near = format!("10.{a}.{b}.{}", c | 1);
        let (name, link, far) = (format!("rmi-{number}"), format!("rmi{number}"), format!("10.{a}.{b}.{}", c | 2));
        let inside = format!("{link}-in");
        let made = Self { name, link, near, far };
        let (name, link, near, far) = (&*made.name, &*made.link, &*made.near, &*made.far);
        ip(&["netns", "add", name])?;
        ip(&["link", "add", link, "type", "veth", "peer", "name", &inside, "netns", name])?;
        ip(&["address", "add", &format!("{near}/30"), "dev", link])?;
        ip(&["link", "set", link, "up"])?;
        ip(&["-n", name, "address", "add", &format!("{far}/30"), "dev", &inside])?;
        ip(&["-n", name, "link", "set", &inside, "up"])?;
        Ok(made)
    }

    /// The address of this process for those in the namespace.
    #[must_use]
    pub fn near(&self) -> &str {
        &self.near
    }

    /// The command that runs `program` in the namespace.
    #[must_use]
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name, program]);
        command
    }

    /// Gives the namespace another address; the one that it had is gone, as for a machine that goes to another network.
    ///
    /// # Errors
    /// `ip` failed.
    pub fn renumber(&self) -> io::Result<()> {
        let (name, inside) = (self.name.as_str(), format!("{}-in", self.link));
        // 198.18.0.0/15 is for tests (RFC 2544) and leads nowhere else.
        let other = self.far.splitn(3, '.').last().map(|rest| format!("198.18.{rest}")).unwrap_or_default();
        ip(&["route", "add", &format!("{other}/32"), "dev", &self.link])?;
        ip(&["-n", name, "address", "add", &format!("{other}/32"), "dev", &inside])?;
        ip(&["-n", name, "address", "delete", &format!("{}/30", self.far), "dev", &inside])?;
        ip(&["-n", name, "route", "replace", &format!("{}/32", self.near), "dev", &inside, "src", &other])
    }

    /// Cuts the link: bytes vanish, nobody is told.
    ///
    /// # Errors
    /// `ip` failed.
    pub fn cut(&self) -> io::Result<()> {
        ip(&["link", "set", &self.link, "down"])
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        // The link goes with the end of it that is removed; whichever was not made is not there to be removed.
        let _ = ip(&["link", "delete", &self.link]);
        let _ = ip(&["netns", "delete", &self.name]);
    }
}

fn ip(arguments: &[&str]) -> io::Result<()> {
    let output = Command::new("ip").args(arguments).output()?;
    if output.status.success() {
        return Ok(());
    }
    let text = String::from_utf8_lossy(&output.stderr);
    Err(io::Error::other(format!("ip {}: {}", arguments.join(" "), text.trim())))
}
