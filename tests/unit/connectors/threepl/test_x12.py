"""Shipping advices of 3PLs (X12 945): what is read, and what is not believed."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest

from crossdock.connectors.threepl.x12_945 import Refusal, advices
from crossdock.domain.shipping_advice import AdviceLine, ShippingAdvice
from crossdock.errors import Reject

BODY = (
    "W06*F*108*20261124*FF-77",
    "N1*SF*FULFILFAST*9*708066",
    "N9*2I*TRACK0",
    "W27*M*UPSN*UPS GROUND*CC",
    "LX*1",
    "MAN*GM*00100752782101847618**CP*TRACK1",
    "W12*CC*5*3*2*EA**VN*WJ001-BLACK-S",
    "LX*2",
    "MAN*CP*TRACK2**CP*TRACK1",
    "W12*CC*2*2**EA*012345678905*UP*012345678905*********SK*NG001",
    "W12*CC*1*1**EA**SK*NG001",
    "W12*CP*4*0**EA**SK*ST001",
    "W03*6*12*LB",
)


def header(element: str = "*", terminator: str = "~", control: str = "000000001") -> str:
    parts = ["ISA", "00", " " * 10, "00", " " * 10, "ZZ", "FULFILFAST".ljust(15), "ZZ", "ALDERGATE".ljust(15), "261124",
             "1200", "U", "00401", control, "0", "P", ">"]  # fmt: skip
    return element.join(parts) + terminator


def transaction(*body: str, kind: str = "945", control: str = "0001", count: int | None = None) -> list[str]:
    return [f"ST*{kind}*{control}", *body, f"SE*{len(body) + 2 if count is None else count}*{control}"]


def file(*transactions: list[str], control: str = "000000001", groups: str = "1") -> str:
    inside = [segment for one in transactions for segment in one]
    rest = ["GS*SW*A*B*20261124*1200*1*X*004010", *inside, f"GE*{len(transactions)}*1", f"IEA*{groups}*{control}"]
    return header(control=control) + "".join(f"{segment}~\n" for segment in rest)


def only(text: str) -> ShippingAdvice:
    [one] = advices(text)
    assert isinstance(one, ShippingAdvice)
    return one


def refused(*body: str) -> Reject:
    [one] = advices(file(transaction(*body)))
    assert isinstance(one, Refusal) and one.transaction == "0001"
    return one.reject


def unbelievable(text: str) -> Reject:
    with pytest.raises(Reject) as caught:
        advices(text)
    return caught.value


def test_an_advice() -> None:
    assert only(file(transaction(*BODY))) == ShippingAdvice(
        number="108",
        carrier="UPSN",
        sent_on=date(2026, 11, 24),
        tracking_numbers=("TRACK0", "TRACK1", "TRACK2"),
        lines=(
            AdviceLine(sku="WJ001-BLACK-S", quantity=Decimal(3)),
            AdviceLine(sku="NG001", quantity=Decimal(3)),
        ),
    )


def test_delimiters_are_those_of_the_header() -> None:
    text = file(transaction(*BODY)).replace("~\n", "\n").replace("~", "\n").replace("*", "|")
    assert only(text) == only(file(transaction(*BODY)))
    assert only("\ufeff\r\n" + file(transaction(*BODY)).replace("\n", "\r\n")) == only(file(transaction(*BODY)))


def test_several_transactions_and_interchanges() -> None:
    other = (BODY[0].replace("108", "109"), *BODY[1:])
    text = file(transaction(*BODY), transaction(*other, control="0002"))
    third = file(transaction(BODY[0].replace("108", "110"), *BODY[1:]), control="000000002")
    assert [one.number for one in advices(text + third) if isinstance(one, ShippingAdvice)] == ["108", "109", "110"]


def test_one_bad_transaction_does_not_stop_the_others() -> None:
    bad, good = advices(file(transaction("LX*1"), transaction(*BODY, control="0002")))
    assert isinstance(bad, Refusal) and isinstance(good, ShippingAdvice)


def test_a_shipment_twice_is_refused_the_second_time() -> None:
    first, second = advices(file(transaction(*BODY), transaction(*BODY, control="0002")))
    assert isinstance(first, ShippingAdvice)
    assert isinstance(second, Refusal) and second.reject.code == "duplicate_shipment"


@pytest.mark.parametrize("cut", [3, 105, 106, 140, 300, -2, -12, -24])
def test_a_truncated_file_is_not_believed(cut: int) -> None:
    assert unbelievable(file(transaction(*BODY))[:cut]).code in ("no_x12", "truncated")


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "no_x12"),
        ("sku,quantity\nA,1\n" * 20, "no_x12"),
        (header().replace("*ZZ", "*Z"), "no_x12"),
        (file(transaction(*BODY, count=9)), "wrong_count"),
        (file(transaction(*BODY), groups="2"), "wrong_count"),
        (file(transaction(*BODY)).replace("GE*1*1", "GE*3*1"), "wrong_count"),
        (file(transaction(*BODY)).replace("GE*1*1", "GE*1*2"), "wrong_control"),
        (file(transaction(*BODY)).replace("SE*15*0001", "SE*15*0002"), "wrong_control"),
        (file(transaction(*BODY)).replace("IEA*1*000000001", "IEA*1*000000009"), "wrong_control"),
        (file(transaction(*BODY)) * 2, "duplicate_interchange"),
        (file(transaction(*BODY, kind="944")), "unknown_transaction"),
        (file(transaction(*BODY)).replace("GS*SW", "XX*SW"), "wrong_order"),
    ],
)
def test_a_file_whose_envelopes_are_wrong_is_not_believed(text: str, code: str) -> None:
    assert unbelievable(text).code == code


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [
        ("W12*CC*5*3", "W12*CC*5*4", "wrong_total"),
        ("W12*CC*5*3", "W12*CC*5*three", "invalid_quantity"),
        ("W12*CC*5*3", "W12*CC*5*-3", "invalid_quantity"),
        ("W12*CC*5*3", "W12*CC*5*NaN", "invalid_quantity"),
        ("*VN*", "*UP*", "no_sku"),
        ("20261124", "241126", "invalid_date"),
        ("20261124", "20261324", "invalid_date"),
        ("W06*F*108", "W06*F*", "invalid"),
        ("W06*", "W05*", "no_shipment"),
    ],
)
def test_a_wrong_transaction_is_refused_with_the_place(old: str, new: str, code: str) -> None:
    said = refused(*(segment.replace(old, new) for segment in BODY))
    assert said.code == code and said.remedy


def test_an_advice_of_nothing_is_refused() -> None:
    assert refused("W06*F*108*20261124").code == "invalid"
