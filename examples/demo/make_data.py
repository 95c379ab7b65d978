"""Makes the demo's data: invented taxi rides of a week in May. The same seed, the same file.

    python make_data.py

writes rides.csv, zones.csv and payments.csv beside this script.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as csv

HERE = Path(__file__).resolve().parent
N_RIDES = 4_000
ZONES = ["Harbour", "Old Town", "Airport", "University", "Station", "Parkside", "Riverbank"]
BOROUGHS = ["Centre", "Centre", "South", "North", "Centre", "North", "South"]
PAYMENTS = ["card", "cash", "app"]
WEEK_START = np.datetime64("2026-05-04T00:00:00", "s")


def rides(rng: np.random.Generator) -> pa.Table:
    """N_RIDES rows in order of time; a few values are missing, as in real data."""
    seconds = np.sort(rng.integers(0, 7 * 86_400, N_RIDES))
    km = np.round(rng.gamma(2.0, 2.4, N_RIDES) + 0.4, 2)
    fare = np.round(3.5 + 1.9 * km + rng.normal(0, 1, N_RIDES).clip(-2, 4), 2)
    tip = np.round(fare * rng.choice([0, 0, 0.05, 0.1, 0.2], N_RIDES), 2)
    return pa.table(
        {
            "pickup": pa.array(WEEK_START + seconds.astype("timedelta64[s]")),
            "zone": np.array(ZONES)[rng.integers(0, len(ZONES), N_RIDES)],
            "passengers": pa.array(rng.integers(1, 6, N_RIDES), mask=rng.random(N_RIDES) < 0.02),
            "km": km,
            "fare": fare,
            "tip": pa.array(tip, mask=rng.random(N_RIDES) < 0.05),
            "payment": rng.choice(PAYMENTS, N_RIDES, p=[0.6, 0.25, 0.15]),
        }
    )


def main() -> None:
    rng = np.random.default_rng(20260504)
    csv.write_csv(rides(rng), HERE / "rides.csv")
    csv.write_csv(pa.table({"zone": ZONES, "borough": BOROUGHS}), HERE / "zones.csv")
    fees = pa.table({"payment": PAYMENTS, "fee_percent": [1.4, 0.0, 2.5]})
    csv.write_csv(fees, HERE / "payments.csv")


if __name__ == "__main__":
    main()
