"""What SendGrid, Mailgun and Postmark send: messages of the shape that they document, with values of our own, and their signatures."""

import base64
import hmac
import json
import time
from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

AT_S = 1_709_287_200  # 2024-03-01T10:00:00Z
AT = "2024-03-01T10:00:00Z"
PHONE = (
    "Mozilla/5.0 (Linux; Android 14; Pixel 8) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/121.0 Mobile Safari/537.36"
)


def sendgrid(event: str, n: int = 0, **more: Any) -> dict[str, Any]:
    """An event of SendGrid, `n` seconds after the first."""
    base = {
        "email": "kari@example.no", "timestamp": AT_S + n, "smtp-id": f"<m{n}@mta-7>", "event": event,
        "category": ["spring-mail", "weekly"], "sg_event_id": f"{event}-{n}-Zm9v", "sg_message_id": f"m{n}.recvd-abc-1",
    }  # fmt: skip
    by_event: dict[str, dict[str, Any]] = {
        "delivered": {"response": "250 OK", "ip": "192.0.2.7", "tls": 1},
        "deferred": {"response": "450 come back later", "attempt": "3"},
        "bounce": {"reason": "550 no such mailbox", "status": "5.1.1", "type": "bounce", "bounce_classification": "Invalid Address"},
        "dropped": {"reason": "Bounced Address", "status": "5.0.0"},
        "open": {"useragent": PHONE, "ip": "198.51.100.4", "sg_content_type": "html", "sg_machine_open": False},
        "click": {"useragent": PHONE, "ip": "198.51.100.4", "url": "https://shop.example/spring", "url_offset": {"index": 0, "type": "html"}},
        "group_unsubscribe": {"useragent": PHONE, "url": "http://click.example/", "asm_group_id": 11},
        "group_resubscribe": {"useragent": PHONE, "url": "http://click.example/", "asm_group_id": 11},
    }  # fmt: skip
    return {**base, **by_event.get(event, {}), **more}


def mailgun(event: str, n: int = 0, **more: Any) -> dict[str, Any]:
    """An `event-data` of Mailgun, `n` seconds after the first."""
    base = {
        "id": f"Qx{event}{n}", "timestamp": AT_S + n + 0.25, "log-level": "info", "event": event, "recipient": "kari@example.no",
        "recipient-domain": "example.no", "tags": ["spring-mail", "weekly"], "campaigns": [{"id": "mc-9", "name": "Spring"}],
        "user-variables": {"asset_id": "mail-7"}, "message": {"headers": {"message-id": f"m{n}@shop.example"}},
        "account": {"id": "a1"}, "domain": {"name": "shop.example"},
    }  # fmt: skip
    client = {"client-type": "mobile browser", "client-os": "Android", "device-type": "mobile", "client-name": "Chrome",
              "user-agent": PHONE, "bot": ""}  # fmt: skip
    by_event: dict[str, dict[str, Any]] = {
        "opened": {"client-info": client, "ip": "198.51.100.4", "geolocation": {"country": "NO"}},
        "clicked": {"client-info": client, "ip": "198.51.100.4", "url": "https://shop.example/spring"},
        "failed": {"severity": "permanent", "reason": "bounce", "delivery-status": {"code": 550, "attempt-no": 1}},
    }
    return {**base, **by_event.get(event, {}), **more}


def postmark(record: str, n: int = 0, **more: Any) -> dict[str, Any]:
    """A message of Postmark, `n` seconds after the first; its instants have seven decimals, as .NET writes them."""
    at = f"2024-03-01T11:{n // 60:02}:{n % 60:02}.1234567+01:00"
    base = {"RecordType": record, "MessageID": f"00000000-0000-4000-8000-{n:012}", "MessageStream": "broadcast", "ServerID": 23,
            "Tag": "spring-mail", "Metadata": {"asset_id": "mail-7"}}  # fmt: skip
    bounce = {"ID": 4_323_372_036 + n, "Type": "HardBounce", "TypeCode": 1, "Email": "kari@example.no", "BouncedAt": at, "Inactive": True,
              "Subject": "Spring", "Content": "Return-Path: <…>"}  # fmt: skip
    opened = {"Recipient": "kari@example.no", "ReceivedAt": at, "UserAgent": PHONE, "Platform": "Mobile", "Geo": {},
              "Client": {"Name": "Chrome", "Family": "Chrome"}, "OS": {"Name": "Android", "Family": "Android"}}  # fmt: skip
    by_record: dict[str, dict[str, Any]] = {
        "Delivery": {"Recipient": "kari@example.no", "DeliveredAt": at, "Details": "smtp;250"},
        "Bounce": bounce,
        "SpamComplaint": {**bounce, "Type": "SpamComplaint", "TypeCode": 512},
        "Open": {**opened, "FirstOpen": True, "ReadSeconds": 5},
        "Click": {**opened, "ClickLocation": "HTML", "OriginalLink": "https://shop.example/spring"},
        "SubscriptionChange": {"Recipient": "kari@example.no", "ChangedAt": at, "Origin": "Recipient", "SuppressSending": True,
                               "SuppressionReason": "ManualSuppression"},
    }  # fmt: skip
    return {**base, **by_record.get(record, {}), **more}


class SendGridKey:
    """A key pair as SendGrid makes one for a webhook."""

    def __init__(self) -> None:
        self._private = ec.generate_private_key(ec.SECP256R1())
        public = self._private.public_key()
        self.public = base64.b64encode(public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).decode()
        self.public_pem = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()

    def headers(self, body: bytes, age_s: int = 0) -> dict[str, str]:
        """The headers of a body that was signed so many seconds ago."""
        timestamp = str(int(time.time()) - age_s)
        signature = self._private.sign(timestamp.encode() + body, ec.ECDSA(hashes.SHA256()))
        return {
            "X-Twilio-Email-Event-Webhook-Signature": base64.b64encode(signature).decode(),
            "X-Twilio-Email-Event-Webhook-Timestamp": timestamp,
            "Content-Type": "application/json",
        }


def sendgrid_body(events: Sequence[Mapping[str, Any]]) -> bytes:
    """SendGrid writes a line for each event, and each of these bytes is signed."""
    return b"[" + b",\r\n".join(json.dumps(event).encode() for event in events) + b"]\r\n"


def mailgun_body(secret: str, event: object, token: str, age_s: int = 0) -> bytes:
    """A call of Mailgun that was signed so many seconds ago."""
    timestamp = str(int(time.time()) - age_s)
    signature = hmac.new(secret.encode(), (timestamp + token).encode(), sha256).hexdigest()
    signed = {"token": token, "timestamp": timestamp, "signature": signature}
    return json.dumps({"signature": signed, "event-data": event}).encode()
