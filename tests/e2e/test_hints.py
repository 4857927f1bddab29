"""The shop's hints: what the extension sends of its own accord, and that it wakes Airflow at once."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from tests.asset_events import asset_events
from tests.e2e.product import Product
from tests.shop_fixtures import DATABASE, Shop

from sandbox import shop as sandbox_shop
from sandbox.buyers import Shop as Buyer
from sandbox.place import HOST, STOREFRONT
from sandbox.service import free_port

SECRET = "a secret of sixteen or more"


@dataclass
class Receiver:
    """What came in, in order, with the second it came."""

    url: str
    status: int = 202
    delay: float = 0
    came: list[tuple[float, dict[str, str], bytes]] = field(default_factory=list)

    def wait(self, count: int, seconds: float = 30) -> None:
        deadline = time.monotonic() + seconds
        while len(self.came) < count and time.monotonic() < deadline:
            time.sleep(0.02)
        assert len(self.came) >= count


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """A server in Crossdock's place."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            receiver.came.append((time.monotonic(), {n.lower(): v for n, v in self.headers.items()}, body))
            time.sleep(receiver.delay)
            self.send_response(receiver.status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *args: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        def handle_error(self, *args: object) -> None:
            """The shop did not wait for the answer."""

    server = Server((HOST, 0), Handler)
    receiver = Receiver(f"http://{HOST}:{server.server_port}/hints")
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield receiver
    server.shutdown()
    server.server_close()


def signed_by_the_shop(headers: dict[str, str], body: bytes) -> bool:
    stamp = headers["x-crossdock-timestamp"]
    signature = hmac.new(SECRET.encode(), stamp.encode() + b"." + body, hashlib.sha256).hexdigest()
    return headers["x-crossdock-signature"] == signature and abs(time.time() - int(stamp)) < 60


# ---------------------------------------------------------------- the subscriber alone

Node = Callable[..., dict[str, Any]]


@pytest.fixture
def node(receiver: Receiver) -> Node:
    """Runs a script beside the subscriber ``hint(name)``; gives how long each call took (ms) and what was logged."""

    def run(script: str, **env: str) -> dict[str, Any]:
        program = f"""
            const {{ default: subscriber }} = require("./src/subscribers/hints")
            const took = [], logged = []
            const container = {{ resolve: () => ({{ warn: (line) => logged.push(line) }}) }}
            const hint = async (name) => {{
              const began = performance.now()
              await subscriber({{ event: {{ name, data: {{ email: "ada@example.com" }} }}, container }})
              took.push(performance.now() - began)
            }}
            const pause = (ms) => new Promise((done) => setTimeout(done, ms))
            ;(async () => {{ {script}; console.log(JSON.stringify({{ took, logged }})) }})()
        """
        environment = {"CROSSDOCK_HINT_URL": receiver.url, "CROSSDOCK_HINT_SECRET": SECRET} | env
        done = subprocess.run(
            ["node", "-e", program], cwd=STOREFRONT, env=os.environ | environment, capture_output=True, timeout=60,
            check=True,
        )  # fmt: skip
        answer: dict[str, Any] = json.loads(done.stdout)
        return answer

    return run


def test_a_hundred_orders_are_two_hints_more_than_a_second_apart(node: Node, receiver: Receiver) -> None:
    told = node(
        "for (let n = 0; n < 100; n++) await hint('order.placed'); await hint('order.updated'); await pause(3000)"
    )
    assert [json.loads(body)["event"] for _, _, body in receiver.came] == ["order.placed", "order.updated"]
    assert all(later[0] - earlier[0] > 1 for earlier, later in pairwise(receiver.came))
    assert all(signed_by_the_shop(headers, body) for _, headers, body in receiver.came)
    assert told["logged"] == []


def test_stock_and_orders_do_not_displace_one_another(node: Node, receiver: Receiver) -> None:
    level = "inventory.inventory-level.updated"
    names = ["order.placed", level, "order.updated", level]
    node(f"for (const name of {names}) await hint(name); await pause(3000)")
    assert [json.loads(body)["event"] for _, _, body in receiver.came] == ["order.placed", level, "order.updated"]


def test_nothing_personal_leaves_the_shop(node: Node, receiver: Receiver) -> None:
    node("await hint('customer.created'); await pause(500)")
    [(_, _, body)] = receiver.came
    assert set(json.loads(body)) == {"event", "at"} and b"ada@" not in body


def test_a_receiver_that_is_away_refuses_or_sleeps_costs_the_shop_nothing(node: Node, receiver: Receiver) -> None:
    receiver.delay = 10
    script = "for (let n = 0; n < 2; n++) {{ await hint('order.placed'); await pause({ms}) }}"
    asleep = node(script.format(ms=4500))
    assert len(receiver.came) == 2  # each given up after 3 s
    receiver.delay, receiver.status = 0, 404
    refused = node(script.format(ms=1500))
    away = node(script.format(ms=1500), CROSSDOCK_HINT_URL=f"http://{HOST}:{free_port()}/hints")
    for told, why in ((asleep, "timeout"), (refused, "answers 404"), (away, "ECONNREFUSED")):
        assert max(told["took"]) < 1000, told
        assert len(told["logged"]) == 1 and why in str(told["logged"]), told


def test_it_speaks_again_of_a_failure_after_a_success_only(node: Node, receiver: Receiver) -> None:
    receiver.status = 503
    threading.Timer(2.0, lambda: setattr(receiver, "status", 202)).start()
    threading.Timer(4.5, lambda: setattr(receiver, "status", 503)).start()
    told = node("for (let n = 0; n < 6; n++) { await hint('order.placed'); await pause(1250) }")
    assert len(told["logged"]) == 2 and len(receiver.came) == 6


@pytest.mark.parametrize("missing", ["CROSSDOCK_HINT_URL", "CROSSDOCK_HINT_SECRET"])
def test_without_an_address_or_a_secret_nothing_is_sent(node: Node, receiver: Receiver, missing: str) -> None:
    assert node("await hint('order.placed'); await pause(300)", **{missing: ""})["logged"] == []
    assert receiver.came == []


# ---------------------------------------------------------------- the shop, and Airflow


def test_the_shop_gives_a_signed_hint_when_somebody_registers(shop: Shop, receiver: Receiver, session: Path) -> None:
    port = free_port()
    server = sandbox_shop.service(shop.postgres.dsn(DATABASE), port, session / "hinting", shop.given)
    server.env |= {"CROSSDOCK_HINT_URL": receiver.url, "CROSSDOCK_HINT_SECRET": SECRET}
    server.start()
    try:
        server.wait()
        hinting = Buyer(f"http://{HOST}:{port}", {"x-publishable-api-key": shop.credentials["publishable_key"]})
        began = time.monotonic()
        register(hinting, "hints@example.com")
        receiver.wait(1)
    finally:
        server.stop()
    came, headers, body = receiver.came[0]
    assert json.loads(body)["event"] == "customer.created" and signed_by_the_shop(headers, body)
    assert b"example.com" not in body and came - began < 5


def hinted(product: Product, domain: str) -> int:
    """The last event by which the shop has woken it: neither the ERP's feed nor another DAG."""
    events = asset_events(product.stack, f"crossdock_hint_{domain}")
    return max((one["id"] for one in events if one["extra"] == {} and not one["dag"]), default=0)


def woken(product: Product, domain: str, last: int) -> bool:
    deadline = time.monotonic() + 60
    while hinted(product, domain) <= last and time.monotonic() < deadline:
        time.sleep(0.1)
    return hinted(product, domain) > last


def test_what_happens_in_the_shop_wakes_airflow_at_once(product: Product) -> None:
    last = hinted(product, "customers")
    facts = product.stack.facts()["storefront"]
    visitor = Buyer(facts["url"], {"x-publishable-api-key": facts["publishable_key"]})
    register(visitor, "woken@example.com")
    assert woken(product, "customers", last)


def test_stock_that_is_edited_in_the_shop_wakes_inventory(product: Product) -> None:
    last = hinted(product, "inventory")
    item = product.shop.call("/admin/inventory-items", {"sku": "WOKEN-1"})["inventory_item"]["id"]
    place = product.shop.call("/admin/stock-locations?limit=1")["stock_locations"][0]["id"]
    product.shop.call(f"/admin/inventory-items/{item}/location-levels", {"location_id": place, "stocked_quantity": 3})
    assert woken(product, "inventory", last)


def register(visitor: Buyer, email: str) -> None:
    """What any visitor can do."""
    login = {"email": email, "password": "my own choice"}
    token = visitor.call("/auth/customer/emailpass/register", login)["token"]
    Buyer(visitor.url, {**visitor.headers, "Authorization": f"Bearer {token}"}).call(
        "/store/customers", {"email": email}
    )
