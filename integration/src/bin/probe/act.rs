//! Things to do: end, wait, use memory, listen, talk.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::process::exit;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, poll};

use crate::name;

pub(crate) fn check(words: &[&str]) -> bool {
    match words {
        ["exit", code] => exit(number(code)),
        ["die", signal] => die(number(signal)),
        ["sleep"] => wait_for(&[]),
        ["sleep", seconds] => std::thread::sleep(Duration::from_secs(number(seconds))),
        // says the numbers of the signals it gets; ends with the last code
        ["trap", signals @ ..] => wait_for(&signals.iter().map(|signal| number(signal)).collect::<Vec<i32>>()),
        ["out", text] => println!("{text}"),
        ["err", text] => eprintln!("{text}"),
        ["spam", lines, width] => spam(number(lines), number(width)),
        ["eat", mebibytes] => eat(number(mebibytes)),
        ["burn", milliseconds] => burn(Duration::from_millis(number(milliseconds))),
        ["threads", count] => threads(number(count)),
        ["cat"] => drop(std::io::copy(&mut std::io::stdin(), &mut std::io::stdout())),
        ["listen", port, text] => listen(number(port), text),
        ["echo-udp", port] => echo_udp(number(port)),
        ["connect", address] => connect(address),
        ["reach", address] => reach(address),
        ["resolve", name] => resolve(name),
        ["winch"] => winch(),
        _ => return false,
    }
    true
}

fn number<T: std::str::FromStr>(word: &str) -> T {
    word.parse().unwrap_or_else(|_| {
        eprintln!("probe: {word} is no number");
        exit(64)
    })
}

/// A process that is not pid 1 of its namespace dies of a signal of its own.
fn die(signal: i32) {
    let done = rustix::process::Signal::from_named_raw(signal)
        .map(|signal| rustix::process::kill_process(rustix::process::getpid(), signal));
    println!("still here: {done:?}");
}

/// Prints `signal N` for each of `signals`, and `ready` once it listens; ends after SIGTERM (0) and SIGUSR1 (7).
fn wait_for(signals: &[i32]) {
    let Ok(fd) = sys::signal::signalfd(signals) else { return println!("no signalfd") };
    println!("ready");
    loop {
        let _ = poll(&mut [PollFd::new(&fd, PollFlags::IN)], None);
        while let Some(signal) = sys::signal::read(&fd) {
            println!("signal {signal}");
            match signal {
                10 => exit(7),
                15 => exit(0),
                _ => {}
            }
        }
    }
}

fn spam(lines: u64, width: usize) {
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    for line in 0..lines {
        if writeln!(out, "{line:0width$}").is_err() {
            return;
        }
    }
}

/// Touches every page of so much memory, then says so.
fn eat(mebibytes: usize) {
    let mut all = Vec::new();
    for _ in 0..mebibytes {
        let mut block = vec![0_u8; 1 << 20];
        block.iter_mut().step_by(4096).for_each(|byte| *byte = 1);
        all.push(std::hint::black_box(block));
    }
    println!("ate {} MiB", all.len());
}

/// Spins for so much wall time and says how much processor time that brought, in milliseconds.
fn burn(time: Duration) {
    let start = Instant::now();
    while start.elapsed() < time {
        std::hint::black_box((0..1000).sum::<u64>());
    }
    let used = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    println!("{}", used.tv_sec * 1000 + used.tv_nsec / 1_000_000);
}

/// How many of `count` threads could be had at the same time.
fn threads(count: usize) {
    let (keep, wait) = std::sync::mpsc::channel::<()>();
    let wait = std::sync::Arc::new(std::sync::Mutex::new(wait));
    let started = (0..count)
        .take_while(|_| {
            let wait = std::sync::Arc::clone(&wait);
            std::thread::Builder::new().spawn(move || drop(wait.lock().map(|wait| wait.recv()))).is_ok()
        })
        .count();
    println!("{started}");
    drop(keep);
}

/// Answers each connection with `text` and the peer's address.
fn listen(port: u16, text: &str) {
    let listener = match TcpListener::bind(("0.0.0.0", port)) {
        Ok(listener) => listener,
        Err(error) => return println!("{}", name(&error)),
    };
    println!("listening on {port}");
    for mut stream in listener.incoming().flatten() {
        let peer = stream.peer_addr().map_or_else(|_| String::new(), |peer| peer.ip().to_string());
        let _ = stream.read(&mut [0; 1024]);
        let body = format!("{text} {peer}\n");
        let _ = write!(stream, "HTTP/1.0 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    }
}

fn echo_udp(port: u16) {
    let socket = match UdpSocket::bind(("0.0.0.0", port)) {
        Ok(socket) => socket,
        Err(error) => return println!("{}", name(&error)),
    };
    println!("listening on {port}");
    let mut buffer = [0; 2048];
    while let Ok((len, peer)) = socket.recv_from(&mut buffer) {
        let _ = socket.send_to(&buffer[..len], peer);
    }
}

/// Connects, and prints what comes.
fn connect(address: &str) {
    let mut answer = String::new();
    let talk = TcpStream::connect(address).and_then(|mut stream| {
        stream.write_all(b"GET / HTTP/1.0\r\n\r\n")?;
        stream.read_to_string(&mut answer)
    });
    match talk {
        Ok(_) => println!("{}", answer.rsplit("\r\n").next().unwrap_or_default().trim()),
        Err(error) => println!("{}", name(&error)),
    }
}

/// Asks the first name server for the IPv4 addresses of a name, as it is, and prints them. Without the C library, whose static form reads
/// plugins that an image does not have.
fn resolve(name: &str) {
    let asked = std::fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
    let server = asked.lines().find_map(|line| line.strip_prefix("nameserver ")).unwrap_or_default().to_owned();
    let mut query = vec![7, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in name.split('.') {
        query.push(label.len() as u8);
        query.extend_from_slice(label.as_bytes());
    }
    query.extend_from_slice(&[0, 0, 1, 0, 1]);
    let mut answer = [0; 4096];
    let talk = UdpSocket::bind("0.0.0.0:0").and_then(|socket| {
        socket.set_read_timeout(Some(Duration::from_secs(60)))?;
        socket.connect((server.as_str(), 53))?;
        socket.send(&query)?;
        socket.recv(&mut answer)
    });
    match talk {
        Ok(length) if answer[3] & 15 == 0 && length > query.len() => {
            for record in answer[query.len()..length].chunks(16).filter(|record| record.len() == 16) {
                println!("{}", std::net::Ipv4Addr::new(record[12], record[13], record[14], record[15]));
            }
        }
        Ok(_) => println!("not found: {}", answer[3] & 15),
        Err(error) => println!("no answer: {error}"),
    }
}

/// Says whether somebody listens there, and does not wait long for nobody.
fn reach(address: &str) {
    let reached = address.parse().map_err(std::io::Error::other);
    match reached.and_then(|address| TcpStream::connect_timeout(&address, Duration::from_secs(1))) {
        Ok(_) => println!("reached"),
        Err(error) => println!("not reached: {error}"),
    }
}

/// Prints the size of the terminal now and after each change, until it ends.
fn winch() {
    let Ok(fd) = sys::signal::signalfd(&[28, 2, 15]) else { return println!("no signalfd") };
    crate::look::tty();
    loop {
        let _ = poll(&mut [PollFd::new(&fd, PollFlags::IN)], None);
        match sys::signal::read(&fd) {
            Some(28) => crate::look::tty(),
            Some(signal) => exit(128 + signal),
            None => {}
        }
    }
}
