//! The secret on disk.

use super::tsig::Key;
use config::Tsig;
use std::{fs, io, os::unix::fs::PermissionsExt};

/// Anybody on the machine may read it.
const FOR_OTHERS: u32 = 0o004;

/// A key, and what there is to say about its file.
#[derive(Debug)]
pub struct Found {
    /// Ready to sign.
    pub key: Key,
    /// Whoever is on the machine may copy it.
    pub open_to_all: bool,
}

/// Reads the secret: base64, white space around it.
///
/// # Errors
/// It cannot be read, or holds no secret.
pub fn read(tsig: &Tsig) -> io::Result<Found> {
    let invalid = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what.to_owned());
    let text = certificates::files::read(&tsig.secret_file)?;
    let secret = data_encoding::BASE64.decode(text.trim_ascii());
    let secret = secret.map_err(|_| invalid("it holds no base64, and nothing else"))?;
    if secret.is_empty() {
        return Err(invalid("it is empty"));
    }
    Ok(Found {
        key: Key::new(&tsig.name, tsig.algorithm, &secret),
        open_to_all: fs::metadata(&tsig.secret_file)?.permissions().mode() & FOR_OTHERS != 0,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_base64_and_not_for_everybody() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("secret");
        let name = "key.example".parse().unwrap();
        let tsig = Tsig { name, algorithm: Default::default(), secret_file: file.clone() };
        assert_eq!(read(&tsig).unwrap_err().kind(), io::ErrorKind::NotFound);
        for (text, holds) in [
            ("AAECAwQFBgcICQoLDA0ODw==\n", true),
            ("  AAECAwQFBgcICQoLDA0ODw==", true),
            ("AAECAwQFBgcICQoLDA0ODw", false),
            ("AAECAwQF BgcICQoLDA0ODw==", false),
            ("key { secret \"AAEC\"; }", false),
            ("", false),
            (&"A".repeat(2 << 20), false),
        ] {
            fs::write(&file, text).unwrap();
            assert_eq!(read(&tsig).is_ok(), holds, "{text}");
        }
        fs::write(&file, "AAECAwQFBgcICQoLDA0ODw==").unwrap();
        for (mode, open) in [(0o600, false), (0o640, false), (0o644, true)] {
            fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
            assert_eq!(read(&tsig).unwrap().open_to_all, open, "{mode:o}");
        }
    }
}
