"""Personal data in messages: found in full, let pass when masked, never repeated."""

from tests.audit.conftest import Judge
from tests.audit.stories import event, story, told

EMAIL, SSN, CARD, PHONE = (
    "an e-mail address",
    "a social security number",
    "a card number",
    "a telephone number",
)


def test_unmasked_values_are_found_wherever_they_stand(judge: Judge) -> None:
    values = {
        "jane.doe@example.com": EMAIL,
        "123-45-6789": SSN,
        "4111 1111 1111 1111": CARD,
        "415-555-0132": PHONE,
    }
    rows, kinds = [], {}
    for value, kind in values.items():
        for mark in " =:\",'(\t":
            for n, message in enumerate([value, mark + value, value + mark, f"x{mark}{value}{mark}y"]):
                name = f"bad {n} {mark} {kind}"
                rows += story(name, event("processing", message=message))
                kinds[name] = f"the message holds {kind}"
    found = {one.row_key: one.reason for one in judge("message.unmasked_personal_data", rows)}
    assert found == kinds


def test_unmasked_personal_data(judge: Judge) -> None:
    unmasked = {
        "mail to Jane.Doe+shop@mail.example.co.uk failed": EMAIL,
        "o'neil@example.com": EMAIL,
        "<a@b.io>": EMAIL,
        "login j_d%x@ex-ample.museum!": EMAIL,
        "ssn 123 45 6789.": SSN,
        '{"ssn":"899-99-0001"}': SSN,
        "ssn=665-01-0100;": SSN,
        "card 5500005555555559": CARD,
        "card 2221-0000-0000-0009.": CARD,
        "amex 378282246310005": CARD,
        "amex 3782 822463 10005": CARD,
        "discover 6011 1111 1111 1117": CARD,
        "jcb 3530111333300000": CARD,
        "first 4111111111111112, then 4111111111111111": CARD,
        "call +49 30 901820": PHONE,
        "call +442079460958": PHONE,
        "call +1 (415) 555-0132": PHONE,
        "call (415) 555-0132": PHONE,
        "call 1-415-555-0132": PHONE,
        "call 415.555.0132.": PHONE,
        "a@b.io, 123-45-6789, 4111111111111111 and +49 30 901820": f"{EMAIL}, {SSN}, {CARD}, {PHONE}",
        "j***@example.com became jane@example.com": EMAIL,
        "from jané@exämple.de": EMAIL,
        "to 用户@例子.公司": EMAIL,
        "to a@xn--bcher-kva.xn--p1ai": EMAIL,
        "?to=jane%40example.com&x=1": EMAIL,
        "jane＠example.com": EMAIL,
        "call 0049 30 901820": PHONE,
        "call 0044 (20) 7946 0958,": PHONE,
        "call ＋４９ ３０ ９０１８２０": PHONE,
        "card ４１１１１１１１１１１１１１１１": CARD,
    }
    harmless = [
        "order 0049309018200",
        "row 0001 2345 6789",
        "took 00:00:01 1234567",
        "100%40 of them",
        None,
        "",
        "nothing to see",
        "j***@example.com",
        "j***e@example.com",
        "****@example.com",
        "jxxxx@example.com",
        "j•••@example.com",
        "jane@e***.com",
        "[redacted]@example.com",
        "jane@localhost",
        "jane at example.com",
        "@mention and a@b",
        "***-**-6789",
        "xxx-xx-6789",
        "XXX-XX-6789",
        "###-##-6789",
        "000-12-3456",
        "666-12-3456",
        "912-34-5678",
        "123-00-4567",
        "123-45-0000",
        "1-123-45-6789",
        "123-45-67890",
        "2026-03-04",
        "2026-03-04 12:34:56.789",
        "**** **** **** 1111",
        "4111 **** **** 1111",
        "411111******1111",
        "4111 1111 1111 1112",
        "4111111111111112",
        "41111111111111111111",
        "order 1234567890123456",
        "epoch 1772582400000",
        "id 6f1c2d3e-4111-1111-1111-111111111111",
        "(***) ***-0132",
        "+1 *** *** 0132",
        "***-***-0132",
        "415-555-01325",
        "115-555-0132",
        "+0123456789",
        "+49 30",
        "10.0.0.1 192.168.100.200",
        "version 415.555.01.32",
    ]
    rows = told(
        *(story(f"bad {text}", event("processing", message=text)) for text in unmasked),
        *(story(f"ok {n} {text}", event("processing", message=text)) for n, text in enumerate(harmless)),
    )
    found = {one.row_key: one.reason for one in judge("message.unmasked_personal_data", rows)}
    assert found == {f"bad {text}": f"the message holds {kinds}" for text, kinds in unmasked.items()}
