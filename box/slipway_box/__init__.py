"""A real Kubernetes cluster on one machine, without a container engine or an image registry.

Standard library only: this package runs before anything is installed. docs/design/box.md says how the cluster is put together.
"""
