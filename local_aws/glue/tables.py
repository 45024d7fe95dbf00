"""The catalog's words for what a crawl found: storage descriptors, SerDes, the parameters a crawler sets."""

from collections.abc import Iterable, Sequence
from typing import Any, Final

from local_aws.glue.formats import Format
from local_aws.glue.grouping import File, Folder, Plan
from local_aws.glue.schema import Shape, columns

Entry = dict[str, Any]

TEXT_INPUT: Final = "org.apache.hadoop.mapred.TextInputFormat"
TEXT_OUTPUT: Final = "org.apache.hadoop.hive.ql.io.HiveIgnoreKeyTextOutputFormat"
PARQUET_INPUT: Final = "org.apache.hadoop.hive.ql.io.parquet.MapredParquetInputFormat"
PARQUET_OUTPUT: Final = "org.apache.hadoop.hive.ql.io.parquet.MapredParquetOutputFormat"
JSON_SERDE: Final = "org.openx.data.jsonserde.JsonSerDe"
CSV_SERDE: Final = "org.apache.hadoop.hive.serde2.lazy.LazySimpleSerDe"
PARQUET_SERDE: Final = "org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe"

STATISTICS: Final = ("averageRecordSize", "objectCount", "recordCount", "sizeKey")
UPDATED_BY: Final = "UPDATED_BY_CRAWLER"
DEPRECATED_BY: Final = "DEPRECATED_BY_CRAWLER"


def parameters(crawler: str, kind: Format, files: Iterable[File]) -> dict[str, str]:
    """What a crawler writes about itself and the data: kind, size and (partly estimated) record counts."""
    found = list(files)
    size = sum(file.size for file in found)
    samples = [(file.size, file.sample) for file in found if file.sample is not None]
    records = sum(sample.records for _, sample in samples)
    unread = sum(file.size for file in found if file.unread)
    if records and unread:  # SampleSize left files out: they are taken to be like those that were read
        records += round(unread * records / sum(read for read, _ in samples))
    weight = sum(sample.records for _, sample in samples)
    average = sum(sample.record_size * sample.records for _, sample in samples) // weight if weight else 0
    result = {
        "CrawlerSchemaDeserializerVersion": "1.0",
        "CrawlerSchemaSerializerVersion": "1.0",
        UPDATED_BY: crawler,
        "averageRecordSize": str(average),
        "classification": kind.classification,
        "compressionType": kind.compression,
        "objectCount": str(len(found)),
        "recordCount": str(records),
        "sizeKey": str(size),
        "typeOfData": "file",
    }
    if kind.classification == "csv":
        result |= {"areColumnsQuoted": "false", "columnsOrdered": "true", "delimiter": kind.delimiter}
        if kind.header:
            result["skip.header.line.count"] = "1"
    return result


def descriptor(
    location: str, kind: Format, shape: Shape, names: Sequence[str], table_parameters: dict[str, str]
) -> Entry:
    """A StorageDescriptor for data of ``kind`` at ``location``."""
    parquet = kind.classification == "parquet"
    known = kind.classification != "UNKNOWN"
    serde: Entry = {}
    if kind.classification == "json":
        serde = {"SerializationLibrary": JSON_SERDE, "Parameters": {"paths": ",".join(sorted(names))}}
    elif kind.classification == "csv":
        serde = {"SerializationLibrary": CSV_SERDE, "Parameters": {"field.delim": kind.delimiter}}
    elif parquet:
        serde = {"SerializationLibrary": PARQUET_SERDE, "Parameters": {"serialization.format": "1"}}
    return {
        "Columns": columns(shape),
        "Location": location,
        "InputFormat": (PARQUET_INPUT if parquet else TEXT_INPUT) if known else "",
        "OutputFormat": (PARQUET_OUTPUT if parquet else TEXT_OUTPUT) if known else "",
        "Compressed": kind.compression != "none",
        "NumberOfBuckets": -1,
        "SerdeInfo": serde,
        "BucketColumns": [],
        "SortColumns": [],
        "Parameters": table_parameters,
        "StoredAsSubDirectories": False,
    }


def table_input(name: str, crawler: str, plan: Plan, shape: Shape) -> Entry:
    """The TableInput for a plan whose files have something in them."""
    kind = plan.format
    assert kind is not None
    files = [file for folder in plan.folders for file in folder.files]
    described = parameters(crawler, kind, files)
    return {
        "Name": name,
        "Owner": "owner",
        "Retention": 0,
        "StorageDescriptor": descriptor(plan.location, kind, shape, names_of(files), described),
        "PartitionKeys": [{"Name": key, "Type": "string"} for key in plan.partition_keys],
        "TableType": "EXTERNAL_TABLE",
        "Parameters": described,
    }


def partition_input(
    crawler: str, values: Sequence[str], folder: Folder, table: Entry, *, inherit: bool
) -> Entry:
    """The PartitionInput of a folder, its schema its own or (``inherit``) the table's."""
    own = folder.formats
    location = f"s3://{'/'.join(folder.parts)}/"
    kind = next(iter(own)) if own else format_of(table)
    described = parameters(crawler, kind, folder.files)
    if inherit or not own:
        storage = {**table["StorageDescriptor"], "Location": location, "Parameters": described}
    else:
        storage = descriptor(location, kind, folder.shape, names_of(folder.files), described)
    return {"Values": list(values), "StorageDescriptor": storage, "Parameters": described}


def names_of(files: Iterable[File]) -> list[str]:
    """The top-level names in the files as they are written there, first seen first."""
    return list(dict.fromkeys(name for file in files if file.sample for name in file.sample.names))


def format_of(table: Entry) -> Format:
    """The format that a table of the catalog declares."""
    described = table.get("Parameters", {})
    return Format(
        described.get("classification", "UNKNOWN"),
        described.get("compressionType", "none"),
        described.get("delimiter", "") if described.get("classification") == "csv" else "",
        described.get("classification") == "csv" and described.get("skip.header.line.count") == "1",
    )
