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

    Airflow takes the watchers of an asset from the DAGs that are scheduled by it: in others it must not stand. Where
    stock is streamed, the ERP does not wake ``inventory`` as well.
    """
    asset = hint(domain, pair)
    if domain == "inventory" and pair.stream:
        return asset
    asset.watchers.append(AssetWatcher(name=pair.suffixed(f"crossdock_feed_{domain}"), trigger=Feed(pair.name, domain)))
    return asset


def held(pair: Pair) -> Asset:
    """Records are held, and a person is to be asked about them."""
    return Asset(pair.suffixed("crossdock_held"), f"x-crossdock://{pair.name}/held")


def again(domain: str, pair: Pair) -> AssetAlias:
    """Lets a run give the hint again that came while it was at work, and say that it holds records."""
    return AssetAlias(pair.suffixed(f"crossdock_again_{domain}"))


def answered(pair: Pair) -> AssetAlias:
    """Lets an approval give the hint of the domain that is to apply it."""
    return AssetAlias(pair.suffixed("crossdock_answered"))
