//! RUNTIME_DIR: where a running program leaves its socket and its admin address.

use std::{env, fs, io, net::SocketAddr, path::PathBuf};

/// `$RUNTIME_DIR`, else what systemd gives in `$RUNTIME_DIRECTORY`, else /run/coresmd.
pub fn directory() -> PathBuf {
    let given = ["RUNTIME_DIR", "RUNTIME_DIRECTORY"].into_iter().find_map(env::var_os);
    given.map_or_else(|| "/run/coresmd".into(), PathBuf::from)
}

/// Where a running program says its admin HTTP is; the one who asks the file asks that program.
pub fn admin_address(program: &str) -> io::Result<SocketAddr> {
    let path = admin_file(program);
    let text = fs::read_to_string(&path)
        .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))?;
    text.trim().parse().map_err(|_| io::Error::other(format!("{} holds no address", path.display())))
}

pub(crate) fn write_admin_address(program: &str, address: SocketAddr) {
    let path = admin_file(program);
    let scratch = path.with_extension(format!("admin.{}", std::process::id()));
    let written = fs::create_dir_all(directory())
        .and_then(|()| fs::write(&scratch, format!("{address}\n")))
        .and_then(|()| fs::rename(&scratch, &path));
    if let Err(error) = written {
        tracing::warn!(%error, path = %path.display(), "the admin address could not be written: --health will not find it");
    }
}

/// Removes the file unless another process has written its own address since.
pub(crate) fn remove_admin_address(program: &str, address: SocketAddr) {
    if admin_address(program).is_ok_and(|held| held == address) {
        let _ = fs::remove_file(admin_file(program));
    }
}

fn admin_file(program: &str) -> PathBuf {
    directory().join(format!("{program}.admin"))
}
