"""This product's IO manager of the warehouse: the foundation's, bound to the layout."""

from typing import ClassVar

from foundation.warehouse import io_manager
from foundation.warehouse.layout import WarehouseLayout
from moovitamix_assets.warehouse.layout import LAYOUT


class WarehouseIOManager(io_manager.WarehouseIOManager):
    """Stores frames and cleaned partitions in this product's warehouse."""

    layout: ClassVar[WarehouseLayout] = LAYOUT
