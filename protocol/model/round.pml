/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One study's attempts at a round of secure aggregation, under a malicious coordinator and colluding silos.
 *
 * An honest silo is a process. The coordinator is the network: it may deliver, to whom and in which order it likes,
 * every message that it can build from what honest silos have said and from what colluders sign for it, now or
 * never. It has no process of its own: whatever a silo's guard admits may happen at any time. A message of another
 * attempt than the silo's own is discarded without a change of state, so it is a step only where that defence is off.
 * A crash with an intact journal changes nothing either; one that loses the secrets is the step `lose`.
 *
 * Cryptography is ideal. README.md says what that leaves out.
 *
 * Sets of silos are bit masks: silos 0 .. HONEST-1 are honest, the others collude.
 */

#ifndef SILOS
#define SILOS 4
#endif
#ifndef COLLUDERS
#define COLLUDERS 1
#endif
#ifndef ATTEMPTS
#define ATTEMPTS 2
#endif
#ifndef QUORUM
#define QUORUM ((SILOS + COLLUDERS) / 2 + 1)
#endif
#ifndef THRESHOLD
#define THRESHOLD (SILOS / 2 + 1)
#endif
#ifndef DROPOUTS
#define DROPOUTS 1
#endif
#if SILOS - DROPOUTS > QUORUM
#define FEWEST (SILOS - DROPOUTS)
#else
#define FEWEST QUORUM
#endif
#define HONEST (SILOS - COLLUDERS)
#define FEWEST_HONEST ((SILOS + COLLUDERS) / 2 + 1 - COLLUDERS)
#define SUBSETS (1 << HONEST)

/* How far a silo has come in an attempt. All that it has said follows, so this is also what the coordinator holds. */
#define UNOPENED 0
#define DEALT 1     /* answered Open and KeyBook */
#define READY 2     /* answered DealBook; its vector is prepared */
#define UPLOADED 3  /* answered CohortFreeze; its masks are burnt */
#define VOTED 4     /* answered SurvivorProposal */
#define REVEALED 5  /* answered Certificate */
#define COMMITTED 6 /* answered SumCommitment, with its nonce */
#define TAGGED 7    /* answered Challenge */

#define RECORDS (ATTEMPTS * HONEST)
#define RECORD(attempt, silo) (((attempt) - 1) * HONEST + (silo))
#define OWN(silo) RECORD(current[i], silo) /* what `silo` did in the attempt of silo i */

/* By attempt and silo. */
byte phase[RECORDS];
byte book[RECORDS];        /* which of two DealBooks it was shown: a colluder can deal twice */
byte vector[RECORDS];      /* which noised vector it uploads; 0 before */
byte cohort[RECORDS];      /* U2 under which it uploaded; 0 before */
byte survivors[RECORDS];   /* U3 for which it voted; 0 before */
byte first_vote[RECORDS];  /* that of its first vote, whatever happened since */
byte first_cohort[RECORDS];
byte self_shares[RECORDS]; /* who revealed a share of this silo's b */
byte key_shares[RECORDS];  /* who revealed a share of this silo's rho */
int openable[ATTEMPTS];    /* sums of honest inputs that the coordinator can compute: bit s for the set s */

/* By silo. */
byte current[HONEST];      /* the attempt in progress, from 1 */
bit over[HONEST];          /* the attempt is aborted, or its secrets are lost */

/* A silo's memory by vector: the cohort it was uploaded in, and the survivors that were voted for. 0 for none. */
byte spent_cohort[RECORDS];
byte spent_voted[RECORDS];
#define SPENT(vector) RECORD(vector, i)

#ifdef TAGS
#define TRUE_SUM 0
#define OTHER_SUM 1
#define UNKNOWN 2
bit logged[2];             /* which sums stand in the log as commitments */
bit nonce_known[HONEST];
byte voters[HONEST];       /* whose votes stood in the certificate that a silo accepted */
byte colluder_nonce[HONEST]; /* the colluder's nonce that it commits to */
byte committed_sum[HONEST];
byte tags[HONEST];         /* to how many questions it gave a tag */
byte tag_sum[HONEST];
byte tag_voters[HONEST];
byte tag_nonce[HONEST];
#endif

/* The silo is in an attempt and will answer. */
#define LIVE current[i] > 0 && !over[i]

/* The properties. Each is false for ever: a counterexample ends in `assert(<name>)`. */
hidden byte one_kind_of_share_of_a_peer, enough_honest_inputs_in_a_sum, one_set_for_a_vector, one_vote_in_an_attempt,
    masks_cover_one_upload, one_tag_in_an_attempt, no_tag_before_the_commitment, tags_answer_one_challenge,
    nobody_foresaw_the_challenge;
