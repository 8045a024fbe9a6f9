//! Signatures by dnspython 2.3 of the same messages, and what is wrong with others.

use super::*;
use crate::wire;

/// When dnspython signed.
const THEN: u64 = 1_700_000_000;

/// `cluster.local. SOA`, signed by dnspython with the bytes 0 to 31 as secret.
const SHA256: &str = "12340000000100000000000107636c7573746572056c6f63616c0000060001036b6579076578616d706c650000fa00ff00000000\
    003d0b686d61632d7368613235360000006553f100012c002024a908c4a9198a3d8c05aae190343534450c6316ee26a280b681568b66d80f6e12340000\
    0000";
const SHA384: &str = "12340000000100000000000107636c7573746572056c6f63616c0000060001036b6579076578616d706c650000fa00ff00000000\
    004d0b686d61632d7368613338340000006553f100012c003013da69694b9fc7601300157982b27840ec50cf5aed91dc1b9314e9cd9f0ca44301ca6eaf\
    4e7db039dfb59a69663e3c37123400000000";
const SHA512: &str = "12340000000100000000000107636c7573746572056c6f63616c0000060001036b6579076578616d706c650000fa00ff00000000\
    005d0b686d61632d7368613531320000006553f100012c0040a512c4cc40b9adc799de12cde21a921101d48c24ef03fbd73ac86426c1f968c89a3b2b01\
    ca8324c619bcbaf56feb20b9c793f954ab73194caedcdcca1549670b123400000000";

/// An answer without records to that query.
const ANSWER: &str = "12348400000100000000000007636c7573746572056c6f63616c0000060001";

/// Place of the lower byte of the record's length in the queries.
const RECORD_LENGTH: usize = 53;

/// MACs of three of them in a row, a second apart, as answers to the first query.
const STREAM: [&str; 3] = [
    "9a713da0ecc48d82609c88e970bf94bf6a105db1e20a43a15ee5e2e5bcc6ae16",
    "06aaace56be67f08f6811fce59f12da05d40f2536b7d72b8e64a05814cd6f640",
    "850956cd61d5a0831373f6bee9628a712b1b954d1def88c8b3c497fc7b1eee86",
];

/// MAC of one that says BADTIME, 301 s later.
const BAD_TIME: &str = "155ff2bf205b5cda0aab340434c35877c5e7bd4be607f61cb7205a9671aaa0bd";

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> = hex.chars().filter_map(|digit| digit.to_digit(16)).map(|it| it as u8).collect();
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

fn key(algorithm: TsigAlgorithm) -> Arc<Key> {
    let secret: Vec<u8> = (0..32).collect();
    Arc::new(Key::new(&"key.example".parse().unwrap(), algorithm, &secret))
}

fn of(query: &[u8], key: Option<&Arc<Key>>, now: u64) -> Signature {
    Signature::of(query, &wire::read(query).unwrap(), key, now)
}

/// Error code, length of MAC and of other.
type Said = (u16, usize, usize);
/// What it is, the query, when it comes, what is found, and what is said.
type Case = (&'static str, Vec<u8>, u64, Result<(), Flaw>, Option<Said>);

/// What an answer to this query says.
fn said(signature: &mut Signature, now: u64) -> Option<Said> {
    let mut answer = bytes(ANSWER);
    signature.sign(&mut answer, now);
    answer[2] = 0; // as if it were a query, for our own reader
    let message = wire::read(&answer).unwrap();
    assert!(!message.malformed);
    message.tsig.map(|tsig| (tsig.error, tsig.mac.len(), tsig.other.len()))
}

#[test]
fn what_dnspython_signs_holds_with_every_algorithm() {
    let table = [
        (TsigAlgorithm::HmacSha256, SHA256),
        (TsigAlgorithm::HmacSha384, SHA384),
        (TsigAlgorithm::HmacSha512, SHA512),
    ];
    for (algorithm, query) in table {
        assert!(of(&bytes(query), Some(&key(algorithm)), THEN).is_valid(), "{algorithm:?}");
        let mut signed = bytes(&query[..62]);
        signed[11] = 0;
        Session::begin(key(algorithm)).sign(&mut signed, THEN);
        assert_eq!(signed, bytes(query), "{algorithm:?}: what we sign is what dnspython signs");
    }
}

#[test]
fn each_message_of_an_answer_covers_the_one_before() {
    let mut signature = of(&bytes(SHA256), Some(&key(TsigAlgorithm::HmacSha256)), THEN);
    for (seconds, mac) in STREAM.into_iter().enumerate() {
        let mut answer = bytes(ANSWER);
        signature.sign(&mut answer, THEN + seconds as u64);
        assert_eq!(answer[answer.len() - 38..answer.len() - 6], bytes(mac), "message {seconds}");
        assert_eq!(answer[10..12], [0, 1]);
    }
}

#[test]
fn each_flaw_gets_the_answer_of_the_rfc() {
    let query = bytes(SHA256);
    let (mac, id) = (query.len() - 38, query.len() - 6);
    let edit = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = query.clone();
        change(&mut bytes);
        bytes
    };
    // The MAC, its length and that of the record, so many bytes shorter.
    let cut = |by: usize| {
        edit(&|bytes| {
            bytes.drain(id - by..id);
            bytes[mac - 1] -= by as u8;
            bytes[RECORD_LENGTH] -= by as u8;
        })
    };
    let other_key = edit(&|bytes| bytes[32] = b'x');
    let upper = edit(&|bytes| bytes[32..35].make_ascii_uppercase());
    let forwarded = edit(&|bytes| bytes[0] ^= 0xff);
    let another = edit(&|bytes| bytes[13] = b'x');
    let table: [Case; 11] = [
        ("whole", query.clone(), THEN, Ok(()), Some((0, 32, 0))),
        ("key in capitals", upper, THEN, Ok(()), Some((0, 32, 0))),
        ("id changed on the way", forwarded, THEN, Ok(()), Some((0, 32, 0))),
        ("just in time", query.clone(), THEN + 300, Ok(()), Some((0, 32, 0))),
        ("too late", query.clone(), THEN + 301, Err(Flaw::Time), Some((18, 32, 6))),
        ("too early", query.clone(), THEN - 301, Err(Flaw::Time), Some((18, 32, 6))),
        ("another name", another, THEN, Err(Flaw::Signature), Some((16, 0, 0))),
        ("another key", other_key, THEN, Err(Flaw::Key), Some((17, 0, 0))),
        ("half a MAC", cut(16), THEN, Err(Flaw::Truncated), Some((22, 32, 0))),
        ("less than half", cut(17), THEN, Err(Flaw::Form), None),
        ("none", cut(32), THEN, Err(Flaw::Form), None),
    ];
    for (what, query, now, wanted, wanted_answer) in table {
        let mut signature = of(&query, Some(&key(TsigAlgorithm::HmacSha256)), now);
        let found = match &signature {
            Signature::Valid(_) => Ok(()),
            Signature::Flawed(flaw, _) => Err(*flaw),
            Signature::Absent => panic!("{what}: not seen"),
        };
        assert_eq!(found, wanted, "{what}");
        let rcode = match wanted {
            Ok(()) => None,
            Err(Flaw::Form) => Some(Rcode::FormErr),
            Err(_) => Some(Rcode::NotAuth),
        };
        assert_eq!(signature.refused(), rcode, "{what}");
        assert_eq!(said(&mut signature, now), wanted_answer, "{what}");
    }
}

