use super::*;
use crate::fixture::{CONFIG, config, replica};
use config::TsigAlgorithm;
use hickory_proto::op;

const ONE: &str = "domain: cluster.local\ninventory: {replica_file: off}\nzones: []\n";

fn at(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

/// A zone and no more, under this serial.
fn zones(serial: u32) -> Zones {
    let replica = inventory::Replica::from_messages(
        "cluster.local",
        vec![proto::v1::Zone { name: "cluster.local".into(), serial }],
        Vec::new(),
        Vec::new(),
        proto::v1::Freshness { instance: "test".into(), generation: 1, ..Default::default() },
    );
    Zones::build(&config(ONE), &replica, 1)
}

struct Scene {
    book: Book,
    now: Instant,
    targets: Vec<SocketAddr>,
    key: Option<Arc<Key>>,
}

impl Scene {
    fn new(targets: &[&str]) -> Scene {
        let targets = targets.iter().map(|target| at(target)).collect();
        Scene { book: Book::default(), now: Instant::now(), targets, key: None }
    }

    fn changed(&mut self, zones: &Zones) {
        self.book.changed(zones, &self.targets, self.now);
    }

    fn due(&mut self) -> Due {
        self.book.due(self.now, 1000, self.key.as_ref())
    }

    /// Sends what is due and answers all of it with this code.
    fn answer(&mut self, rcode: u8) -> Vec<Told> {
        let messages = self.due().messages;
        let answered = messages.iter().filter_map(|(target, message)| {
            self.book.answered(&answer_to(message, rcode), *target, self.now, 1000)
        });
        answered.collect()
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
    }
}

fn answer_to(message: &[u8], rcode: u8) -> Vec<u8> {
    let mut answer = message.to_vec();
    answer[2] |= 0x80;
    answer[3] |= rcode;
    answer
}

#[test]
fn a_notify_is_well_formed_and_says_which_serial_it_is() {
    let mut scene = Scene::new(&["10.0.0.9:53"]);
    scene.changed(&zones(7));
    let messages = scene.due().messages;
    assert_eq!(messages.len(), 1);
    let message = op::Message::from_vec(&messages[0].1).unwrap();
    assert_eq!((message.metadata.op_code, message.metadata.authoritative), (op::OpCode::Notify, true));
    assert_eq!(message.queries[0].to_string(), "cluster.local. IN SOA");
    let soa = "cluster.local. 60 IN SOA ns.cluster.local. hostmaster.cluster.local. 7 60 30 604800 5";
    assert_eq!(message.answers[0].to_string(), soa);
}

#[test]
fn everybody_is_told_once_at_the_start_and_at_each_change() {
    let mut scene = Scene::new(&["10.0.0.9:53", "[fd00::9]:5353"]);
    scene.changed(&zones(7));
    let mut told: Vec<_> =
        scene.answer(0).into_iter().map(|told| (told.target, told.serial, told.result)).collect();
    told.sort_by_key(|(target, ..)| *target);
    let done = |target: &str, serial| (at(target), serial, NotifyResult::Done);
    assert_eq!(told, [done("10.0.0.9:53", 7), done("[fd00::9]:5353", 7)]);
    scene.changed(&zones(7));
    assert!(scene.due().messages.is_empty() && scene.book.next().is_none(), "nothing changed");
    scene.pass(INTERVAL);
    scene.changed(&zones(8));
    assert_eq!(scene.answer(0).len(), 2);
}

#[test]
fn before_the_zones_are_complete_nobody_is_told() {
    let mut scene = Scene::new(&["10.0.0.9:53"]);
    scene.changed(&Zones::build(&config(CONFIG), &inventory::Replica::default(), 1000));
    assert!(scene.due().messages.is_empty());
}

#[test]
fn changes_that_come_fast_are_told_together() {
    let mut scene = Scene::new(&["10.0.0.9:53"]);
    scene.changed(&zones(7));
    let first = scene.due().messages;
    for serial in 8..20 {
        scene.changed(&zones(serial));
    }
    assert!(scene.due().messages.is_empty(), "one at a time");
    let told = scene.book.answered(&answer_to(&first[0].1, 0), first[0].0, scene.now, 1000).unwrap();
    assert_eq!(told.serial, 7);
    assert!(scene.due().messages.is_empty(), "not before the interval is over");
    assert_eq!(scene.book.next(), Some(scene.now + INTERVAL));
    scene.pass(INTERVAL);
    let told = scene.answer(0);
    assert_eq!((told.len(), told[0].serial), (1, 19));
    assert_eq!(scene.book.next(), None);
}

#[test]
fn who_does_not_answer_is_asked_longer_and_longer_and_given_up() {
    let mut scene = Scene::new(&["10.0.0.9:53"]);
    scene.changed(&zones(7));
    let mut waits = Vec::new();
    let given_up = loop {
        let due = scene.due();
        if !due.given_up.is_empty() {
            break due.given_up;
        }
        assert_eq!(due.messages.len(), 1);
        let next = scene.book.next().unwrap();
        waits.push((next - scene.now).as_secs());
        scene.now = next;
    };
    assert_eq!(waits, [2, 4, 8, 16, 32]);
    assert_eq!((given_up[0].result, given_up[0].serial), (NotifyResult::Silent, 7));
    assert_eq!(scene.book.next(), None, "until the next change");
    scene.changed(&zones(8));
    assert_eq!(scene.answer(0)[0].result, NotifyResult::Done);
}

#[test]
fn only_the_answer_of_who_was_asked_counts() {
    let mut scene = Scene::new(&["10.0.0.9:53"]);
    scene.changed(&zones(7));
    let (target, message) = scene.due().messages.remove(0);
    let good = answer_to(&message, 0);
    let edit = |at: usize, value: u8| {
        let mut bytes = good.clone();
        bytes[at] ^= value;
        bytes
    };
    let elsewhere = at("10.0.0.8:53");
    for (what, bytes, from) in [
        ("another address", good.clone(), elsewhere),
        ("another port", good.clone(), at("10.0.0.9:54")),
        ("another id", edit(0, 0xff), target),
        ("a query", edit(2, 0x80), target),
        ("another opcode", edit(2, 0x20), target),
        ("too short", good[..11].to_vec(), target),
    ] {
        assert_eq!(scene.book.answered(&bytes, from, scene.now, 1000), None, "{what}");
    }
    assert!(scene.book.answered(&good, target, scene.now, 1000).is_some());
    assert_eq!(scene.book.answered(&good, target, scene.now, 1000), None, "once");
}

#[test]
fn an_error_is_an_answer() {
    let mut scene = Scene::new(&["10.0.0.9:53"]);
    scene.changed(&zones(7));
    let told = scene.answer(5);
    assert_eq!((told[0].result, told[0].rcode), (NotifyResult::Refused, 5));
    assert_eq!(scene.book.next(), None);
}

#[test]
fn with_a_key_only_signed_answers_count() {
    let key = Arc::new(Key::new(&"key.example".parse().unwrap(), TsigAlgorithm::HmacSha256, &[7; 32]));
    let mut scene = Scene::new(&["10.0.0.9:53"]);
    scene.key = Some(key.clone());
    scene.changed(&zones(7));
    let (target, message) = scene.due().messages.remove(0);
    let query = wire::read(&message).unwrap();
    let mut signature = super::super::tsig::Signature::of(&message, &query, Some(&key), 1000);
    assert!(signature.is_valid());
    let unsigned = {
        let mut bytes = message[..query.tsig.unwrap().at].to_vec();
        bytes[11] = 0;
        answer_to(&bytes, 0)
    };
    let told = scene.book.answered(&unsigned, target, scene.now, 1000).unwrap();
    assert_eq!(told.result, NotifyResult::BadSignature);
    assert!(scene.book.next().is_some(), "the true answer may still come");
    let mut signed = unsigned.clone();
    signature.sign(&mut signed, 1000);
    let told = scene.book.answered(&signed, target, scene.now, 1000).unwrap();
    assert_eq!(told.result, NotifyResult::Done);
}

#[test]
fn an_error_about_the_zone_needs_no_signature_one_about_the_key_is_no_answer() {
    let key = Arc::new(Key::new(&"key.example".parse().unwrap(), TsigAlgorithm::HmacSha256, &[7; 32]));
    let other = Arc::new(Key::new(&"other.example".parse().unwrap(), TsigAlgorithm::HmacSha256, &[7; 32]));
    for (theirs, wanted) in [(None, NotifyResult::Refused), (Some(other), NotifyResult::BadSignature)] {
        let mut scene = Scene::new(&["10.0.0.9:53"]);
        scene.key = Some(key.clone());
        scene.changed(&zones(7));
        let (target, message) = scene.due().messages.remove(0);
        let query = wire::read(&message).unwrap();
        let mut answer = message[..query.tsig.unwrap().at].to_vec();
        answer[11] = 0;
        let mut answer = answer_to(&answer, 9);
        if let Some(key) = &theirs {
            super::super::tsig::Signature::of(&message, &query, Some(key), 1000).sign(&mut answer, 1000);
        }
        assert_eq!(scene.book.answered(&answer, target, scene.now, 1000).unwrap().result, wanted);
    }
}

#[test]
fn a_secondary_is_not_flooded_and_a_dead_one_holds_up_nobody() {
    let reverse: Vec<String> = (0..100).map(|it| format!("{{name: {it}.168.192.in-addr.arpa}}")).collect();
    let text = format!("domain: cluster.local\nzones: [{}]\n", reverse.join(", "));
    let mut scene = Scene::new(&["10.0.0.8:53", "10.0.0.9:53"]);
    let (dead, alive) = (scene.targets[0], scene.targets[1]);
    scene.changed(&Zones::build(&config(&text), &replica(), 1000));
    let mut told = 0;
    for _ in 0..10 {
        let messages = scene.due().messages;
        for target in [dead, alive] {
            assert!(messages.iter().filter(|(to, _)| *to == target).count() <= AT_ONCE);
        }
        for (target, message) in messages.iter().filter(|(target, _)| *target == alive) {
            scene.book.answered(&answer_to(message, 0), *target, scene.now, 1000).unwrap();
            told += 1;
        }
    }
    assert!(told > 100, "all zones: {told}");
    assert!(
        scene.book.next().is_some_and(|next| next > scene.now),
        "it waits for the dead one, and does not spin"
    );
}

#[test]
fn who_is_no_secondary_any_more_is_forgotten() {
    let mut scene = Scene::new(&["10.0.0.9:53"]);
    scene.changed(&zones(7));
    let (target, message) = scene.due().messages.remove(0);
    scene.targets.clear();
    scene.changed(&zones(7));
    assert_eq!(scene.book.next(), None);
    assert_eq!(scene.book.answered(&answer_to(&message, 0), target, scene.now, 1000), None);
    scene.targets.push(target);
    scene.changed(&zones(7));
    assert_eq!(scene.due().messages.len(), 1, "and told everything when it is one again");
}