/* Not properties, but what a good variant must be able to reach, or it would prove nothing. */
hidden byte reached_a_sum, reached_two_sums, reached_a_verified_sum;
#define MUST(holds, property) if :: holds :: else -> assert(property) fi

#define HAS(set, silo) (((set) >> (silo)) & 1)
#define COUNT(set) (HAS(set, 0) + HAS(set, 1) + HAS(set, 2) + HAS(set, 3) + HAS(set, 4))
#define COLLUDING(set) (COUNT((set) >> HONEST))

#if HONEST == 3
#define EVERY(holds, set) (holds(set, 0) && holds(set, 1) && holds(set, 2))
#define HOW_MANY(holds, set) (holds(set, 0) + holds(set, 1) + holds(set, 2))
#elif HONEST == 4
#define EVERY(holds, set) (holds(set, 0) && holds(set, 1) && holds(set, 2) && holds(set, 3))
#define HOW_MANY(holds, set) (holds(set, 0) + holds(set, 1) + holds(set, 2) + holds(set, 3))
#endif

#if SILOS == 4
#define EACH_SET(step) \
    step(3) step(5) step(6) step(7) step(9) step(10) step(11) step(12) step(13) step(14) step(15)
#elif SILOS == 5
#define EACH_SET(step) step(15) step(23) step(27) step(29) step(30) step(31)
#endif

/* ---- Open, KeyBook ---- */

/* Attempts only grow; another one erases the secrets of the one in progress. */
#ifdef WITHOUT_MONOTONE_ATTEMPTS
#define MAY_OPEN(attempt) (current[i] < (attempt) || (current[i] == (attempt) && over[i]))
#else
#define MAY_OPEN(attempt) (current[i] < (attempt))
#endif
#define OPEN(attempt) \
    :: d_step { MAY_OPEN(attempt) -> \
        current[i] = attempt; over[i] = 0; \
        phase[OWN(i)] = DEALT; book[OWN(i)] = 0; vector[OWN(i)] = 0; cohort[OWN(i)] = 0; survivors[OWN(i)] = 0; \
        self_shares[OWN(i)] = 0; key_shares[OWN(i)] = 0 }

/* ---- DealBook; the vector ---- */

#define DEALT_IN(set, silo) (phase[OWN(silo)] >= DEALT)
#define DEALS_SUFFICE (HOW_MANY(DEALT_IN, 0) + COLLUDERS >= QUORUM)
#ifdef PLAIN
#define MAY_PREPARE(vector) ((vector) == 1) /* the same question has one answer */
#elif defined(WITHOUT_MONOTONE_ATTEMPTS)
#define MAY_PREPARE(vector) ((vector) <= ATTEMPTS) /* an attempt that is opened again has fresh noise too */
#else
#define MAY_PREPARE(vector) ((vector) <= current[i]) /* fresh noise, or (a driver that errs) an earlier one again */
#endif
#define PREPARE(which_book, which_vector) \
    :: d_step { LIVE && phase[OWN(i)] == DEALT && DEALS_SUFFICE && MAY_PREPARE(which_vector) -> \
        book[OWN(i)] = which_book; vector[OWN(i)] = which_vector; phase[OWN(i)] = READY }

/* ---- CohortFreeze, the burn ---- */

#define READY_IN(set, silo) \
    (!HAS(set, silo) || (phase[OWN(silo)] >= READY && book[OWN(silo)] == book[OWN(i)]))
#ifdef WITHOUT_UPLOAD_MEMORY
#define MAY_UPLOAD(set) true
#elif defined(PLAIN)
#define MAY_UPLOAD(set) (spent_cohort[SPENT(1)] == 0 || spent_cohort[SPENT(1)] == (set))
#else
#define MAY_UPLOAD(set) (spent_cohort[SPENT(vector[OWN(i)])] == 0)
#endif
#define FREEZE(set) \
    :: d_step { LIVE && phase[OWN(i)] == READY && HAS(set, i) && COUNT(set) >= FEWEST \
            && EVERY(READY_IN, set) && MAY_UPLOAD(set) -> \
        MUST(first_cohort[OWN(i)] == 0 || first_cohort[OWN(i)] == (set), masks_cover_one_upload); \
        first_cohort[OWN(i)] = set; cohort[OWN(i)] = set; phase[OWN(i)] = UPLOADED; \
        if :: spent_cohort[SPENT(vector[OWN(i)])] == 0 -> spent_cohort[SPENT(vector[OWN(i)])] = set :: else fi; \
        look(current[i]) }

/* ---- SurvivorProposal ---- */

