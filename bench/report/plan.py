"""How long and how large everything is measured: the full plan, and a quick one for a smoke run."""

import msgspec


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """Durations in seconds."""

    is_quick: bool = False
    warm_up_seconds: float = 5
    run_seconds: float = 10
    repetitions: int = 3
    connections: tuple[int, ...] = (1, 4, 16, 64, 128, 256)
    loan_count: int = 20_000

    tpcb_seconds: float = 20
    tpcb_scale: int = 10
    noop_seconds: float = 6

    open_loop_seconds: float = 20
    open_loop_shares: tuple[float, ...] = (0.1, 0.25, 0.5, 0.7, 0.85, 1.0)
    """Arrival rates, as shares of the closed-loop rate at 64 connections."""

    accrual_loan_count: int = 10_000
    accrual_seconds: float = 30

    history_years: tuple[int, ...] = (1, 5, 10)
    history_entries: int = 5_000
    history_seconds: float = 10

    ledger_steps: tuple[int, ...] = (0, 1_000_000, 2_000_000, 3_000_000, 4_000_000, 5_000_000)
    ledger_loan_count: int = 500_000
    preload_seconds_max: float = 1_800

    quiet_rate: float = 20
    quiet_seconds: float = 40

    memory_seconds: float = 600
    memory_sample_seconds: float = 5

    disk_gb: float = 20
    """Taken at most at one time."""

    hordak_seconds: float = 15
    install_seconds_max: float = 300


FULL = Plan()
QUICK = Plan(
    is_quick=True,
    warm_up_seconds=1,
    run_seconds=1,
    repetitions=1,
    connections=(1, 16, 64, 256),
    loan_count=500,
    tpcb_seconds=2,
    tpcb_scale=1,
    noop_seconds=1,
    open_loop_seconds=2,
    open_loop_shares=(0.1, 0.5),
    accrual_loan_count=1_000,
    accrual_seconds=2,
    history_entries=300,
    history_seconds=1,
    ledger_steps=(0, 30_000, 60_000),
    ledger_loan_count=2_000,
    preload_seconds_max=120,
    quiet_seconds=3,
    memory_seconds=5,
    memory_sample_seconds=0.5,
    disk_gb=2,
    hordak_seconds=2,
)