#[test]
fn a_late_client_is_told_the_time_in_a_signed_answer() {
    let mut signature = of(&bytes(SHA256), Some(&key(TsigAlgorithm::HmacSha256)), THEN + 301);
    let mut answer = bytes(ANSWER);
    signature.sign(&mut answer, THEN + 301);
    let length = answer.len();
    assert_eq!(answer[length - 44..length - 12], bytes(BAD_TIME));
    assert_eq!(answer[length - 6..], (THEN + 301).to_be_bytes()[2..]);
}

#[test]
fn without_a_key_or_with_another_algorithm_no_signature_holds() {
    for key in [None, Some(key(TsigAlgorithm::HmacSha512))] {
        let mut signature = of(&bytes(SHA256), key.as_ref(), THEN);
        assert_eq!(said(&mut signature, THEN), Some((17, 0, 0)));
    }
}

#[test]
fn an_unsigned_query_gets_an_unsigned_answer() {
    let mut query = bytes(&SHA256[..62]);
    query[11] = 0;
    let mut signature = of(&query, Some(&key(TsigAlgorithm::HmacSha256)), THEN);
    assert!(!signature.is_valid() && signature.refused().is_none());
    assert_eq!(said(&mut signature, THEN), None);
}

#[test]
fn only_the_answer_to_what_we_signed_counts() {
    let key = key(TsigAlgorithm::HmacSha256);
    let ask = || {
        let (mut session, mut query) = (Session::begin(key.clone()), bytes(ANSWER));
        query[2] = 0;
        session.sign(&mut query, THEN);
        (session, query)
    };
    let (session, query) = ask();
    let mut answer = bytes(ANSWER);
    of(&query, Some(&key), THEN).sign(&mut answer, THEN);
    let tsig = |answer: &[u8]| {
        let (message, found) = (wire::read_answer(answer).unwrap(), answer.to_vec());
        session.is_answer(&found, &message.tsig.unwrap(), THEN)
    };
    assert!(tsig(&answer));
    assert!(!tsig(
        &query.iter().enumerate().map(|(at, byte)| if at == 2 { 0x84 } else { *byte }).collect::<Vec<_>>()
    ));
    let last = answer.len() - 7;
    answer[last] ^= 1;
    assert!(!tsig(&answer));
}

#[test]
fn a_record_that_is_none_makes_a_message_malformed() {
    let query = bytes(SHA256);
    let edit = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = query.clone();
        change(&mut bytes);
        bytes
    };
    let record = query[31..].to_vec();
    let twice = edit(&|bytes| {
        bytes.extend_from_slice(&record);
        bytes[11] = 2;
    });
    let with_opt_behind = edit(&|bytes| {
        bytes.extend_from_slice(&[0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 0]);
        bytes[11] = 2;
    });
    let table = [
        ("twice", twice),
        ("not last", with_opt_behind),
        ("in the answer section", edit(&|bytes| bytes.swap(7, 11))),
        ("of class IN", edit(&|bytes| bytes[47] = 1)),
        ("with a TTL", edit(&|bytes| bytes[51] = 1)),
        ("with a compressed key", edit(&|bytes| bytes[31..33].copy_from_slice(&[0xc0, 12]))),
        ("MAC longer than the record", edit(&|bytes| bytes[query.len() - 39] = 60)),
        ("other longer than the record", edit(&|bytes| bytes[query.len() - 1] = 1)),
        ("cut short", edit(&|bytes| bytes.truncate(query.len() - 1))),
    ];
    for (what, query) in table {
        let message = wire::read(&query).unwrap();
        assert!(message.malformed && message.tsig.is_none(), "{what}");
    }
}
