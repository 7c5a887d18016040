// SPDX-License-Identifier: Apache-2.0
//! The walls around the trainer child: resource limits, Landlock, seccomp.
//!
//! They go up after the one data file has been opened and before one byte of it is read. From then on the process
//! can read from its request pipe and from that file, write to its answer pipe, manage its own memory, and nothing else.

use std::collections::BTreeMap;
use std::os::fd::RawFd;

use consilium_policies::Isolation;
use landlock::{
    ABI, Access, AccessFs, AccessNet, CompatLevel, Compatible, Ruleset, RulesetAttr, RulesetStatus,
    Scope,
};
use rustix::process::{Resource, Rlimit, setrlimit};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch,
};

/// Puts the walls up around this process, which must have one thread, and says how high they are.
///
/// `readable` are the only descriptors that may be read from, `writable` the only ones that may be written to.
pub(super) fn enclose(readable: &[RawFd], writable: &[RawFd]) -> Isolation {
    limit_resources();
    let landlock = restrict_files_and_network();
    let seccomp = restrict_system_calls(readable, writable);
    match (seccomp, landlock) {
        (true, true) => Isolation::Sandbox,
        (true, false) => Isolation::NoNetwork,
        (false, _) => Isolation::Process,
    }
}

/// No core dump may hold patient data, no file may grow, no process may be started, and an endless loop ends.
fn limit_resources() {
    let none = Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    for resource in [Resource::Core, Resource::Fsize, Resource::Nproc] {
        // A limit that cannot be lowered is no reason to stop: the walls below do not depend on it.
        let _ = setrlimit(resource, none);
    }
    let seconds = Rlimit {
        current: Some(MOST_CPU_SECONDS),
        maximum: Some(MOST_CPU_SECONDS),
    };
    let _ = setrlimit(Resource::Cpu, seconds);
    let memory = Rlimit {
        current: Some(MOST_MEMORY_BYTES),
        maximum: Some(MOST_MEMORY_BYTES),
    };
    let _ = setrlimit(Resource::As, memory);
}

/// Landlock with an empty list of exceptions.
fn restrict_files_and_network() -> bool {
    let restricted = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(ABI::V5))
        .and_then(|rules| rules.handle_access(AccessNet::from_all(ABI::V5)))
        .and_then(|rules| rules.scope(Scope::AbstractUnixSocket | Scope::Signal))
        .and_then(|rules| rules.create())
        .and_then(|rules| rules.restrict_self());
    match restricted {
        Ok(status) => status.ruleset != RulesetStatus::NotEnforced && status.no_new_privs,
        Err(_) => false,
    }
}

/// Seccomp with the short list of system calls that reading, computing and answering need.
fn restrict_system_calls(readable: &[RawFd], writable: &[RawFd]) -> bool {
    let Some(program) = filter(readable, writable) else {
        return false;
    };
    seccompiler::apply_filter(&program).is_ok()
}

fn filter(readable: &[RawFd], writable: &[RawFd]) -> Option<BpfProgram> {
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> = BTreeMap::new();
    for call in MEMORY_AND_EXIT {
        rules.insert(*call, Vec::new());
    }
    for call in [
        libc::SYS_read,
        libc::SYS_readv,
        libc::SYS_lseek,
        libc::SYS_fstat,
    ] {
        rules.insert(call, on_descriptors(readable)?);
    }
    for call in [libc::SYS_write, libc::SYS_writev] {
        rules.insert(call, on_descriptors(writable)?);
    }
    // Everything else fails as if forbidden, rather than killing, so that the child can still say what went wrong.
    let refuse = SeccompAction::Errno(u32::try_from(libc::EPERM).ok()?);
    let architecture = TargetArch::try_from(std::env::consts::ARCH).ok()?;
    let filter = SeccompFilter::new(rules, refuse, SeccompAction::Allow, architecture).ok()?;
    BpfProgram::try_from(filter).ok()
}

/// One rule for each descriptor that the call may name as its first argument.
fn on_descriptors(descriptors: &[RawFd]) -> Option<Vec<SeccompRule>> {
    descriptors
        .iter()
        .map(|descriptor| {
            let value = u64::try_from(*descriptor).ok()?;
            let condition =
                SeccompCondition::new(0, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, value).ok()?;
            SeccompRule::new(vec![condition]).ok()
        })
        .collect()
}

/// Calls that touch nothing but this process itself.
const MEMORY_AND_EXIT: &[i64] = &[
    libc::SYS_mmap,
    libc::SYS_munmap,
    libc::SYS_mremap,
    libc::SYS_madvise,
    libc::SYS_mprotect,
    libc::SYS_brk,
    libc::SYS_close,
    libc::SYS_futex,
    libc::SYS_getrandom,
    libc::SYS_clock_gettime,
    libc::SYS_sigaltstack,
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_sched_yield,
    libc::SYS_restart_syscall,
    libc::SYS_gettid,
    libc::SYS_getpid,
    libc::SYS_exit,
    libc::SYS_exit_group,
];

const MOST_CPU_SECONDS: u64 = 3600;
const MOST_MEMORY_BYTES: u64 = 16 << 30;
