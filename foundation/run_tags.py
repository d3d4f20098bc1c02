"""The tags with which Dagster marks the partitions of a run.

Tags of a product's own are declared by the product.
"""

PARTITION_TAG = "dagster/partition"
RANGE_START_TAG = "dagster/asset_partition_range_start"
RANGE_END_TAG = "dagster/asset_partition_range_end"