#define UPLOADED_IN(set, silo) \
    (!HAS(set, silo) || (phase[OWN(silo)] >= UPLOADED && cohort[OWN(silo)] == cohort[OWN(i)] \
        && book[OWN(silo)] == book[OWN(i)]))
#ifdef WITHOUT_VOTE_MEMORY
#define MAY_VOTE(set) true
#else
#define MAY_VOTE(set) \
    (spent_voted[SPENT(vector[OWN(i)])] == 0 || spent_voted[SPENT(vector[OWN(i)])] == (set))
#endif
#ifdef WITHOUT_ONE_PROPOSAL
#define AWAITS_PROPOSAL (phase[OWN(i)] == UPLOADED || phase[OWN(i)] == VOTED)
#else
#define AWAITS_PROPOSAL (phase[OWN(i)] == UPLOADED)
#endif
#define VOTE(set) \
    :: d_step { LIVE && AWAITS_PROPOSAL && HAS(set, i) && COUNT(set) >= FEWEST \
            && ((set) & ~cohort[OWN(i)]) == 0 && EVERY(UPLOADED_IN, set) && MAY_VOTE(set) -> \
        MUST(first_vote[OWN(i)] == 0 || first_vote[OWN(i)] == (set), one_vote_in_an_attempt); \
        first_vote[OWN(i)] = set; survivors[OWN(i)] = set; phase[OWN(i)] = VOTED; \
        spent_voted[SPENT(vector[OWN(i)])] = set }

/* ---- Certificate, the reveal ---- */

#define VOTED_IN(attempt, set, silo) \
    (HAS(set, silo) && phase[RECORD(attempt, silo)] >= VOTED && survivors[RECORD(attempt, silo)] == (set) \
        && cohort[RECORD(attempt, silo)] == cohort[OWN(i)] && book[RECORD(attempt, silo)] == book[OWN(i)])
#ifdef WITHOUT_TRANSCRIPT /* a vote of attempt 1 passes for one of attempt 2 */
#define VOTE_IN(set, silo) (VOTED_IN(current[i], set, silo) || VOTED_IN(1, set, silo))
#else
#define VOTE_IN(set, silo) VOTED_IN(current[i], set, silo)
#endif
#ifdef WITHOUT_CERTIFICATE
#define CERTIFIED(set) true
#else
#define CERTIFIED(set) (HOW_MANY(VOTE_IN, set) + COLLUDING(set) >= QUORUM)
#endif
#define CERTIFY \
    :: d_step { LIVE && phase[OWN(i)] == VOTED && CERTIFIED(survivors[OWN(i)]) -> \
        reveal(); phase[OWN(i)] = REVEALED; look(current[i]) }

/* Exactly one kind of share of every member of the cohort. */
inline reveal() {
    peer = 0;
    do
    :: peer < HONEST && HAS(survivors[OWN(i)], peer) ->
        self_shares[OWN(peer)] = self_shares[OWN(peer)] | (1 << i);
#ifdef WITHOUT_ONE_KIND
        key_shares[OWN(peer)] = key_shares[OWN(peer)] | (1 << i);
#endif
        peer++
    :: peer < HONEST && !HAS(survivors[OWN(i)], peer) ->
        if
        :: HAS(cohort[OWN(i)], peer) -> key_shares[OWN(peer)] = key_shares[OWN(peer)] | (1 << i)
        :: else
        fi;
        peer++
    :: peer >= HONEST -> break
    od
}

/* ---- a crash that loses the secrets, an Abandon, a fault: the attempt is over; memory and what was said stay ---- */

#ifdef LOSSES
#define LOSE :: d_step { LIVE && phase[OWN(i)] < TAGGED -> over[i] = 1 }
#else
#define LOSE
#endif

/* ---- crashes that the journal exists for ---- */

#ifdef WITHOUT_JOURNALLED_VOTE
#define FORGET_VOTE :: d_step { LIVE && phase[OWN(i)] == VOTED -> phase[OWN(i)] = UPLOADED; spent_voted[SPENT(vector[OWN(i)])] = 0 }
#else
#define FORGET_VOTE
#endif
#ifdef WITHOUT_BURN
#define FORGET_UPLOAD :: d_step { LIVE && phase[OWN(i)] == UPLOADED -> phase[OWN(i)] = READY; spent_cohort[SPENT(vector[OWN(i)])] = 0 }
#else
#define FORGET_UPLOAD
#endif

/* ---- what the coordinator knows, and must not ---- */

