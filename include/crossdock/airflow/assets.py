"""What the DAGs tell one another, per pair."""

from __future__ import annotations

from airflow.sdk import Asset, AssetAlias, AssetWatcher

from crossdock.airflow.feed import Feed
from crossdock.airflow.pairs import Pair


def synced(domain: str, pair: Pair) -> Asset:
    """``domain`` has been in step at this moment, whether or not anything changed."""
    return Asset(pair.suffixed(f"crossdock_{domain}"), f"x-crossdock://{pair.name}/{domain}")


def hint(domain: str, pair: Pair) -> Asset:
    """Something may have happened: run ``domain`` soon. Only a hint; the watermark is the truth."""
    return Asset(pair.suffixed(f"crossdock_hint_{domain}"), f"x-crossdock://{pair.name}/hint/{domain}")


def watched(domain: str, pair: Pair) -> Asset:
    """The same hint, given by the ERP's feed too: for the schedule of the one DAG that is to be woken by it.

    Airflow takes the watchers of an asset from the DAGs that are scheduled by it: in others it must not stand.
    """
    asset = hint(domain, pair)
    asset.watchers.append(AssetWatcher(name=pair.suffixed(f"crossdock_feed_{domain}"), trigger=Feed(pair.name, domain)))
    return asset


def again(domain: str, pair: Pair) -> AssetAlias:
    """Lets a run that was asked for while another was at work give the hint again."""
    return AssetAlias(pair.suffixed(f"crossdock_again_{domain}"))
