"""The same questions asked of DuckDB: it reads the touches from Parquet, sorted as they come, and finds a campaign's by join.

`python -m benchmarks.duck_reads EVENTS.ndjson QUESTIONS.json`: the questions are a list of [campaign, from, to], in text of ISO 8601; prints
the numbers of each, and the seconds of each of its repeats.
"""

import json
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.duck import METRICS, load

REPEATED = 20
KEPT = ("touch", "session", "owned")
QUESTION = """
WITH h AS (SELECT * FROM held WHERE campaign_id = $c), cl AS (SELECT * FROM claimed WHERE campaign_id = $c), met AS (
    SELECT DISTINCT id FROM (
        SELECT t.id FROM touch t JOIN h ON h.asset_id = t.asset AND t.ts >= h.t0 AND t.ts < h.t1 WHERE t.ts >= $f AND t.ts < $t
        UNION ALL SELECT t.id FROM touch t JOIN h ON h.asset_id = t.via AND t.ts >= h.t0 AND t.ts < h.t1 WHERE t.ts >= $f AND t.ts < $t
        UNION ALL SELECT t.id FROM touch t JOIN cl ON cl.v = t.utm AND t.ts >= cl.t0 AND t.ts < cl.t1 WHERE t.ts >= $f AND t.ts < $t)
), met_by_page AS (
    SELECT DISTINCT id FROM (
        SELECT t.id FROM touch t JOIN h ON h.asset_id = t.asset AND t.ts >= h.t0 AND t.ts < h.t1
        WHERE t.ts >= $f AND t.ts < $t AND t.type = 'page_visited'
        UNION ALL SELECT t.id FROM touch t JOIN cl ON cl.v = t.utm AND t.ts >= cl.t0 AND t.ts < cl.t1 WHERE t.ts >= $f AND t.ts < $t)
)
SELECT a.*, s.*, c.* FROM (
    SELECT coalesce(sum(n) FILTER (type = 'page_visited'), 0), coalesce(sum(n) FILTER (type = 'form_submitted'), 0),
        coalesce(sum(n) FILTER (type = 'cta_clicked'), 0), coalesce(sum(n) FILTER (type = 'email_opened'), 0),
        coalesce(sum(n) FILTER (type = 'email_clicked'), 0) FROM met JOIN touch USING (id)
) a, (SELECT count(DISTINCT (visitor_id, number)), count(DISTINCT visitor_id) FILTER (number = 1) FROM met_by_page JOIN session USING (id)) s,
(SELECT count(DISTINCT contact) FROM met JOIN owned USING (id)) c
"""


def main() -> None:
    """Print what each question found, and how long each time took, as one JSON line."""
    connection = load(sys.argv[1])
    questions = json.loads(Path(sys.argv[2]).read_text())
    with tempfile.TemporaryDirectory() as folder:
        for table in KEPT:
            connection.execute(f"COPY {table} TO '{folder}/{table}.parquet' (FORMAT parquet)")
            connection.execute(f"DROP TABLE {table}")
            connection.execute(f"CREATE VIEW {table} AS SELECT * FROM read_parquet('{folder}/{table}.parquet')")
        size = sum((Path(folder) / f"{table}.parquet").stat().st_size for table in KEPT)
        out = []
        for campaign, begin, end in questions:
            took_s: list[float] = []
            numbers: tuple[int, ...] = ()
            for _ in range(REPEATED):
                began = time.perf_counter()
                row = connection.execute(QUESTION, {"c": campaign, "f": begin, "t": end}).fetchone()
                took_s.append(time.perf_counter() - began)
                assert row is not None
                numbers = row
            out.append({"numbers": dict(zip(METRICS, map(int, numbers), strict=True)), "took_s": took_s})
    print(json.dumps({"answers": out, "parquet_bytes": size}))


if __name__ == "__main__":
    main()