#define KNOWS_SELF(attempt, silo) (COUNT(self_shares[RECORD(attempt, silo)]) + COLLUDERS >= THRESHOLD)
#define KNOWS_KEY(attempt, silo) (COUNT(key_shares[RECORD(attempt, silo)]) + COLLUDERS >= THRESHOLD)
/* The pair mask of `silo` and `other` falls out of a sum over `set`, or can be computed. */
#define PAIR_IS_GONE(attempt, set, silo, other) \
    (!HAS(cohort[RECORD(attempt, silo)], other) || silo == other \
    || (HAS(set, other) && cohort[RECORD(attempt, silo)] == cohort[RECORD(attempt, other)] \
        && book[RECORD(attempt, silo)] == book[RECORD(attempt, other)]) \
    || KNOWS_KEY(attempt, silo) || KNOWS_KEY(attempt, other))

hidden byte peer, other, set, second, earlier;
hidden byte gone;

/* Looks for sums that have come within reach in an attempt. */
inline look(attempt) {
    peer = 0;
    do
    :: peer < HONEST ->
        MUST(!(KNOWS_SELF(attempt, peer) && KNOWS_KEY(attempt, peer)), one_kind_of_share_of_a_peer);
        peer++
    :: else -> break
    od;
    set = 1;
    do
    :: set < SUBSETS ->
        gone = 1;
        peer = 0;
        do
        :: peer < HONEST && HAS(set, peer) ->
            gone = gone && phase[RECORD(attempt, peer)] >= UPLOADED && KNOWS_SELF(attempt, peer);
            other = 0;
            do
            :: gone && other < HONEST -> gone = PAIR_IS_GONE(attempt, set, peer, other); other++
            :: else -> break
            od;
            peer++
        :: peer < HONEST && !HAS(set, peer) -> peer++
        :: peer >= HONEST -> break
        od;
        if
        :: gone ->
            openable[attempt - 1] = openable[attempt - 1] | (1 << set);
            MUST(COUNT(set) >= FEWEST_HONEST, enough_honest_inputs_in_a_sum);
            compare(attempt)
        :: else
        fi;
        set++
    :: else -> break
    od;
    set = 0
#ifdef CAN_RELEASE
    ; MUST(openable[attempt - 1] == 0, reached_a_sum)
#endif
#ifdef CAN_RELEASE_TWICE
    ; MUST(openable[0] == 0 || openable[ATTEMPTS - 1] == 0, reached_two_sums)
#endif
}

/* No vector of a silo is in two sums over different sets, in one attempt or in two. */
inline compare(attempt) {
    earlier = 1;
    do
    :: earlier <= ATTEMPTS ->
        second = 1;
        do
        :: second < SUBSETS ->
            if
            :: second != set && HAS(openable[earlier - 1], second) ->
                other = 0;
                do
                :: other < HONEST ->
                    MUST(!HAS(set & second, other)
                        || vector[RECORD(earlier, other)] != vector[RECORD(attempt, other)],
                        one_set_for_a_vector);
                    other++
                :: else -> break
                od
            :: else
            fi;
            second++
        :: else -> break
        od;
        earlier++
    :: else -> break
    od
}

/* ---- SumCommitment, Challenge ---- */

#ifdef TAGS
#define ACCEPT_CERTIFICATE(set, nonce) \
    :: d_step { LIVE && phase[OWN(i)] == VOTED && HOW_MANY(VOTER_IN, set) == COUNT((set) & (SUBSETS - 1)) \
            && ((set) & ~survivors[OWN(i)]) == 0 && COUNT(set) >= QUORUM -> \
        voters[i] = set; colluder_nonce[i] = nonce; \
        reveal(); phase[OWN(i)] = REVEALED; look(current[i]) }
#define VOTER_IN(set, silo) (HAS(set, silo) && VOTED_IN(current[i], survivors[OWN(i)], silo))
#ifdef WITHOUT_NONCE_COMMITMENT
#define COMMITTED_NONCE(nonce) true /* the colluder says what it likes, once it has seen the others' */
#define KEPT_NONCE UNKNOWN
#else
#define COMMITTED_NONCE(nonce) (colluder_nonce[i] == (nonce))
#define KEPT_NONCE colluder_nonce[i]
#endif
#define LOG(which) :: d_step { !logged[which] -> logged[which] = 1 }
#ifdef WITHOUT_SUM_FIRST
#define COMMIT(which) \
    :: d_step { LIVE && phase[OWN(i)] == REVEALED && which == TRUE_SUM -> \
        committed_sum[i] = UNKNOWN; nonce_known[i] = 1; phase[OWN(i)] = COMMITTED }
#define ASKED_SUM(which) true
#else
#define COMMIT(which) \
    :: d_step { LIVE && phase[OWN(i)] == REVEALED && logged[which] -> \
        committed_sum[i] = which; nonce_known[i] = 1; phase[OWN(i)] = COMMITTED }
