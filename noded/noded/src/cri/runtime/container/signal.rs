//! Signals by the interface's numbers and by the kernel's.

use cri::Signal;

/// The kernel's number; `None` for what is the runtime's choice.
pub(super) fn number(signal: Signal) -> Option<i32> {
    if signal == Signal::RuntimeDefault {
        return None;
    }
    let name = signal.as_str_name().trim_start_matches("SIGNAL_");
    // Old names of others.
    let name = match name {
        "SIGCLD" => "SIGCHLD",
        "SIGPOLL" => "SIGIO",
        "SIGIOT" => "SIGABRT",
        name => name,
    };
    engine::parse_signal(&name.replace("PLUS", "+").replace("MINUS", "-")).ok()
}

/// The interface's word for a number of the kernel.
pub(super) fn word(signal: i32) -> Signal {
    (1..=65)
        .filter_map(|word| Signal::try_from(word).ok())
        .find(|word| number(*word) == Some(signal))
        .unwrap_or(Signal::RuntimeDefault)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_signal_has_a_number() {
        for word in 1..=65 {
            let signal = Signal::try_from(word).unwrap();
            assert!(number(signal).is_some(), "{signal:?}");
        }
        assert_eq!(number(Signal::RuntimeDefault), None);
        assert_eq!(number(Signal::Sigterm), Some(15));
        assert_eq!((number(Signal::Sigrtmin), number(Signal::Sigrtmax)), (Some(34), Some(64)));
        assert_eq!((number(Signal::Sigrtminplus3), number(Signal::Sigrtmaxminus14)), (Some(37), Some(50)));
        assert_eq!(word(15), Signal::Sigterm);
        assert_eq!(word(37), Signal::Sigrtminplus3);
        assert_eq!(word(6), Signal::Sigabrt);
    }
}
