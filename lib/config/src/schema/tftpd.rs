//! `tftpd`: the TFTP server.

use crate::{reader::Section, scalars};
use std::{
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
};

/// tftpd.
#[derive(Debug, Clone, PartialEq)]
pub struct Tftpd {
    /// Admin HTTP.
    pub admin: SocketAddr,
    /// UDP.
    pub listen: Vec<SocketAddr>,
    /// Holds the files.
    pub root: PathBuf,
    /// Whole transfers from the listening port.
    pub single_port: bool,
}

pub(super) fn read(section: &Section) -> Tftpd {
    Tftpd {
        admin: section.get("admin", scalars::socket(27784)).unwrap_or((Ipv4Addr::LOCALHOST, 27784).into()),
        listen: section
            .list("listen", scalars::socket(69))
            .unwrap_or_else(|| vec![(Ipv4Addr::UNSPECIFIED, 69).into()]),
        root: section.get("root", scalars::path).unwrap_or_else(|| "/var/lib/coresmd/tftpboot".into()),
        single_port: section.get("single_port", scalars::switch).unwrap_or(false),
    }
}
