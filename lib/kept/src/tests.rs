use super::*;
use proptest::prelude::*;
use std::fs;

const KIND: Kind = Kind { name: "some-thing", version: 3, previous: true };

fn kept() -> (tempfile::TempDir, Kept) {
    let directory = tempfile::tempdir().unwrap();
    let kept = Kept::new(directory.path().join("made/file"), KIND);
    (directory, kept)
}

fn write(kept: &Kept, texts: &[&str]) -> io::Result<()> {
    let mut writer = kept.write()?.expect("nobody else writes");
    for text in texts {
        writer.put(&(*text).to_owned())?;
    }
    writer.end()?.place()
}

fn load(kept: &Kept) -> Loaded<Vec<String>> {
    kept.load(|reader| {
        let mut texts = Vec::new();
        while let Some(text) = reader.message::<String>()? {
            texts.push(text);
        }
        Ok(texts)
    })
}

/// Loads what cannot be used: why.
#[track_caller]
fn refused(kept: &Kept) -> String {
    let loaded = load(kept);
    assert_eq!(loaded.content, None);
    assert!(!kept.path().exists(), "it is set aside");
    loaded.aside.iter().map(|aside| aside.why.to_string()).collect()
}

fn names(kept: &Kept) -> Vec<String> {
    let entries = fs::read_dir(kept.path().parent().unwrap()).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn line(version: u32) -> Vec<u8> {
    format!("some-thing {version}\n").into_bytes()
}

#[test]
fn what_is_kept_is_loaded_again_and_the_one_before_stays() {
    let (_directory, kept) = kept();
    let nothing = load(&kept);
    assert!(nothing.content.is_none() && nothing.aside.is_empty(), "nothing was kept yet");
    write(&kept, &["a", "", "b"]).unwrap();
    assert_eq!(load(&kept).content.unwrap(), ["a", "", "b"]);
    assert_eq!(names(&kept), ["file"], "nothing is left lying about");
    write(&kept, &[]).unwrap();
    assert_eq!(load(&kept).content.unwrap(), [""; 0]);
    assert_eq!(names(&kept), ["file", "file.previous"]);
}

#[test]
fn without_a_previous_one_there_is_one_file() {
    let (_directory, kept) = kept();
    let kept = Kept { kind: Kind { previous: false, ..KIND }, ..kept };
    write(&kept, &["a"]).unwrap();
    write(&kept, &["b"]).unwrap();
    assert_eq!(names(&kept), ["file"]);
    assert_eq!(load(&kept).content.unwrap(), ["b"]);
}

#[test]
fn cut_anywhere_it_is_set_aside_and_the_one_before_is_loaded() {
    let (_directory, kept) = kept();
    write(&kept, &["some", "text", &"long ".repeat(100)]).unwrap();
    let whole = fs::read(kept.path()).unwrap();
    for length in 0..whole.len() {
        fs::write(kept.beside("previous"), &whole).unwrap();
        fs::write(kept.path(), &whole[..length]).unwrap();
        let loaded = load(&kept);
        assert_eq!(loaded.content.unwrap()[..2], ["some", "text"], "cut at {length}");
        assert_eq!(loaded.aside[0].now.as_ref().unwrap(), &kept.beside("bad"));
        assert_eq!(names(&kept), ["file.bad", "file.previous"], "one of them is kept");
        assert_eq!(fs::read(kept.beside("bad")).unwrap().len(), length);
    }
    fs::write(kept.beside("previous"), [&whole[..], b"more"].concat()).unwrap();
    let loaded = load(&kept);
    assert!(loaded.content.is_none() && loaded.aside.len() == 1, "both are bad");
}

#[test]
fn no_changed_byte_goes_unnoticed() {
    let (_directory, kept) = kept();
    write(&kept, &["some", "text"]).unwrap();
    let whole = fs::read(kept.path()).unwrap();
    for place in 0..whole.len() {
        for flip in [0x01, 0x20, 0x80, 0xff] {
            let mut damaged = whole.clone();
            damaged[place] ^= flip;
            fs::write(kept.path(), &damaged).unwrap();
            refused(&kept);
        }
    }
}

#[test]
fn a_later_version_is_set_aside_for_who_wrote_it_and_other_files_as_bad() {
    let rest = [0; 40];
    let long = [b"some-thing ".as_slice(), &[b'4'; 200]].concat();
    for (bytes, reason, aside) in [
        ([&line(4)[..], &rest].concat(), "version 4, and this program knows 3: a newer program", "newer"),
        ([&line(2)[..], &rest].concat(), "no some-thing file", "bad"),
        (long, "no some-thing file", "bad"),
        (b"hello, this is something else".to_vec(), "no some-thing file", "bad"),
        (vec![0; 4_096], "no some-thing file", "bad"),
        (vec![], "too short", "bad"),
        // A length that lies takes no memory.
        ([&line(3)[..], &[0xff; 8], &[0x7f], &rest].concat(), "longer than the file", "bad"),
        ([&line(3)[..], &[0xff; 40]].concat(), "a length is none", "bad"),
    ] {
        let (_directory, kept) = kept();
        write(&kept, &[]).unwrap();
        fs::write(kept.path(), &bytes).unwrap();
        let why = refused(&kept);
        assert!(why.contains(reason), "{why}");
        assert_eq!(fs::read(kept.beside(aside)).unwrap(), bytes, "{why}");
    }
}

#[test]
fn who_reads_may_refuse_and_must_read_to_the_end() {
    let (_directory, kept) = kept();
    write(&kept, &["a", "b"]).unwrap();
    let refused = kept.load(|_| Err::<(), _>(Unusable::Unfit("not mine".into())));
    assert_eq!(refused.aside[0].why.to_string(), "not mine");
    write(&kept, &["a", "b"]).unwrap();
    let half = kept.load(|reader| reader.message::<String>());
    assert!(half.content.is_none() && half.aside[0].why.to_string().contains("follows the last"));
}

#[test]
fn what_is_in_the_way_stops_nobody() {
    let (_directory, kept) = kept();
    fs::create_dir_all(kept.path()).unwrap();
    assert!(refused(&kept).contains("no some-thing file"), "a directory");
    fs::create_dir_all(kept.path()).unwrap();
    fs::remove_dir(kept.beside("bad")).unwrap();
    fs::create_dir_all(kept.beside("bad/in the way")).unwrap();
    assert!(load(&kept).aside[0].now.is_err(), "left where it is, and said");
    fs::remove_dir(kept.path()).unwrap();
    write(&kept, &["a"]).unwrap();
    assert_eq!(load(&kept).content.unwrap(), ["a"]);
}

#[test]
fn what_a_killed_writer_left_is_overwritten() {
    let (_directory, kept) = kept();
    write(&kept, &["a"]).unwrap();
    fs::write(kept.beside("new"), vec![7; 1 << 20]).unwrap();
    assert_eq!(load(&kept).content.unwrap(), ["a"]);
    write(&kept, &["b"]).unwrap();
    assert_eq!(load(&kept).content.unwrap(), ["b"]);
    assert_eq!(names(&kept), ["file", "file.previous"]);
}

#[test]
fn a_write_that_fails_leaves_what_was_and_nothing_else() {
    let (_directory, kept) = kept();
    write(&kept, &["a"]).unwrap();
    let below = Kept::new(kept.path().join("below"), KIND);
    assert!(below.write().is_err(), "no directory");
    // /dev/full refuses both to be emptied and to be written.
    std::os::unix::fs::symlink("/dev/full", kept.beside("new")).unwrap();
    assert!(write(&kept, &["b"]).is_err());
    assert_eq!(load(&kept).content.unwrap(), ["a"]);
    assert_eq!(names(&kept), ["file"]);
    // One that is given up half way, or when it is written but not placed.
    drop(kept.write().unwrap());
    drop(kept.write().unwrap().unwrap().end().unwrap());
    assert_eq!(names(&kept), ["file"]);
    write(&kept, &["b"]).unwrap();
    assert_eq!(load(&kept).content.unwrap(), ["b"], "and goes on later");
}

#[test]
fn one_writes_at_a_time() {
    let (_directory, kept) = kept();
    let one = kept.write().unwrap().unwrap();
    assert!(kept.write().unwrap().is_none());
    let written = one.end().unwrap();
    assert!(kept.write().unwrap().is_none(), "not placed yet");
    written.place().unwrap();
    assert!(kept.write().unwrap().is_some());
}

#[test]
fn processes_that_share_a_file_never_spoil_it() {
    let (_directory, kept) = kept();
    let contents: [&[&str]; 3] = [&["a"], &["b"; 200], &["c"; 4_000]];
    std::thread::scope(|scope| {
        for texts in contents {
            let kept = &kept;
            scope.spawn(move || {
                for _ in 0..20 {
                    let Some(mut writer) = kept.write().unwrap() else { continue };
                    texts.iter().for_each(|text| writer.put(&(*text).to_owned()).unwrap());
                    writer.end().unwrap().place().unwrap();
                }
            });
        }
        for _ in 0..100 {
            let loaded = load(&kept);
            assert!(loaded.aside.is_empty(), "{:?}", loaded.aside);
            if let Some(texts) = loaded.content {
                assert!(contents.iter().any(|whole| texts == *whole), "{} of them", texts.len());
            }
        }
    });
    load(&kept).content.unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..300), ours in any::<bool>()) {
        let (_directory, kept) = kept();
        let begin = if ours { line(3) } else { Vec::new() };
        fs::create_dir_all(kept.path().parent().unwrap()).unwrap();
        fs::write(kept.path(), [begin, bytes].concat()).unwrap();
        refused(&kept);
    }
}
