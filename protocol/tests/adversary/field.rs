// SPDX-License-Identifier: Apache-2.0
//! Attacks that were published against other implementations of secure aggregation, tried on this one. Where it costs no
//! switch, the weakness is built beside the test, and the attack succeeds there.

use aes::Aes256Enc;
use aes::cipher::{Array, BlockCipherEncrypt, KeyInit};
use consilium_crypto::digest::Digest;
use consilium_crypto::key_agreement::AgreementSecret;
use consilium_crypto::key_encapsulation::DecapsulationSecret;
use consilium_crypto::label::Label;
use consilium_crypto::mask::{MaskStream, Sign};
use consilium_crypto::packing;
use consilium_crypto::random::RandomSource;
use consilium_crypto::ring::WordBits;
use consilium_crypto::secret::{Secret, Secret32};
use consilium_crypto::transcript::derive_key;
use consilium_protocol::{Envelope, Fault, Membership, PlanFault, SecretKind, SiloMessage};

use crate::federation::{BITS, DIMENSION};
use crate::table::{Outcome, Stage, Table, name, plan_of};

fn bits() -> WordBits {
    WordBits::new(BITS).unwrap()
}

fn words(chunks: &[Vec<u8>]) -> Vec<u64> {
    packing::unpack(bits(), &chunks[0], DIMENSION as usize).unwrap()
}

fn lifted(words: &[u64]) -> Vec<i64> {
    words.iter().map(|word| bits().lift(*word)).collect()
}

/// The difference of two vectors of words, as signed integers.
fn difference(left: &[u64], right: &[u64]) -> Vec<i64> {
    let mut words = left.to_vec();
    bits().sub_assign(&mut words, right);
    lifted(&words)
}

/// Masks and uploads at every seat; the masked vectors in their order.
fn upload_all(table: &mut Table) -> Vec<Vec<u64>> {
    let freeze = table.question(Stage::Freeze, 0);
    let mut uploads = Vec::new();
    for seat in 0..table.seats.len() {
        let outcome = table.ask(seat, freeze.clone());
        uploads.push(words(&outcome.masked[0]));
        table.write_down(outcome.sent);
    }
    uploads
}

/// Pearson's statistic of the nibbles, with 15 degrees of freedom: above 45 by chance once in ten thousand. Seeds are
/// fixed, so that a failure is a change.
fn nibble_statistic(words: &[u64]) -> f64 {
    let mut counts = [0_u32; 16];
    for word in words {
        for nibble in 0..u32::from(BITS) / 4 {
            counts[(word >> (4 * nibble) & 15) as usize] += 1;
        }
    }
    let expected = f64::from(counts.iter().sum::<u32>()) / 16.0;
    let deviation = |count: &u32| (f64::from(*count) - expected).powi(2) / expected;
    counts.iter().map(deviation).sum()
}

fn refused(outcome: &Outcome) -> &Fault {
    assert!(outcome.sent.is_empty(), "{outcome:?}");
    match outcome.aborted.as_slice() {
        [(_, fault, evidence)] => {
            assert!(!evidence.is_empty());
            fault
        }
        other => panic!("no abort: {other:?}"),
    }
}

/// A server asks the same silos for the shares of both secrets of one silo, first as a survivor and then as a dropout.
#[test]
fn a_silo_listed_alive_and_then_dead_is_opened_in_one_way_only() {
    for victim in 0..5 {
        let mut table = Table::new(5, 1);
        table.play_until(Stage::Proposal);
        let alive = table.propose(&table.script.uploads);
        let mut without: Vec<Envelope> = table.script.uploads.clone();
        without.remove(victim);
        let dead = table.propose(&without);
        for seat in (0..5).filter(|seat| *seat != victim) {
            let sent = table.ask(seat, alive.clone()).sent;
            table.write_down(sent);
        }
        // The certificate holds for the first list. Both kinds are asked of all, in either order.
        let votes = table.script.votes.clone();
        let mut kinds = Vec::new();
        for (at, seat) in (0..5).filter(|seat| *seat != victim).enumerate() {
            let certificate = table.certify(&votes);
            let questions = if at % 2 == 0 {
                [certificate, dead.clone()]
            } else {
                [dead.clone(), certificate]
            };
            for question in questions {
                for delivery in table.ask(seat, question).sent {
                    let Some(SiloMessage::Reveal { shares }) =
                        delivery.envelope.peek_silo_message()
                    else {
                        panic!("a second vote")
                    };
                    kinds.push(shares[victim].kind);
                }
            }
            // The byte behind attempt, installation and nonce says whether seeds follow.
            let seeds_left = table
                .picture(seat)
                .1
                .is_some_and(|secrets| secrets[84] == 1);
            assert!(!seeds_left, "the seeds are erased");
        }
        // Those who were asked for the other kind first have left, and gave nothing at all.
        assert_eq!(kinds, vec![SecretKind::SelfMask; 2]);
    }
}

