//! Containers with a terminal.

use std::time::Duration;

use monitor::{Request, Stream};

use crate::fixture::{Fixture, able};

fn with_terminal(script: &str) -> Fixture {
    Fixture::new(script).change(|launch| {
        launch.plan.process.terminal = Some((24, 80));
        launch.stdin = true;
    })
}

#[test]
fn a_terminal_has_size_echo_and_one_stream() {
    if !able() {
        return;
    }
    let fixture = with_terminal("tty; stty size; read line; stty size; echo \"got $line\" >&2; exit 9");
    let mut client = fixture.start(Some(true));
    client.says("24 80").send(&Request::Resize { rows: 50, columns: 132 });
    client.send(&Request::Stdin(b"words\r".to_vec()));
    assert_eq!(client.exit().code, 9);
    assert_eq!(client.text(), "/dev/pts/0\r\n24 80\r\nwords\r\n50 132\r\ngot words\r\n");
    assert!(client.stderr.is_empty());
    assert_eq!(fixture.log(Stream::Stdout), client.text());
}

#[test]
fn control_c_interrupts() {
    if !able() {
        return;
    }
    let fixture = with_terminal("trap 'exit 11' INT; echo ready; while :; do sleep 0.05; done");
    let mut client = fixture.start(Some(true));
    client.says("ready").send(&Request::Stdin(b"\x03".to_vec()));
    assert_eq!(client.exit().code, 11);
}

#[test]
fn the_last_words_are_not_lost() {
    if !able() {
        return;
    }
    for _ in 0..20 {
        let fixture = with_terminal("seq 1 500");
        let mut client = fixture.start(Some(true));
        client.exit();
        assert_eq!(client.text().lines().count(), 500);
    }
}

#[test]
fn a_terminal_closed_and_opened_again_works_and_costs_nothing_meanwhile() {
    if !able() {
        return;
    }
    let fixture = with_terminal("echo one; exec <&- >&- 2>&-; sleep 0.7; exec > /dev/pts/0; echo two; sleep 0.2");
    let mut client = fixture.start(Some(true));
    client.says("one");
    std::thread::sleep(Duration::from_millis(500));
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", client.monitor.unwrap().as_raw_nonzero())).unwrap();
    let mut fields = stat.rsplit_once(')').unwrap().1.split_ascii_whitespace().skip(11);
    let ticks: u64 = fields.next().unwrap().parse::<u64>().unwrap() + fields.next().unwrap().parse::<u64>().unwrap();
    assert!(ticks < 15, "{ticks} ticks of processor time within half a second");
    assert_eq!(client.exit().code, 0);
    assert_eq!(client.text(), "one\r\ntwo\r\n");
}
