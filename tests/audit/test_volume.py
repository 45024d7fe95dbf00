"""Days with unusually many events, or few."""

from datetime import timedelta

from tests.audit.conftest import Judge
from tests.audit.stories import Found, Row, days_before, event, names, told


def volume(today: int, week: list[int], kind: str = "gpc_signal", first: int = 400) -> list[Row]:
    """So many events of a kind today and on each day before; the log begins ``first`` days ago."""
    rows = [event("access_request", days_before(first)) | {"log_id": "first", "subject_id": "first"}]
    for back, count in enumerate([today, *week]):
        rows += [
            event(kind, days_before(back, n % 24)) | {"log_id": f"{kind} {back} {n}", "subject_id": f"s {n}"}
            for n in range(count)
        ]
    return rows


CASES: dict[str, tuple[int, list[int]]] = {
    "ok: 30 % more, in the noise": (130, [100] * 7),
    "ok: four times the square root of 100 more": (140, [100] * 7),
    "bad: and one more": (141, [100] * 7),
    "ok: four times the square root of 100 less": (60, [100] * 7),
    "bad: and one less": (59, [100] * 7),
    "bad: nothing": (0, [100] * 7),
    "ok: 30 % of 200 more": (260, [200] * 7),
    "bad: 30 % and one more": (261, [200] * 7),
    "ok: a new type, ten times": (10, [0] * 7),
    "bad: a new type, eleven times": (11, [0] * 7),
    "ok: too rare to be missed": (0, [10] * 7),
    "bad: one odd day in the past hides no other": (400, [90, 100, 110, 95, 105, 1000, 100]),
    "ok: one odd day in the past": (100, [90, 100, 110, 95, 105, 1000, 100]),
    "ok: as on the weekend": (30, [100, 100, 100, 100, 100, 30, 30]),
    "bad: less than on the weekend": (29, [100, 100, 100, 100, 100, 30, 30]),
    "ok: what varies much may vary": (200, [60, 80, 100, 120, 140, 160, 40]),
    "bad: more than it varies": (300, [60, 80, 100, 120, 140, 160, 40]),
}


def test_volume_anomaly(judge: Judge) -> None:
    rows = told(*(volume(today, week, kind) for kind, (today, week) in CASES.items()))
    found = judge("volume.anomaly", rows)
    assert names(found) == sorted(kind for kind in CASES if kind.startswith("bad"))
    for one in found:
        today, week = CASES[one.row_key]
        usual = f"the week before had a median of {sorted(week)[3]}"
        assert one == Found(None, one.row_key, f"{today} events of this type on the day, where {usual}")


def test_volume_is_judged_by_type(judge: Judge) -> None:
    rows = (
        volume(100, [100] * 7, "processing")
        + volume(50, [0] * 7, "Opt_In_Sale")
        + volume(50, [50] * 7, "OPT_IN_SALE")
    )
    assert names(judge("volume.anomaly", rows)) == ["opt_in_sale"]


def test_volume_counts_utc_days(judge: Judge) -> None:
    rows = volume(0, [100] * 7)
    midnight = days_before(-1, 0)
    late = [event("gpc_signal", midnight, log_id=f"late {n}", subject_id="s") for n in range(100)]
    assert names(judge("volume.anomaly", rows + late)) == ["gpc_signal"]
    in_time = [row | {"event_time": midnight - timedelta(milliseconds=1)} for row in late]
    assert names(judge("volume.anomaly", rows + in_time)) == []


def test_volume_waits_for_a_week(judge: Judge) -> None:
    assert names(judge("volume.anomaly", volume(100, [], first=7))) == ["gpc_signal"]
    assert names(judge("volume.anomaly", volume(100, [], first=6))) == []