/// The seed of a mask as a pseudo-random generator of 32-bit seeds takes it.
fn folded(seed: u32) -> Secret<[u8; 44]> {
    let mut key = [0; 44];
    key[..4].copy_from_slice(&seed.to_le_bytes());
    Secret::new(key)
}

/// Tries every folded seed of a window on the first words of a masked vector, which are known to be small when plain.
fn brute_force(masked: &[u64], window: std::ops::Range<u32>) -> Option<u32> {
    let small = |word: &u64| bits().lift(*word).abs() <= 1_000;
    window.into_iter().find(|seed| {
        let mut words = masked[..8].to_vec();
        MaskStream::new(bits(), &folded(*seed)).apply(Sign::Subtract, 0, &mut words);
        words.iter().all(small)
    })
}

/// A vector under the mask of a folded seed, and under ours.
struct Prey {
    plain: Vec<u64>,
    fold: u32,
    weak: Vec<u64>,
    /// Ours, with the pair masks given away: what is left is the self mask alone.
    alone: Vec<u64>,
    masked: Vec<u64>,
}

fn prey() -> Prey {
    let mut table = Table::new(4, 2);
    table.play_until(Stage::Freeze);
    let secrets = table.picture(1).1.unwrap();
    // The self mask's seed, as it stands in the secrets file.
    let seed: [u8; 32] = secrets[149..181].try_into().unwrap();
    let fold = u32::from_le_bytes(seed[..4].try_into().unwrap());
    let plain: Vec<u64> = table.seats[1]
        .vector
        .iter()
        .map(|x| bits().encode(*x))
        .collect();
    let mut weak = plain.clone();
    MaskStream::new(bits(), &folded(fold)).apply(Sign::Add, 0, &mut weak);
    let masked = upload_all(&mut table)[1].clone();
    let seed: Secret32 = Secret::new(seed);
    let parts = [b"silo-01".as_slice()];
    let key = derive_key::<44>(&table.x(), seed.expose(), Label::SelfMask, &parts);
    let mut alone = plain.clone();
    MaskStream::new(bits(), &key).apply(Sign::Add, 0, &mut alone);
    Prey {
        plain,
        fold,
        weak,
        alone,
        masked,
    }
}

/// SecAgg implementations have seeded a generator of 32-bit seeds with the 32 bytes of a secret. Here 2^18 of the 2^32
/// seeds are tried, a range that is planted around the right one, so that the test takes a second: it shows that the right
/// seed is recognised and no other is. Eight words of 24 bits that are small by chance have probability 2^-104. The whole
/// space is searched below.
#[test]
fn the_brute_force_that_opens_a_seed_folded_to_32_bits_finds_nothing_here() {
    let Prey {
        plain,
        fold,
        mut weak,
        alone,
        masked,
    } = prey();
    let window = (fold & !0x3_ffff)..(fold | 0x3_ffff);
    assert_eq!(brute_force(&weak, window.clone()), Some(fold));
    MaskStream::new(bits(), &folded(fold)).apply(Sign::Subtract, 0, &mut weak);
    assert_eq!(weak, plain, "the vector is open");
    assert_eq!(brute_force(&alone, window.clone()), None);
    assert_eq!(brute_force(&masked, window), None);
}

