"""The report says what the audits found, shows no personal value, and stands alone."""

import json
import re
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from html.parser import HTMLParser
from pathlib import Path

import pytest

from privacy_assets.audit import page, report
from privacy_assets.audit.chart import HEIGHT, chart
from privacy_assets.audit.definition import Audit, Severity
from privacy_assets.audit.report import Point, Status
from privacy_assets.audit.results import AuditRun, Failure, Snapshot, Source, Unread, masked

DAY = date(2026, 1, 31)
HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>{{ 7*7 }}&lt;"


def audit(audit_id: str = "consent.missing", severity: Severity = Severity.HIGH, threshold: int = 0) -> Audit:
    return Audit(
        id=audit_id,
        title=f"Title of {audit_id}",
        severity=severity,
        regulation="GDPR Art. 7(1)",
        threshold=threshold,
        owner="team:privacy",
        description="What it is about.",
        sql="SELECT 1",
        path=Path(f"{audit_id}.sql"),
        sha256="a" * 64,
        tables=("privacy_logs",),
    )


def run(of: Audit, violations: int, day: date = DAY, export_id: str = "e1") -> AuditRun:
    end = datetime.combine(day + timedelta(days=1), time(), UTC)
    rows = [masked(f"subject-{n:06d}", f"log-{n:06d}", "no consent") for n in range(min(violations, 20))]
    return AuditRun(
        audit_id=of.id,
        snapshot_date=day,
        title=of.title,
        description=of.description,
        severity=of.severity,
        regulation=of.regulation,
        owner=of.owner,
        threshold=of.threshold,
        violations=violations,
        sources=(Source("privacy_logs", export_id, end, 1_000_000),),
        sql_sha256=of.sha256,
        query_id="query-1",
        result_uri="s3://lake/audits/x.csv",
        bytes_scanned=48_000_000,
        dollars=0.00022,
        milliseconds=900,
        audited_at=end + timedelta(hours=2),
        sample=tuple(rows),
    )


