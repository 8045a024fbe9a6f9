//! What a thing was, from the first state to the newest, and how far a reader of it has come.

use std::fmt::Debug;

/// Every state of one thing; `None`: it is not there.
#[derive(Debug)]
pub struct History<T> {
    states: Vec<Option<T>>,
    /// The oldest state that the last fresh answer can have meant.
    floor: usize,
    /// The same for the reader as it runs now, which must not go back even when what it has is stale.
    floor_of_reader: usize,
}

impl<T: Debug + Clone + PartialEq> History<T> {
    /// Of something that was not there at first.
    pub fn new() -> History<T> {
        History { states: vec![None], floor: 0, floor_of_reader: 0 }
    }

    /// It becomes something else.
    pub fn becomes(&mut self, state: Option<T>) {
        if *self.newest() != state {
            self.states.push(state);
        }
    }

    /// What it is now.
    pub fn newest(&self) -> &Option<T> {
        self.states.last().expect("there is a first one")
    }

    /// A reader started that knows nothing.
    pub fn reader_starts(&mut self) {
        self.floor_of_reader = 0;
    }

    /// A reader was told this. The error says why that is impossible.
    pub fn is_read(&mut self, told: &Option<T>, fresh: bool) -> Result<(), String> {
        let floor = if fresh { self.floor } else { self.floor_of_reader };
        let found = (floor..self.states.len()).find(|&at| self.states[at] == *told);
        let Some(at) = found else {
            let which = if self.states.contains(told) { "an older state" } else { "a state that never was" };
            return Err(format!(
                "{told:?} is {which}; since the last one there were {:?}",
                &self.states[floor..]
            ));
        };
        self.floor_of_reader = self.floor_of_reader.max(at);
        if fresh {
            self.floor = at;
        }
        Ok(())
    }

    /// It was there all the time since the reader, as it runs now, was told so.
    pub fn is_known_to_reader(&self) -> bool {
        self.floor_of_reader > 0 && self.states[self.floor_of_reader..].iter().all(Option::is_some)
    }
}

#[test]
fn going_back_is_noticed_and_going_on_is_not() {
    let mut thing = History::new();
    thing.is_read(&None, true).unwrap();
    thing.becomes(Some(1));
    thing.becomes(Some(2));
    thing.is_read(&None, true).unwrap();
    assert!(thing.is_read(&Some(7), true).unwrap_err().contains("never was"));
    thing.is_read(&Some(2), true).unwrap();
    assert!(thing.is_known_to_reader());
    assert!(thing.is_read(&Some(1), true).unwrap_err().contains("older"));
    assert!(thing.is_read(&Some(1), false).is_err());
    thing.reader_starts();
    assert!(!thing.is_known_to_reader());
    thing.is_read(&Some(1), false).unwrap(); // stale, and says so
    assert!(thing.is_read(&Some(1), true).is_err());
    thing.becomes(None);
    thing.is_read(&None, true).unwrap();
    assert!(!thing.is_known_to_reader());
}
