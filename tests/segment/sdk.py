"""Sends events with a Python SDK as its maker publishes it: `sdk.py segment|rudder URL KEY EVENTS BEFORE`.

After the first ones (BEFORE) it says `away` and waits for a line, so that the server can be taken away.
"""

import sys
from typing import Any


def main(maker: str, url: str, key: str, events: int, before: int) -> None:
    failed: list[object] = []

    def on_error(error: object, items: object) -> None:
        failed.append((error, items))

    if maker == "segment":
        from segment.analytics.client import Client
    else:
        from rudderstack.analytics.client import Client
    client: Any = Client(
        key,
        host=f"{url}/segment",
        gzip=True,
        on_error=on_error,
        max_queue_size=events + 1,
        upload_size=100,
        max_retries=20,
    )
    for n in range(events):
        if n == before:
            client.flush()
            print("away", flush=True)
            sys.stdin.readline()
        person = {"user_id": f"u{n % 100}", "anonymous_id": f"v{n % 1000}"}
        if n % 10 < 5:
            client.page(**person, name="Home", properties={"url": f"https://shop.example/?utm_campaign={maker}"})
        elif n % 10 < 9:
            client.track(**person, event="CTA Clicked", properties={"cta_id": f"cta-{maker}"})
        else:
            client.track(**person, event=f"Odd of {maker}", properties={"n": n})
    client.flush()
    client.join()
    if failed:
        raise SystemExit(f"{len(failed)} batches were given up: {failed[0]}")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]), int(sys.argv[5]))
