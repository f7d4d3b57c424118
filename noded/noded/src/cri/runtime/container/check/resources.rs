//! Limits.

use cri::LinuxContainerResources;
use engine::Resources;

use crate::cri::{Answer, status::invalid};

/// Limits as the engine takes them. What is 0 or empty is not said.
pub(in crate::cri::runtime::container) fn resources(asked: &LinuxContainerResources) -> Answer<Resources> {
    let some = |value: i64| Some(value).filter(|value| *value != 0);
    let positive = |what: &str, value: i64| {
        let number = u64::try_from(value).map_err(|_| invalid(format_args!("{what}: {value} is negative")))?;
        Ok::<_, tonic::Status>(Some(number).filter(|value| *value != 0))
    };
    // -1 is no limit; the kernel knows no other number below zero.
    for (what, value) in [
        ("cpu_quota", asked.cpu_quota),
        ("memory_limit_in_bytes", asked.memory_limit_in_bytes),
        ("memory_swap_limit_in_bytes", asked.memory_swap_limit_in_bytes),
    ] {
        if value < -1 {
            return Err(invalid(format_args!("{what}: {value} is neither a number of bytes or microseconds nor -1")));
        }
    }
    for (what, list) in [("cpuset_cpus", &asked.cpuset_cpus), ("cpuset_mems", &asked.cpuset_mems)] {
        if !list.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'-' | b',')) {
            return Err(invalid(format_args!("{what}: {list:.100?} is no list such as 0-2,7")));
        }
    }
    let text = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
    Ok(Resources {
        memory: some(asked.memory_limit_in_bytes),
        memory_swap: some(asked.memory_swap_limit_in_bytes),
        cpu_shares: positive("cpu_shares", asked.cpu_shares)?,
        cpu_period: positive("cpu_period", asked.cpu_period)?,
        cpu_quota: some(asked.cpu_quota),
        cpuset_cpus: text(&asked.cpuset_cpus),
        cpuset_mems: text(&asked.cpuset_mems),
        huge_pages: asked
            .hugepage_limits
            .iter()
            .map(|limit| Ok((page_size(&limit.page_size)?, limit.limit)))
            .collect::<Answer<_>>()?,
        unified: unified(asked)?,
        ..Resources::default()
    })
}

/// Such as `2MB`: it becomes part of a file's name.
fn page_size(size: &str) -> Answer<String> {
    let number = size.trim_end_matches(|letter: char| letter.is_ascii_uppercase());
    match !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()) && number.len() < size.len() && size.len() < 16 {
        true => Ok(size.to_owned()),
        false => Err(invalid(format_args!("hugepage_limits: {size:.40?} is no size such as 2MB"))),
    }
}

/// Files of cgroup v2 and what is written to them: names of one part, on one line.
fn unified(asked: &LinuxContainerResources) -> Answer<std::collections::BTreeMap<String, String>> {
    for (file, value) in &asked.unified {
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'.' | b'_');
        let own = file.contains('.') && !file.starts_with('.') && file.bytes().all(plain) && !file.starts_with("cgroup.");
        if !own || value.contains('\0') {
            return Err(invalid(format_args!("unified: {file:.100?} is no file of a controller")));
        }
    }
    Ok(asked.unified.clone())
}
