use super::*;
use std::os::unix::fs::symlink;

fn content(root: &Root, name: &str) -> Option<Vec<u8>> {
    root.files().find(name).unwrap().map(|file| file.content().to_vec())
}

#[test]
fn names_are_looked_for_below_the_root_only() {
    let outside = tempfile::tempdir().unwrap();
    let folder = outside.path().join("root");
    fs::create_dir_all(folder.join("sub")).unwrap();
    fs::write(outside.path().join("secret"), "s").unwrap();
    fs::write(folder.join("sub/inner"), "i").unwrap();
    symlink(outside.path().join("secret"), folder.join("leak")).unwrap();
    symlink(outside.path(), folder.join("up")).unwrap();
    symlink(folder.join("sub/inner"), folder.join("inside")).unwrap();
    symlink(&folder, folder.join("sub/loop")).unwrap();
    let root = Root::open(&folder).unwrap();
    for name in ["sub/inner", "/sub/inner", "//sub/./inner", "\\sub\\inner", "inside"] {
        assert_eq!(content(&root, name).as_deref(), Some(&b"i"[..]), "{name}");
    }
    for name in ["../secret", "sub/../../secret", "..\\secret", "..", "sub/.."] {
        assert_eq!(root.files().find(name).err(), Some(Traversal), "{name}");
    }
    for name in ["leak", "up/secret", "sub", "", "/"] {
        assert_eq!(content(&root, name), None, "{name}");
    }
    assert!(root.files().left_out.iter().any(|why| why.contains("leak: a link out of the root")));
}

#[test]
fn the_default_script_is_built_in_and_a_file_of_that_name_wins() {
    let folder = tempfile::tempdir().unwrap();
    let root = Root::open(folder.path()).unwrap();
    assert_eq!(content(&root, "default").as_deref(), Some(DEFAULT_SCRIPT.1));
    fs::write(folder.path().join("default"), "mine").unwrap();
    root.reload().unwrap();
    root.reload().unwrap();
    assert_eq!(content(&root, "/default").as_deref(), Some(&b"mine"[..]));
}

#[test]
fn a_changed_file_is_served_once_it_has_settled_and_a_removed_one_is_gone() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("loader"), "one").unwrap();
    let root = Root::open(folder.path()).unwrap();
    assert!(!root.reload().unwrap());
    fs::write(folder.path().join("loader"), "three").unwrap();
    assert!(!root.reload().unwrap(), "it may still be written");
    assert_eq!(content(&root, "loader").as_deref(), Some(&b"one"[..]));
    assert!(root.reload().unwrap());
    assert_eq!(content(&root, "loader").as_deref(), Some(&b"three"[..]));
    fs::remove_file(folder.path().join("loader")).unwrap();
    assert!(root.reload().unwrap());
    assert_eq!(content(&root, "loader"), None);
}

#[test]
fn a_root_that_is_gone_leaves_what_is_held() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("root");
    fs::create_dir(&path).unwrap();
    fs::write(path.join("a"), "a").unwrap();
    let root = Root::open(&path).unwrap();
    fs::remove_dir_all(&path).unwrap();
    assert!(root.reload().is_err());
    assert_eq!(content(&root, "a").as_deref(), Some(&b"a"[..]));
}

#[test]
fn a_link_to_its_own_folder_costs_neither_memory_nor_other_files() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("zloader"), [7; 1000]).unwrap();
    for link in ["a", "b", "c", "d"] {
        symlink(".", folder.path().join(link)).unwrap();
    }
    let root = Root::open(folder.path()).unwrap();
    assert_eq!(root.files().size().1, 1000, "held once, whatever it is called");
    assert!(root.files().left_out.is_empty(), "{:?}", root.files().left_out);
    for name in ["zloader", "a/zloader", "d/zloader"] {
        assert_eq!(content(&root, name).map(|held| held.len()), Some(1000), "{name}");
    }
}

#[test]
fn a_file_that_cannot_be_held_is_said_once_and_not_read_again() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("small"), "s").unwrap();
    let root = Root::open(folder.path()).unwrap();
    fs::File::create(folder.path().join("enormous")).unwrap().set_len(MAX_HELD + 1).unwrap();
    let changes: Vec<_> = (0..6).map(|_| root.reload().unwrap()).collect();
    assert_eq!(changes, [false, true, false, false, false, false]);
    assert!(root.files().left_out[0].starts_with("enormous: "), "{:?}", root.files().left_out);
    assert_eq!(content(&root, "small").as_deref(), Some(&b"s"[..]));
}

#[test]
fn all_files_together_are_bounded_before_they_are_read() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("a"), "small").unwrap();
    // Sparse: reading one of these would take a gigabyte.
    for name in ["b", "c"] {
        fs::File::create(folder.path().join(name)).unwrap().set_len(MAX_HELD).unwrap();
    }
    fs::write(folder.path().join("d"), "small").unwrap();
    let root = Root::open(folder.path()).unwrap();
    assert_eq!(root.files().size(), (2, 10));
    assert_eq!(root.files().left_out.len(), 2);
}

#[test]
fn netascii_is_made_once_for_all_who_ask() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("text"), "a\nb").unwrap();
    let root = Root::open(folder.path()).unwrap();
    let made = || root.files().find("text").unwrap().unwrap().netascii().unwrap();
    assert_eq!(&made()[..], b"a\r\nb");
    assert_eq!(made().as_ptr(), made().as_ptr(), "a copy for each transfer fills the memory");
}
