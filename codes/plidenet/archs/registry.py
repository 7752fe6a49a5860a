"""The networks by name."""

from plidenet.registry import Registry

NETWORKS = Registry("network")
