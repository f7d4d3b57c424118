//! Histories are as long as they may be, and no longer.

use std::time::Duration;

use super::*;

fn event(revision: u64, name: &str, is_there: bool) -> Event {
    let entry = Arc::new(Entry { key: format!("core/pods/d/{name}").into(), revision, value: vec![b'x'; 1000].into() });
    match is_there {
        true => Event { revision, before: None, after: Some(entry), removed: None },
        false => Event { revision, before: Some(entry.clone()), after: None, removed: Some(entry) },
    }
}

#[test]
fn of_what_came_and_went_nothing_stays() {
    let (memory, mut revision) = (Arc::new(Memory::new(1)), 1);
    memory.apply(vec![event(2, "stays", true)]);
    revision += 1;
    for name in 0..500 {
        for is_there in [true, false] {
            revision += 1;
            memory.apply(vec![event(revision, &name.to_string(), is_there)]);
        }
    }
    let now = Instant::now();
    assert_eq!(memory.past(), (1001, 1_001_000));
    memory.forget(now - Duration::from_secs(3600));
    assert_eq!(memory.past().0, 1001, "what has just happened");
    let mut reader = memory.watch("core/pods/", revision).unwrap();
    memory.forget(Instant::now());
    assert_eq!(memory.past(), (0, 0));
    assert_eq!((memory.everything().len(), memory.revision()), (1, revision));
    // Whoever has read all goes on; whoever has not is told.
    revision += 1;
    memory.apply(vec![event(revision, "new", true)]);
    assert_eq!(reader.ready().unwrap().len(), 1);
    assert!(memory.watch("core/pods/", revision - 1).is_ok());
    let gone = memory.watch("core/pods/", 5).err().unwrap();
    assert_eq!((gone.asked, gone.oldest), (5, revision - 1));
    assert!(memory.list("core/pods/", Some(5)).is_err() && memory.list("core/pods/", Some(revision - 1)).is_ok());
}
