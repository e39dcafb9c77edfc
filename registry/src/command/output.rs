//! How things are printed. What came from others is escaped: a name may not speak to the terminal.

use std::io::{self, Write};
use std::time::Duration;

use rmi_core::ObjectRef;
#[cfg(feature = "discovery")]
use rmi_core::naming::Found;
use rmi_core::naming::{Binding, Change, Event};
use serde_json::{Value, json};

use crate::command::Failure;

/// Text with everything escaped that a terminal could take for a command.
pub(super) fn escaped(text: &str) -> String {
    // Direction marks are not control characters, and can make a name look like another.
    let harmless = |c: char| {
        !c.is_control()
            && !matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
    };
    text.chars().map(|c| if harmless(c) { c.to_string() } else { c.escape_unicode().to_string() }).collect()
}

/// Prints for people or for programs.
#[derive(Clone, Copy)]
pub(super) struct Output {
    pub(super) json: bool,
}

impl Output {
    pub(super) fn line(self, value: &Value, text: impl FnOnce() -> String) -> Result<(), Failure> {
        let text = if self.json { value.to_string() } else { text() };
        let mut out = io::stdout().lock();
        let written = writeln!(out, "{text}").and_then(|()| out.flush());
        match written {
            // Whoever read our output has had enough.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => std::process::exit(0),
            other => other.map_err(Failure::failed),
        }
    }

    pub(super) fn bindings(self, bindings: &[Binding]) -> Result<(), Failure> {
        let width = bindings.iter().map(|binding| escaped(binding.name.as_str()).chars().count()).max().unwrap_or(0);
        for binding in bindings {
            self.line(&value(binding), || {
                let (name, interfaces) =
                    (escaped(binding.name.as_str()), escaped(&binding.object.interfaces.join(", ")));
                let mark = if binding.verified { "" } else { "  (unverified)" };
                format!("{name:width$}  {:>6}  {interfaces}{mark}", binding.revision)
            })?;
        }
        Ok(())
    }

    #[cfg(feature = "discovery")]
    pub(super) fn found(self, registries: &[Found]) -> Result<(), Failure> {
        for Found { endpoints, .. } in registries {
            let texts: Vec<String> = endpoints.iter().map(ToString::to_string).collect();
            self.line(&json!({ "endpoints": texts }), || escaped(&texts.join("  ")))?;
        }
        Ok(())
    }

    pub(super) fn lookup(self, binding: &Binding) -> Result<(), Failure> {
        if !binding.verified && !self.json {
            eprintln!("note: the host has not been heard of since the registry was started");
        }
        self.line(&value(binding), || escaped(&binding.object.to_string()))
    }

    pub(super) fn binding(self, binding: &Binding) -> Result<(), Failure> {
        self.line(&value(binding), || {
            let mut text = format!("name       {}\nrevision   {}\n", escaped(binding.name.as_str()), binding.revision);
            let verified = if binding.verified { "yes" } else { "no: the host has not been heard of since the start" };
            text += &format!("verified   {verified}\n");
            for (key, value) in &binding.tags {
                text += &format!("tag        {} = {}\n", escaped(key), escaped(value));
            }
            text + &reference_text(&binding.object)
        })
    }

    pub(super) fn reference(self, reference: &ObjectRef) -> Result<(), Failure> {
        self.line(&reference_value(reference), || reference_text(reference))
    }

    pub(super) fn unbound(self, name: &str, revision: u64) -> Result<(), Failure> {
        self.line(&json!({ "name": name, "revision": revision }), || {
            format!("{} is free (revision {revision})", escaped(name))
        })
    }

    pub(super) fn semaphore(self, name: &str, permits: u32, available: u32) -> Result<(), Failure> {
        self.line(&json!({ "name": name, "permits": permits, "available": available }), || {
            format!("{}: {available} of {permits} available", escaped(name))
        })
    }

    pub(super) fn watching(self, revision: u64) -> Result<(), Failure> {
        self.line(&json!({ "watching": true, "revision": revision }), || format!("watching from revision {revision}"))
    }

    pub(super) fn event(self, event: &Event) -> Result<(), Failure> {
        let (what, binding) = match &event.change {
            Change::Bound(binding) => ("bound", Some(binding)),
            Change::Unbound => ("unbound", None),
        };
        let binding_value = binding.map_or(Value::Null, value);
        let event_value = json!({ "revision": event.revision, "name": event.name.as_str(), "change": what, "binding": binding_value });
        self.line(&event_value, || {
            let interfaces = binding.map_or_else(String::new, |binding| escaped(&binding.object.interfaces.join(", ")));
            format!("{:>6}  {what:7}  {}  {interfaces}", event.revision, escaped(event.name.as_str()))
                .trim_end()
                .to_owned()
        })
    }

    pub(super) fn latencies(self, subject: &str, way: Option<&str>, times: &mut [Duration]) -> Result<(), Failure> {
        times.sort_unstable();
        let at = |part: f64| {
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a small positive number")]
            let index = ((times.len() as f64 * part) as usize).min(times.len().saturating_sub(1));
            times.get(index).map_or(0.0, |time| time.as_secs_f64() * 1e6)
        };
        let (least, median, most) = (at(0.0), at(0.5), at(1.0));
        let summary = json!({
            "subject": subject, "via": way, "calls": times.len(), "min_us": least, "p50_us": median, "p99_us": at(0.99), "max_us": most,
        });
        self.line(&summary, || {
            let (subject, count) = (escaped(subject), times.len());
            let over = way.map(|way| format!(" over {}", escaped(way))).unwrap_or_default();
            format!(
                "{subject}{over}: {count} calls, min {least:.0} µs, p50 {median:.0} µs, p99 {:.0} µs, max {most:.0} µs",
                at(0.99)
            )
        })
    }
}

fn value(binding: &Binding) -> Value {
    json!({
        "name": binding.name.as_str(),
        "revision": binding.revision,
        "verified": binding.verified,
        "tags": binding.tags,
        "object": reference_value(&binding.object),
    })
}

fn reference_value(reference: &ObjectRef) -> Value {
    let endpoints: Vec<&str> = reference.endpoints.iter().map(rmi_core::Endpoint::as_str).collect();
    json!({
        "reference": reference.to_string(),
        "node": reference.node.to_string(),
        "object": reference.object.to_string(),
        "interfaces": reference.interfaces,
        "endpoints": endpoints,
    })
}

fn reference_text(reference: &ObjectRef) -> String {
    let mut text = format!("node       {}\nobject     {}", reference.node, reference.object);
    for interface in &*reference.interfaces {
        text += &format!("\ninterface  {}", escaped(interface));
    }
    for endpoint in &*reference.endpoints {
        text += &format!("\nendpoint   {}", escaped(endpoint.as_str()));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_reaches_the_terminal_but_text() {
        assert_eq!(escaped("bank/\u{1b}[31mred\n"), "bank/\\u{1b}[31mred\\u{a}");
        assert_eq!(escaped("a\u{202e}b"), "a\\u{202e}b");
        assert_eq!(escaped("Ähre/ß"), "Ähre/ß");
    }
}
