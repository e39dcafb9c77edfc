//! What is to be started, and the first words with it.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::unix::pipe::{Receiver, Sender};
use tokio::process::{Child, ChildStderr, Command};

use super::{GREETING, LINE_BYTES, Log, root};
use crate::error::{ErrorKind, Executed, RemoteError};
use crate::id::ObjectId;
use crate::limits;
use crate::peer::Identity;
use crate::transport::Channel;
use crate::transport::ends::Ends;

/// A program to start: `exec:./worker --flag`, or a `Command`, whose standard input, output and error are replaced.
///
/// Shape of the text: `exec:`, then words with blanks between them. Quotes of either kind keep what is between them as it is;
/// everything else stands for itself: no shell reads it. The first word is the program, looked for in `PATH` when it has no
/// slash.
#[derive(Debug)]
pub struct Program(Command);

impl TryFrom<&str> for Program {
    type Error = RemoteError;

    fn try_from(text: &str) -> Result<Self, RemoteError> {
        let bad = |reason| RemoteError::new(ErrorKind::Misuse, Executed::No, format!("program {text:?} {reason}"));
        let line = text.strip_prefix("exec:").ok_or_else(|| bad("does not begin with exec:"))?;
        let mut words = words(line).ok_or_else(|| bad("has a quote that is not closed"))?.into_iter();
        let mut command = Command::new(words.next().ok_or_else(|| bad("names nothing to start"))?);
        command.args(words);
        Ok(Self(command))
    }
}

impl TryFrom<&String> for Program {
    type Error = RemoteError;

    fn try_from(text: &String) -> Result<Self, RemoteError> {
        text.as_str().try_into()
    }
}

impl TryFrom<String> for Program {
    type Error = RemoteError;

    fn try_from(text: String) -> Result<Self, RemoteError> {
        text.as_str().try_into()
    }
}

impl From<Command> for Program {
    fn from(command: Command) -> Self {
        Self(command)
    }
}

impl From<std::process::Command> for Program {
    fn from(command: std::process::Command) -> Self {
        Self(command.into())
    }
}

/// The words of a command line; `None` when a quote is not closed.
fn words(line: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let (mut word, mut quote) = (None, None);
    for c in line.chars() {
        match quote {
            Some(open) if c == open => quote = None,
            None if c == '"' || c == '\'' => {
                quote = Some(c);
                // A word may be empty in quotes.
                word.get_or_insert_with(String::new);
            }
            None if c.is_whitespace() => words.extend(word.take()),
            _ => word.get_or_insert_with(String::new).push(c),
        }
    }
    words.extend(word);
    quote.is_none().then_some(words)
}

/// A process that was started.
pub(crate) struct Started {
    /// Its life; it is killed when this is dropped.
    pub(crate) process: Child,
    /// What it writes to its standard error.
    pub(crate) errors: ChildStderr,
    /// Where its errors go.
    pub(crate) log: Log,
    /// What it says.
    pub(crate) talk: Talk,
}

impl Program {
    /// The program's name, for people.
    pub(crate) fn name(&self) -> Arc<str> {
        let program = Path::new(self.0.as_std().get_program());
        program.file_name().unwrap_or(program.as_os_str()).to_string_lossy().into()
    }

    /// Starts it.
    ///
    /// # Errors
    /// It cannot be started. Must be called inside a tokio runtime.
    pub(crate) fn start(self) -> io::Result<Started> {
        let name = self.name();
        let Self(mut command) = self;
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut process = command.spawn()?;
        let id = process.id().unwrap_or_default();
        let identity = identity(id);
        let piped = (process.stdin.take(), process.stdout.take(), process.stderr.take());
        let (Some(input), Some(output), Some(errors)) = piped else { return Err(io::ErrorKind::BrokenPipe.into()) };
        let log = Log::new(name, id);
        let talk = Talk {
            reads: Receiver::from_owned_fd(output.into_owned_fd()?)?,
            writes: Sender::from_owned_fd(input.into_owned_fd()?)?,
            identity,
            log: log.clone(),
        };
        Ok(Started { process, errors, log, talk })
    }
}

/// Whom the process runs as, in the kernel's words; nothing is proven about one that has gone already.
fn identity(id: u32) -> Identity {
    match fs::metadata(format!("/proc/{id}")) {
        Ok(process) => Identity::Process { uid: process.uid(), gid: process.gid(), pid: id.try_into().ok() },
        Err(_) => Identity::Unproven,
    }
}

/// The pipes to a process that has not greeted yet.
pub(crate) struct Talk {
    reads: Receiver,
    writes: Sender,
    identity: Identity,
    log: Log,
}

impl Talk {
    /// Waits for the greeting and answers it. Gives the channel and the id of the child's root object.
    ///
    /// # Errors
    /// What is printed is no greeting, or the pipes are closed; the text says what the program did.
    pub(crate) async fn greet(mut self, address: String) -> io::Result<(Channel, ObjectId)> {
        let line = self.listen().await?;
        let root = root(&line).ok_or_else(|| bad("greeted with something that is no id".into()))?;
        self.writes.write_all(&line).await?;
        Ok((Channel::new(Ends::new(self.reads, self.writes), self.identity, address), root))
    }

    /// Reads until the line that greets, and puts into the log what comes before.
    async fn listen(&mut self) -> io::Result<Vec<u8>> {
        let (mut held, mut passed) = (Vec::new(), 0);
        loop {
            if self.reads.read_buf(&mut held).await? == 0 {
                self.log.take(&held);
                self.log.end();
                return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "closed its output before it greeted"));
            }
            let begin = held.windows(GREETING.len()).position(|bytes| bytes == GREETING);
            // What may be the beginning of a greeting stays.
            let noise = begin.unwrap_or((held.len() + 1).saturating_sub(GREETING.len()));
            passed += noise;
            self.log.take(&held.drain(..noise).collect::<Vec<_>>());
            if passed > limits::CHILD_PREAMBLE_BYTES_MAX {
                let limit = limits::CHILD_PREAMBLE_BYTES_MAX;
                return Err(bad(format!(
                    "printed {passed} bytes before a greeting, which exceeds the limit of {limit}"
                )));
            }
            if begin.is_some() && held.len() >= LINE_BYTES {
                self.log.end();
                return if held.len() == LINE_BYTES {
                    Ok(held)
                } else {
                    Err(bad("spoke before it was answered".into()))
                };
            }
        }
    }
}

fn bad(text: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, text)
}

#[cfg(test)]
mod tests {
    use super::{Program, words};

    #[test]
    fn a_command_line_is_words_and_quotes_and_no_shell() {
        assert_eq!(words(" ./a  b\tc ").unwrap(), ["./a", "b", "c"]);
        assert_eq!(words("a 'b  c' \"d'e\" f\"g h\"i ''").unwrap(), ["a", "b  c", "d'e", "fg hi", ""]);
        assert_eq!(words("a $HOME * > \\x;b").unwrap(), ["a", "$HOME", "*", ">", "\\x;b"]);
        assert_eq!(words("a 'b"), None);
    }

    #[test]
    fn what_is_no_program_is_refused_with_its_text() {
        let refused = |text: &str| Program::try_from(text).unwrap_err().to_string();
        assert_eq!(refused("./worker"), "program \"./worker\" does not begin with exec: (not executed)");
        assert_eq!(refused("exec: "), "program \"exec: \" names nothing to start (not executed)");
        assert_eq!(refused("exec:a 'b"), "program \"exec:a 'b\" has a quote that is not closed (not executed)");
    }
}
