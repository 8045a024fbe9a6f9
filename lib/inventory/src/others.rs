//! While the smd-cache that is asked does not see SMD: does another one?

use crate::dial::dial;
use config::{ClientTls, Endpoint};
use futures::future::join_all;
use proto::v1;
use std::time::Duration;
use tokio::{
    sync::watch,
    time::{Instant, sleep, timeout},
};
use tonic::Request;

/// How often the others are asked (DESIGN).
const ASK_EVERY: Duration = Duration::from_secs(5);

/// How long an endpoint may be stale beside one that is not (DESIGN): SMD's own hiccups, which both will notice, move nobody.
const PATIENCE: Duration = Duration::from_secs(10);

/// Connecting to another one and its answer. One that takes longer is no improvement.
const ANSWER_LIMIT: Duration = Duration::from_secs(1);

/// How the endpoint that is asked is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Standing {
    /// Since when it has not seen SMD; `None`: it does.
    pub(crate) stale_since: Option<Instant>,
    /// There is no whole snapshot to answer from: no reason for patience.
    pub(crate) empty_handed: bool,
}

impl Standing {
    /// After it was heard from.
    pub(crate) fn after(self, stale: bool, empty_handed: bool, now: Instant) -> Standing {
        Standing { stale_since: stale.then(|| self.stale_since.unwrap_or(now)), empty_handed }
    }

    /// It was blind for long enough to be left for one that sees.
    fn may_be_left(self, now: Instant) -> bool {
        let patience = if self.empty_handed { Duration::ZERO } else { PATIENCE };
        self.stale_since.is_some_and(|since| now.duration_since(since) >= patience)
    }
}

/// The other endpoints and how to reach them.
pub(crate) struct Others {
    pub(crate) endpoints: Vec<(usize, Endpoint)>,
    pub(crate) tls: Option<ClientTls>,
}

impl Others {
    /// Ends with the place of one that sees SMD, when the one that is asked is to be left for it.
    pub(crate) async fn look_out(&self, standing: watch::Receiver<Standing>) -> usize {
        match self.endpoints.is_empty() {
            true => std::future::pending().await,
            false => look_out(standing, || self.seeing()).await,
        }
    }

    /// The first of the others that sees SMD now.
    async fn seeing(&self) -> Option<usize> {
        let asked = self.endpoints.iter().map(|(_, endpoint)| timeout(ANSWER_LIMIT, self.sees(endpoint)));
        let answers = join_all(asked).await;
        let seen = answers.into_iter().zip(&self.endpoints).find(|(sees, _)| matches!(sees, Ok(true)));
        seen.map(|(_, (place, _))| *place)
    }

    async fn sees(&self, endpoint: &Endpoint) -> bool {
        let Ok(mut client) = dial(endpoint, self.tls.as_ref()).await else { return false };
        let status = client.get_status(Request::new(v1::GetStatusRequest {})).await;
        status.is_ok_and(|status| sees(status.get_ref()))
    }
}

async fn look_out<F: Future<Output = Option<usize>>>(
    mut standing: watch::Receiver<Standing>,
    seeing: impl Fn() -> F,
) -> usize {
    loop {
        if standing.wait_for(|standing| standing.stale_since.is_some()).await.is_err() {
            return std::future::pending().await;
        }
        let seeing = seeing().await;
        let may_be_left = standing.borrow().may_be_left(Instant::now());
        if let Some(place) = seeing.filter(|_| may_be_left) {
            return place;
        }
        sleep(ASK_EVERY).await;
    }
}

/// It read SMD, and lately.
fn sees(status: &v1::Status) -> bool {
    let freshness = status.freshness.as_ref();
    freshness.is_some_and(|freshness| freshness.whole_read_at.is_some() && !freshness.stale)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::fresh;

    #[test]
    fn an_endpoint_is_left_after_ten_stale_seconds_or_at_once_with_nothing_in_hand() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let well = Standing::default();
        let blind = well.after(true, false, at(0)).after(true, false, at(4));
        assert!(!well.may_be_left(at(99)));
        assert!(!blind.may_be_left(at(9)) && blind.may_be_left(at(10)));
        let recovered = blind.after(false, false, at(9)).after(true, false, at(9));
        assert!(!recovered.may_be_left(at(18)) && recovered.may_be_left(at(19)), "counted anew");
        assert!(well.after(true, true, at(5)).may_be_left(at(5)));
    }

    #[test]
    fn only_one_that_read_smd_lately_sees() {
        let status = |freshness| v1::Status { freshness, ..Default::default() };
        assert!(sees(&status(Some(fresh("b", 1)))));
        assert!(!sees(&status(None)));
        assert!(!sees(&status(Some(v1::Freshness { stale: true, ..fresh("b", 1) }))));
        assert!(!sees(&status(Some(v1::Freshness { whole_read_at: None, ..fresh("b", 1) }))));
    }

    /// Says when it leaves, and for which; the script says who sees at each second.
    async fn leaves(
        stale: impl Fn(u64) -> bool,
        sees: impl Fn(u64) -> Option<usize>,
    ) -> Option<(u64, usize)> {
        let begun = Instant::now();
        let (standing, watched) = watch::channel(Standing::default());
        let heard = async {
            loop {
                let now = Instant::now();
                standing.send_modify(|held| *held = held.after(stale((now - begun).as_secs()), false, now));
                sleep(Duration::from_secs(1)).await;
            }
        };
        let look_out = look_out(watched, || std::future::ready(sees(begun.elapsed().as_secs())));
        tokio::select! {
            place = look_out => Some((begun.elapsed().as_secs(), place)),
            () = heard => None,
            () = sleep(Duration::from_secs(3_600)) => None,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_blind_one_is_left_for_a_seeing_one_and_for_no_other() {
        assert_eq!(leaves(|_| true, |_| Some(1)).await, Some((10, 1)), "ten seconds beside one that sees");
        assert_eq!(leaves(|_| true, |at| (at >= 63).then_some(2)).await, Some((65, 2)), "asked every five");
        assert_eq!(leaves(|_| true, |_| None).await, None, "two blind ones: one stays");
        assert_eq!(leaves(|_| false, |_| Some(1)).await, None, "two that see: one stays");
        assert_eq!(leaves(|at| at % 10 < 9, |_| Some(1)).await, None, "a hiccup is no reason");
        assert_eq!(
            leaves(|_| true, |at| (at % 5 != 0).then_some(1)).await,
            None,
            "nor is one that sees at times"
        );
    }
}
