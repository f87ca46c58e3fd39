"""What is dangerous: limits, trends, loss of monitoring, lifecycle, demands, and the actuators."""
