// SPDX-License-Identifier: Apache-2.0
//! Uploads of many chunks that break off in their middle: they go on where the coordinator's disk has them.

use crate::federation::Federation;
use crate::founding::HOSPITALS;
use crate::studies::{assert_completes_exactly, wide};
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

const VICTIM: &str = "3_UK";

/// A table of so many rows and columns: 360,000 words of 64 bits and a few more, in eleven chunks.
const LEVELS: u32 = 600;
const CHUNKS: u64 = 11;
const CHUNK_BYTES: u64 = 32_768 * 8;

#[test]
fn a_connection_that_breaks_in_the_middle_of_an_upload_costs_only_what_was_on_it() {
    let mut federation = Federation::resting();
    // No other message of a silo is so long: the connection breaks within the upload, after its fifth chunk.
    let proxy = Proxy::start(federation.address(), 11 * CHUNK_BYTES / 2);
    let (old, new) = (federation.address(), proxy.address.clone());
    federation.edit(&format!("{VICTIM}/silo.toml"), |text| {
        text.replace(&old, &new)
    });
    federation.start();
    let id = federation.submit(&wide(LEVELS));
    assert_completes_exactly(&mut federation, &id);

    let begun = uploads_begun(&federation, VICTIM);
    assert_eq!(begun.len(), 2, "{begun:?}");
    assert_eq!(begun[0], 0);
    assert!((1..=5).contains(&begun[1]), "{begun:?}");
    // What passed after the break: the missing chunks, and far less than one more for everything else.
    let after = proxy.passed_after();
    let missing = (CHUNKS - begun[1]) * CHUNK_BYTES;
    assert!(after < missing + CHUNK_BYTES, "{after} of {missing} bytes");
}

#[test]
fn an_agent_that_is_killed_in_the_middle_of_its_upload_goes_on_with_it() {
    let mut federation = Federation::resting();
    federation.start_with_armed_silo(VICTIM, "half-uploaded:1");
    let id = federation.submit(&wide(LEVELS));
    federation.await_silos_death(VICTIM);
    federation.start_silo(VICTIM);
    assert_completes_exactly(&mut federation, &id);
    let begun = uploads_begun(&federation, VICTIM);
    assert_eq!(begun.len(), 2, "{begun:?}");
    assert!(begun[1] <= CHUNKS / 2, "{begun:?}");
}

#[test]
fn a_coordinator_that_is_killed_in_the_middle_of_an_upload_asks_for_the_rest() {
    let mut federation = Federation::resting();
    federation.arm_coordinator("spooled:1");
    for hospital in HOSPITALS {
        federation.start_silo(hospital);
    }
    let id = federation.submit(&wide(LEVELS));
    federation.await_coordinators_death();
    federation.start_coordinator();
    assert_completes_exactly(&mut federation, &id);
    let resumed: Vec<u64> = HOSPITALS
        .iter()
        .flat_map(|hospital| uploads_begun(&federation, hospital).into_iter().skip(1))
        .collect();
    assert!(resumed.iter().any(|held| *held > 0), "{resumed:?}");
}

/// How many chunks the coordinator had at the beginning of each of a silo's uploads.
fn uploads_begun(federation: &Federation, silo: &str) -> Vec<u64> {
    let log = federation.log_of(silo);
    let lines = log.lines().filter(|line| line.contains("upload begins"));
    lines
        .map(|line| {
            let (_, rest) = line.split_once("held=").unwrap();
            let digits = rest.split(|letter: char| !letter.is_ascii_digit());
            digits.into_iter().next().unwrap().parse().unwrap()
        })
        .collect()
}

/// Passes everything on, and breaks the first connection over which so many bytes came from the silo.
struct Proxy {
    address: String,
    seen: Arc<Mutex<Seen>>,
}

#[derive(Default)]
struct Seen {
    /// Bytes from the silo, connection by connection.
    passed: Vec<u64>,
    /// Which connection was broken.
    broken: Option<usize>,
}

impl Proxy {
    fn start(coordinator: String, most: u64) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let seen: Arc<Mutex<Seen>> = Arc::default();
        let shared = Arc::clone(&seen);
        thread::spawn(move || {
            for silo in listener.incoming().map_while(Result::ok) {
                let Ok(hub) = TcpStream::connect(&coordinator) else {
                    continue;
                };
                let number = {
                    let mut seen = shared.lock().unwrap();
                    seen.passed.push(0);
                    seen.passed.len() - 1
                };
                let (from, to) = (silo.try_clone().unwrap(), hub.try_clone().unwrap());
                thread::spawn(move || pass(hub, silo, |_| true));
                let shared = Arc::clone(&shared);
                thread::spawn(move || {
                    pass(from, to, |bytes| {
                        let mut seen = shared.lock().unwrap();
                        seen.passed[number] += bytes;
                        if seen.broken.is_none() && seen.passed[number] >= most {
                            seen.broken = Some(number);
                        }
                        seen.broken != Some(number)
                    });
                });
            }
        });
        Self { address, seen }
    }

    /// Bytes from the silo since the connection was broken.
    fn passed_after(&self) -> u64 {
        let seen = self.seen.lock().unwrap();
        let broken = seen.broken.expect("no connection was broken");
        seen.passed.iter().skip(broken + 1).sum()
    }
}

/// Passes bytes on until an end closes or `goes_on` says no.
fn pass(mut from: TcpStream, mut to: TcpStream, mut goes_on: impl FnMut(u64) -> bool) {
    let mut buffer = vec![0; 65_536];
    loop {
        let read = match from.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => read,
            Err(fault) if fault.kind() == ErrorKind::Interrupted => continue,
            Err(_) => break,
        };
        if to.write_all(&buffer[..read]).is_err() {
            break;
        }
        if !goes_on(u64::try_from(read).unwrap()) {
            break;
        }
    }
    from.shutdown(Shutdown::Both).ok();
    to.shutdown(Shutdown::Both).ok();
}
