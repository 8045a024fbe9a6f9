//! The cable between a smd-cache and SMD, which can be cut for one smd-cache alone.

use std::net::{Ipv4Addr, SocketAddr};
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    sync::watch,
};

/// Hands connections on, until cut: then those there are end, and new ones as soon as they are made.
pub struct Cable {
    address: SocketAddr,
    is_cut: watch::Sender<bool>,
}

impl Cable {
    /// To somebody who listens there. It lasts as long as the runtime it was made on.
    pub async fn to(other: SocketAddr) -> Cable {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let is_cut = watch::Sender::new(false);
        let cut = is_cut.subscribe();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(carry(stream, other, cut.clone()));
            }
        });
        Cable { address, is_cut }
    }

    /// This end of it.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Cuts it, or mends it.
    pub fn cut(&self, yes: bool) {
        self.is_cut.send_replace(yes);
    }
}

async fn carry(mut stream: TcpStream, to: SocketAddr, mut cut: watch::Receiver<bool>) {
    let carried = async {
        if let Ok(mut other) = TcpStream::connect(to).await {
            let _ = copy_bidirectional(&mut stream, &mut other).await;
        }
    };
    tokio::select! {
        biased;
        _ = cut.wait_for(|cut| *cut) => {}
        () = carried => {}
    }
}
