"""The processes of the partners' listener: started, reloaded, lost and stopped with the server."""

import contextlib
import os
import signal
import time
from pathlib import Path

from hpts.http.issuer import DevelopmentIssuer
from tests.certificates import DAY, Authority

from .partners import Papers, is_accepted, make_papers, partnered
from .processes import (
    descendants,
    wait_until,
    wait_until_gone,
    workers_of,
)


def test_a_certificate_revoked_later_is_refused_after_a_reload(
    database_url: str, issuer: DevelopmentIssuer, tmp_path: Path
) -> None:
    own = make_papers(tmp_path / "papers")
    with partnered(database_url, issuer, tmp_path / "log", own) as found:
        own.authority.revoke([own.revoked, own.good])
        assert is_accepted(found, own.good), "the lists are read when a worker starts"
        renewed = own.authority.issue("renewed")
        found.server.process.send_signal(signal.SIGHUP)
        wait_until(lambda: not is_accepted(found, own.good), "the new list to count", 20)
        wait_until(lambda: is_accepted(found, renewed), "the others to be let in", 20)
        assert found.server.process.poll() is None


def test_a_list_past_its_next_update_still_counts(
    database_url: str, issuer: DevelopmentIssuer, tmp_path: Path
) -> None:
    own = make_papers(tmp_path / "papers")
    own.authority.revoke([own.revoked], next_update=-DAY / 24)
    with partnered(database_url, issuer, tmp_path / "log", own) as found:
        assert not is_accepted(found, own.revoked)


def test_with_lists_each_authority_needs_one(
    database_url: str, issuer: DevelopmentIssuer, tmp_path: Path
) -> None:
    own, other = make_papers(tmp_path / "papers"), Authority(tmp_path / "second", "Second")
    client = other.issue("client")
    own.authority.path.write_bytes(own.authority.path.read_bytes() + other.path.read_bytes())
    one, both = str(own.authority.crl_path), f"{own.authority.crl_path}, {other.revoke()}"
    for lists, is_let_in in ((one, False), (both, True)):
        log, how = tmp_path / "log", {"HPTS_PARTNER_CRL": lists}
        with partnered(database_url, issuer, log, own, **how) as found:
            assert is_accepted(found, own.good)
            assert is_accepted(found, client) is is_let_in


def test_a_reload_with_a_file_that_cannot_be_used_changes_nothing(
    database_url: str, issuer: DevelopmentIssuer, tmp_path: Path
) -> None:
    own, log = make_papers(tmp_path / "papers"), tmp_path / "log"
    with partnered(database_url, issuer, log, own) as found:
        own.authority.crl_path.write_text("half of a")
        found.server.process.send_signal(signal.SIGHUP)
        wait_until(lambda: "is not reloaded" in log.read_text(), "the log's word", 20)
        assert "HPTS_PARTNER_CRL" in log.read_text()
        time.sleep(1)
        assert is_accepted(found, own.good) and not is_accepted(found, own.revoked)
        assert found.server.process.poll() is None


def test_sigterm_stops_both_listeners_at_once(
    database_url: str, issuer: DevelopmentIssuer, papers: Papers, tmp_path: Path
) -> None:
    how = {"HPTS_PARTNER_WORKERS": "2"}
    with partnered(database_url, issuer, tmp_path / "log", papers, **how) as found:
        process = found.server.process
        everybody = descendants(process.pid)
        assert len(everybody) == 2 + 1 + 2
        began = time.monotonic()
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
        assert time.monotonic() - began < 10
        wait_until_gone(everybody, 1)


def test_ctrl_c_is_no_failure(
    database_url: str, issuer: DevelopmentIssuer, papers: Papers, tmp_path: Path
) -> None:
    with partnered(database_url, issuer, tmp_path / "log", papers) as found:
        process = found.server.process
        everybody = descendants(process.pid)
        for each in everybody:
            with contextlib.suppress(ProcessLookupError):
                os.kill(each.pid, signal.SIGINT)
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0
        wait_until_gone(everybody, 1)


def test_the_partners_listener_dies_with_its_starter(
    database_url: str, issuer: DevelopmentIssuer, papers: Papers, tmp_path: Path
) -> None:
    with partnered(database_url, issuer, tmp_path / "log", papers) as found:
        everybody = descendants(found.server.process.pid)
        found.server.process.kill()
        wait_until_gone(everybody, 5)


def test_a_listener_that_is_lost_stops_the_server_with_a_failure(
    database_url: str, issuer: DevelopmentIssuer, papers: Papers, tmp_path: Path
) -> None:
    """Whoever supervises the server starts it again, with both."""
    log = tmp_path / "log"
    with partnered(database_url, issuer, log, papers) as found:
        process = found.server.process
        everybody = descendants(process.pid)
        (listener,) = [
            each for each in everybody if descendants(each.pid)
        ]  # the only child that has children
        os.kill(listener.pid, signal.SIGKILL)
        assert process.wait(30) == 1
        wait_until_gone(everybody, 1)
    assert "the partners' listener has ended" in log.read_text()


def test_a_worker_of_the_partners_that_dies_is_replaced(
    database_url: str, issuer: DevelopmentIssuer, papers: Papers, tmp_path: Path
) -> None:
    with partnered(database_url, issuer, tmp_path / "log", papers) as found:
        children = workers_of(found.server.process)
        (listener,) = [each for each in children if descendants(each.pid)]
        (worker,) = descendants(listener.pid)
        os.kill(worker.pid, signal.SIGKILL)
        wait_until_gone([worker])
        wait_until(lambda: is_accepted(found, papers.good), "another worker", 20)
