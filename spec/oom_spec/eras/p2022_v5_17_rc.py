"""v5.17-rc, before the repair that made it into v5.17 (see `oom_spec.eras.e10_v5_17`)."""

from oom_spec.eras.e10_v5_17 import V5_17_RC

ERAS = (V5_17_RC,)
