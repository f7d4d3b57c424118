//! How much memory is kept: one heap for all threads, and what has become free in it goes back to the kernel.

use std::time::Duration;

/// One heap for all threads, of which there are no others yet: with sixty pods that is a fifth less memory.
pub(crate) fn one_heap() {
    sys::memory::one_heap();
}

/// How often. It takes a millisecond or two.
const OFTEN: Duration = Duration::from_secs(20);

/// Gives it back for ever. The C library by itself gives back only what is free at the top of each of its heaps, and what a hundred pods needed that came
/// and went would stay.
pub(crate) async fn give_back() {
    let mut ticks = tokio::time::interval(OFTEN);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let _ = tokio::task::spawn_blocking(sys::memory::trim).await;
    }
}
