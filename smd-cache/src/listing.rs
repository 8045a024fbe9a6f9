//! Lists: a task feeds each, so that it ends also when its reader reads nothing. A stream that is only asked for its next
//! item when there is room for it would hold its picture for as long as the connection lives.

use futures::{Stream, stream};
use std::time::Duration;
use tokio::{sync::mpsc, time::timeout};
use tonic::Status;

/// A reader that takes nothing for this long is cut off. As for Watches: by then it has been dead or stopped for long.
const STALL_LIMIT: Duration = Duration::from_secs(6);

/// And one that takes a byte now and then after this: 100,000 interfaces are 50 MB, 40 s at 10 Mbit/s. A guess that allows
/// for three times that.
const WHOLE_LIMIT: Duration = Duration::from_secs(120);

/// Items between task and connection; one is below 1 kB.
const QUEUE: usize = 16;

/// What goes through the queue. The end is said: a queue that just closes was cut off.
enum Sent<T> {
    Item(T),
    End,
}

/// The task that feeds a list, and what its connection reads.
pub fn listing<T: Send + 'static>(
    items: impl Iterator<Item = T> + Send + 'static,
) -> (impl Future<Output = ()> + Send, impl Stream<Item = Result<T, Status>> + Send) {
    let (sender, queue) = mpsc::channel(QUEUE);
    let task = async move {
        let _ = timeout(WHOLE_LIMIT, feed(items, sender)).await;
    };
    (task, stream::unfold(Some(queue), next))
}

async fn feed<T>(items: impl Iterator<Item = T>, sender: mpsc::Sender<Sent<T>>) {
    for sent in items.map(Sent::Item).chain([Sent::End]) {
        match timeout(STALL_LIMIT, sender.reserve()).await {
            Ok(Ok(place)) => place.send(sent),
            Ok(Err(_)) | Err(_) => return,
        }
    }
}

type Queue<T> = mpsc::Receiver<Sent<T>>;

async fn next<T>(queue: Option<Queue<T>>) -> Option<(Result<T, Status>, Option<Queue<T>>)> {
    let mut queue = queue?;
    match queue.recv().await {
        Some(Sent::Item(item)) => Some((Ok(item), Some(queue))),
        Some(Sent::End) => None,
        None => {
            let why = "this list was read too slowly and is cut off: it is not complete";
            Some((Err(Status::resource_exhausted(why)), None))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::StreamExt;
    use std::{pin::pin, sync::Arc};
    use tokio::time::sleep;
    use tonic::Code;

    #[tokio::test(start_paused = true)]
    async fn a_list_arrives_whole_and_ends() {
        let (task, list) = listing(0..1_000);
        let task = tokio::spawn(task);
        let read: Vec<_> = list.map(Result::unwrap).collect().await;
        assert_eq!(read, (0..1_000).collect::<Vec<_>>());
        task.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn who_reads_too_slowly_is_told_that_it_is_not_complete() {
        for (pause, most) in [(STALL_LIMIT * 2, 20), (STALL_LIMIT / 2, 60)] {
            let held = Arc::new(());
            let weak = Arc::downgrade(&held);
            let (task, list) = listing((0..1_000).map(move |number| (number, held.clone()).0));
            let task = tokio::spawn(task);
            let mut list = pin!(list);
            let mut count = 0;
            let end = loop {
                match list.next().await.expect("never the end of a whole list") {
                    Ok(_) => count += 1,
                    Err(status) => break status,
                }
                sleep(pause).await;
            };
            assert_eq!(end.code(), Code::ResourceExhausted, "{end}");
            assert!(count <= most, "{count} at one in {pause:?}");
            task.await.unwrap();
            assert!(weak.upgrade().is_none(), "nothing is held for it");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn who_goes_ends_the_task() {
        let (task, list) = listing(0..1_000);
        drop(list);
        timeout(STALL_LIMIT / 2, task).await.expect("at once");
    }
}
