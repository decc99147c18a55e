"""JSON texts that trip readers, made anew: what the grammar allows though few expect it, and what it only nearly allows.

The table is what a suite of JSON parsers' tests asks: numbers, texts, structure, encodings, nesting, doubled and odd names.
"""

import json
from collections.abc import Iterator

VISIT = {"type": "page_visited", "visitor_id": "v", "url": "https://shop.example/"}
_OPEN = json.dumps(VISIT)[:-1].encode()

NUMBERS = [
    "0", "-0", "1", "-1", "01", "-01", "1.", ".1", "-.1", "+1", "1e5", "1E5", "1e+5", "1e-5", "1e", "1e+", "1.5e", "0e1", "1e400",
    "-1e400", "1e-400", "123456789012345678901234567890", "-9223372036854775809", "18446744073709551616", "0x10", "0b1", "1_000", "NaN",
    "Infinity", "-Infinity", "inf", "nan", "--1", "- 1", "1 000", "\uff11", "1e99999999999", "0." + "0" * 400 + "1", "9" * 400, "9" * 5000,
    "-" + "9" * 5000, "1" + "0" * 308, "1.7976931348623159e308", "4.9e-324", "2e-324", "1e1.5", "1/2", "1,5",
]  # fmt: skip
TEXTS = [
    rb'""', rb'"a"', rb'"\u0000"', rb'"\u0061"', rb'"\uD83D\uDE00"', rb'"\uD800"', rb'"\uDC00"', rb'"\uDC00\uD800"', rb'"\uD800\u0041"',
    rb'"\uD800\uD800"', rb'"\u"', rb'"\u12"', rb'"\u123G"', rb'"\x41"', rb'"\a"', rb'"\0"', rb'"\""', rb'"\\"', rb'"\\u0000"', rb'"\/"',
    rb'"\b\f\n\r\t"', rb"'a'", rb'"a', rb'a"', rb'"a\"', b'"a\nb"', b'"a\tb"', b'"a\x00b"', b'"\x7f"', b'"\xe5"', b'"\xff\xfe"', b'"\xc0\x80"',
    b'"\xed\xa0\x80"', b'"\xf4\x90\x80\x80"', b'"\xe2\x82"', b'"\xf0\x9f\x98\x80"', b'"\xef\xbf\xbf"', b'"\xef\xbb\xbf"', b'"\xe2\x80\xa8"',
    rb'"\uFEFF"', rb'"\uFFFF"', rb'"\u2028"', rb'"%00"', b'"' + b"a" * 40_000 + b'"', b'"' + rb"\u0041" * 300 + b'"', rb'"\U0001F600"',
]  # fmt: skip
VALUES = [
    "true", "false", "null", "True", "TRUE", "nul", "nulll", "tru", "undefined", "[]", "{}", "[1]", "[1,]", "[,1]", "[,]", "[1,,2]", "[1 2]",
    "[1", "1]", "[[1]", "[1]]", "{", "}", "[", "]", "{]", "[}", "{1:2}", "{a:1}", "{'a':1}", '{"a"}', '{"a":}', '{"a" 1}', '{"a":1,}',
    '{,"a":1}', '{"a":1 "b":2}', '{"a":1,,"b":2}', '{"a":1,"a":2}', '{"":1}', '{"a":{"a":{"a":{}}}}', '{"\\u0000":1}', '{"a\\u0000b":1}',
    "", " ", "/*x*/1", "1//x", "#1", "[1]#", "*", "<null>", "`1`", "1;", "\ufeff1", "\u00a01", "\u2028", "\u200b1", "\x0b1", "\x0c1", "\x1a", "\x00",
    "[" * 400 + "]" * 400, "[" * 990 + "]" * 990, "[" * 1_000 + "]" * 1_000, "[" * 3_000 + "]" * 3_000, "[" * 15_000 + "]" * 15_000,
    "[" * 3_000, "]" * 3_000, '{"a":' * 1_000 + "1" + "}" * 1_000, '{"a":' * 3_000, '[{"a":' * 1_500 + "1" + "}]" * 1_500, "[{}," * 500 + "1" + "]" * 500,
]  # fmt: skip
FIELDS = [
    "x",
    "type",
    "id",
    "url",
    "title",
    "contact",
    "occurred_at",
    "machine",
    "a\\u0000b",
    "\\u0074ype",
    "",
    "\\ud83d\\ude00",
    "`",
    "`$.id`",
]
HEADS = [
    b'{"type":"contact_merged","contact":{"id":"1"},"into":{"x":1}}', b'{"type":"workspace_configured","settings":{"bogus":1}}',
    b'{"type":"deal_created","deal_id":"d","contacts":[{"x":1}]}', b'{"type":"deal_created","deal_id":"d","contacts":[[[{"x":1}]]]}',
    b'{"type":"model_defined","model":"m","weights":{"first":"abc"}}', b'{"type":"model_defined","model":"m","weights":{"first":"1e999999999"}}',
    b'{"type":"model_defined","model":"m","weights":{"first":"NaN"}}', b'{"type":"model_defined","model":"m","weights":{"first":"sNaN"}}',
    b'{"type":"model_defined","model":"m","weights":{"first":' + b"9" * 400 + b"}}", b'{"type":"model_defined","model":"m","weights":{}}',
    b'{"type":"model_defined","model":"m","weights":{"first":1},"half_life_days":' + b"9" * 30 + b"}",
    b'{"type":"page_visited\\u0000","visitor_id":"v","url":"u"}', b'{"type":["page_visited"]}', b'{"type":{"type":"page_visited"}}', b'{"type":1}',
    b'{"type":null}', b'{"type":""}', b'{"type":"' + b"x" * 30_000 + b'"}', b'{"type":"\xe5"}', b'{"type":"page_visited","type":"deal_deleted"}',
    b'{"type":"page_visited","type":5,"visitor_id":"v","url":"u"}', b'{"visitor_id":"v","url":"u","type":"page_visited","type":[]}',
    _OPEN + b',"x":1,"type":1}', _OPEN + b',"x":1,"type":"page_visited"}', b'{"type":"deal_deleted","x":1,"type":"page_visited","visitor_id":"v","url":"u"}',
    _OPEN + b',"x":1,"\\u0074ype":"page_visited"}', _OPEN + b',"x":{"type":1,"type":2}}',
    b'{"id":"' + b"i" * 20_000 + b'","type":"nothing"}', b'{"id":"\\u0000","type":"nothing"}', b'{"id":5,"type":"nothing"}', b'{"id":"a\\u0000"}',
    _OPEN + b',"contact":{"email":"a@b","x":' + b"[" * 2_000 + b"]" * 2_000 + b"}}", _OPEN + b',"contact":[{"email":"a@b"}]}', _OPEN + b',"contact":"a@b"}',
    _OPEN + b',"contact":{"email":"a@b","\\u0000":1,"y":"\xe5"}}', _OPEN + b',"contact":{"email":"a\\u0000@b"}}', _OPEN + b"}}", _OPEN + b"} {}", _OPEN + b",}",
    b"\xef\xbb\xbf" + _OPEN + b"}", (_OPEN + b"}").decode().encode("utf-16"), (_OPEN + b"}").decode().encode("utf-32-be"), b"\x1f\x8b\x08", b"(\xb5/\xfd",
    _OPEN + b',"url":"https://x.example/?tl_via=%00"}', _OPEN + b',"url":"https://x.example/?TL%5FVIA=%2500a%00"}',
]  # fmt: skip


def malformed_texts() -> Iterator[bytes]:
    """Several hundred texts, each without a line break outside a text of its own unless it is about line breaks."""
    values = [*(n.encode() for n in NUMBERS), *TEXTS, *(v.encode() for v in VALUES)]
    yield from values
    for value in values:
        yield _OPEN + b',"x":' + value + b"}"
    for value in (*TEXTS, *(n.encode() for n in NUMBERS[:12]), b"[]", b"{}", b"null", b"[" * 2_000 + b"]" * 2_000):
        for field in ("title", "id", "occurred_at", "contact"):
            yield _OPEN + f',"{field}":'.encode() + value + b"}"
    for field in FIELDS:
        for value in (b"1", b'"x"', b"null", b"[[]]", b'"\xe5"', b'"\\u0000"'):
            yield _OPEN + f',"{field}":'.encode() + value + b"}"
    yield from HEADS
