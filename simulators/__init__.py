"""A pretend mine: physics, faults, Modbus devices, MQTT nodes, a broker and a siren PLC."""