#define ASKED_SUM(which) (committed_sum[i] == (which))
#endif
#ifdef WITHOUT_ONE_TAG
#define AWAITS_CHALLENGE (phase[OWN(i)] == COMMITTED || phase[OWN(i)] == TAGGED)
#define ASKED(which, nonce) (tags[i] < 2 && COMMITTED_NONCE(nonce)) /* of whatever sum */
#else
#define AWAITS_CHALLENGE (phase[OWN(i)] == COMMITTED)
#define ASKED(which, nonce) (ASKED_SUM(which) && COMMITTED_NONCE(nonce))
#endif
#define NONCE_IN(set, silo) (!HAS(set, silo) || nonce_known[silo])
#define CHALLENGE(which, nonce) \
    :: d_step { LIVE && AWAITS_CHALLENGE && EVERY(NONCE_IN, voters[i]) && ASKED(which, nonce) -> \
        tags[i]++; tag_sum[i] = which; tag_voters[i] = voters[i]; tag_nonce[i] = nonce; \
        phase[OWN(i)] = TAGGED; \
        MUST(tags[i] == 1, one_tag_in_an_attempt); \
        MUST(logged[which], no_tag_before_the_commitment); \
        judge() }

#define TAGGED_IN(set, silo) (!HAS(set, silo) || (phase[OWN(silo)] == TAGGED && survivors[OWN(silo)] == (set)))
#define SAME_CHALLENGE(set, silo) \
    (!HAS(set, silo) || (tag_sum[silo] == tag_sum[i] && tag_voters[silo] == tag_voters[i] \
        && tag_nonce[silo] == tag_nonce[i]))
/* The silo gave its nonce when the sum and the colluder's nonce were fixed: until then nobody knew the challenge. */
#define SURPRISED(set, silo) \
    (HAS(set, silo) && committed_sum[silo] == tag_sum[i] && (!(COLLUDING(set)) || KEPT_OF(silo) == tag_nonce[i]))
#ifdef WITHOUT_NONCE_COMMITMENT
#define KEPT_OF(silo) UNKNOWN
#else
#define KEPT_OF(silo) colluder_nonce[silo]
#endif
#ifdef WITHOUT_CHALLENGE_IN_MASK
#define MASKS_CANCEL true
#else
#define MASKS_CANCEL EVERY(SAME_CHALLENGE, survivors[OWN(i)])
#endif

/* When all tags are in and their masks cancel, they answer one challenge that could not be foreseen. */
inline judge() {
    if
    :: EVERY(TAGGED_IN, survivors[OWN(i)]) && MASKS_CANCEL ->
        MUST(EVERY(SAME_CHALLENGE, survivors[OWN(i)]), tags_answer_one_challenge);
#ifndef WITHOUT_SUM_FIRST /* which breaks this too, but is there to break another */
        MUST(HOW_MANY(SURPRISED, voters[i]) > 0, nobody_foresaw_the_challenge)
#endif
#ifdef CAN_VERIFY
        ; MUST(tag_sum[i] != TRUE_SUM, reached_a_verified_sum)
#endif
    :: else
    fi
}
#endif

#ifdef TAGS
#define AFTER_VOTE EACH_SET(ACCEPT) COMMIT(TRUE_SUM) COMMIT(OTHER_SUM) \
    CHALLENGE(TRUE_SUM, 0) CHALLENGE(TRUE_SUM, 1) CHALLENGE(OTHER_SUM, 0) CHALLENGE(OTHER_SUM, 1) \
    LOG(TRUE_SUM) LOG(OTHER_SUM)
#define ACCEPT(set) ACCEPT_CERTIFICATE(set, 0) ACCEPT_CERTIFICATE(set, 1)
#else
#define AFTER_VOTE CERTIFY
#endif
#ifdef TWO_BOOKS
#define PREPARE_ANY PREPARE(0, 1) PREPARE(1, 1) PREPARE(0, 2) PREPARE(1, 2)
#else
#define PREPARE_ANY PREPARE(0, 1) PREPARE(0, 2) PREPARE(0, 3)
#endif

active [HONEST] proctype Silo() {
    byte i = _pid;
end:
    do
    OPEN(1)
#if ATTEMPTS > 1
    OPEN(2)
#endif
#if ATTEMPTS > 2
    OPEN(3)
#endif
    PREPARE_ANY
    EACH_SET(FREEZE)
    EACH_SET(VOTE)
    AFTER_VOTE
    LOSE
    FORGET_VOTE
    FORGET_UPLOAD
    od
}
