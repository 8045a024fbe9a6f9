//! The Unix socket: a file that only its owner and one group can open.

use crate::config::Socket;
use anyhow::{Context, bail};
use nix::unistd::{Gid, Group};
use std::{
    fs,
    os::unix::fs::{FileTypeExt, PermissionsExt, chown},
    path::{Path, PathBuf},
};
use tokio::net::{UnixListener, UnixStream};

/// For the owner and the group.
const SOCKET_MODE: u32 = 0o660;

/// The file of a Unix socket, removed when dropped.
#[derive(Debug)]
pub struct SocketFile(PathBuf);

impl SocketFile {
    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// Binds it, or says why not; without the default one, whose group nobody asked for either, smd-cache goes on.
pub async fn bind(
    socket: &Socket,
    group: Option<&str>,
) -> anyhow::Result<Option<(UnixListener, SocketFile)>> {
    let gid = group.map(gid).transpose()?;
    match socket {
        Socket::Given(path) => bind_to(path, gid).await.context("smd_cache.socket").map(Some),
        Socket::Default(path) if gid.is_some() => {
            bind_to(path, gid).await.context("smd_cache.socket").map(Some)
        }
        Socket::Default(path) => Ok(bind_to(path, None).await.inspect_err(warn_about_default).ok()),
    }
}

/// By name, or by a number that needs no name.
fn gid(group: &str) -> anyhow::Result<Gid> {
    if let Ok(number) = group.parse() {
        return Ok(Gid::from_raw(number));
    }
    let found = Group::from_name(group).with_context(|| {
        format!("smd_cache.socket_group: the groups of this host cannot be read for '{group}'")
    })?;
    Ok(found
        .with_context(|| format!("smd_cache.socket_group: there is no group '{group}' on this host"))?
        .gid)
}

async fn bind_to(path: &Path, group: Option<Gid>) -> anyhow::Result<(UnixListener, SocketFile)> {
    if let Some(directory) = path.parent() {
        fs::create_dir_all(directory).with_context(|| format!("{} cannot be made", directory.display()))?;
    }
    remove_stale(path).await?;
    let listener =
        UnixListener::bind(path).with_context(|| format!("cannot listen on {}", path.display()))?;
    let file = SocketFile(path.to_owned());
    // The group first: until then the mode lets nobody in who is not let in after it.
    if let Some(gid) = group {
        chown(path, None, Some(gid.as_raw())).with_context(|| {
            format!(
                "{} cannot be given group {gid} (smd_cache.socket_group): that takes root, or a member of the group",
                path.display()
            )
        })?;
    }
    fs::set_permissions(path, fs::Permissions::from_mode(SOCKET_MODE))
        .with_context(|| format!("{} cannot be given mode {SOCKET_MODE:o}", path.display()))?;
    Ok((listener, file))
}

/// What a process that was killed left behind; the socket of one that lives stays.
async fn remove_stale(path: &Path) -> anyhow::Result<()> {
    let Ok(metadata) = fs::symlink_metadata(path) else { return Ok(()) };
    if !metadata.file_type().is_socket() {
        bail!("{} is in the way: it is no socket", path.display());
    }
    if UnixStream::connect(path).await.is_ok() {
        bail!("{} belongs to a running program", path.display());
    }
    fs::remove_file(path).with_context(|| format!("the old {} cannot be removed", path.display()))
}

fn warn_about_default(error: &anyhow::Error) {
    tracing::warn!(error = format!("{error:#}"), "there is no Unix socket; gRPC over TCP goes on");
}
