//! What the kernel threw away because a socket's receive buffer was full.
//!
//! From /proc/net/udp rather than from SO_RXQ_OVFL: that control message appears only once something was dropped, which would
//! make the room that the others need depend on the weather.

use nix::sys::stat::fstat;
use std::{fs, io, os::fd::AsFd};

/// The sockets of this network namespace, read at one moment.
#[derive(Debug)]
pub struct Drops(String);

impl Drops {
    /// Reads it; about a millisecond, so not for each packet.
    pub fn read() -> io::Result<Drops> {
        let v6 = fs::read_to_string("/proc/net/udp6").unwrap_or_default(); // absent where IPv6 is off
        Ok(Drops(fs::read_to_string("/proc/net/udp")? + &v6))
    }

    /// Datagrams dropped since the socket was opened.
    pub fn of(&self, socket: &impl AsFd) -> io::Result<u64> {
        let inode = fstat(socket)?.st_ino;
        Ok(self.of_inode(inode).unwrap_or_default())
    }

    /// Columns are counted as the kernel's udp4_format_sock_header names them: inode the tenth, drops the last.
    fn of_inode(&self, inode: u64) -> Option<u64> {
        let inode = inode.to_string();
        let line = self.0.lines().find(|line| line.split_whitespace().nth(9) == Some(&inode))?;
        line.split_whitespace().next_back()?.parse().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Socket;

    #[test]
    fn a_line_of_the_table_is_read() {
        let table = "   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops
  124: 00000000:0043 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 12 2 0000000000000000 7
 1302: 0100007F:0044 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 123 2 0000000000000000 0
";
        let drops = Drops(table.to_owned());
        assert_eq!([12, 123, 1].map(|inode| drops.of_inode(inode)), [Some(7), Some(0), None]);
    }

    #[tokio::test]
    async fn what_finds_no_room_is_counted() {
        let options = crate::Options { receive_buffer: 4096, ..Default::default() };
        for address in ["127.0.0.1:0", "[::1]:0"] {
            let socket = Socket::bind(address.parse().unwrap(), &options).unwrap();
            let client = std::net::UdpSocket::bind(address).unwrap();
            assert_eq!(Drops::read().unwrap().of(&socket).unwrap(), 0);
            for _ in 0..100 {
                client.send_to(&[0; 1000], socket.local_address().unwrap()).unwrap();
            }
            let dropped = Drops::read().unwrap().of(&socket).unwrap();
            assert!((50..100).contains(&dropped), "{dropped}");
        }
    }
}
