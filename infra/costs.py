"""What a month costs, by volume: ``python -m infra.costs`` prints the tables of docs/production.md.

Prices are parameters: US dollars, us-east-1, without taxes and discounts, from AWS's price lists as of June
2025. Look them up again before you rely on them (https://aws.amazon.com/pricing/).
"""

import sys
from dataclasses import dataclass

DAYS = 30.4
HOURS = 730.0
GB, TB = 1e9, 1e12


@dataclass(frozen=True)
class Prices:
    """What AWS asks for."""

    athena_tb: float = 5.0
    export_gb: float = 0.10
    dynamodb_gb_month: float = 0.25
    recovery_gb_month: float = 0.20
    write_million: float = 0.625
    s3_gb_month: float = 0.023
    s3_put_thousand: float = 0.005
    s3_get_thousand: float = 0.0004
    sqs_million: float = 0.40
    vcpu_hour: float = 0.03238
    memory_gb_hour: float = 0.00356
    spot_vcpu_hour: float = 0.0115
    spot_memory_gb_hour: float = 0.0013
    crawler_dpu_hour: float = 0.44
    database_month: float = 94.0
    endpoint_hour: float = 0.01
    balancer_month: float = 25.0
    firewall_month: float = 12.0
    monitoring_month: float = 25.0


@dataclass(frozen=True)
class Volume:
    """What is governed. A record has a kilobyte in DynamoDB, a tenth in a snapshot's Parquet."""

    records_a_day: float
    days_kept: int = 365
    record_bytes: float = 1000.0
    parquet_share: float = 0.1
    deleted_share: float = 0.01
    audits: int = 14
    snapshots_kept: int = 35


def nightly(volume: Volume, prices: Prices) -> dict[str, float]:
    """A month of nights: export, typing, audits; and the events and deletions between them."""
    table = volume.records_a_day * volume.days_kept * volume.record_bytes
    exported = table * 0.3  # gzip
    snapshot = table * volume.parquet_share
    events = volume.records_a_day * DAYS
    return {
        "DynamoDB: table, recovery": table / GB * (prices.dynamodb_gb_month + prices.recovery_gb_month),
        "DynamoDB: writes": events / 1e6 * prices.write_million,
        "DynamoDB: exports": table / GB * prices.export_gb * DAYS,
        "Athena: typing": exported / TB * prices.athena_tb * DAYS,
        "Athena: audits": snapshot / TB * prices.athena_tb * volume.audits * 0.3 * DAYS,
        "S3: exports and snapshots": (exported + snapshot) / GB * prices.s3_gb_month * volume.snapshots_kept,
        "SQS and archive": events * volume.deleted_share / 1e3 * prices.s3_put_thousand
        + events * (0.1 + volume.deleted_share) / 1e6 * prices.sqs_million * 3,
        "Glue: crawler": max(1 / 6, exported / TB) * 2 * prices.crawler_dpu_hour * DAYS,
    }


def always(prices: Prices) -> dict[str, float]:
    """What is there whether anything happens or not."""
    vcpus, memory = 0.5 + 0.5 + 0.5 + 1 + 2 * 1, 1 + 1 + 2 + 4 + 2 * 2
    return {
        "Fargate: services": HOURS * (vcpus * prices.vcpu_hour + memory * prices.memory_gb_hour),
        "RDS": prices.database_month,
        "Endpoints of the network": 14 * 2 * HOURS * prices.endpoint_hour,
        "Load balancer, firewall": prices.balancer_month + prices.firewall_month,
        "CloudWatch": prices.monitoring_month,
    }


def scan(scanned: float, prices: Prices, bytes_a_second: float = 50e6, object_bytes: float = 1e6) -> float:
    """One full scan of so many bytes on Spot: a core and four gigabytes for each 50 MB a second."""
    hours = scanned / bytes_a_second / 3600
    machines = hours * (prices.spot_vcpu_hour + 4 * prices.spot_memory_gb_hour)
    return machines + scanned / object_bytes / 1e3 * prices.s3_get_thousand


def page() -> str:
    """The tables, as Markdown."""
    prices = Prices()
    volumes = {"100 thousand": 1e5, "10 million": 1e7, "1 billion": 1e9}
    columns = [{**nightly(Volume(records), prices), **always(prices)} for records in volumes.values()]
    lines = ["| US dollars a month | " + " | ".join(f"{name} records a day" for name in volumes) + " |"]
    lines.append("|---|" + "---:|" * len(columns))
    lines += [
        f"| {what} | " + " | ".join(_money(column[what]) for column in columns) + " |" for what in columns[0]
    ]
    totals = " | ".join(f"**{_money(sum(column.values()))}**" for column in columns)
    lines += [f"| **sum** | {totals} |", "", "| one full scan | US dollars |", "|---|---:|"]
    lines += [f"| {size:,} TB | {_money(scan(size * TB, prices))} |" for size in (1, 100, 1000)]
    return "\n".join(lines) + "\n"


def _money(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 else f"{value:,.2f}"


if __name__ == "__main__":
    sys.stdout.write(page())
