"""Outputs: sirens, beacons, power cuts; the only place in alarms that does I/O."""
