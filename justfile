# The commands of this workspace, for https://github.com/casey/just. Each is one line that can be typed without it.

# What CI runs: tests, demonstration, foreign verifier, form, lints, documents, arrows, generated code.
check:
    .ci/run

# Every test.
test:
    cargo test --workspace --locked

# Form, as CI demands it.
fmt:
    cargo fmt --all

# Lints, as CI demands them.
lint:
    cargo clippy --workspace --all-targets --locked -- -D warnings

# The documentation of all crates, warnings refused.
docs:
    RUSTDOCFLAGS='-D warnings' cargo doc --workspace --no-deps --locked

# Four hospitals on this machine; everything of every party stays in DIR.
demo DIR='target/demo':
    cargo run --release --locked --bin consilium -- demo --keep {{DIR}}

# Rounds of secure aggregation in a world that fails; `--replay FILE` runs a recorded list again.
simulate ROUNDS='10000' SEED='1':
    cargo run --release --locked -p consilium-tests --bin simulate -- --rounds {{ROUNDS}} --seed {{SEED}}

# Proof by attack: whether a patient took part, guessed from 20,000 released sums and from one training run.
audit-privacy ROUNDS='10000' SEED='1':
    cargo run --release --locked -p consilium-tests --bin audit_privacy -- --rounds {{ROUNDS}} --seed {{SEED}}

# Figures on reference data that are not shipped; DATA holds `heart/` and `golden/`.
figures DATA:
    cargo xtask figures heart --data {{DATA}}

# What a round costs, with every figure of docs/performance.md; SECTIONS such as `scale` or `flower`, which take long.
performance *SECTIONS:
    cargo xtask performance {{SECTIONS}}

# One large round of one's own, for sizing a machine.
bench SILOS PARAMETERS:
    cargo run --release --locked --bin consilium -- bench aggregation --silos {{SILOS}} --parameters {{PARAMETERS}}

# Processor time against Flower's SecAgg+, which pip installs into target/.
flower:
    benches/peers/flower/compare

# Whether times tell anything about secrets: shares, keys, masks, tags, comparisons, noise.
constant-time:
    cargo bench --locked -p consilium-tests --bench constant_time

# The whole space of seeds folded to 32 bits, searched: minutes on two cores.
folded-seeds:
    cargo test --release --locked -p consilium-protocol --test adversary -- --ignored --nocapture folded

# The gRPC code, made again from wire/proto.
generate:
    cargo xtask generate

# The model of the round, in every variant (needs spin).
model:
    protocol/model/check

# Dependencies: licences, bans and sources (needs cargo-deny).
deny:
    cargo deny check bans licenses sources