/// The attack as an attacker runs it, who knows nothing of the seed: all 2^32, on every core. A seed costs one AES-256 key
/// schedule and one block, five words of 24 bits; whatever is small in these is tried on eight words.
///
/// Against us the same search must find nothing, and cannot: its 2^32 keys are those that begin with four bytes and go on
/// with zeros, and a key here is HKDF of 32 secret bytes, so that it is among them with probability 2^-224. At the rate
/// that is printed, all keys of 256 bits would take more than 10^60 years.
#[test]
#[ignore = "searches 2^32 keys: minutes in the release profile, `just folded-seeds`"]
fn the_whole_space_of_folded_seeds_opens_a_folded_seed_and_nothing_of_ours() {
    let prey = prey();
    let targets = [&prey.weak, &prey.alone, &prey.masked].map(|masked| first_words(masked));
    let cores = std::thread::available_parallelism().unwrap().get() as u64;
    let share = (1_u64 << 32).div_ceil(cores);
    #[expect(
        clippy::disallowed_methods,
        reason = "a test that says how long it took"
    )]
    let started = std::time::Instant::now();
    let found: Vec<(usize, u32)> = std::thread::scope(|scope| {
        let searches = (0..cores).map(|core| {
            let range = core * share..((core + 1) * share).min(1 << 32);
            scope.spawn(move || search(range, &targets))
        });
        let searches: Vec<_> = searches.collect();
        searches
            .into_iter()
            .flat_map(|search| search.join().unwrap())
            .collect()
    });
    let seconds = started.elapsed().as_secs_f64();
    let rate = 2_f64.powi(32) / seconds;
    println!("2^32 keys in {seconds:.0} s on {cores} cores, {rate:.2e} a second");
    let confirmed: Vec<(usize, u32)> = found
        .into_iter()
        .filter(|(which, seed)| {
            let masked = [&prey.weak, &prey.alone, &prey.masked][*which];
            brute_force(masked, *seed..seed.saturating_add(1)) == Some(*seed)
        })
        .collect();
    assert_eq!(confirmed, [(0, prey.fold)]);
}

/// The five words of the first block of a stream.
fn first_words(masked: &[u64]) -> [u32; 5] {
    std::array::from_fn(|at| u32::try_from(masked[at]).unwrap())
}

/// Which targets look small under which seeds of a range.
fn search(range: std::ops::Range<u64>, targets: &[[u32; 5]; 3]) -> Vec<(usize, u32)> {
    const MASK: u32 = (1 << 24) - 1;
    const SMALL: u32 = 1_000;
    let mut found = Vec::new();
    for seed in range.map(|seed| seed as u32) {
        let mut key = [0; 32];
        key[..4].copy_from_slice(&seed.to_le_bytes());
        let mut block = Array::from([0; 16]);
        Aes256Enc::new(&Array::from(key)).encrypt_block(&mut block);
        let word = |at: usize| {
            let bytes = [block[3 * at], block[3 * at + 1], block[3 * at + 2], 0];
            u32::from_le_bytes(bytes)
        };
        for (which, target) in targets.iter().enumerate() {
            let small = |at: usize| {
                target[at].wrapping_sub(word(at)).wrapping_add(SMALL) & MASK <= 2 * SMALL
            };
            if (0..5).all(small) {
                found.push((which, seed));
            }
        }
    }
    found
}