class Markup(HTMLParser):
    """Tags and attributes of a page; fails on tags that don't close in order."""

    VOID = frozenset({"meta", "br", "img", "rect", "line", "path"})

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.feed(html)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        if tag in self.VOID:
            return
        assert self.open.pop() == tag, f"</{tag}> closes another tag"

    def named(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def test_what_needs_attention_comes_first() -> None:
    critical, high, low = (
        audit("a.critical", Severity.CRITICAL),
        audit("a.high", Severity.HIGH),
        audit("a.low", Severity.LOW),
    )
    missing, within = audit("a.missing", Severity.CRITICAL), audit("a.within", Severity.LOW, threshold=5)
    made = report.build(
        DAY,
        [low, within, missing, high, critical],
        [run(low, 9), run(within, 5), run(high, 1), run(critical, 2)],
    )
    assert [line.id for line in made.lines] == ["a.critical", "a.high", "a.low", "a.missing", "a.within"]
    assert [line.status.value for line in made.lines] == ["violated"] * 3 + ["not_audited", "passed"]
    assert made.verdict == "3 of 5 rules are broken (1 critical, 1 high, 1 low); 1 of 5 was not audited"
    assert made.violations == 17


@pytest.mark.parametrize(
    ("counts", "verdict"),
    [
        ([0, 0], "All 2 rules hold"),
        ([0, 1], "1 of 2 rules is broken (1 high)"),
        ([0, None], "1 of 2 rules hold; 1 of 2 was not audited"),
        ([None, None], "No rule was audited"),
    ],
)
def test_the_verdict_in_a_sentence(counts: list[int | None], verdict: str) -> None:
    audits = [audit(f"a.n{number}") for number in range(len(counts))]
    runs = [run(each, count) for each, count in zip(audits, counts, strict=True) if count is not None]
    assert report.build(DAY, audits, runs).verdict == verdict


UNREAD = (Unread("privacy_logs", "subject_age", 12), Unread("privacy_logs", "retention_until", 8))


def test_a_rule_that_read_what_nobody_could_read_does_not_hold() -> None:
    one, two = audit("a.one", threshold=1), audit("a.two")
    unread, broken = replace(run(one, 1), unread=UNREAD), replace(run(two, 1), unread=UNREAD)
    made = report.build(DAY, [one, two], [unread, broken])
    assert [line.status for line in made.lines] == [Status.VIOLATED, Status.NOT_JUDGED]
    assert made.lines[1].reason == (
        "20 values that this audit reads could not be read (subject_age 12, retention_until 8)"
    )
    assert made.verdict == "1 of 2 rules is broken (1 high); 1 of 2 could not be judged on all rows"
    assert report.build(DAY, [one], [unread]).verdict == (
        "0 of 1 rules hold; 1 of 1 could not be judged on all rows"
    )
    html = page.render(report.build(DAY, [one], [unread]))
    assert "Holds" not in html
    assert "Not judged" in html
    assert "not all rows could be judged" in html


def test_whether_all_rows_could_be_judged_the_day_before() -> None:
    one, before = audit(), DAY - timedelta(days=1)

    def turn(now: AuditRun, then: AuditRun) -> tuple[str, ...]:
        [line] = report.build(DAY, [one], [now, then]).lines
        return line.changes

    fine, unread = run(one, 0), replace(run(one, 0), unread=UNREAD)
    assert turn(unread, replace(fine, snapshot_date=before)) == ("all rows could be judged the day before",)
    assert turn(fine, replace(unread, snapshot_date=before)) == (
        "not all rows could be judged the day before",
    )


def test_why_an_audit_could_not_be_run_is_told() -> None:
    one, two = audit("a.one"), audit("a.two")
    failed = Failure("a.one", DAY, "no column <b>", "a" * 64, datetime(2026, 2, 1, tzinfo=UTC))
    gone = replace(failed, audit_id="a.gone")
    made = report.build(DAY, [one, two], [run(one, 5), run(two, 0)], failures=[failed, gone])
    assert [(line.id, line.status, line.violations) for line in made.lines] == [
        ("a.one", Status.NOT_AUDITED, None),
        ("a.two", Status.PASSED, 0),
    ]
    assert made.verdict == "1 of 2 rules hold; 1 of 2 was not audited"
    assert "Could not be run: no column &lt;b&gt;" in page.render(made)
    assert json.loads(report.document(made))["audits"][0]["reason"] == "no column <b>"


def test_one_more_than_allowed_is_broken() -> None:
    one = audit(threshold=3)
    [line] = report.build(DAY, [one], [run(one, 3)]).lines
    assert line.status is Status.PASSED
    [line] = report.build(DAY, [one], [run(one, 4)]).lines
    assert line.status is Status.VIOLATED


def test_a_day_without_an_audit_is_a_gap_and_not_a_nought() -> None:
    one = audit()
    runs = [run(one, 4, DAY - timedelta(days=29)), run(one, 0, DAY - timedelta(days=1)), run(one, 2)]
    [line] = report.build(DAY, [one], [*runs, run(one, 99, DAY - timedelta(days=30))]).lines
    assert len(line.trend) == 30
    assert [point.violations for point in line.trend[:2]] == [4, None]
    assert [point.violations for point in line.trend[-3:]] == [None, 0, 2]
    trend = json.loads(report.document(report.build(DAY, [one], runs)))["audits"][0]["trend"]
    assert trend[1] == {"date": "2026-01-03", "violations": None}
    assert trend[-2] == {"date": "2026-01-30", "violations": 0}


def test_what_changed_since_the_day_before() -> None:
    one, before = audit(), DAY - timedelta(days=1)

    def changes(*runs: AuditRun) -> tuple[str, ...]:
        [line] = report.build(DAY, [one], runs).lines
        return line.changes

    assert changes(run(one, 2)) == ("first audit",)
    assert changes(run(one, 2), run(one, 2, DAY - timedelta(days=3))) == ("audited again after a gap",)
    assert changes(run(one, 2), run(one, 2, before)) == ()
    assert changes(run(one, 1200), run(one, 0, before)) == (
        "the rule held the day before",
        "violations went from 0 to 1,200",
    )
    assert changes(run(one, 0), run(one, 3, before))[0] == "the rule holds again"
    assert changes(run(one, 0, before)) == ("not audited, as it was the day before",)
    assert changes(run(one, 0), replace(run(one, 0, before), sql_sha256="b" * 64, threshold=2)) == (
        "the threshold went from 2 to 0",
        "the audit's file was changed",
    )


def test_an_audit_of_an_export_that_was_replaced_is_marked() -> None:
    one = audit()
    now = Snapshot(Source("privacy_logs", "e2", datetime(2026, 2, 1, tzinfo=UTC), 5))
    assert report.build(DAY, [one], [run(one, 0, export_id="e1")], [now]).lines[0].stale
    assert not report.build(DAY, [one], [run(one, 0, export_id="e2")], [now]).lines[0].stale


def test_a_rule_that_is_no_more_is_still_told_of_the_day_it_ran() -> None:
    gone, kept = audit("a.gone"), audit("a.kept")
    made = report.build(DAY, [kept], [run(gone, 1), run(kept, 0)])
    assert [line.id for line in made.lines] == ["a.gone", "a.kept"]
    made = report.build(DAY, [kept], [run(gone, 1, DAY - timedelta(days=1)), run(kept, 0)])
    assert [line.id for line in made.lines] == ["a.kept"]


def test_the_same_runs_give_the_same_bytes() -> None:
    audits = [audit("a.one"), audit("a.two")]
    runs = [run(each, 30, DAY - timedelta(days=back)) for each in audits for back in range(3)]
    first, second = report.build(DAY, audits, runs), report.build(DAY, audits[::-1], runs[::-1])
    assert page.render(first) == page.render(second)
    assert report.document(first) == report.document(second)


def test_hostile_values_stay_text() -> None:
    one = audit()
    rows = (masked(HOSTILE, HOSTILE, HOSTILE), masked("short", None, f"reason {HOSTILE}"))
    hostile = replace(
        run(one, 2), sample=rows, title=HOSTILE, description=HOSTILE, regulation=HOSTILE, owner=HOSTILE
    )
    html = page.render(report.build(DAY, [one], [hostile]))
    markup = Markup(html)
    assert markup.named("script") == []
    assert markup.named("img") == []
    assert not [
        attributes for _, attributes in markup.tags if any(name.startswith("on") for name in attributes)
    ]
    assert "{{ 7*7 }}" in html
    assert HOSTILE in json.loads(report.document(report.build(DAY, [one], [hostile])))["audits"][0]["title"]


def test_the_page_needs_nothing_but_itself() -> None:
    audits = [audit("a.broken"), audit("a.fine"), audit("a.open")]
    markup = Markup(page.render(report.build(DAY, audits, [run(audits[0], 30), run(audits[1], 0)])))
    targets = {
        value
        for _, attributes in markup.tags
        for name, value in attributes.items()
        if name in {"src", "href", "action", "data"}
    }
    assert targets == {"#a.broken", "#a.fine", "#a.open", "#verify-a.broken"}
    ids = [attributes["id"] for _, attributes in markup.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert targets <= {f"#{each}" for each in ids}
    assert "url(" not in page.render(report.build(DAY, audits, []))


def test_the_page_can_be_read_by_ear() -> None:
    audits = [audit("a.broken"), audit("a.fine")]
    markup = Markup(page.render(report.build(DAY, audits, [run(audits[0], 30), run(audits[1], 0)])))
    assert markup.named("html") == [{"lang": "en"}]
    assert all(cell.get("scope") for cell in markup.named("th"))
    pictures = markup.named("svg")
    silent = [each for each in pictures if not each.get("aria-label") and each.get("aria-hidden") != "true"]
    assert len(silent) == 5, "the legend's, which is hidden as a whole"
    told = [each["aria-label"] for each in pictures if each.get("role") == "img"]
    assert len(told) == 3, "two in the overview, one with the broken rule"
    assert told[0] == (
        "Violations a day over 30 days: 30 on 31 January, at most 30 on 31 January, "
        "1 day above the threshold of 0, 29 days not audited."
    )


def test_the_page_shows_masks_and_how_many_there_are() -> None:
    one = audit()
    html = page.render(report.build(DAY, [one], [run(one, 1840)]))
    assert "The first 10 of 1,840 violating rows" in html
    assert html.count("su••••") == 10
    numbers = re.findall(r'<td class="n" data-label="No\.">(\d+)</td>', html)
    assert numbers == [str(number) for number in range(1, 11)], "masks are alike, their numbers aren't"
    assert 'href="#verify-consent.missing"' in html
    assert "subject-00" not in html
    assert "1,840" in html
    assert "SHA-256 <code>" + "a" * 64 in html


def test_the_document_holds_the_evidence() -> None:
    one = audit()
    made = json.loads(report.document(report.build(DAY, [one, audit("a.open")], [run(one, 7)])))
    assert made["verdict"] | {"text": ""} == {
        "text": "",
        "audits": 2,
        "violated": 1,
        "not_audited": 1,
        "not_judged": 0,
        "passed": 0,
        "violations": 7,
    }
    assert made["as_of"] == "2026-02-01T00:00:00Z"
    assert made["exports"] == [
        {
            "table": "privacy_logs",
            "export_id": "e1",
            "export_time": "2026-02-01T00:00:00Z",
            "item_count": 1_000_000,
        }
    ]
    found, open_ = made["audits"]
    assert found["evidence"]["query_id"] == "query-1"
    assert found["evidence"]["rows"] == (
        "SELECT * FROM audit_results WHERE snapshot_date = DATE '2026-01-31' "
        "AND audit_id = 'consent.missing' ORDER BY row_key, subject, reason"
    )
    assert len(found["sample"]) == 7
    assert open_["evidence"] is None
    assert open_["violations"] is None


def points(*counts: int | None) -> list[Point]:
    return [
        Point(DAY + timedelta(days=n), count, Status.VIOLATED if count else Status.PASSED)
        for n, count in enumerate(counts)
    ]


def test_bars_stand_on_the_ground_and_reach_no_higher_than_the_picture() -> None:
    made = chart(points(None, 0, 1, 1_000_000), threshold=0)
    assert [bar.kind for bar in made.bars] == ["gap", "none", "violated", "violated"]
    assert all(bar.y + bar.height == HEIGHT and bar.y >= 0 for bar in made.bars)
    assert made.bars[2].height >= 4, "one is seen beside a million"
    assert made.threshold_y is None


def test_a_threshold_higher_than_all_bars_is_in_the_picture() -> None:
    made = chart(points(1, 2), threshold=50)
    assert made.threshold_y is not None
    assert 0 <= made.threshold_y < made.bars[1].y
