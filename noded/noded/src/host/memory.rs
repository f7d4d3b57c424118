//! Memory that has become free goes back to the kernel.

use std::time::Duration;

/// How often. It takes a millisecond or two.
const OFTEN: Duration = Duration::from_secs(20);

/// Gives it back for ever. The C library by itself gives back only what is free at the top of each of its heaps, of which threads have several: what a
/// hundred pods needed that came and went would stay.
pub(crate) async fn give_back() {
    let mut ticks = tokio::time::interval(OFTEN);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let _ = tokio::task::spawn_blocking(sys::memory::trim).await;
    }
}
