//! How long a pod with one container takes, step by step: `pod_time ROOT RUN MONITOR IMAGE [COUNT [CMD...]]`, below a root that has the image.

#![allow(clippy::print_stdout, reason = "this is what it is for")]

use std::time::{Duration, Instant};

use engine::{Config, CreateRequest, Engine, Grace, PodMember, PodRequest, StartOptions};

const STEPS: [&str; 6] = ["run_pod", "create", "start", "stop", "stop_pod", "remove_pod"];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [root, run, monitor, image, more @ ..] = args.as_slice() else {
        return Err("ROOT RUN MONITOR IMAGE [COUNT [CMD...]]".into());
    };
    let count: u32 = more.first().map_or(Ok(20), |count| count.parse())?;
    let cmd = more.get(1..).filter(|cmd| !cmd.is_empty()).map_or_else(|| vec!["sleep".into(), "1000".into()], <[String]>::to_vec);
    let engine = Engine::open(Config {
        root: root.into(),
        run: run.into(),
        bridge: "podtime0".to_owned(),
        cgroup: "/podtime".to_owned(),
        monitor: monitor.into(),
        starter: Vec::new(),
        resolv_conf: "/etc/resolv.conf".into(),
        own_resolv_conf: "/etc/resolv.conf".into(),
        publish_on: None,
        home: None,
        cni: None,
        storage: images::Driver::default(),
    })?;
    let files = engine.images().image(image)?;
    let mut times: [Vec<Duration>; STEPS.len()] = Default::default();
    for attempt in 0..count {
        let mut last = Instant::now();
        let mut lap = |step: usize| times[step].push(std::mem::replace(&mut last, Instant::now()).elapsed());
        let pod = engine.run_pod(&PodRequest { name: "time".into(), hostname: "time".into(), attempt, ..PodRequest::default() })?;
        lap(0);
        let member = PodMember { pod: pod.record.id.clone(), name: "a".into(), attempt: 0, extra: serde_json::Value::Null };
        let request = CreateRequest { image: image.clone(), cmd: cmd.clone(), pod: Some(member), ..CreateRequest::default() };
        let record = engine.create(&request, &files)?;
        lap(1);
        drop(engine.start(&record.id, &StartOptions::default())?);
        lap(2);
        engine.stop(&record.id, None, Grace::For(Duration::ZERO))?;
        lap(3);
        engine.stop_pod(&pod.record.id, Grace::For(Duration::ZERO))?;
        lap(4);
        engine.remove_pod(&pod.record.id)?;
        lap(5);
    }
    for (step, times) in STEPS.iter().zip(&mut times) {
        times.sort();
        println!("{step:12} median {:8.3} ms  most {:8.3} ms", ms(times[times.len() / 2]), ms(times[times.len() - 1]));
    }
    Ok(())
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}
