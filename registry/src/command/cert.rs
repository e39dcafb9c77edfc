//! Certificates for development: a private authority, and what it signs.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::net::IpAddr;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clap::{Args, Subcommand};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PublicKeyData,
};
use rmi_core::transport::Credentials;
use serde_json::json;

use crate::command::Failure;
use crate::command::output::Output;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// How long an authority is valid.
const AUTHORITY_DAYS: u32 = 3650;

const EXAMPLES: &str = "Examples:
  rmi cert authority pki                          whom to believe, and the key to sign with
  rmi cert host pki bank bank.example 10.0.0.7    pki/bank, for a process that listens
  rmi cert caller pki alice                       pki/alice, for one that only calls
  rmi-registry --listen tls://0.0.0.0:7000 --tls pki/bank
  rmi --registry tls://bank.example:7000 --tls pki/alice list";

/// What to make.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Cert {
    #[command(subcommand)]
    kind: Kind,
    /// Overwrite what is there
    #[arg(long, global = true)]
    force: bool,
    /// How long a certificate is valid; that of an authority is ten years
    #[arg(long, value_name = "DAYS", default_value_t = 365, value_parser = clap::value_parser!(u32).range(1..=3650), global = true)]
    days: u32,
}

#[derive(Subcommand)]
enum Kind {
    /// Make an authority: DIR/authority.pem and DIR/authority-key.pem
    Authority {
        /// Where to put it
        dir: PathBuf,
    },
    /// Make a certificate for a process that listens (and may call others): the directory DIR/NAME
    Host {
        /// The directory of the authority
        dir: PathBuf,
        /// The host's name, then further names and addresses under which it is reached
        #[arg(required = true)]
        names: Vec<String>,
    },
    /// Make a certificate for a process that only calls: the directory DIR/NAME
    Caller {
        /// The directory of the authority
        dir: PathBuf,
        /// The caller's name, which hosts see
        name: String,
    },
}

impl Cert {
    pub(super) fn run(self, output: Output) -> Result<(), Failure> {
        let usages = [ExtendedKeyUsagePurpose::ClientAuth, ExtendedKeyUsagePurpose::ServerAuth];
        match &self.kind {
            Kind::Authority { dir } => self.authority(dir, output),
            Kind::Host { dir, names } => {
                let directory = self.issue(dir, names, &usages)?;
                let shown = directory.display();
                told(&directory, names, format!("rmi-registry --listen tls://0.0.0.0:7000 --tls {shown}"), output)
            }
            Kind::Caller { dir, name } => {
                let names = std::slice::from_ref(name);
                let directory = self.issue(dir, names, &usages[..1])?;
                let shown = directory.display();
                told(&directory, names, format!("rmi --registry tls://HOST:7000 --tls {shown} list"), output)
            }
        }
    }

    fn authority(&self, dir: &Path, output: Output) -> Result<(), Failure> {
        let key = KeyPair::generate().map_err(Failure::failed)?;
        let certificate = authority_of(&key)?.self_signed(&key).map_err(Failure::failed)?;
        let (shown, kept) = (dir.join("authority.pem"), dir.join("authority-key.pem"));
        self.write(dir, &[(&shown, &certificate.pem()), (&kept, &key.serialize_pem())])?;
        let text = || {
            let (shown, kept, dir) = (shown.display(), kept.display(), dir.display());
            format!(
                "{shown} is the authority, to be believed\n{kept} signs in its name: keep it secret\nnext: rmi cert host \
                 {dir} NAME...  and  rmi cert caller {dir} NAME"
            )
        };
        output.line(&json!({ "authority": shown.display().to_string(), "key": kept.display().to_string() }), text)
    }

