"""A pretend mine: physics, faults, Modbus devices, MQTT nodes, a broker and a siren PLC.

`run_mine` puts it on the wire, `record` yields its readings without one, `send_control` breaks
things in a running one; scenarios do so by themselves.
"""

from simulators.control import send_control
from simulators.record import Reading, record
from simulators.run import run_mine
from simulators.scenario import load_scenario, scenario_names

__all__ = ["Reading", "load_scenario", "record", "run_mine", "scenario_names", "send_control"]