/// Masks that do not depend on the round: the difference of two uploads is the difference of two inputs.
#[test]
fn masks_of_two_rounds_have_nothing_in_common() {
    let mut table = Table::new(4, 3);
    table.play_until(Stage::Freeze);
    let before: Vec<_> = (0..4).map(|seat| table.picture(seat)).collect();
    let first = upload_all(&mut table);
    let inputs: Vec<Vec<i64>> = table.seats.iter().map(|seat| seat.vector.clone()).collect();
    for seat in &mut table.seats {
        for (at, value) in seat.vector.iter_mut().enumerate() {
            *value += (at as i64 * 37) % 101 - 50;
        }
    }
    let changes = |table: &Table, seat: usize| -> Vec<i64> {
        let (new, old) = (table.seats[seat].vector.iter(), &inputs[seat]);
        new.zip(old).map(|(new, old)| new - old).collect()
    };
    // The weakness: a whole machine copied and run twice, which the files of a real silo do not allow.
    let freeze = table.question(Stage::Freeze, 0);
    for seat in 0..4 {
        let copy = first_attempt_again(&mut table, seat, &before[seat], freeze.clone());
        assert_eq!(difference(&copy, &first[seat]), changes(&table, seat));
    }
    // Here: the next round, and a second attempt at it.
    for (round, attempt) in [(2, 1), (2, 2)] {
        table.next(plan_of(&table.membership, round, attempt));
        table.play_until(Stage::Freeze);
        let again = upload_all(&mut table);
        for seat in 0..4 {
            let apart = difference(&again[seat], &first[seat]);
            assert_ne!(apart, changes(&table, seat));
            let apart: Vec<u64> = apart.iter().map(|value| bits().encode(*value)).collect();
            assert!(nibble_statistic(&apart) < 45.0);
        }
        table.draw_fresh_noise();
    }
}

/// The upload of a silo that was put back to before its freeze, with all its secrets, and trained on another vector.
fn first_attempt_again(
    table: &mut Table,
    seat: usize,
    before: &crate::table::Picture,
    freeze: consilium_protocol::Delivery,
) -> Vec<u64> {
    table.put_back(seat, before);
    words(&table.ask(seat, freeze).masked[0])
}

/// A server that puts its own keys between two silos. It has every key but theirs.
#[test]
fn a_server_between_two_silos_is_noticed_by_both_and_by_everybody_else() {
    let mut table = Table::new(4, 4);
    table.play_until(Stage::KeyBook);
    let book = table.script.advertisements.clone();
    let mut key = || AgreementSecret::from_seed(&table.random.secret32()).public_key();
    let decapsulation = DecapsulationSecret::from_seed(&Secret::new([3; 64]));
    let substitute = SiloMessage::AdvertiseKeys {
        channel_public_key: key(),
        mask_public_key: key(),
        encapsulation_key: decapsulation.encapsulation_key().clone(),
        nonce: [7; 32],
    };
    let body = |seat: usize| {
        let mut body = book[seat].body.clone();
        let message = postcard::to_allocvec(&substitute).unwrap();
        let prefix = body.len() - message.len();
        body[prefix..].copy_from_slice(&message);
        body
    };
    // To each of the pair the other's keys are the server's; a third silo sees either book.
    for (replaced, reader) in [(1, 0), (0, 1), (0, 2), (1, 2), (0, 0)] {
        let kept = table.picture(reader);
        // Under the old signature, under the coordinator's, and under that of a colluding silo.
        let coordinators = table.coordinator.sign(
            Label::SiloMessage,
            &[name(replaced).as_str().as_bytes(), &body(replaced)],
        );
        let colluders = table.seats[3].key.sign(
            Label::SiloMessage,
            &[name(replaced).as_str().as_bytes(), &body(replaced)],
        );
        for signature in [book[replaced].signature, coordinators, colluders] {
            let mut swapped = book.clone();
            swapped[replaced].body = body(replaced);
            swapped[replaced].signature = signature;
            let fault = table.assert_aborts(reader, table.key_book(&swapped));
            assert!(
                matches!(fault, Fault::BadSignature { sender } if sender == name(replaced).as_str())
            );
            table.put_back(reader, &kept);
        }
    }
}

/// Two twins of one federation, in which everything is the same but the model.
fn twins(seed: u64) -> [Table; 2] {
    [Table::new(4, seed), {
        let mut table = Table::new(4, seed);
        let mut bytes = *table.plan.model.as_bytes();
        bytes[0] ^= 1;
        table.plan.model = Digest::from_bytes(bytes);
        table
    }]
}

