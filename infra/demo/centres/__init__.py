"""The five ways in which the demo's centres export the same kind of truth."""

from collections.abc import Mapping

from infra.demo.centre import Centre
from infra.demo.centres import leiden, lyon, odense, torino, ulm


__all__ = ["CENTRES"]

CENTRES: Mapping[str, Centre] = {
    module.CENTRE.id: module.CENTRE for module in (lyon, ulm, leiden, torino, odense)
}
