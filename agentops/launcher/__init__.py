"""Everything on one machine: own PostgreSQL and Valkey, and the processes of the runtime.

Standard library only: the parent process stays small, starts at once and needs no Django.
"""
