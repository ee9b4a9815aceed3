"""The engine under measurement: its agents, its processes, its workloads."""