    /// Makes the directory of a host or a caller beside the authority.
    fn issue(&self, dir: &Path, names: &[String], usages: &[ExtendedKeyUsagePurpose]) -> Result<PathBuf, Failure> {
        let (first, rest) = names.split_first().ok_or_else(|| Failure::usage("a certificate needs a name"))?;
        // It names the directory, and is what an authorizer sees.
        check_name(first)?;
        rest.iter().filter(|name| name.parse::<IpAddr>().is_err()).try_for_each(|name| check_name(name))?;
        let (shown, kept) = (dir.join("authority.pem"), dir.join("authority-key.pem"));
        let (authority, signing) = (read(&shown)?, read(&kept)?);
        let unusable = |error| Failure::failed(format!("{}: {error}", kept.display()));
        let signing = KeyPair::from_pem(&signing).map_err(unusable)?;
        let issuer = Issuer::new(authority_of(&signing)?, signing);
        let mut params = valid_for(self.days, CertificateParams::new(names.to_vec()).map_err(Failure::failed)?);
        params.distinguished_name = common_name(first);
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = usages.to_vec();
        params.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate().map_err(Failure::failed)?;
        let certificate = params.signed_by(&key, &issuer).map_err(Failure::failed)?;
        let directory = dir.join(first);
        let file = |name| directory.join(name);
        self.write(
            &directory,
            &[
                (&file("authority.pem"), &authority),
                (&file("certificate.pem"), &certificate.pem()),
                (&file("key.pem"), &key.serialize_pem()),
            ],
        )?;
        Ok(directory)
    }

    /// Writes files that nobody else may read, all or none of which were there.
    fn write(&self, dir: &Path, files: &[(&PathBuf, &str)]) -> Result<(), Failure> {
        if let Some((there, _)) = files.iter().find(|(path, _)| !self.force && path.exists()) {
            return Err(Failure::failed(format!("{} is there already; --force overwrites it", there.display())));
        }
        let failed = |path: &Path, error: io::Error| Failure::failed(format!("{}: {error}", path.display()));
        DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(|error| failed(dir, error))?;
        for (path, text) in files {
            write_anew(path, text).map_err(|error| failed(path, error))?;
        }
        Ok(())
    }
}

/// A file that is made anew: what was there may be readable for others, or lead elsewhere.
fn write_anew(path: &Path, text: &str) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

fn read(path: &Path) -> Result<String, Failure> {
    fs::read_to_string(path).map_err(|error| {
        let text = format!("{}: {error}; `rmi cert authority` makes an authority", path.display());
        Failure::failed(text)
    })
}

/// What an authority's certificate says. It follows from the key, so that the key is enough to sign in its name; two
/// authorities never have the same name.
fn authority_of(key: &KeyPair) -> Result<CertificateParams, Failure> {
    let mut params = valid_for(AUTHORITY_DAYS, CertificateParams::new(Vec::new()).map_err(Failure::failed)?);
    let digits: String = key.der_bytes().iter().rev().take(4).map(|byte| format!("{byte:02x}")).collect();
    params.distinguished_name = common_name(&format!("rmi authority {digits}"));
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    Ok(params)
}

fn common_name(name: &str) -> DistinguishedName {
    let mut names = DistinguishedName::new();
    names.push(DnType::CommonName, name);
    names
}

/// Valid from yesterday, for clocks that are slow, for so many days from now.
fn valid_for(days: u32, mut params: CertificateParams) -> CertificateParams {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let epoch = rcgen::date_time_ymd(1970, 1, 1);
    params.not_before = epoch + now.saturating_sub(DAY);
    params.not_after = epoch + now + DAY * days;
    params
}

/// A name as hosts have them: it is checked by those who dial, and nothing else can be.
fn check_name(name: &str) -> Result<(), Failure> {
    let fits = |label: &str| {
        let inner = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        (1..=63).contains(&label.len()) && label.chars().all(inner) && !label.starts_with('-') && !label.ends_with('-')
    };
    let last_is_a_number = name.rsplit('.').next().is_some_and(|label| label.bytes().all(|byte| byte.is_ascii_digit()));
    if name.len() <= 253 && name.split('.').all(fits) && !last_is_a_number {
        return Ok(());
    }
    let rule = "letters, digits, - and _, in parts of at most 63 with dots between them, the last not a number";
    Err(Failure::usage(format!("{name:?} is not a name: {rule}")))
}

/// Says what was made, and what to do with it. Reading it back shows that it can be used.
fn told(directory: &Path, names: &[String], example: String, output: Output) -> Result<(), Failure> {
    let key = Credentials::from_directory(directory).map_err(Failure::failed)?.key();
    let shown = directory.display().to_string();
    output.line(&json!({ "directory": shown, "names": names, "key": key.to_string() }), || {
        let names = names.join(", ");
        format!(
            "{shown} is for {names}, key {key}\nuse: {example}\nor, in a program: \
             Tls::new(Credentials::from_directory({shown:?})?)"
        )
    })
}