/// The uploads of some seats of each twin with every self mask taken away, added up.
fn sum_without_self_masks(tables: &mut [Table; 2], seats: [&[usize]; 2]) -> Vec<u64> {
    let mut sum = vec![0; DIMENSION as usize];
    for (table, seats) in tables.iter_mut().zip(seats) {
        let secrets: Vec<Vec<u8>> = (0..4).map(|seat| table.picture(seat).1.unwrap()).collect();
        let uploads = upload_all(table);
        for seat in seats {
            let mut upload = uploads[*seat].clone();
            let parts = [table.seats[*seat].name.as_str().as_bytes()];
            let seed: [u8; 32] = secrets[*seat][149..181].try_into().unwrap();
            let key = derive_key::<44>(&table.x(), &seed, Label::SelfMask, &parts);
            MaskStream::new(bits(), &key).apply(Sign::Subtract, 0, &mut upload);
            bits().add_assign(&mut sum, &upload);
        }
    }
    sum
}

/// Different models to different silos, so that one silo's gradient stands out of the sum (Pasquini et al., CCS 2022).
#[test]
fn different_models_to_different_silos_give_no_sum_even_if_every_silo_accepts_its_own() {
    // With the check: refused, with the Open as evidence.
    let [table, mut other] = twins(5);
    let offered = other.plan.clone();
    let outcome = other.ask_expecting(0, other.open(&offered), table.plan.clone());
    assert_eq!(*refused(&outcome), Fault::OtherPlan { field: "model" });

    // Without it, each silo at its own model: the books do not fit together …
    let mut tables = twins(5);
    for table in &mut tables {
        table.play_until(Stage::KeyBook);
    }
    let mixed = [
        &tables[0].script.advertisements[..2],
        &tables[1].script.advertisements[2..],
    ]
    .concat();
    let question = tables[0].key_book(&mixed);
    let fault = tables[0].assert_aborts(0, question);
    assert!(matches!(fault, Fault::OtherTranscript { .. }));

    // … and if every check of books were off too, the masks, bound to the model through X, cancel in no mixed sum.
    let mut tables = twins(5);
    for table in &mut tables {
        table.play_until(Stage::Freeze);
    }
    let honest = sum_without_self_masks(&mut tables, [&[0, 1, 2, 3], &[]]);
    let expected = |at: usize| tables[0].seats.iter().map(|seat| seat.vector[at]).sum();
    let expected: Vec<i64> = (0..DIMENSION as usize).map(expected).collect();
    assert_eq!(lifted(&honest), expected);
    assert!(nibble_statistic(&honest) > 45.0);
    for seats in [
        [&[0_usize, 1][..], &[2, 3]],
        [&[0], &[1, 2, 3]],
        [&[0, 2, 3], &[1]],
    ] {
        let mut tables = twins(5);
        for table in &mut tables {
            table.play_until(Stage::Freeze);
        }
        let mixed = sum_without_self_masks(&mut tables, seats);
        assert!(nibble_statistic(&mixed) < 45.0);
    }
}

/// A fifth silo that only the coordinator knows: with enough of them the sum is one hospital's vector.
#[test]
fn a_fifth_silo_invented_by_the_coordinator_is_refused_and_would_have_robbed_the_others() {
    let mut table = Table::new(4, 6);
    let invented = Membership {
        silos: Table::new(5, 6).membership.silos,
        ..table.membership.clone()
    };
    let plan = plan_of(&invented, 1, 1);
    let outcome = table.ask_expecting(0, table.open(&plan), plan);
    let fifth = name(4);
    assert_eq!(
        *refused(&outcome),
        Fault::UnsafePlan(PlanFault::UnknownSilo(fifth))
    );

    // Silos that believe the coordinator's roster: three of the four names are its own.
    let mut table = Table::new(4, 6);
    table.play_until(Stage::Over);
    let victim = 2;
    let mut left = table.sum();
    for fake in (0..4).filter(|seat| *seat != victim) {
        let known: Vec<u64> = table.seats[fake]
            .vector
            .iter()
            .map(|x| bits().encode(*x))
            .collect();
        bits().sub_assign(&mut left, &known);
    }
    assert_eq!(lifted(&left), table.seats[victim].vector);
}
