//! Who asks: known from the connection, before the first call, and the same for all of its calls.

use std::{net::IpAddr, sync::Arc};
use tonic::{Extensions, Status};

/// The other end of a connection. Each request carries it as an extension. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Caller {
    /// Over the Unix socket, which only its owner and its group can open: an operator of this host.
    Local,
    /// Over TCP, with TLS or without, as nobody in particular.
    Tcp {
        /// Where it is.
        host: IpAddr,
    },
    /// Over TCP with a certificate that `smd_cache.tls.client_ca` signed.
    Certificate {
        /// Where it is.
        host: IpAddr,
        /// What the certificate calls it.
        names: Arc<[String]>,
        /// What those names may do.
        rights: Rights,
    },
}

/// What the names of a certificate may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rights {
    /// Nothing: there is a list, and it is not on it.
    None,
    /// Ask.
    Ask,
    /// Ask, and force a refresh.
    Force,
}

/// `smd_cache.tls.clients` and `force`.
#[derive(Debug, Clone, Default)]
pub struct Lists {
    /// Who may ask; empty: whoever has a certificate.
    pub clients: Vec<String>,
    /// Who may ask and force.
    pub force: Vec<String>,
}

impl Lists {
    /// The most that one of the names may do. Names differ in more than case.
    pub fn rights(&self, names: &[String]) -> Rights {
        let is_in =
            |list: &[String]| list.iter().any(|one| names.iter().any(|name| name.eq_ignore_ascii_case(one)));
        match () {
            () if is_in(&self.force) => Rights::Force,
            () if self.clients.is_empty() || is_in(&self.clients) => Rights::Ask,
            () => Rights::None,
        }
    }
}

impl Caller {
    /// Of a request. What came over no listener of ours has the fewest rights there are.
    pub fn of(extensions: &Extensions) -> Caller {
        extensions.get().cloned().unwrap_or(Caller::Tcp { host: IpAddr::from([0, 0, 0, 0]) })
    }

    /// Where it is; nothing for this very host.
    pub fn host(&self) -> Option<IpAddr> {
        match self {
            Caller::Local => None,
            Caller::Tcp { host } | Caller::Certificate { host, .. } => Some(*host),
        }
    }

    /// Whether it may ask anything at all.
    pub fn may_ask(&self) -> Result<(), Status> {
        match self {
            Caller::Certificate { names, rights: Rights::None, .. } => {
                Err(Status::permission_denied(format!(
                    "a certificate for {} may not ask: none of its names is in smd_cache.tls.clients",
                    list(names)
                )))
            }
            _ => Ok(()),
        }
    }

    /// Whether it may override the wipe guard.
    pub fn may_force(&self) -> bool {
        matches!(self, Caller::Local | Caller::Certificate { rights: Rights::Force, .. })
    }

    /// The same for those who want to tell it why not.
    pub fn check_force(&self) -> Result<(), Status> {
        match self.may_force() {
            true => Ok(()),
            false => Err(Status::permission_denied(
                "only an operator may force a refresh: ask over smd-cache's Unix socket on its own host, \
                 or with a client certificate whose name is in smd_cache.tls.force",
            )),
        }
    }
}

fn list(names: &[String]) -> String {
    match names {
        [] => "nobody (it has neither a common name nor a DNS name)".to_owned(),
        names => names.join(", "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tonic::Code;

    fn certificate(lists: &Lists, names: &[&str]) -> Caller {
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        let rights = lists.rights(&names);
        Caller::Certificate { host: [10, 0, 0, 1].into(), names: names.into(), rights }
    }

    fn lists(clients: &[&str], force: &[&str]) -> Lists {
        let owned = |names: &[&str]| names.iter().map(ToString::to_string).collect();
        Lists { clients: owned(clients), force: owned(force) }
    }

    #[test]
    fn what_each_caller_may_do() {
        let closed = lists(&["dhcpd", "dnsd"], &["operator"]);
        let open = lists(&[], &["operator"]);
        let host = [10, 0, 0, 1].into();
        for (caller, may_ask, may_force) in [
            (Caller::Local, true, true),
            (Caller::Tcp { host }, true, false),
            (Caller::of(&Extensions::new()), true, false),
            (certificate(&closed, &["dhcpd"]), true, false),
            (certificate(&closed, &["DHCPD"]), true, false),
            (certificate(&closed, &["other", "dnsd"]), true, false),
            (certificate(&closed, &["operator"]), true, true),
            (certificate(&closed, &["dhcpd", "operator"]), true, true),
            (certificate(&closed, &["other"]), false, false),
            (certificate(&closed, &["dhcp"]), false, false),
            (certificate(&closed, &["dhcpd.evil"]), false, false),
            (certificate(&closed, &[]), false, false),
            (certificate(&open, &["other"]), true, false),
            (certificate(&open, &[]), true, false),
            (certificate(&open, &["operator"]), true, true),
            (certificate(&Lists::default(), &["operator"]), true, false),
        ] {
            assert_eq!(caller.may_ask().is_ok(), may_ask, "{caller:?}");
            assert_eq!(caller.may_force(), may_force, "{caller:?}");
            assert_eq!(caller.check_force().is_ok(), may_force, "{caller:?}");
        }
    }

    #[test]
    fn a_refusal_says_which_name_and_which_key() {
        let refused = certificate(&lists(&["dhcpd"], &[]), &["tftpd"]).may_ask().unwrap_err();
        assert_eq!(refused.code(), Code::PermissionDenied);
        assert!(refused.message().contains("tftpd") && refused.message().contains("smd_cache.tls.clients"));
        let refused = Caller::Tcp { host: [10, 0, 0, 1].into() }.check_force().unwrap_err();
        assert_eq!(refused.code(), Code::PermissionDenied);
        assert!(
            refused.message().contains("Unix socket") && refused.message().contains("smd_cache.tls.force")
        );
    }
}
